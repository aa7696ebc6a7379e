"""Our light data set gives RecBole's own rows, and exact ones where they are asked for."""

import warnings

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation

from seqrec_plugin.errors import BadData
from seqrec_plugin.recbole_bridge.dataset import SequenceDataset
from seqrec_plugin.recbole_bridge.sequences import ROW
from tests.conftest import AWKWARD, write_dataset

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def _parts(model, data_path, dataset="shop", **options):
    values = {"data_path": str(data_path), "train_neg_sample_args": None, "state": "ERROR", **options}
    values.setdefault("load_col", {"inter": ["user_id", "item_id", "timestamp"]})
    config = Config(model=model, dataset=dataset, config_dict=values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = create_dataset(config)
        return made, data_preparation(config, made)


SPLITS = [{"LS": "valid_and_test"}, {"LS": "test_only"}, {"RS": [0.8, 0.1, 0.1]}, {"TS": [0.8, 0.1, 0.1]}]


@pytest.mark.parametrize("length", [1, 3, 50])
@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_valid_and_test_rows_are_recboles(shop, split, length):
    options = {"eval_args": {"split": split, "order": "TO", "mode": "full"}, "MAX_ITEM_LIST_LENGTH": length}
    _, ours = _parts("LSTM4Rec", shop, **options)
    _, theirs = _parts("GRU4Rec", shop, **options)
    for part, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        rows, expected = a.dataset[torch.arange(len(a.dataset))], b.dataset[torch.arange(len(b.dataset))]
        assert len(rows) == len(expected)
        assert part == 1 or len(rows)
        for field in expected.interaction:
            assert torch.equal(rows[field], expected[field]), (part, field)


def test_every_row_names_its_event(shop):
    dataset, parts = _parts("LSTM4Rec", shop, MAX_ITEM_LIST_LENGTH=3)
    for part in parts:
        rows = part.dataset[torch.arange(len(part.dataset))]
        assert torch.equal(rows["item_id"], torch.from_numpy(dataset.sequences.items)[rows[ROW]])
        previous = torch.from_numpy(dataset.sequences.items)[rows[ROW] - 1]
        last = rows["item_id_list"].gather(1, rows["item_length"].unsqueeze(1) - 1).squeeze(1)
        assert torch.equal(previous, last)


def test_importing_the_plugin_leaves_recboles_own_data_sets_alone(shop):
    plain, _ = _parts("GRU4Rec", shop)
    assert type(plain).__module__.startswith("recbole.")
    exact, _ = _parts("GRU4Rec", shop, exact_time=True)
    assert type(exact).__module__.startswith("seqrec_plugin.")
    plain, _ = _parts("GRU4Rec", shop)
    assert type(plain).__module__.startswith("recbole.")


@pytest.mark.parametrize("model", ["LSTM4Rec", "GRU4Rec"])
def test_exact_time_orders_events_one_second_apart(tmp_path, model):
    """At today's epoch float32 has steps of 128 s: without exact_time this order is lost."""
    random = np.random.default_rng(0)
    events = [(f"u{u}", f"i{n}", str(1_700_000_000 + n)) for u in range(5) for n in range(30)]
    shuffled = [events[i] for i in random.permutation(len(events))]
    folder = write_dataset(tmp_path, "fast", shuffled)
    dataset, parts = _parts(model, folder, "fast", exact_time=True)
    tokens = dataset.field2id_token["item_id"][dataset.sequences.items]
    assert tokens.reshape(5, 30).tolist() == [[f"i{n}" for n in range(30)]] * 5
    target = parts[2].dataset.inter_feat["item_id"]
    assert set(dataset.id2token("item_id", target)) == {"i29"}

    plain, _ = _parts(model, folder, "fast") if model == "LSTM4Rec" else (None, None)
    if plain is not None:
        wrong = plain.field2id_token["item_id"][plain.sequences.items].reshape(5, 30).tolist()
        assert wrong != [[f"i{n}" for n in range(30)]] * 5


def test_ties_stay_in_file_order(tmp_path):
    folder = write_dataset(tmp_path, "ties", [("u", token, "5") for token in "cabdfe"] + [("v", "a", "5")])
    dataset, _ = _parts("LSTM4Rec", folder, "ties", exact_time=True)
    assert dataset.field2id_token["item_id"][dataset.sequences.items][:6].tolist() == list("cabdfe")


@pytest.mark.parametrize("model", ["LSTM4Rec", "GRU4Rec"])
def test_awkward_ids_come_through_byte_for_byte(tmp_path, model):
    tokens = [*AWKWARD, '"quoted"', '"', "nan", "N/A", "<NA>", "#N/A", "[pad]", "100%", "a\\tb", "\u200b"]
    rows = [(user, token, str(n)) for user in ("u1", "NA") for n, token in enumerate(tokens)]
    dataset, _ = _parts(model, write_dataset(tmp_path, "odd", rows), "odd", exact_time=True)
    assert sorted(dataset.field2id_token["item_id"][1:]) == sorted(tokens)
    assert sorted(dataset.field2id_token["user_id"][1:]) == ["NA", "u1"]
    assert len(dataset.sequences.items) == len(rows)


@pytest.mark.parametrize("model", ["LSTM4Rec", "GRU4Rec"])
def test_duplicates_are_removed_in_exact_order(tmp_path, model):
    rows = [("u", token, str(1_700_000_000 + n)) for n, token in enumerate("abacabdae")]
    folder = write_dataset(tmp_path, "twice", rows)
    dataset, _ = _parts(model, folder, "twice", exact_time=True, rm_dup_inter="last")
    assert "".join(dataset.field2id_token["item_id"][dataset.sequences.items]) == "cbdae"


def test_nobody_with_two_events_is_said_so(tmp_path):
    folder = write_dataset(tmp_path, "single", [(f"u{n}", f"i{n}", str(n)) for n in range(9)])
    with pytest.raises(BadData, match="No user of 'single' has two events"):
        _parts("LSTM4Rec", folder, "single")


def test_a_training_row_costs_no_copy_of_its_prefix(shop):
    _, parts = _parts("LSTM4Rec", shop, MAX_ITEM_LIST_LENGTH=50)
    train = parts[0].dataset
    assert isinstance(train, SequenceDataset)
    assert "item_id_list" not in train.inter_feat
    assert "item_id_list" in train[torch.tensor([0])]  # but RecBole's row is there when it is asked for

"""Small real things that many tests use: a data set, a trained run, a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

#: A package of its own: `test_example_package.py` runs its tests where it is installed.
collect_ignore = ["example_package"]

#: Ids that files and programs like to change: they must come through byte for byte.
AWKWARD = ["007", "NA", "苹果", 'a "b"', "null", "1e5", "True", "1.0", " lead", "ünï"]


@pytest.fixture(autouse=True)
def _arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """RecBole's Config reads the process's arguments: pytest's are not for it."""
    monkeypatch.setattr("sys.argv", ["pytest"])


def write_dataset(folder: Path, name: str, rows: list[tuple[str, str, str]]) -> Path:
    """Write an atomic `.inter` file of (user, item, time); returns the folder that `data_path` names."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines = ["user_id:token\titem_id:token\ttimestamp:float", *("\t".join(row) for row in rows)]
    (folder / name / f"{name}.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def random_rows(users: int = 60, items: int = 40, seed: int = 0) -> list[tuple[str, str, str]]:
    """Events of users who walk through the catalogue, seconds apart at today's epoch, in shuffled file order."""
    random = np.random.default_rng(seed)
    tokens = [*AWKWARD, *(f"i{n}" for n in range(items - len(AWKWARD)))]
    rows = []
    for user in range(users):
        at, place = 1_700_000_000 + int(random.integers(10_000)), int(random.integers(items))
        for _ in range(int(random.integers(4, 20))):
            rows.append((f"u{user}", tokens[place], str(at)))
            at += int(random.integers(1, 9))
            place = (place + int(random.integers(1, 4))) % items
    return [rows[i] for i in random.permutation(len(rows))]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `data_path` with the data set `shop`, titles included."""
    folder = write_dataset(tmp_path_factory.mktemp("data"), "shop", random_rows())
    titles = "".join(f"{token}\tThe {token}\n" for token in AWKWARD)
    (folder / "shop" / "shop.item").write_text("item_id:token\ttitle:token_seq\n" + titles, encoding="utf-8")
    return folder


BEHAVIORS = ["view", "cart", "buy"]


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `data_path` with the data set `mixed`: besides user, item and time each event has a behaviour and a price."""
    random = np.random.default_rng(1)
    lines = ["user_id:token\titem_id:token\ttimestamp:float\tbehavior:token\tprice:float"]
    for user, item, time in random_rows(users=50, items=30, seed=1):
        behavior, price = BEHAVIORS[int(random.choice(3, p=[0.6, 0.2, 0.2]))], round(float(random.lognormal(3)), 2)
        lines.append(f"{user}\t{item}\t{time}\t{behavior}\t{price}")
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "mixed").mkdir()
    (folder / "mixed" / "mixed.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def recipe(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that trains on `shop` in a second."""
    path = tmp_path_factory.mktemp("recipe") / "shop.yaml"
    path.write_text(
        f"model: LSTM4Rec\ndataset: shop\ndata_path: {shop}\nembedding_size: 8\nhidden_size: 8\nnum_layers: 1\n"
        "feed_forward_size: 16\ndropout_prob: 0.1\nepochs: 3\nlearning_rate: 0.01\ntrain_batch_size: 128\n"
        "MAX_ITEM_LIST_LENGTH: 8\nthreads: 1\n"
    )
    return path


RECBOLE_SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.quick_start import run_recbole

data_path, dataset, *models = json.loads(Path("order.json").read_text())
small = {"hidden_size": 8, "embedding_size": 8, "num_layers": 2, "n_layers": 2, "inner_size": 16}
columns = {"inter": ["user_id", "item_id", "timestamp"]}
options = dict(small, data_path=data_path, epochs=2, learning_rate=0.01, load_col=columns, MAX_ITEM_LIST_LENGTH=6)
options |= {"train_neg_sample_args": None, "show_progress": False, "use_gpu": False}
for name in models:
    before = set(Path("saved").glob("*")) if Path("saved").exists() else set()
    try:
        run_recbole(model=name, dataset=dataset, config_dict=options)
    except Exception as error:  # with torch >= 2.6 it cannot read its own checkpoint, which is there all the same
        assert "weights_only" in str(error), error
    (file,) = set(Path("saved").glob("*")) - before
    file = file.rename(f"saved/{name}.pth")
    config = Config(model=name, dataset=dataset, config_dict=options)
    data = create_dataset(config)
    test = data_preparation(config, data)[2]
    model = config.model_class(config, data).eval()
    model.load_state_dict(torch.load(file, weights_only=False)["state_dict"])
    rows = [batch[0] for batch in test]
    with torch.no_grad():
        scores = np.concatenate([model.full_sort_predict(row).numpy() for row in rows])
    field = {"seq": "item_id_list", "length": "item_length", "target": "item_id"}
    arrays = {key: np.concatenate([row[value].numpy() for row in rows]) for key, value in field.items()}
    np.savez(f"{name}.npz", scores=scores, tokens=np.array(data.field2id_token["item_id"][1:]), **arrays)
assert "seqrec_plugin" not in sys.modules
"""


def recbole_checkpoints(folder: Path, data_path: str, dataset: str, models: list[str]) -> None:
    """What a plain `run_recbole` leaves in `folder`, our plugin not imported: `saved/<model>.pth`.

    Beside, `<model>.npz` holds the test rows (`seq` padded on the right, `length`, `target`), RecBole's `scores` for
    them and its `tokens`.
    """
    (folder / "order.json").write_text(json.dumps([data_path, dataset, *models]))
    done = subprocess.run([sys.executable, "-c", RECBOLE_SCRIPT], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def checkpoints(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`recbole_checkpoints` of the three models that can be imported, on `shop`."""
    folder = tmp_path_factory.mktemp("recbole")
    recbole_checkpoints(folder, str(shop), "shop", ["GRU4Rec", "NARM", "SASRec"])
    return folder


class Silent:
    """A reporter that tells nobody."""

    def epoch_begins(self, epoch, batches):
        pass

    def batch_ends(self):
        pass

    def epoch_ends(self, record):
        pass

    def says(self, text):
        pass


@pytest.fixture(scope="session")
def finished_run(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of LSTM4Rec on `shop`. Do not change it: copy it."""
    from seqrec_plugin.recbole_bridge.settings import resolve
    from seqrec_plugin.training import train

    path = tmp_path_factory.mktemp("runs") / "shop"
    train(resolve(recipe), path, Silent())
    return path


def reseal(path: Path) -> None:
    """Make changed files of a run count as what training wrote."""
    from seqrec_plugin.checkpoint import RunFolder

    run = RunFolder(path)
    run.finish(run.info)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of an untrained model: 40 items, max_history 8, top_k 20, seen items excluded. Copy it to change it."""
    import torch

    from seqrec_plugin.exporting import write_bundle
    from seqrec_plugin.manifest import Provenance
    from seqrec_plugin.models.lstm4rec import LSTM4Rec, LSTM4RecConfig
    from seqrec_plugin.vocabulary import Vocabulary

    tokens = [*AWKWARD, *(f"i{n}" for n in range(40 - len(AWKWARD)))]
    titles = [f"The {token}" for token in tokens[:-1]] + [None]
    torch.manual_seed(0)
    config = LSTM4RecConfig(embedding_size=8, hidden_size=8)
    model = LSTM4Rec(config, n_items=41)
    with torch.no_grad():
        for weight in model.parameters():  # an untrained model scores nearly all items alike
            weight.add_(torch.randn_like(weight) * 0.3)
    path = tmp_path_factory.mktemp("bundles") / "tiny"
    write_bundle(
        path,
        model.eval(),
        Vocabulary(tokens, titles),
        max_history=8,
        exclude_seen=True,
        provenance=Provenance("LSTM4Rec", {"embedding_size": 8}, "tiny", "0" * 64, 0, 0, {}, {}),
        top_k=20,
    )
    return path

"""Training that begins with a run's weights, on newer data: `--init-from`."""

import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from seqrec_plugin import evaluating
from seqrec_plugin.building import build
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.cli import main
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.exporting import export
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.starting import Start, configuration
from seqrec_plugin.training import train
from tests.conftest import BEHAVIORS, Silent, random_rows, write_dataset
from tests.test_training import _Interrupts

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

GONE = {"007", "NA", "i3"}


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """The data set `shop` later: some items are gone, two are new, and the file begins with other ones."""
    rows = [row for row in random_rows(seed=5) if row[1] not in GONE]
    rows = [("first", "new1", "1700000000"), *rows[::-1]]
    rows += [(f"u{u}", f"new{1 + u % 2}", str(1_700_100_000 + u)) for u in range(30)]
    return write_dataset(tmp_path_factory.mktemp("newer"), "shop", rows) / "shop"


@pytest.fixture(scope="module")
def begun(finished_run, newer, tmp_path_factory):
    """A run on the newer data that began from `finished_run`."""
    start = Start(initial=RunFolder.open(finished_run))
    resolved = resolve(finished_run / "config.yaml", ["epochs=2"], newer)
    return train(resolved, tmp_path_factory.mktemp("begun") / "run", Silent(), start=start).path


def _start(run):
    return Start(initial=RunFolder.open(run))


def test_known_items_keep_their_index_and_new_ones_come_after(finished_run, begun):
    before, now = RunFolder.open(finished_run).vocabulary().tokens, RunFolder.open(begun).vocabulary().tokens
    assert now[: len(before)] == before
    assert sorted(now[len(before) :]) == ["new1", "new2"]


def test_the_events_are_of_the_items_that_the_file_names(begun, newer):
    run = RunFolder.open(begun)
    split, tokens = run.split(), run.vocabulary()
    found = sorted(tokens.token(int(i)) for i in split.items)
    lines = (newer / "shop.inter").read_text(encoding="utf-8").splitlines()[1:]
    assert found == sorted(line.split("\t")[1] for line in lines)


def test_training_begins_with_the_runs_vectors(finished_run, newer, tmp_path):
    before, start = RunFolder.open(finished_run).weights(), _start(finished_run)
    resolved = resolve(finished_run / "config.yaml", [], newer)
    fresh = build(resolved, RunFolder.create(tmp_path / "a"))[0].model.network
    network = build(resolved, RunFolder.create(tmp_path / "b"), start)[0].model.network
    n = start.initial.info.n_items
    for name, weight in network.state_dict().items():
        assert torch.equal(weight[:n] if name.startswith("item_table") else weight, before[name])
    new = network.item_table.weight[n:]
    assert len(new) == 2 and 0 < float(new.detach().abs().max()) < 0.2
    assert fresh.n_items == network.n_items - len(GONE)


def test_what_is_gone_is_known_but_nowhere_recommended(begun, tmp_path):
    run = RunFolder.open(begun)
    tokens, model = run.vocabulary(), evaluating.load_model(run)
    assert {tokens.token(i) for i in run.info.retired} == GONE
    scores = model.score(torch.tensor([[1, 2, 3]]))[0]
    assert set(torch.isinf(scores).nonzero().flatten().tolist()) == {0, *run.info.retired}
    export(begun, tmp_path / "bundle", embeddings=True, report=lambda check: None)
    recommender = Recommender.load(tmp_path / "bundle")
    answer = recommender.recommend(sorted(GONE), k=recommender.manifest.top_k, include_seen=True)
    assert answer.status == "ok" and answer.unknown == ()
    assert {item.item for item in answer.items} == set(tokens.tokens) - GONE
    table = np.load(tmp_path / "bundle" / "item_embeddings.npy")
    assert np.isfinite(table).all()
    low = table @ np.append(recommender.run([run.probe()[0]]).user_embedding[0], np.float32(1))
    assert set(np.argsort(low)[: len(GONE)] + 1) == set(run.info.retired)
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "2 items new to it, 3 that are known but never recommended" in card


def test_it_is_evaluated_as_it_was_measured_in_training(begun):
    run = RunFolder.open(begun)
    found = evaluating.evaluate_run(run)
    for kind in ("masked", "unmasked"):
        assert found["test"][kind] == run.metrics()["test"][kind]
    assert run.metrics()["test"]["recbole"]["ndcg@10"] == pytest.approx(found["test"]["unmasked"]["NDCG@10"], abs=6e-5)


def test_an_item_that_comes_back_is_recommended_again(begun, shop, tmp_path):
    resolved = resolve(begun / "config.yaml", ["epochs=1"], shop / "shop")
    run = train(resolved, tmp_path / "run", Silent(), start=_start(begun))
    tokens = run.vocabulary()
    assert {tokens.token(i) for i in run.info.retired} == {"new1", "new2"}
    assert tokens.tokens == RunFolder.open(begun).vocabulary().tokens


def test_interrupted_it_goes_on_to_the_same_result(finished_run, begun, newer, tmp_path):
    resolved, start = resolve(finished_run / "config.yaml", ["epochs=2"], newer), _start(finished_run)
    with pytest.raises(KeyboardInterrupt):
        train(resolved, tmp_path / "run", _Interrupts(1), start=start)
    for other in (Start(), _start(begun)):
        with pytest.raises(WrongUsage, match="started with --init-from"):
            train(resolved, tmp_path / "run", Silent(), resume=True, start=other)
    run = train(resolved, tmp_path / "run", Silent(), resume=True, start=start)
    assert (run.path / "weights.safetensors").read_bytes() == (begun / "weights.safetensors").read_bytes()


def test_its_refit_begins_as_it_did(begun, finished_run, tmp_path):
    run = RunFolder.open(begun)
    with pytest.raises(WrongUsage, match="Give --init-from"):
        train(configuration(run, None), tmp_path / "all", Silent(), start=Start(refit=run))
    start = Start(refit=run, initial=RunFolder.open(finished_run))
    done = train(configuration(run, None), tmp_path / "all", Silent(), start=start)
    assert done.vocabulary().tokens == run.vocabulary().tokens
    assert done.info.retired == run.info.retired
    with pytest.raises(WrongUsage, match="run that it was refitted from"):
        train(resolve(begun / "config.yaml"), tmp_path / "x", Silent(), start=Start(initial=done))


@pytest.mark.parametrize(
    ("override", "name"),
    [("hidden_size=16", "hidden_size"), ("num_layers=2", "num_layers"), ("model=GRU4RecTied", "model")],
)
def test_another_architecture_is_one_error_that_names_the_option(finished_run, newer, tmp_path, override, name):
    resolved = resolve(finished_run / "config.yaml", [], newer)
    file = tmp_path / "other.yaml"
    lines = [f"{key}: {json.dumps(resolved.values[key])}" for key in ("embedding_size", "hidden_size", "epochs")]
    file.write_text("model: LSTM4Rec\n" + "\n".join(lines) + "\nnum_layers: 1\nfeed_forward_size: 16\ndataset: x\n")
    with pytest.raises(WrongUsage, match=rf"--init-from .*: {name} is") as caught:
        train(resolve(file, [override], newer), tmp_path / "run", Silent(), start=_start(finished_run))
    assert caught.value.code == "bad_value"
    assert not (tmp_path / "run").exists()


def test_what_changes_no_weight_and_no_answer_may_differ(finished_run, newer, tmp_path):
    overrides = ["dropout_prob=0.3", "learning_rate=0.002", "epochs=1", "MAX_ITEM_LIST_LENGTH=5"]
    resolved = resolve(finished_run / "config.yaml", overrides, newer)
    assert train(resolved, tmp_path / "run", Silent(), start=_start(finished_run)).info.max_history == 5


@pytest.fixture(scope="module")
def behaving(mixed, tmp_path_factory):
    """A run that reads behaviours, and its data set later: they appear in another order, one is new."""
    folder = tmp_path_factory.mktemp("behaving")
    file = folder / "m.yaml"
    values = {"dataset": "mixed", "data_path": str(mixed), "embedding_size": 8, "hidden_size": 8, "epochs": 1}
    file.write_text(json.dumps({**values, "model": "BehaviorLSTM4Rec", "num_layers": 1}))
    run = train(resolve(file), folder / "run", Silent())
    lines = (mixed / "mixed" / "mixed.inter").read_text(encoding="utf-8").splitlines()
    (folder / "mixed").mkdir()
    events = [line.replace("\tview\t", "\tlike\t", 1) if i % 9 == 0 else line for i, line in enumerate(lines[:0:-1])]
    (folder / "mixed" / "mixed.inter").write_text("\n".join([lines[0], *events]) + "\n", encoding="utf-8")
    return run.path, folder / "mixed", file


def test_behaviours_keep_their_index_too(behaving, tmp_path):
    path, data, _ = behaving
    before = RunFolder.open(path)
    run = train(resolve(path / "config.yaml", [], data), tmp_path / "run", Silent(), start=_start(path))
    assert run.info.behaviors == (*before.info.behaviors, "like")
    assert sorted(before.info.behaviors) == sorted(BEHAVIORS)
    names = np.array(["", *run.info.behaviors])[run.split().columns.behavior]
    lines = (data / "mixed.inter").read_text(encoding="utf-8").splitlines()[1:]
    assert sorted(names.tolist()) == sorted(line.split("\t")[3] for line in lines)
    assert len(run.weights()["behavior.weight"]) == len(before.weights()["behavior.weight"]) + 1
    export(run.path, tmp_path / "bundle", report=lambda check: None)


@pytest.mark.parametrize("model", ["LSTMRanker", "BehaviorLSTM4Rec"])
def test_a_target_that_is_no_longer_seen_is_told_as_one_that_never_was(mixed, tmp_path, model):
    file = tmp_path / "m.yaml"
    values = {"dataset": "mixed", "data_path": str(mixed), "embedding_size": 8, "hidden_size": 8, "epochs": 1}
    file.write_text(json.dumps({**values, "model": model, "target_behaviors": ["buy"]}))
    start = _start(train(resolve(file), tmp_path / "run", Silent()).path)
    text = (mixed / "mixed" / "mixed.inter").read_text(encoding="utf-8")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "mixed.inter").write_text(text.replace("\tbuy\t", "\tcart\t"), encoding="utf-8")
    with pytest.raises(WrongUsage, match="'buy', which behavior never is") as caught:
        train(resolve(file, [], tmp_path / "mixed"), tmp_path / "later", Silent(), start=start)
    assert "view" in caught.value.hint and "buy" not in caught.value.hint
    assert not (tmp_path / "later" / "run.json").exists()


def test_behaviours_that_came_and_went_are_told(behaving, tmp_path):
    path, data, _ = behaving
    (tmp_path / "mixed").mkdir()
    text = (data / "mixed.inter").read_text(encoding="utf-8").replace("\tcart\t", "\tview\t")
    (tmp_path / "mixed" / "mixed.inter").write_text(text, encoding="utf-8")
    words = ["train", "--init-from", path, "--data", tmp_path / "mixed", "-o", tmp_path / "run"]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert "Behaviours: like new; cart no longer seen." in done.stderr


def test_the_scaling_of_numbers_stays_that_of_the_run_and_other_numbers_are_refused(mixed, tmp_path):
    file = tmp_path / "m.yaml"
    values = {"dataset": "mixed", "data_path": str(mixed), "embedding_size": 8, "hidden_size": 8, "epochs": 1}
    values |= {"model": "LSTMRanker", "NUMERIC_FIELDS": ["price"], "target_behaviors": ["buy"]}
    file.write_text(json.dumps(values))
    run = train(resolve(file), tmp_path / "run", Silent())
    text = (mixed / "mixed" / "mixed.inter").read_text(encoding="utf-8").splitlines()
    (tmp_path / "mixed").mkdir()
    dearer = [line.rpartition("\t")[0] + "\t" + str(9 * float(line.rpartition("\t")[2])) for line in text[1:]]
    (tmp_path / "mixed" / "mixed.inter").write_text("\n".join([text[0], *dearer]) + "\n", encoding="utf-8")
    start = _start(run.path)
    later = train(resolve(file, [], tmp_path / "mixed"), tmp_path / "later", Silent(), start=start)
    scaling = [name for name in run.weights() if name.startswith("numbers.")]
    assert scaling
    for name in scaling:
        assert torch.equal(run.weights()[name], later.weights()[name])
    with pytest.raises(WrongUsage, match="NUMERIC_FIELDS"):
        train(resolve(file, ["NUMERIC_FIELDS=[]"]), tmp_path / "x", Silent(), start=start)


@pytest.mark.parametrize("change", ["candidate=false", "activation=relu", "read_behaviors=true"])
def test_options_that_change_answers_but_no_shape_are_found(mixed, tmp_path, change):
    file = tmp_path / "m.yaml"
    values = {"dataset": "mixed", "data_path": str(mixed), "embedding_size": 8, "hidden_size": 8, "epochs": 1}
    file.write_text(json.dumps({**values, "model": "LSTMRanker", "target_behaviors": ["buy"]}))
    run = train(resolve(file), tmp_path / "run", Silent())
    with pytest.raises(WrongUsage, match=change.partition("=")[0]):
        train(resolve(file, [change]), tmp_path / "x", Silent(), start=_start(run.path))


def test_an_id_map_that_was_tampered_with_is_refused(finished_run, newer, tmp_path):
    shutil.copytree(finished_run, tmp_path / "old")
    file = tmp_path / "old" / "vocabulary.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["items"][1], content["items"][2] = content["items"][2], content["items"][1]
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BadData, match="is not what training wrote"):
        RunFolder.open(tmp_path / "old")


def test_recboles_own_models_cannot_begin_so(recipe, newer, tmp_path):
    file = tmp_path / "gru.yaml"
    lines = [line for line in recipe.read_text().splitlines() if not line.startswith("feed_forward")]
    file.write_text("\n".join(lines) + "\n")
    run = train(resolve(file, ["model=GRU4Rec", "epochs=1"]), tmp_path / "run", Silent())
    done = CliRunner().invoke(
        main, ["train", "--init-from", str(run.path), "--data", str(newer), "-o", str(tmp_path / "x")]
    )
    assert done.exit_code == 2
    assert "RecBole's own GRU4Rec" in done.stderr


def test_from_the_command_line(finished_run, newer, tmp_path):
    words = ["train", "--init-from", finished_run, "--data", newer, "-o", tmp_path / "run", "--set", "epochs=1"]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert "Items: 42 known, 2 of them new, 3 never recommended." in done.stderr

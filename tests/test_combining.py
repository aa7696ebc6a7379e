"""Runs combined into one: the mean of their scores, and in all else a run like any other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.cli import main
from seqrec_plugin.combining import combine
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.evaluating import evaluate_run, load_model
from seqrec_plugin.exporting import export
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.training import train
from tests.conftest import Silent, random_rows, reseal, write_dataset

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def other(recipe, tmp_path_factory):
    """A run of another model, with wider vectors."""
    options = ["model=GRU4RecTied", "embedding_size=12", "seed=1"]
    return train(resolve(recipe, options), tmp_path_factory.mktemp("other") / "gru", Silent()).path


@pytest.fixture(scope="module")
def both(finished_run, other, tmp_path_factory):
    runs = [RunFolder.open(finished_run), RunFolder.open(other)]
    return combine(runs, tmp_path_factory.mktemp("combined") / "both").path


def test_its_scores_are_the_mean_of_theirs(finished_run, other, both):
    parts = [load_model(RunFolder.open(path)) for path in (finished_run, other)]
    item_seq = torch.tensor([[0, 0, 3, 7], [1, 2, 3, 4], [0, 0, 0, 0]])
    expected = torch.stack([part.score(item_seq) for part in parts]).mean(0)
    torch.testing.assert_close(load_model(RunFolder.open(both)).score(item_seq), expected)


def test_it_says_what_it_is_and_how_good(finished_run, other, both):
    run = RunFolder.open(both)
    assert run.info.model == "LSTM4Rec + GRU4RecTied"
    assert [part.run for part in run.info.origins.parts] == [finished_run.name, other.name]
    measured, saved = evaluate_run(run), run.metrics()
    assert saved["test"] == measured["test"] and saved["valid"] == measured["valid"]
    assert np.array_equal(run.ranks()["test"]["row"], RunFolder.open(other).ranks()["test"]["row"])


def test_its_bundle_answers_with_a_carried_state(finished_run, other, both, tmp_path):
    """Exporting verifies the bundle; here is what a service does with it."""
    export(both, tmp_path / "bundle", report=lambda check: None)
    told = CliRunner().invoke(main, ["inspect", str(tmp_path / "bundle")]).stdout
    parts = [RunFolder.open(path).info for path in (finished_run, other)]
    trained = "; ".join(f"{info.model} epoch {info.epoch + 1}, seed {info.seed}" for info in parts)
    assert trained in told and "GRU4RecTied: embedding_size 12" in told
    assert trained in (tmp_path / "bundle" / "README.md").read_text()
    recommender = Recommender.load(tmp_path / "bundle")
    session = recommender.session()
    for item in ("i1", "i5", "i9"):
        session.push([item])
    carried, whole = session.recommend(k=5), recommender.recommend(["i1", "i5", "i9"], k=5)
    assert [found.item for found in carried.items] == [found.item for found in whole.items]


@pytest.mark.parametrize("first", [True, False])
def test_it_leaves_out_what_was_seen_only_where_all_its_parts_do(finished_run, other, tmp_path, first):
    """One that knows of purchases after views keeps seen items; what is of both must keep them, too."""
    copies = []
    for path, excludes in ((finished_run, first), (other, not first)):
        copies.append(Path(shutil.copytree(path, tmp_path / path.name)))
        content = json.loads((copies[-1] / "run.json").read_text())
        (copies[-1] / "run.json").write_text(json.dumps(content | {"exclude_seen": excludes}))
        reseal(copies[-1])
    assert not combine([RunFolder.open(path) for path in copies], tmp_path / "both").info.exclude_seen


def test_the_command_combines_and_tells(finished_run, other, tmp_path):
    output = tmp_path / "both"
    words = ["combine", str(finished_run), str(other), "-o", str(output)]
    done = CliRunner().invoke(main, [*words, "--json"])
    assert done.exit_code == 0 and "LSTM4Rec + GRU4RecTied" in done.stderr
    alone = [RunFolder.open(path).metrics()["valid"]["masked"]["NDCG@10"] for path in (finished_run, other)]
    score = RunFolder.open(output).metrics()["valid"]["masked"]["NDCG@10"]
    assert f"{score:.4f}, of {finished_run} {alone[0]:.4f}, {other} {alone[1]:.4f}." in done.stderr
    assert ("no better than" in done.stderr) == (score <= max(alone))
    assert json.loads(done.stdout)["test"]["masked"] == RunFolder.open(output).metrics()["test"]["masked"]
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2 and "--force" in again.stderr


def _fails(runs, output, reason):
    with pytest.raises(WrongUsage, match=reason) as caught:
        combine([RunFolder.open(path) for path in runs], output)
    assert caught.value.code == "bad_value"
    assert not output.exists()


def test_what_does_not_go_together_is_refused(recipe, finished_run, other, both, tmp_path):
    output = tmp_path / "out"
    _fails([finished_run], output, "nothing to combine")
    _fails([finished_run, both], output, "was combined itself")
    _fails([finished_run, other, finished_run], output, "given twice")
    shutil.copytree(finished_run, tmp_path / "copied")
    _fails([finished_run, other, tmp_path / "copied"], output, "is a copy of")
    write_dataset(tmp_path / "data", "shop", random_rows(seed=5))
    elsewhere = train(resolve(recipe, [f"data_path={tmp_path / 'data'}", "epochs=1"]), tmp_path / "a", Silent())
    _fails([finished_run, elsewhere.path], output, r"their files of events differ \(shop, shop\)")
    longer = train(resolve(recipe, ["MAX_ITEM_LIST_LENGTH=9", "epochs=1"]), tmp_path / "b", Silent())
    _fails([finished_run, other, longer.path], output, "MAX_ITEM_LIST_LENGTH is 8 in one, and 9 in the other")
    text = recipe.read_text().replace("LSTM4Rec", "LSTMRanker").replace("feed_forward_size: 16\n", "")
    (tmp_path / "ranker.yaml").write_text(text)
    ranker = train(resolve(tmp_path / "ranker.yaml", ["epochs=1"]), tmp_path / "c", Silent())
    _fails([finished_run, ranker.path], output, "LSTMRanker, which cannot be combined")


def test_no_run_is_lost_by_combining_into_it(finished_run, other):
    runs = [RunFolder.open(finished_run), RunFolder.open(other)]
    with pytest.raises(WrongUsage, match="one of the runs named"):
        combine(runs, other, force=True)
    assert RunFolder.open(other).info.model == "GRU4RecTied"


@pytest.mark.parametrize(
    ("option", "reason"), [("--refit", "combined of others"), ("--init-from", "no training can begin")]
)
def test_it_is_not_trained_further(both, tmp_path, option, reason):
    done = CliRunner().invoke(main, ["train", option, str(both), "-o", str(tmp_path / "run")])
    assert done.exit_code == 2 and reason in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_that_lost_its_parts_says_so(both, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(both, copy)
    content = json.loads((copy / "run.json").read_text())
    content["model_config"] = {}
    (copy / "run.json").write_text(json.dumps(content))
    reseal(copy)
    with pytest.raises(BadData, match="combined of") as caught:
        load_model(RunFolder.open(copy))
    assert caught.value.code == "run_invalid"


def test_what_its_parts_read_it_reads(recipe, mixed, tmp_path):
    """Scores are the mean of what each part says of the same events, in the run and in its bundle."""
    shared = [f"data_path={mixed}", "dataset=mixed", "epochs=1", "BEHAVIOR_FIELD=behavior", "target_behaviors=[buy]"]
    names = ("GRU4RecTied", "TimeLSTM4Rec", "BehaviorLSTM4Rec")
    parts = [train(resolve(recipe, [*shared, f"model={name}"]), tmp_path / name, Silent()) for name in names]
    run = combine(parts, tmp_path / "all")
    assert run.info.columns == ("time_gap", "behavior", "next_behavior")
    assert run.info.behaviors == parts[-1].info.behaviors
    split = run.split()
    rows = split.test[:5]
    item_seq, read = split.inputs(rows, run.info.max_history)

    def scores(model):
        columns = split.columns.read(model.columns, read, rows[:, None], split.wanted)
        return model.score(torch.from_numpy(item_seq), {n: torch.from_numpy(v) for n, v in columns.items()})

    expected = torch.stack([scores(load_model(part)) for part in parts]).mean(0)
    torch.testing.assert_close(scores(load_model(run)), expected)
    assert evaluate_run(run)["test"] == run.metrics()["test"]
    export(run.path, tmp_path / "bundle", report=lambda check: None)
    answer = Recommender.load(tmp_path / "bundle").recommend(["i1"], time=[100], behavior=["view", "buy"], k=3)
    assert len(answer.items) == 3


def test_refits_make_the_refit_of_what_their_runs_made(finished_run, other, both, tmp_path):
    """To be put to use: all events are learned from, and what is known of the quality is said of another run."""
    refits = []
    for path in (finished_run, other):
        refits.append(tmp_path / f"{path.name}_all")
        done = CliRunner().invoke(main, ["train", "--refit", str(path), "-o", str(refits[-1])])
        assert done.exit_code == 0, done.stderr
    _fails(refits, tmp_path / "out", "is a refit")
    words = ["combine", *map(str, refits), "-o", str(tmp_path / "all"), "--refit-of", str(both)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0 and "The metrics are those of" in done.stderr
    run = RunFolder.open(tmp_path / "all")
    before = run.metrics()["before_refit"]
    assert before["run"] == both.name and before["test"] == RunFolder.open(both).metrics()["test"]
    with pytest.raises(WrongUsage, match="learned from all events"):
        evaluate_run(run)
    export(run.path, tmp_path / "bundle", report=lambda check: None)
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert both.name in card
    for runs, output, reason in (
        (refits[::-1], "b", "in the place of one of shop"),
        ([finished_run, refits[1]], "b", "shop is no refit"),
        (refits[:1] + refits, "b", "given twice"),
        ([*refits, finished_run], "b", "has 2 parts, but 3 runs are given"),
        (refits, both, "is one of the runs named"),
    ):
        done = CliRunner().invoke(
            main, ["combine", *map(str, runs), "-o", str(tmp_path / output), "--refit-of", str(both), "--force"]
        )
        assert done.exit_code == 2 and reason in done.stderr
    assert RunFolder.open(both).info.combined

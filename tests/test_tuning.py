"""A search at work: what it leaves, what it never looks at, what ends it, and that it goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from click.testing import CliRunner

from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.cli import main
from seqrec_plugin.planning import plan
from seqrec_plugin.recbole_bridge.reading import read_yaml
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.recbole_bridge.template import template
from seqrec_plugin.training import validate
from seqrec_plugin.tuning import space
from seqrec_plugin.tuning.search import Search
from seqrec_plugin.tuning.study import JUDGES
from tests.conftest import random_rows, write_dataset

pytestmark = pytest.mark.xdist_group("tuning")  # one worker makes the fixture

SPACE = {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}, "hidden_size": [4, 8]}
SMALL = {
    "model": "LSTM4Rec",
    "dataset": "shop",
    "embedding_size": 8,
    "hidden_size": 8,
    "num_layers": 1,
    "epochs": 2,
    "learning_rate": 0.01,
    "train_batch_size": 128,
    "MAX_ITEM_LIST_LENGTH": 8,
    "seed": 1,
}


def _file(folder, data_path, tune=SPACE, **changed):
    values = {**SMALL, "data_path": str(data_path), **changed, "tune": tune}
    file = folder / "r.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}, sort_keys=False))
    return file


def _tune(*arguments):
    return CliRunner().invoke(main, ["tune", *map(str, arguments)])


def _result(folder):
    return json.loads((folder / "tune.json").read_text())


@pytest.fixture(scope="module")
def finished(shop, tmp_path_factory):
    """The recipe, the folder and the call of a search of five trials. Copy the folder to change it."""
    folder = tmp_path_factory.mktemp("tuning")
    file = _file(folder, shop)
    return file, folder / "out", _tune(file, "-o", folder / "out", "--trials", 5, "--jobs", 2, "--no-pruning", "--json")


def test_each_trial_is_in_the_space_and_the_recipe_itself_is_the_first(finished):
    _, out, done = finished
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result == _result(out)
    assert [trial["trial"] for trial in result["trials"]] == [1, 2, 3, 4, 5]
    assert result["trials"][0]["options"] == {"learning_rate": 0.01, "hidden_size": 8}
    for trial in result["trials"]:
        assert trial["state"] == "finished" and 1 <= trial["best_epoch"] <= trial["epochs"] == 2
        assert 0.001 <= trial["options"]["learning_rate"] <= 0.1 and trial["options"]["hidden_size"] in (4, 8)
        assert 0 < trial["score"] < 1 and trial["seconds"] > 0
    assert len({trial["options"]["learning_rate"] for trial in result["trials"]}) == 5
    assert set(result["importance"]) == set(SPACE)
    assert sum(result["importance"].values()) == pytest.approx(1, abs=0.01)
    table = (out / "tune.md").read_text()
    assert table.count("\n| ") == 7 and "seqrec tune" in table


def test_the_best_recipe_runs_as_it_is_to_the_score_that_was_found(finished, tmp_path):
    _, out, _ = finished
    result = _result(out)
    best = max(result["trials"], key=lambda trial: trial["score"])
    assert result["best"] == best["trial"]
    done = CliRunner().invoke(main, ["train", str(out / "best.yaml"), "-o", str(tmp_path / "run"), "--json"])
    assert done.exit_code == 0, done.output
    run = RunFolder.open(tmp_path / "run")
    assert run.info.model_config["hidden_size"] == best["options"]["hidden_size"]
    assert run.metrics()["valid"]["masked"]["NDCG@10"] == pytest.approx(best["score"])
    assert run.info.epoch + 1 == best["best_epoch"]


def test_the_same_call_trains_nothing_again_and_more_trials_are_others(finished, tmp_path, monkeypatch):
    file, out, _ = finished
    shutil.copytree(out, tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", None)  # nothing may be started
        again = _tune(file, "-o", tmp_path / "out", "--trials", 5)
    assert again.exit_code == 0, again.output
    assert "5 trials done, 0 to do" in again.stderr
    more = _tune(file, "-o", tmp_path / "out", "--trials", 6)
    assert more.exit_code == 0, more.output
    before, after = _result(out)["trials"], _result(tmp_path / "out")["trials"]
    assert after[:5] == before
    assert after[5]["options"] not in [trial["options"] for trial in before]


def test_targets_of_the_test_part_change_nothing(tmp_path):
    """Two logs that differ in each user's last item only give the same curve."""
    rows = sorted(random_rows(users=30), key=lambda row: (row[0], int(row[2])))
    last = [n for n, row in enumerate(rows) if n + 1 == len(rows) or rows[n + 1][0] != row[0]]
    # All items come first, so that they have the same index in both.
    known = [("u_all", item, str(n)) for n, item in enumerate(sorted({row[1] for row in rows}))]
    other = [*rows]
    for n, m in zip(last, [*last[1:], last[0]], strict=True):
        other[n] = (rows[n][0], rows[m][1], rows[n][2])
    found = []
    for name, written in (("one", rows), ("two", other)):
        data = write_dataset(tmp_path / name, "shop", [*known, *written])
        records = []
        validate(resolve(_file(tmp_path / name, data, item_vectors="neighbours", negatives=8)), records.append)
        found.append([(record["loss"], record["score"]) for record in records])
    assert len(found[0]) == 2 and found[0] == found[1]


def _search(file, out, prune=True):
    searched = space.read(SPACE, resolve(file), file.name)
    return Search(searched, out, command="", prune=prune)


def _tell(search, scores):
    """A trial with these scores, one an epoch; returns whether it would have been ended, epoch by epoch."""
    trial = search.study.ask()
    judged = []
    for epoch, score in enumerate(scores):
        trial.report(score, epoch)
        judged.append(trial.should_prune())
    best = max(scores)
    search.study.finished(trial, {"score": best, "epoch": 0, "epochs": len(scores), "seconds": 1.0})
    return judged


def test_a_trial_below_the_median_is_ended_but_not_in_its_first_epochs(shop, tmp_path):
    file = _file(tmp_path, shop, epochs=10)
    search = _search(file, tmp_path / "out")
    for _ in range(JUDGES):
        assert not any(_tell(search, [0.5] * 10))
    assert _tell(search, [0.1] * 4) == [False, False, True, True]
    assert not any(_tell(search, [0.1, 0.1, 0.6, 0.6]))
    unpruned = _search(file, tmp_path / "other", prune=False)
    for _ in range(JUDGES):
        _tell(unpruned, [0.5] * 10)
    assert not any(_tell(unpruned, [0.1] * 10))


def test_a_pruned_trial_is_stopped_counts_and_is_not_the_best(shop, tmp_path):
    search = _search(_file(tmp_path, shop, epochs=50, stopping_step=50), tmp_path / "out")
    for _ in range(JUDGES):
        _tell(search, [2.0] * 50)  # better than any model can be
    told = []
    search.run(JUDGES + 1, 0, 1, told.append)
    trials = search.result["trials"]
    assert [trial["state"] for trial in trials] == ["finished"] * JUDGES + ["pruned"]
    assert 10 < trials[-1]["epochs"] < 50 and search.result["best"] == 1
    assert any("pruned at epoch" in line for line in told)


def test_a_trial_that_ends_as_the_time_is_up_is_kept(shop, tmp_path):
    """What is at work is killed then, but this one has ended by itself."""
    search = _search(_file(tmp_path, shop), tmp_path / "out")
    search._stop.set()
    search._train = lambda trial: ({"score": 0.5, "epoch": 0, "epochs": 1, "seconds": 1.0}, False, "")
    search._try(search.study.ask(), lambda line: None)
    assert [trial["state"] for trial in search.result["trials"]] == ["finished"]


def test_models_of_recbole_are_searched_too(shop, tmp_path):
    done = _tune(_file(tmp_path, shop, model="GRU4Rec", num_layers=None), "-o", tmp_path / "out", "--trials", 1)
    assert done.exit_code == 0, done.output
    assert [trial["state"] for trial in _result(tmp_path / "out")["trials"]] == ["finished"]


def test_a_recipe_is_searched_for_another_model_without_what_that_does_not_have(shop, tmp_path):
    file = _file(tmp_path, shop, {**SPACE, "item_vectors": ["random", "neighbours"]}, item_vectors="neighbours")
    done = _tune(file, "--set", "model=GRU4Rec", "-o", tmp_path / "out", "--trials", 1)
    assert done.exit_code == 0, done.output
    assert "Without what GRU4Rec has no option for: item_vectors" in done.stderr
    assert set(_result(tmp_path / "out")["space"]) == set(SPACE)
    file = _file(tmp_path, shop, {"item_vectors": ["random", "neighbours"]}, item_vectors="neighbours")
    nothing = _tune(file, "--set", "model=GRU4Rec", "-o", tmp_path / "none")
    assert nothing.exit_code == 2 and "GRU4Rec has none of its options" in nothing.stderr


def test_what_shall_be_small_is_made_small(mixed, tmp_path):
    ranker = {"model": "LSTMRanker", "dataset": "mixed", "valid_metric": "LogLoss", "target_behaviors": ["buy"]}
    file = _file(tmp_path, mixed, {"learning_rate": [0.01, 0.1]}, **ranker, num_layers=None, train_batch_size=2048)
    done = _tune(file, "-o", tmp_path / "out", "--trials", 2)
    assert done.exit_code == 0, done.output
    trials = _result(tmp_path / "out")["trials"]
    assert trials[_result(tmp_path / "out")["best"] - 1]["score"] == min(trial["score"] for trial in trials)


def test_a_trial_that_fails_is_a_line_with_its_reason(shop, tmp_path):
    done = _tune(_file(tmp_path, shop, {"learning_rate": [0.01, 1e30]}), "-o", tmp_path / "out", "--trials", 3)
    failed = [trial for trial in _result(tmp_path / "out")["trials"] if trial["state"] == "failed"]
    assert failed and all("training loss became" in trial["reason"] for trial in failed)
    assert done.exit_code == 0 and "training loss became" in done.stdout


def test_a_search_in_which_all_fails_ends(shop, tmp_path):
    file = _file(tmp_path, shop, {"learning_rate": {"low": 1e29, "high": 1e30}})
    done = _tune(file, "-o", tmp_path / "out", "--trials", 50)
    assert done.exit_code == 1
    assert "The first 3 trials failed" in done.stderr and "training loss became" in done.stderr


def test_another_search_is_refused_by_what_is_different(finished, shop, tmp_path):
    _, out, _ = finished
    shutil.copytree(out, tmp_path / "out")
    before = (tmp_path / "out" / "study.jsonl").read_bytes()
    for changed, words in (
        ({"epochs": 3}, "another epochs"),
        ({"tune": {**SPACE, "hidden_size": [4, 16]}}, "another tune"),
        ({"data_path": write_dataset(tmp_path / "data", "shop", random_rows(seed=5))}, "another data"),
    ):
        arguments = {"data_path": shop, **changed}
        refused = _tune(_file(tmp_path, **arguments), "-o", tmp_path / "out", "--trials", 6)
        assert refused.exit_code == 2, refused.output
        assert words in refused.stderr
    assert (tmp_path / "out" / "study.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("tune", "words"),
    [
        (None, "says nothing of what may be tried"),
        ({"hiden_size": [4, 8]}, "Did you mean 'hidden_size'?"),
        ({"seed": [1, 2]}, "luck"),
        ({"dataset": ["shop", "other"]}, "dataset cannot be searched"),
        ({"model": ["LSTM4Rec", "GRU4Rec"]}, "model cannot be searched"),
        ({"learning_rate": {"low": 0.1, "high": 1, "lgo": True}}, "log: true or step"),
        ({"dropout_prob": {"low": 0.1, "high": 0.5, "step": 0.7}}, "step is 0.7"),
        ({"valid_metric": ["HR@10", "NDCG@10"]}, "decides what is measured"),
        ({"hidden_size": [0, 8]}, "hidden_size is 0"),
        ({"hidden_size": [8]}, "two or more"),
        ({"dropout_prob": {"low": 0.1, "high": 1.5}}, "dropout_prob is 1.5"),
        ({"dropout_prob": {"low": 0.5, "high": 0.1}}, "low must be less"),
        ({"learning_rate": {"low": 0, "high": 0.1, "log": True}}, "above 0"),
        ({"learning_rate": {"low": 0.1, "hihg": 1}}, "low: …, high: …"),
        ({"learning_rate": {"low": 0.1, "high": 1, "stepp": 1}}, "Did you mean 'step'?"),
        ({"learning_rate": {"low": 0.1, "high": float("inf")}}, "must be numbers"),
        ({"learning_rate": 0.1}, "a list of values"),
        ({"hidden_size": {"low": 4.5, "high": 8}}, "must be of type int"),
        ({"item_vectors": ["neighbors", "random"]}, "'neighbours'"),
    ],
)
def test_a_mistake_in_the_space_is_told_before_anything_is_made(shop, tmp_path, tune, words):
    done = _tune(_file(tmp_path, shop, tune), "-o", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_where_the_data_are_missing_nothing_is_made(tmp_path):
    done = _tune(_file(tmp_path, tmp_path / "nowhere"), "-o", tmp_path / "out")
    assert done.exit_code == 3 and "has no file" in done.stderr
    assert not (tmp_path / "out").exists()


def test_values_that_do_not_go_together_fail_their_trial_only(shop, tmp_path):
    file = _file(tmp_path, shop, {"window_stride": [7, 8], "MAX_ITEM_LIST_LENGTH": [4, 5, 6, 8]})
    done = _tune(file, "-o", tmp_path / "out", "--trials", 4)
    assert done.exit_code == 0, done.output
    for trial in _result(tmp_path / "out")["trials"]:
        assert (trial["state"] == "failed") is (trial["options"]["MAX_ITEM_LIST_LENGTH"] < 7)
    assert "but MAX_ITEM_LIST_LENGTH is only" in done.stderr


def test_the_space_that_init_writes_can_be_searched(tmp_path):
    file = tmp_path / "NARM.yaml"
    text = template("NARM", file)
    file.write_text(text.replace("# tune:", "tune:").replace("#   learning_rate:", "  learning_rate:"))
    assert list(space.read(read_yaml(file)["tune"], resolve(file), file.name).options) == ["learning_rate"]


def test_training_and_benchmarks_leave_the_space_alone(shop, tmp_path):
    file = _file(tmp_path, shop, {"anything": "at all"})
    done = CliRunner().invoke(main, ["train", str(file), "-o", str(tmp_path / "run"), "--set", "epochs=1"])
    assert done.exit_code == 0, done.output
    assert "tune" not in yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    entry = {**{key: SMALL[key] for key in ("model", "hidden_size")}, "tune": {"anything": "at all"}}
    listed = tmp_path / "b.yaml"
    listed.write_text(yaml.safe_dump({"dataset": "shop", "data_path": str(shop), "models": [entry]}))
    assert "tune" not in plan(listed, lambda name: listed).entries[0].given


def _begin(file, out, trials, *more):
    command = [sys.executable, "-m", "seqrec_plugin.cli", "tune", str(file), "-o", str(out), "--trials", str(trials)]
    environment = {**os.environ, "TMPDIR": str(file.parent)}
    return subprocess.Popen(
        [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


@pytest.fixture
def long(shop, tmp_path):
    """A recipe whose first trial cannot end."""
    return _file(tmp_path, shop, {"epochs": [1, 100_000]}, epochs=100_000, stopping_step=100_000)


def _wait_for(process, out, epochs):
    study = out / "study.jsonl"
    while process.poll() is None and not (
        study.is_file() and study.read_text().count('"intermediate_value"') >= epochs
    ):
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_what_was_interrupted_does_not_count_and_is_tried_again(long, tmp_path, sent):
    process = _begin(long, tmp_path / "out", 3)
    _wait_for(process, tmp_path / "out", 3)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on" in stderr
        assert not list(tmp_path.glob("seqrec-*"))  # nothing half-made stays where temporary files are
    again = _tune(long, "-o", tmp_path / "out", "--trials", 3, "--timeout", 0.5)
    assert again.exit_code == 0, again.output
    assert "0 trials done, 3 to do" in again.stderr
    assert next(line for line in again.stderr.splitlines() if line.startswith("trial ")).endswith("epochs 100000")


def test_one_search_at_a_time_in_a_folder_and_time_is_bounded(long, tmp_path):
    process = _begin(long, tmp_path / "out", 3, "--timeout", "30")
    _wait_for(process, tmp_path / "out", 1)
    second = _tune(long, "-o", tmp_path / "out")
    assert second.exit_code == 2 and "Another search is at work" in second.stderr
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 0 and "The time is up" in stderr


def test_a_last_line_that_is_torn_loses_its_trial_only(finished, tmp_path):
    """As where the power went while it was written."""
    file, out, _ = finished
    shutil.copytree(out, tmp_path / "out")
    study = tmp_path / "out" / "study.jsonl"
    study.write_bytes(study.read_bytes()[:-40])
    again = _tune(file, "-o", tmp_path / "out", "--trials", 5)
    assert again.exit_code == 0, again.output
    assert "4 trials done, 1 to do" in again.stderr
    before, after = _result(out)["trials"], _result(tmp_path / "out")["trials"]
    assert sum(trial in before for trial in after) == 4 and len(after) == 5


def test_no_values_are_tried_twice_and_few_are_tried_all(shop, tmp_path):
    file = _file(tmp_path, shop, {"hidden_size": [4, 8], "dropout_prob": {"low": 0.1, "high": 0.3, "step": 0.1}})
    some = _tune(file, "-o", tmp_path / "out", "--trials", 2)
    assert some.exit_code == 0, some.output
    done = _tune(file, "-o", tmp_path / "out", "--trials", 9, "--jobs", 2, "--no-pruning")
    assert done.exit_code == 0, done.output
    assert "Every combination of the values was tried." in done.stderr
    tried = [tuple(trial["options"].values()) for trial in _result(tmp_path / "out")["trials"]]
    assert sorted((h, round(d, 9)) for h, d in tried) == [(h, d) for h in (4, 8) for d in (0.1, 0.2, 0.3)]
    assert [trial["trial"] for trial in _result(tmp_path / "out")["trials"]] == [1, 2, 3, 4, 5, 6]
    assert "000000" not in (tmp_path / "out" / "best.yaml").read_text()


def test_importance_counts_what_was_pruned(shop, tmp_path):
    """Where all the bad values of an option are pruned, what is finished would tell nothing of it."""
    file = _file(tmp_path, shop, {"learning_rate": [0.01, 0.1], "hidden_size": [4, 8, 12]})
    searched = space.read(read_yaml(file)["tune"], resolve(file), file.name)
    search = Search(searched, tmp_path / "out", command="")
    for _ in range(6):
        trial = search.study.ask()
        good = trial.params["learning_rate"] == 0.01
        best = {"score": 0.5 + trial.params["hidden_size"] / 1000 if good else 0.1, "epoch": 0, "epochs": 1}
        (search.study.finished if good else search.study.pruned)(trial, {**best, "seconds": 1.0})
    shares = search.study.importance()
    assert shares["learning_rate"] > 0.9 > shares["hidden_size"]


def test_a_folder_with_anything_else_is_left_alone(shop, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    refused = _tune(_file(tmp_path, shop), "-o", tmp_path / "run", "--trials", 1)
    assert refused.exit_code == 2 and "holds run.json, and no search" in refused.stderr
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["run.json"]


def test_without_a_best_trial_the_search_has_failed(shop, tmp_path):
    done = _tune(_file(tmp_path, shop, {"learning_rate": [1e29, 1e30]}), "-o", tmp_path / "out", "--trials", 2)
    assert done.exit_code == 1 and "no best.yaml" in done.stderr
    assert not (tmp_path / "out" / "best.yaml").exists()


def test_a_score_on_a_sample_says_so(shop, tmp_path):
    file = _file(tmp_path, shop, valid_sample=5)
    done = _tune(file, "-o", tmp_path / "out", "--trials", 1)
    assert done.exit_code == 0, done.output
    for name in ("tune.md", "best.yaml"):
        assert "5 rows (valid_sample)" in (tmp_path / "out" / name).read_text()


def test_a_file_that_is_no_study_is_told(finished, tmp_path):
    file, out, _ = finished
    shutil.copytree(out, tmp_path / "out")
    (tmp_path / "out" / "study.jsonl").write_text("not json\n" * 3)
    done = _tune(file, "-o", tmp_path / "out")
    assert done.exit_code == 3, done.output
    assert "cannot be read" in done.stderr

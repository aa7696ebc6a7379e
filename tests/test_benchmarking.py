"""A benchmark at work: its table, what it does not run again, and what ends a run."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from seqrec_plugin.checkpoint import CURVE_FILE, RUN_FILE, RunFolder
from seqrec_plugin.cli import main
from tests.conftest import reseal, write_dataset

pytestmark = pytest.mark.xdist_group("benchmark")  # one worker makes the fixture

MODELS = """
  - {model: LSTM4Rec, hidden_size: 8, feed_forward: false}
  - {model: RNN4Rec, name: brief, hidden_size: 8, seeds: [1], time_limit: 0.001}
  - {model: RNN4Rec, name: wild, hidden_size: 8, activation: relu, learning_rate: 1e30, seeds: [1]}
  - {model: GRU4Rec, hidden_size: 8, seeds: [1]}
  - {model: popularity}
"""


def _file(folder, shop, models=MODELS, **shared):
    values = {"epochs": 2, "train_batch_size": 128, "MAX_ITEM_LIST_LENGTH": 8, "embedding_size": 8, **shared}
    lines = [f"dataset: shop\ndata_path: {shop}", *(f"{key}: {value}" for key, value in values.items())]
    file = folder / "b.yaml"
    file.write_text("\n".join([*lines, "seeds: [1, 2]", f"models:{models}"]))
    return file


def _benchmark(*arguments):
    return CliRunner().invoke(main, ["benchmark", *map(str, arguments)])


@pytest.fixture(scope="module")
def finished(shop, tmp_path_factory):
    """The file, the folder and the call of a whole benchmark. Copy the folder to change it."""
    folder = tmp_path_factory.mktemp("benchmark")
    file = _file(folder, shop)
    return file, folder / "out", _benchmark(file, "-o", folder / "out", "--json")


@pytest.fixture
def result(finished):
    return json.loads((finished[1] / "benchmark.json").read_text())


def _models(result):
    return {model["label"]: model for model in result["models"]}


def test_json_has_all_that_was_measured(finished, result):
    assert json.loads(finished[2].stdout) == result
    assert list(_models(result)) == ["LSTM4Rec", "brief", "wild", "GRU4Rec", "popularity"]
    assert result["command"].startswith("seqrec benchmark ")
    assert result["machine"] and result["threads"] == [1] and result["versions"]["recbole"] and result["date"]
    ours = _models(result)["LSTM4Rec"]
    assert ours["seeds"] == [1, 2] and ours["masked"]["NDCG@10"]["std"] is not None
    run = RunFolder.open(finished[1] / ours["runs"][0]["path"])
    assert ours["parameters"] == sum(weight.numel() for weight in run.weights().values())
    for label in ("LSTM4Rec", "GRU4Rec"):
        for line in _models(result)[label]["runs"]:
            assert set(line["metrics"]["test"]) == {"targets", "masked", "unmasked", "recbole"}
            assert 0 < line["seconds_per_epoch"] < line["seconds"]
            assert 0 < line["seconds_to_best"] <= line["seconds"]
            assert 100 * 2**20 < line["peak_memory"] < 4 * 2**30
            assert 1 <= line["best_epoch"] <= line["epochs"] == 2
    assert _models(result)["GRU4Rec"]["difference"]["seeds"] == [1]
    assert _models(result)["popularity"]["difference"]["seeds"] == [1, 2]


def test_each_line_of_the_table_is_a_model(finished, result):
    text = (finished[1] / "benchmark.md").read_text()
    for model in result["models"]:
        assert text.count(f"\n| {model['label']} | ") == 2
    assert f"{_models(result)['GRU4Rec']['masked']['NDCG@10']['mean']:.4f}" in text
    assert result["command"] in text
    assert "NDCG@10 against LSTM4Rec" in text


def test_a_run_that_crashes_is_a_row_with_its_reason(finished, result):
    assert finished[2].exit_code == 1
    assert "wild/seed-1" in finished[2].stderr
    (run,) = _models(result)["wild"]["runs"]
    assert run["state"] == "not finished"
    assert "training loss became" in run["reason"]
    assert run["reason"] in (finished[1] / "benchmark.md").read_text()


def test_a_time_limit_cuts_and_says_so_and_leaves_a_best_epoch(finished, result):
    (run,) = _models(result)["brief"]["runs"]
    assert (run["cut"], run["best_epoch"], run["epochs"]) == (True, 1, 1)
    assert "epoch 1 |" in (finished[1] / "benchmark.md").read_text()
    assert _models(result)["brief"]["masked"]["HR@10"]["mean"] > 0
    assert not _models(result)["LSTM4Rec"]["runs"][0]["cut"]


def test_what_is_done_is_not_run_again(finished, tmp_path, monkeypatch):
    file, out, _ = finished
    shutil.copytree(out, tmp_path / "out")
    monkeypatch.setattr(subprocess, "Popen", None)  # nothing may be started
    again = _benchmark(file, "-o", tmp_path / "out", "--only", "LSTM4Rec", "--only", "GRU4Rec")
    assert again.exit_code == 0, again.output
    assert "5 runs, 4 done already, 0 to do" in again.stderr
    assert "wild, seed 1: not run yet" in again.stdout


def test_another_configuration_is_refused_by_its_keys_and_forced(finished, shop, tmp_path):
    shutil.copytree(finished[1], tmp_path / "out")
    file = _file(tmp_path, shop, MODELS.replace("name: brief, hidden_size: 8", "name: brief, hidden_size: 6"))
    refused = _benchmark(file, "-o", tmp_path / "out")
    assert refused.exit_code == 2
    assert "brief/seed-1 was made with other values of hidden_size." in refused.stderr
    forced = _benchmark(file, "-o", tmp_path / "out", "--force", "--only", "brief", "--json")
    assert forced.exit_code == 0, forced.output
    assert "1 to do" in forced.stderr
    assert _models(json.loads(forced.stdout))["brief"]["runs"][0]["state"] == "finished"
    assert RunFolder.open(tmp_path / "out" / "brief" / "seed-1").info.model_config["hidden_size"] == 6


def test_an_option_that_is_new_since_a_run_is_a_change_only_where_it_is_chosen(finished, shop, tmp_path):
    shutil.copytree(finished[1], tmp_path / "out")
    for config in (tmp_path / "out" / "LSTM4Rec").glob("seed-*/config.yaml"):
        lines = [line for line in config.read_text().splitlines() if not line.startswith("window_start:")]
        config.write_text("\n".join(lines))
        reseal(config.parent)
    again = _benchmark(finished[0], "-o", tmp_path / "out", "--only", "LSTM4Rec")
    assert again.exit_code == 0, again.output
    file = _file(tmp_path, shop, MODELS.replace("feed_forward: false", "feed_forward: false, window_start: random"))
    refused = _benchmark(file, "-o", tmp_path / "out", "--only", "LSTM4Rec")
    assert "was made with other values of window_start." in refused.stderr


def test_data_that_has_changed_is_refused(finished, shop, tmp_path):
    shutil.copytree(finished[1], tmp_path / "out")
    write_dataset(tmp_path / "data", "shop", [(f"u{u}", f"i{n}", str(n)) for u in range(9) for n in range(12)])
    curve = (tmp_path / "out" / "LSTM4Rec" / "seed-1" / CURVE_FILE).read_bytes()
    refused = _benchmark(_file(tmp_path, tmp_path / "data"), "-o", tmp_path / "out")
    assert refused.exit_code == 2
    assert "LSTM4Rec/seed-1 was made with other values of the data." in refused.stderr
    assert (tmp_path / "out" / "LSTM4Rec" / "seed-1" / CURVE_FILE).read_bytes() == curve


def test_the_same_data_in_another_place_are_the_same(finished, shop, tmp_path):
    shutil.copytree(finished[1], tmp_path / "out")
    shutil.copytree(shop, tmp_path / "moved")
    models = "\n  - {model: LSTM4Rec, hidden_size: 8, feed_forward: false}\n"
    again = _benchmark(_file(tmp_path, tmp_path / "moved", models), "-o", tmp_path / "out")
    assert again.exit_code == 0, again.output
    assert "0 to do" in again.stderr


def test_a_typo_is_told_before_anything_trains(shop, tmp_path):
    file = _file(tmp_path, shop, "\n  - {model: LSTM4Rec}\n  - {model: RNN4Rec, hiden_size: 8}\n")
    done = _benchmark(file, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "Did you mean 'hidden_size'?" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "words"),
    [(("--only", "LSTM5Rec"), "LSTM4Rec"), (("--against", "GRU"), "GRU4Rec"), (("--metric", "NDGC@10"), "NDCG@10")],
)
def test_a_wrong_option_is_told_before_anything_trains(shop, tmp_path, option, words):
    done = _benchmark(_file(tmp_path, shop), "-o", tmp_path / "out", *option)
    assert done.exit_code == 2
    assert f"'{words}'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_benchmark_is_no_recipe(shop, tmp_path):
    done = CliRunner().invoke(main, ["train", str(_file(tmp_path, shop)), "-o", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "seqrec benchmark" in done.stderr


def test_ctrl_c_leaves_the_table_so_far_and_the_same_command_goes_on(shop, tmp_path):
    models = "\n  - {model: RNN4Rec, seeds: [1], epochs: 1}\n  - {model: LSTM4Rec, seeds: [1], epochs: 20}\n"
    file = _file(tmp_path, shop, models, stopping_step=100, train_batch_size=64)
    command = [sys.executable, "-m", "seqrec_plugin.cli", "benchmark", str(file), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    at_work = RunFolder(tmp_path / "out" / "LSTM4Rec" / "seed-1")
    while process.poll() is None and len(at_work.curve()) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "RNN4Rec" in stdout and "not run yet" in stdout
    assert "the same command goes on" in stderr
    before = at_work.curve()
    assert not at_work.finished and len(before) < 20
    first = (tmp_path / "out" / "RNN4Rec" / "seed-1" / RUN_FILE).stat().st_mtime_ns

    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 runs, 1 done already, 1 to do" in done.stderr
    assert (tmp_path / "out" / "RNN4Rec" / "seed-1" / RUN_FILE).stat().st_mtime_ns == first
    after = at_work.curve()
    # To the millisecond: these epochs were not trained again; but the last, where the interruption met its end.
    done_before = len(before) - 1
    assert after[:done_before] == before[:done_before]
    assert after[done_before]["score"] == before[done_before]["score"]
    assert len(after) == 20
    assert after[-1]["elapsed_seconds"] > before[-1]["elapsed_seconds"]
    assert (tmp_path / "out" / "benchmark.md").is_file()

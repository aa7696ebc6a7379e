"""What a training will take, told before it is trained."""

import json

import pytest
from click.testing import CliRunner

from seqrec_plugin import training
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.cli import main
from seqrec_plugin.estimating import Estimate, Watch
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.starting import Start, configuration
from seqrec_plugin.training import train
from tests.conftest import Silent

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


class _Hears(Silent):
    def __init__(self):
        self.said = []

    def says(self, text):
        self.said.append(text)


def test_a_training_says_what_it_takes_and_trains_the_same(recipe, finished_run, tmp_path):
    hears = _Hears()
    run = train(resolve(recipe), tmp_path / "run", hears)
    sizes, times = hears.said
    split = run.split()
    targets = len(split.train) + len(split.offsets) - 1  # each user's first item, for the newcomer
    assert f"An epoch: {targets} targets in" in sizes and "at most 3 epochs" in sizes
    assert times.startswith("Time: some ") and "validation" in times
    assert (run.path / "weights.safetensors").read_bytes() == (finished_run / "weights.safetensors").read_bytes()


def test_an_estimate_alone_leaves_nothing_and_is_near_what_came(recipe, finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = training.estimate(resolve(recipe))
    run = RunFolder.open(finished_run)
    assert found.parameters == run.info.parameters
    assert found.epochs == 3 and found.seconds > 0 and found.seconds_validation > 0
    assert found.bytes >= found.memory["the program with its data"] > 50_000_000
    assert list(tmp_path.iterdir()) == []


def test_a_larger_catalogue_and_batch_take_more(recipe, tmp_path):
    small = training.estimate(resolve(recipe))
    large = training.estimate(resolve(recipe, ["train_batch_size=512", "hidden_size=32"]))
    assert large.memory["a step"] > 2 * small.memory["a step"]
    assert large.memory["gradients and optimizer"] > small.memory["gradients and optimizer"]
    assert training.estimate(resolve(recipe, ["learner=sgd"])).memory["gradients and optimizer"] == 4 * small.parameters


def test_a_refit_validates_nothing(finished_run):
    run = RunFolder.open(finished_run)
    found = training.estimate(configuration(run, None), Start(refit=run))
    assert found.seconds_validation == 0 and found.memory["validation"] == 0
    assert found.targets > len(run.split().train)


@pytest.mark.parametrize("steps", [1, 2, 50])
def test_the_first_epoch_tells_the_time_at_the_latest(steps):
    watch = Watch(Estimate(100, steps, 2, 10, {}))
    watch.begin()
    told = [watch.step() for _ in range(steps)]
    assert told.count(True) == 1 and watch.done
    assert watch.estimate.seconds_training > 0
    assert not watch.step()


def test_it_is_asked_for_from_the_command_line(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["train", str(recipe), "--estimate"])
    assert done.exit_code == 0, done.output
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["An epoch", "Memory", "Time"]
    told = json.loads(CliRunner().invoke(main, ["train", str(recipe), "--estimate", "--json"]).stdout)
    assert told["bytes"] >= sum(told["memory"].values()) and told["epochs"] == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["GRU4Rec", "LSTMRanker"])
def test_other_models_are_estimated_too(mixed, tmp_path, model):
    file = tmp_path / "m.yaml"
    values = {"dataset": "mixed", "data_path": str(mixed), "embedding_size": 8, "hidden_size": 8, "epochs": 2}
    file.write_text(json.dumps({**values, "model": model}))
    found = training.estimate(resolve(file))
    assert found.seconds_training > 0 and found.seconds_validation > 0 and found.steps > 0

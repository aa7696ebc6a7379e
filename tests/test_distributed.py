"""Two processes that torchrun starts train what one trains, say it once, and end together."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from seqrec_plugin import checkpoint, evaluating
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.training import train
from seqrec_plugin.windows import share
from tests.conftest import Silent

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.xdist_group("distributed")]

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
TRAIN = [*TORCHRUN, "-m", "seqrec_plugin.cli", "train"]
#: No noise, and several batches of validation to divide.
ALIKE = ["dropout_prob=0.0", "eval_batch_size=16"]


def _several(command, folder, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=300, **options)


def _sets(overrides):
    return [word for override in overrides for word in ("--set", override)]


@pytest.fixture(scope="module")
def one(recipe, tmp_path_factory):
    return train(resolve(recipe, ALIKE), tmp_path_factory.mktemp("one") / "run", Silent())


@pytest.fixture(scope="module")
def two(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    done = _several([*TRAIN, str(recipe), "-o", "run", "--json", *_sets(ALIKE)], folder)
    assert done.returncode == 0, done.stderr
    assert os.listdir(folder) == ["run"]
    return RunFolder.open(folder / "run"), done


def test_two_processes_learn_what_one_learns(one, two):
    run, _ = two
    assert (one.info.processes, run.info.processes) == (1, 2)
    for alone, together in zip(one.curve(), run.curve(), strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-5)
        assert together["score"] == pytest.approx(alone["score"], abs=1e-3)
    weights = run.weights()
    for name, weight in one.weights().items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-5)


def test_they_measure_what_one_process_measures_of_the_same_weights(two):
    run, _ = two
    found = evaluating.evaluate_run(run)
    for part in ("valid", "test"):
        measured = run.metrics()[part]
        assert {kind: measured[kind] for kind in ("masked", "unmasked")} == {
            kind: found[part][kind] for kind in ("masked", "unmasked")
        }
        np.testing.assert_array_equal(run.ranks()[part]["row"], getattr(run.split(), part))
        assert measured["recbole"]["ndcg@10"] == pytest.approx(measured["unmasked"]["NDCG@10"], abs=6e-5)


def test_only_the_first_speaks(two):
    run, done = two
    assert json.loads(done.stdout) == run.metrics()
    assert done.stderr.count("epoch   1/3") == 1


def test_a_users_mistake_is_told_once_and_leaves_nothing(recipe, tmp_path):
    done = _several([*TRAIN, str(recipe), "-o", "run", *_sets(["topk=[10, 50]"])], tmp_path)
    assert done.returncode != 0
    assert sum(line.startswith("Error: topk asks for 50 items") for line in done.stderr.splitlines()) == 1
    assert "bug in seqrec" not in done.stderr
    assert os.listdir(tmp_path) == []


def _interrupted(recipe, folder, how):
    """A run of two processes that was interrupted after its first epoch; what was said of it."""
    command = [*TRAIN, str(recipe), "-o", "run"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    curve = folder / "run" / checkpoint.CURVE_FILE
    while process.poll() is None and not curve.exists():
        time.sleep(0.005)
    process.send_signal(how)
    return process.communicate(timeout=120)[1]


def test_an_interrupted_training_ends_and_goes_on_to_the_same_result(recipe, tmp_path):
    """Dropout is on: each process goes on with its own noise."""
    overrides = ["epochs=12"]
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    config = tmp_path / "long.yaml"
    config.write_text(recipe.read_text().replace("epochs: 3", overrides[0].replace("=", ": ")))
    assert _several([*TRAIN, str(config), "-o", "run"], tmp_path / "whole").returncode == 0
    said = _interrupted(config, tmp_path / "cut", signal.SIGINT)
    cut = RunFolder(tmp_path / "cut" / "run")
    assert not cut.finished, said
    assert said.count("Interrupted.") <= 2  # and once more in torchrun's report

    shutil.copytree(cut.path, tmp_path / "alone")
    with pytest.raises(WrongUsage, match=r"begun in 2 processes.*one process.*torchrun --nproc-per-node 2"):
        train(resolve(config), tmp_path / "alone", Silent(), resume=True)

    done = _several([*TRAIN, str(config), "-o", "run", "--resume"], tmp_path / "cut")
    assert done.returncode == 0, done.stderr
    whole = RunFolder.open(tmp_path / "whole" / "run")
    assert (cut.path / checkpoint.WEIGHTS_FILE).read_bytes() == (whole.path / checkpoint.WEIGHTS_FILE).read_bytes()
    assert RunFolder.open(cut.path).metrics() == whole.metrics()


CHECKS = """
import torch
from torch import nn
from seqrec_plugin import distributed, gradients
from seqrec_plugin.distributed import gather, rank, rows, share

ITEMS = [[1, 2, 2], [2, 4]]  # the first process has three targets, the second two

def model():
    torch.manual_seed(0)
    return nn.ModuleDict({"table": nn.Embedding(6, 3, sparse=True), "map": nn.Linear(3, 2), "idle": nn.Linear(2, 2)})

def learn(net, items):
    net["map"](net["table"](torch.tensor(items))).pow(2).sum(1).mean().backward()

def alike(parameters, expected):
    for p, e in zip(parameters, expected, strict=True):
        assert (p.grad is None) == (e.grad is None)
        if p.grad is not None:
            assert p.grad.is_sparse == e.grad.is_sparse
            torch.testing.assert_close(p.grad.to_dense(), e.grad.to_dense())

with distributed.started():
    net, whole = model(), model()
    learn(net, ITEMS[rank()])
    learn(whole, ITEMS[0] + ITEMS[1])
    gradients.average(net.parameters(), len(ITEMS[rank()]))
    alike(net.parameters(), whole.parameters())
    assert net["table"].weight.grad.coalesce().indices().tolist() == [[1, 2, 4]]

    net, whole = model(), model()  # one without a share has a gradient for its shape, of weight 0
    learn(net, ITEMS[0] if rank() == 0 else ITEMS[0][:1])
    learn(whole, ITEMS[0])
    gradients.average(net.parameters(), 3 if rank() == 0 else 0)
    alike(net.parameters(), whole.parameters())

    assert share({"of": rank(), "a": torch.ones(2) * rank()})["of"] == 0
    assert gather(("x" * rank(), rank())) == [("", 0), ("x", 1)]
    (found,) = rows(torch.full((rank() * 2, 3), rank()))
    assert found.tolist() == [[1, 1, 1]] * 2
    net = nn.Linear(2, 2)
    distributed.share_weights(net)
    one, other = gather(net.weight.detach())
    assert torch.equal(one, other)
"""


def test_gradients_are_those_of_all_targets_sparse_ones_too(tmp_path):
    (tmp_path / "checks.py").write_text(CHECKS)
    done = _several([*TORCHRUN, "checks.py"], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_each_window_of_a_step_goes_to_one_process(parts):
    random = np.random.default_rng(0)
    lengths = random.integers(1, 50, 40)
    chosen = random.permutation(40)[:25]
    dealt = [share(chosen, lengths, part, parts) for part in range(parts)]
    np.testing.assert_array_equal(np.concatenate([windows for windows, own in dealt if own]), chosen)
    positions = [int(lengths[windows].sum()) if own else 0 for windows, own in dealt]
    assert max(positions) - min(positions) <= 2 * lengths.max()


def test_where_windows_are_fewer_than_processes_another_ones_stands_in():
    dealt = [share(np.array([4]), np.full(9, 5), part, 3) for part in range(3)]
    assert sorted(own for _, own in dealt) == [False, False, True]
    assert all(windows.tolist() == [4] for windows, _ in dealt)


@pytest.mark.parametrize("key", ["nproc=2", "world_size=2", "ip=localhost", "port=5678", "group_offset=0"])
def test_recboles_keys_of_several_processes_name_torchrun(recipe, key):
    with pytest.raises(WrongUsage, match="torchrun --nproc-per-node"):
        resolve(recipe, [key])

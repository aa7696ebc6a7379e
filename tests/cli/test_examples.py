"""The examples in the commands' helps run, in the order of the list, as they stand."""

import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from seqrec_plugin import cli
from tests.conftest import random_rows, recbole_checkpoints, write_dataset


def _helps() -> list[tuple[str, ...]]:
    """Every command that has a help: a group's own commands follow the group."""
    found: list[tuple[str, ...]] = []
    for name in cli.COMMANDS:
        command = cli.main.get_command(click.Context(cli.main), name)
        found += [(name,), *((name, below) for below in getattr(command, "commands", ()))]
    return found


def _examples(*command: str) -> list[str]:
    text = CliRunner().invoke(cli.main, [*command, "--help"]).output
    block = re.search(r"Examples?:\n(.*?)(\n\n|\Z)", text, re.DOTALL).group(1)
    return [line.strip() for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the examples' paths are small things: the recipe's name, and a data set with numbers for ids."""
    path = tmp_path_factory.mktemp("examples")
    number = {}
    rows = [
        (user.removeprefix("u"), str(50 + number.setdefault(item, len(number))), at) for user, item, at in random_rows()
    ]
    write_dataset(path / "data", "ml-100k", [(user, item, time) for user, item, time in rows])
    write_dataset(path / "data", "films", rows)
    (path / "lstm_ml100k").write_text(  # a file of this name wins over the shipped recipe
        "model: LSTM4Rec\ndataset: films\ndata_path: data\nepochs: 2\n"
        "hidden_size: 8\nembedding_size: 8\nnum_layers: 1\ntune: {hidden_size: [4, 8]}\n"
    )
    (path / "ranker_ml100k").write_text(
        "model: LSTMRanker\ndataset: films\ndata_path: data\nepochs: 1\nhidden_size: 8\nembedding_size: 8\n"
    )
    (path / "benchmark_ml100k").write_text(
        "dataset: films\ndata_path: data\nepochs: 1\nembedding_size: 8\nhidden_size: 8\nseeds: [1]\n"
        "models:\n- {model: LSTM4Rec, num_layers: 1}\n- model: popularity\n"
    )
    (path / "titles.csv").write_text("item_id,title\n50,Star Wars\n")
    recbole_checkpoints(path, "data", "films", ["GRU4Rec"])
    events = "".join(f"{user},{item},{time}\n" for user, item, time in rows)
    (path / "events.csv").write_text(f"customer,sku,at\n{events}")
    (path / "key.txt").write_text("a key that is long enough")
    return path


def test_every_example_runs(folder):
    seqrec = f"{sys.executable} -m seqrec_plugin.cli"
    ran = 0
    for words in _helps():
        for example in _examples(*words):
            command = re.sub(r"\bseqrec (?=[a-z])", f"{seqrec} ", example)
            done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, f"{example}\n{done.stdout}{done.stderr}"
            ran += 1
    assert ran >= len(_helps())

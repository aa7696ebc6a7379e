from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from seqrec_plugin import registry
from seqrec_plugin.cli import main


def test_for_people() -> None:
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 0
    for entry in registry.entries():
        assert f"{entry.name}  ({entry.package})" in result.stdout
        told = " ".join(result.stdout.split())
        assert entry.summary in told and entry.paper in told


def test_json() -> None:
    result = CliRunner().invoke(main, ["models", "--json"])
    ours = next(entry for entry in json.loads(result.stdout) if entry["name"] == "LSTM4Rec")
    assert set(ours) == {"name", "package", "target", "summary", "paper", "problem"}
    assert ours["package"] == "seqrec-plugin" and ours["summary"] and ours["paper"] and ours["problem"] is None


def test_every_built_in_says_what_it_is() -> None:
    for entry in registry.entries():
        if entry.package == "seqrec-plugin":
            assert entry.summary and entry.paper, f"{entry.name}'s docstring lacks a first line or a Paper: paragraph"


def test_one_model_with_its_options() -> None:
    result = CliRunner().invoke(main, ["models", "RNN4Rec"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    entry = next(entry for entry in registry.entries() if entry.name == "RNN4Rec")
    assert result.stdout.startswith(f"RNN4Rec  (seqrec-plugin)\n    {entry.summary}\n    Paper: {entry.paper}\n")
    assert re.search(r"^activation +str +tanh +tanh, relu, sigmoid +What squashes", result.stdout, re.MULTILINE)
    assert re.search(r"^threads +int +1 +at least 0 +CPU threads", result.stdout, re.MULTILINE)
    assert CliRunner().invoke(main, ["models", "LSTM5Rec"]).exit_code == 2


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table_keeps_to_the_terminal(columns: int) -> None:
    result = CliRunner().invoke(main, ["models", "RNN4Rec"], env={"COLUMNS": str(columns)})
    table = result.stdout[result.stdout.index("option ") : result.stdout.index("RecBole's own keys")]
    assert max(map(len, table.splitlines())) <= columns
    words = " ".join(table.split())
    assert "What squashes state and output." in words and "Dropout of each network's input." in words


def test_one_model_as_json() -> None:
    found = json.loads(CliRunner().invoke(main, ["models", "LSTM4Rec", "--json"]).stdout)
    assert found["name"] == "LSTM4Rec" and "1997" in found["paper"]
    hidden = next(option for option in found["options"] if option["name"] == "hidden_size")
    assert hidden == hidden | {"type": "int", "default": 64, "range": "1 to 4096"} and hidden["meaning"]
    assert {"exact_time", "window_stride", "threads"} <= {option["name"] for option in found["training"]}

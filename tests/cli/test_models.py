from __future__ import annotations

import json

from click.testing import CliRunner

from seqrec_plugin import registry
from seqrec_plugin.cli import main


def test_for_people() -> None:
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 0
    for entry in registry.entries():
        assert f"{entry.name}  ({entry.package})" in result.stdout
        assert entry.summary in result.stdout and entry.paper in result.stdout


def test_json() -> None:
    result = CliRunner().invoke(main, ["models", "--json"])
    ours = next(entry for entry in json.loads(result.stdout) if entry["name"] == "LSTM4Rec")
    assert set(ours) == {"name", "package", "target", "summary", "paper", "problem"}
    assert ours["package"] == "seqrec-plugin" and ours["summary"] and ours["paper"] and ours["problem"] is None


def test_every_built_in_says_what_it_is() -> None:
    for entry in registry.entries():
        if entry.package == "seqrec-plugin":
            assert entry.summary and entry.paper, f"{entry.name}'s docstring lacks a first line or a Paper: paragraph"


def test_the_options_of_one_model() -> None:
    result = CliRunner().invoke(main, ["models", "RNN4Rec"])
    assert result.exit_code == 0
    assert "activation" in result.stdout and "tanh, relu, sigmoid" in result.stdout
    options = json.loads(CliRunner().invoke(main, ["models", "LSTM4Rec", "--json"]).stdout)
    assert {"name": "hidden_size", "type": "int", "default": 64, "range": "1 to 4096"}.items() <= options[1].items()
    assert CliRunner().invoke(main, ["models", "LSTM5Rec"]).exit_code == 2

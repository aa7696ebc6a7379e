from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seqrec_plugin.cli import main, shipped
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.recbole_bridge.settings import read_yaml


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def init(*args: str) -> Result:
    return CliRunner().invoke(main, ["init", *args])


def test_list() -> None:
    result = init("--list")
    assert result.exit_code == 0
    assert "lstm_ml100k\n    seqrec train" in result.stdout


def test_every_recipe_begins_with_its_command() -> None:
    for name, path in shipped.shipped().items():
        command = "benchmark" if "models" in read_yaml(path) else "train"
        assert shipped.summary(path)[0].startswith(f"seqrec {command} {name}"), name


def test_copies_and_never_overwrites() -> None:
    result = init("lstm_ml100k")
    assert result.exit_code == 0 and result.stdout == "lstm_ml100k.yaml\n"
    copied = Path("lstm_ml100k.yaml")
    assert copied.read_bytes() == shipped.shipped()["lstm_ml100k"].read_bytes()

    copied.write_text("mine")
    again = init("lstm_ml100k")
    assert again.exit_code == 2 and "exists here already" in again.stderr
    assert copied.read_text() == "mine"


def test_unknown_recipe() -> None:
    result = init("lstm_ml10k")
    assert result.exit_code == 2
    assert "Did you mean 'lstm_ml100k'?" in result.stderr


def test_nothing_named() -> None:
    assert init().exit_code == 2


def test_find_prefers_a_path_that_exists() -> None:
    assert shipped.find("lstm_ml100k") == shipped.shipped()["lstm_ml100k"]
    Path("lstm_ml100k").write_text("mine")
    assert shipped.find("lstm_ml100k") == Path("lstm_ml100k")


@pytest.mark.parametrize("name", ["lstm_ml100", "configs/lstm_ml100k.yaml", "lstm_ml100k.yml"])
def test_find_names_the_nearest(name: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        shipped.find(name)
    assert caught.value.code == "bad_value"
    assert "'lstm_ml100k'" in caught.value.hint

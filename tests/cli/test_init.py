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


def test_config_writes_what_trains_and_never_overwrites() -> None:
    result = init("config", "--model", "LSTM4Rec")
    assert result.exit_code == 0 and result.stdout == "LSTM4Rec.yaml\n"
    text = Path("LSTM4Rec.yaml").read_text(encoding="utf-8")
    assert text.startswith("# seqrec train LSTM4Rec.yaml -o runs/LSTM4Rec\n")
    assert "\nmodel: LSTM4Rec\ndataset: ml-100k\n" in text

    again = init("config", "--model", "LSTM4Rec")
    assert again.exit_code == 2 and "exists here already" in again.stderr
    assert Path("LSTM4Rec.yaml").read_text(encoding="utf-8") == text


def test_config_fills_in_the_data_set_and_takes_another_name() -> None:
    result = init("config", "--model", "SASRec", "--dataset", "shop", "--data-path", "my data", "-o", "a b.yaml")
    assert result.exit_code == 0 and result.stdout == "a b.yaml\n"
    text = Path("a b.yaml").read_text(encoding="utf-8")
    assert text.startswith("# seqrec train 'a b.yaml' -o 'runs/a b'\n")
    assert "\ndataset: shop\n" in text and "\ndata_path: my data " in text


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["--model", "LSTM5Rec"], 2, "Did you mean 'LSTM4Rec'?"),
        (["--model", "SASRek"], 2, "Did you mean 'SASRec'?"),
        (["--model", "LSTM4Rec", "-o", "not/there.yaml"], 3, "not/there.yaml cannot be written"),
        ([], 2, "--model"),
    ],
)
def test_config_tells_what_is_wrong(args: list[str], code: int, told: str) -> None:
    result = init("config", *args)
    assert result.exit_code == code and told in result.stderr
    assert not list(Path().iterdir())


def test_the_help_shows_both_kinds() -> None:
    text = init("--help").stdout
    assert "  config " in text
    for name in shipped.shipped():
        assert f"  {name} " in text
    assert "Show where an error comes from" in init("config", "--help").stdout


def test_a_recipe_of_cleaning_that_prepare_takes() -> None:
    from seqrec_plugin.preparing import recipe

    assert init("recipe", "-o", "mine.yaml").stdout == "mine.yaml\n"
    assert recipe.read(Path("mine.yaml")) == recipe.Recipe()
    assert init("recipe", "-o", "mine.yaml").exit_code == 2

"""What a data set says of itself, and where it lies."""

import re

import pytest

from seqrec_plugin.errors import BadData, SeqrecError, WrongUsage
from seqrec_plugin.planning import plan
from seqrec_plugin.recbole_bridge import data_set
from seqrec_plugin.recbole_bridge.reading import read_yaml
from seqrec_plugin.recbole_bridge.settings import Setting, resolve
from seqrec_plugin.recbole_bridge.template import template
from tests.conftest import random_rows, write_dataset


@pytest.fixture
def data(tmp_path):
    write_dataset(tmp_path / "data", "shop", random_rows(users=5))
    return tmp_path / "data" / "shop"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: LSTM4Rec\ndataset: elsewhere\nhidden_size: 32\n")
    return path


def _says(data, text):
    (data / "shop.yaml").write_text(text)


def test_it_counts_below_the_users_file_and_above_every_default(data, file):
    _says(data, "TIME_FIELD: order\nBEHAVIOR_FIELD: act\ntime_unit: s\n")
    file.write_text(file.read_text() + "BEHAVIOR_FIELD: did\n")
    settings = resolve(file, ["time_unit=ms"], data).settings
    assert settings["TIME_FIELD"] == Setting("order", "data set")
    assert settings["BEHAVIOR_FIELD"] == Setting("did", "mine.yaml")
    assert settings["time_unit"] == Setting("ms", "--set")
    assert "order" in settings["load_col"].value["inter"]


def test_the_folder_is_data_path_and_dataset(data, file, monkeypatch):
    assert resolve(file, data=data).dataset == "shop"
    assert resolve(file, data=data).settings["data_path"] == Setting(str(data.parent), "--data")
    monkeypatch.chdir(data)
    assert resolve(file, data=type(data)(".")).settings["data_path"].value == str(data.parent)


def test_a_folder_that_is_no_data_set_is_said_so(data, tmp_path):
    for place, words in ((tmp_path / "nowhere", "no folder"), (tmp_path / "data", "holds none")):
        with pytest.raises(BadData, match=words):
            data_set.at(place)
    (data / "shop.inter").rename(data / "events.inter")
    with pytest.raises(BadData, match=r"holds events\.inter"):
        data_set.at(data)
    write_dataset(tmp_path, "ml-100k", random_rows(users=3))
    with pytest.raises(WrongUsage, match="own wheel"):
        data_set.at(tmp_path / "ml-100k")


def test_the_folder_and_its_name_by_set_are_one_too_many(data, file):
    with pytest.raises(WrongUsage, match="--set dataset"):
        resolve(file, ["dataset=other"], data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("TIME_FEILD: order\n", "Did you mean 'TIME_FIELD'"),
        ("learning_rate: 0.1\n", "recipe"),
        ("model: LSTM4Rec\n", "recipe"),
        ("exact_time: often\n", "type bool"),
        ("- a list\n", "mapping"),
        ("TIME_FIELD: [\n", "not valid YAML"),
    ],
)
def test_a_mistake_in_it_is_told_with_its_file(data, file, text, words):
    _says(data, text)
    with pytest.raises(SeqrecError, match=words) as caught:
        resolve(file, data=data)
    assert "shop.yaml" in str(caught.value)


def test_what_a_model_does_not_read_is_passed_by(data, file):
    _says(data, "NUMERIC_FIELDS: [price]\nBEHAVIOR_FIELD: act\n")
    assert resolve(file, data=data).values["NUMERIC_FIELDS"] == []
    ranker = resolve(
        file, ["model=LSTMRanker", "eval_args={split: {LS: valid_and_test}, order: TO, mode: labeled}"], data
    )
    assert ranker.settings["NUMERIC_FIELDS"] == Setting(["price"], "data set")
    baseline = resolve(file, ["model=GRU4Rec"], data)
    assert "NUMERIC_FIELDS" not in baseline.values
    assert baseline.settings["BEHAVIOR_FIELD"] == Setting("act", "data set")


def test_a_configuration_made_for_it_keeps_what_it_says(data, tmp_path):
    _says(data, "TIME_FIELD: order\n")
    file = tmp_path / "made.yaml"
    file.write_text(template("LSTM4Rec", file, "shop", str(data.parent)))
    assert read_yaml(file)["TIME_FIELD"] == "order"
    assert "order" in resolve(file).values["load_col"]["inter"]


def test_a_benchmark_reads_it_too(data, tmp_path):
    _says(data, "TIME_FIELD: order\n")
    file = tmp_path / "bench.yaml"
    file.write_text(f"dataset: shop\ndata_path: {data.parent}\nmodels:\n- model: LSTM4Rec\n- model: GRU4Rec\n")
    for entry in plan(file, re.escape).entries:
        assert entry.resolved.settings["TIME_FIELD"] == Setting("order", "data set")


def test_a_configuration_made_for_it_says_what_it_says(data, tmp_path):
    _says(data, "TIMESTAMP_FIELD: moment\nNUMERIC_FIELDS: [price]\nNUMERIC_TRANSFORMS: {price: {log: true}}\n")
    wanted = {"TIMESTAMP_FIELD": "moment", "NUMERIC_FIELDS": ["price"], "NUMERIC_TRANSFORMS": {"price": {"log": True}}}
    for model, numbers in (("LSTMRanker", True), ("LSTM4Rec", False)):
        made = tmp_path / f"{model}.yaml"
        made.write_text(template(model, made, "shop", str(data.parent)), encoding="utf-8")
        found = read_yaml(made)
        assert found["TIMESTAMP_FIELD"] == "moment"
        for key in ("NUMERIC_FIELDS", "NUMERIC_TRANSFORMS"):
            assert (found[key] == wanted[key]) if numbers else not found[key]
        resolve(made)

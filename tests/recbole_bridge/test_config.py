"""The effective configuration: precedence, sources, and what is refused."""

import pytest
import yaml

from seqrec_plugin.errors import SeqrecError, WrongUsage
from seqrec_plugin.recbole_bridge import settings
from seqrec_plugin.recbole_bridge.settings import Setting, resolve


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: LSTM4Rec\ndataset: ml-100k\nhidden_size: 32\nlearning_rate: 1e-2\n")
    return path


def test_later_sources_win_and_each_value_names_its_own(file):
    settings = resolve(file, ["hidden_size=16"]).settings
    assert settings["hidden_size"] == Setting(16, "--set")
    assert settings["learning_rate"] == Setting(0.01, "mine.yaml")
    assert settings["num_layers"] == Setting(2, "LSTM4Rec")
    assert settings["exact_time"] == Setting(True, "seqrec")
    assert settings["eval_batch_size"] == Setting(4096, "RecBole")


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("hiden_size=7", "hidden_size"),
        ("learnin_rate=0.1", "learning_rate"),
        ("exact_tme=true", "exact_time"),
        ("Epochs=3", "epochs"),
        ("n_layers=2", "num_layers"),
    ],
)
def test_a_mistyped_key_is_an_error_that_names_the_nearest(file, override, nearest):
    with pytest.raises(WrongUsage, match=f"'{nearest}'") as caught:
        resolve(file, [override])
    assert caught.value.code == "unknown_key"


def test_a_recipe_serves_another_model_without_what_only_its_own_knows(tmp_path):
    """A typo stays an error, and so does an option that is asked for where the model is."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: LSTM4Rec\ndataset: ml-100k\nhidden_size: 32\nitem_vectors: neighbours\n")
    resolved = resolve(recipe, ["model=GRU4Rec"])
    assert resolved.left_out == ("item_vectors",) and resolved.values["hidden_size"] == 32
    assert resolve(recipe, ["model=GRU4RecTied"]).left_out == ()
    with pytest.raises(WrongUsage, match="no option 'item_vectors' for GRU4Rec"):
        resolve(recipe, ["model=GRU4Rec", "item_vectors=random"])
    recipe.write_text("model: LSTM4Rec\ndataset: ml-100k\nhiden_size: 32\n")
    with pytest.raises(WrongUsage, match="hiden_size"):
        resolve(recipe, ["model=GRU4Rec"])


@pytest.mark.parametrize("override", ["model=[LSTM4Rec]", "model=3"])
def test_a_model_that_is_no_name_is_told(file, override):
    with pytest.raises(WrongUsage, match="must be a name"):
        resolve(file, [override])


@pytest.mark.parametrize("model", ["LSTM4Rek", "lstm4rec", "GRU4Recc"])
def test_an_unknown_model_names_the_nearest(file, model):
    with pytest.raises(WrongUsage) as caught:
        resolve(file, [f"model={model}"])
    assert caught.value.code == "unknown_model"
    assert "Did you mean" in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "epochs=many",
        "epochs=1.5",
        "learning_rate=fast",
        "hidden_size=-1",
        "exact_time=1",
        "window_stride=51",
        "enable_amp=true",
        "train_neg_sample_args={distribution: uniform}",
        "checkpoint_dir=elsewhere",
        "save_dataset=true",
        "benchmark_filename=[a, b, c]",
        "hidden_size",
        "hidden_size=[",
        "epochs=0",
        "learning_rate=0",
        "stopping_step=-1",
        "threads=-1",
        "seed=-1",
        "weight_decay=-1",
        "loss_type=BPR",
        "eval_args=RO",
        "MAX_ITEM_LIST_LENGTH=0",
        "learner=adm",
        "eval_args={split: {RS: [8, 1, 1]}}",
        "eval_args={split: {LS: valid_and_test}, order: TO, mode: uni100}",
        "eval_args={split: {LS: valid_and_test}, order: TO, mode: {valid: full, test: pop50}}",
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(file, override):
    with pytest.raises(WrongUsage) as caught:
        resolve(file, [override])
    assert caught.value.code == "bad_value"
    assert override.partition("=")[0] in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["epochs: 1\nepochs: 2\n", "- a\n", "a: b: c\n", "x: !!python/object/apply:os.getcwd []\n", "hidden_size: 3\n"],
    ids=["twice", "list", "no yaml", "python", "no model"],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(SeqrecError, match=r"bad\.yaml"):
        resolve(tmp_path / "bad.yaml")


def test_the_resolved_configuration_is_a_configuration(file, tmp_path):
    resolved = resolve(file, ["hidden_size=16"])
    again = tmp_path / "again.yaml"
    again.write_text(resolved.to_yaml())
    assert resolve(again).values == resolved.values
    assert yaml.safe_load(resolved.to_yaml())["hidden_size"] == 16


def test_recboles_own_model_gets_its_own_keys(file):
    resolved = resolve(file, ["model=SASRec", "n_heads=4"])
    assert not resolved.ours
    assert resolved.values["n_heads"] == 4
    assert resolved.values["train_neg_sample_args"] is None
    with pytest.raises(WrongUsage, match="feed_forward"):
        resolve(file, ["model=SASRec", "feed_forward=false"])


def test_a_data_set_without_a_file_of_defaults_loads_its_times(file):
    assert resolve(file, ["dataset=shop"]).values["load_col"] == {"inter": ["user_id", "item_id", "timestamp"]}


def test_every_argument_that_recbole_lists_is_known(file):
    from recbole.utils import argument_list

    listed = {
        *argument_list.general_arguments,
        *argument_list.training_arguments,
        *argument_list.evaluation_arguments,
        *argument_list.dataset_arguments,
    }
    known = {*resolve(file).settings, *settings.UNLISTED, *settings.MANAGED}
    assert listed <= known


def test_a_plain_recbole_config_takes_our_defaults_below_the_users(monkeypatch):
    from recbole.config import Config

    monkeypatch.setattr("sys.argv", ["run.py"])
    config = Config(model="LSTM4Rec", dataset="ml-100k", config_dict={"hidden_size": 9})
    assert (config["hidden_size"], config["num_layers"], config["exact_time"]) == (9, 2, False)
    with pytest.raises(WrongUsage, match="'hidden_size'"):
        Config(model="LSTM4Rec", dataset="ml-100k", config_dict={"hiden_size": 9})
    with pytest.raises(WrongUsage, match="enable_amp"):
        Config(model="LSTM4Rec", dataset="ml-100k", config_dict={"enable_amp": True})
    # One configuration may serve a whole benchmark: another model's key is no mistake.
    Config(model="LSTM4Rec", dataset="ml-100k", config_dict={"n_heads": 2})
    # And RecBole's own models take what they took before.
    assert (
        Config(model="GRU4Rec", dataset="ml-100k", config_dict={"loss_type": "BPR", "hiden_size": 9})["hiden_size"] == 9
    )


@pytest.mark.parametrize("override", ["valid_metric=NDGC@10", "valid_metric=NDCG@7", "valid_metric=GAUC"])
def test_a_metric_that_cannot_choose_the_best_epoch_is_refused(file, override):
    with pytest.raises(WrongUsage, match=override.partition("=")[2]):
        resolve(file, [override])
    assert resolve(file, ["valid_metric=MRR@5", "topk=[5, 10]"]).values["valid_metric"] == "MRR@5"

"""A benchmark file: everything in it is checked, and told by entry, before anything trains."""

from pathlib import Path

import pytest

from seqrec_plugin.checkpoint import CONFIG_FILE
from seqrec_plugin.cli import shipped
from seqrec_plugin.errors import SeqrecError, WrongUsage
from seqrec_plugin.planning import plan

CONFIGS = Path(__file__).parents[1] / "configs"
SHARED = "dataset: ml-100k\nepochs: 2\nMAX_ITEM_LIST_LENGTH: 8\n"


def _find(name):
    """Where the recipes are in this copy of the repository."""
    path = CONFIGS / f"{name}.yaml"
    return path if path.is_file() else shipped.find(name)


def _plan(tmp_path, text):
    file = tmp_path / "b.yaml"
    file.write_text(SHARED + text)
    return plan(file, _find)


def test_a_recipe_serves_another_model_without_what_only_its_own_knows(tmp_path):
    entry = _plan(tmp_path, "models:\n- {config: lstm_ml100k, model: GRU4Rec}\n").entries[0]
    assert "item_vectors" in entry.resolved.left_out and "item_vectors" not in entry.given
    assert entry.resolved.values["dropout_prob"] == 0.2
    with pytest.raises(WrongUsage, match="its options: there is no option 'item_vectors'"):  # said here, so it is meant
        _plan(tmp_path, "models:\n- {config: lstm_ml100k, model: GRU4Rec, item_vectors: random}\n")
    with pytest.raises(WrongUsage, match="what all models share: there is no option 'item_vectors'") as raised:
        _plan(tmp_path, "item_vectors: random\nmodels:\n- {config: lstm_ml100k, model: GRU4Rec}\n")
    assert "GRU4Rec is RecBole's" in raised.value.hint


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("benchmark_*.yaml")), ids=lambda path: path.stem)
def test_the_benchmarks_that_ship_are_sound(path):
    entries = plan(path, _find).entries
    assert len(entries) > 3
    assert shipped.summary(path)[0].startswith(f"seqrec benchmark {path.stem}")
    assert shipped.is_benchmark(path)


def test_an_entrys_options_win_over_the_shared_ones(tmp_path):
    found = _plan(
        tmp_path,
        "seeds: [1, 2]\ntime_limit: 60\nmodels:\n- model: LSTM4Rec\n"
        "- {model: LSTM4Rec, name: long, epochs: 9, seeds: [3], time_limit: 5}\n"
        "- model: GRU4Rec\n- model: popularity\n",
    )
    first, second, theirs, popularity = found.entries
    assert (first.label, first.seeds, first.resolved.values["epochs"]) == ("LSTM4Rec", (1, 2), 2)
    assert (second.label, second.seeds, second.resolved.values["epochs"]) == ("long", (3,), 9)
    assert [entry.resolved.values["time_limit"] for entry in found.entries[:3]] == [60, 5, 60]
    assert not theirs.resolved.ours
    assert popularity.resolved is None
    assert first.with_seed(2).values["seed"] == 2


def test_the_data_may_lie_anywhere(tmp_path, shop):
    """The folder that is given wins over the file's own data set, and over a recipe's."""
    file = tmp_path / "benchmark.yaml"
    file.write_text("dataset: ml-100k\nmodels:\n- config: mine.yaml\n- model: GRU4Rec\n")
    (tmp_path / "mine.yaml").write_text("model: LSTM4Rec\ndataset: other\ndata_path: elsewhere\n")
    for entry in plan(file, _find, shop / "shop").entries:
        assert (entry.resolved.dataset, entry.given["data_path"]) == ("shop", str(shop))


def test_an_entry_may_name_a_recipe_whose_options_are_its_own(tmp_path):
    (tmp_path / "mine.yaml").write_text("model: RNN4Rec\ndataset: elsewhere\nhidden_size: 7\nseed: 5\n")
    shipped_one, mine = _plan(
        tmp_path, "models:\n- config: lstm_ml100k\n- {config: mine.yaml, hidden_size: 9}\n"
    ).entries
    assert (shipped_one.label, shipped_one.resolved.values["num_layers"]) == ("LSTM4Rec", 2)
    assert (mine.label, mine.resolved.dataset, mine.resolved.values["hidden_size"]) == ("RNN4Rec", "ml-100k", 9)
    assert mine.with_seed(2026).values["seed"] == 2026
    assert (mine.resolved.values["epochs"], shipped_one.resolved.values["epochs"]) == (2, 2)  # shared: above a recipe's


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("models:\n- model: LSTM4Rec\n- {model: RNN4Rec, hiden_size: 9}\n", "unknown_key", "'RNN4Rec'.*'hidden_size'"),
        ("models:\n- model: LSTM4Rek\n", "unknown_model", "'LSTM4Rek'.*'LSTM4Rec'"),
        ("models:\n- {config: lstm_ml10k}\n", "bad_value", "'lstm_ml10k'.*'lstm_ml100k'"),
        ("models:\n- {model: LSTM4Rec, name: bad, hidden_size: 0}\n", "bad_value", "'bad'.*hidden_size"),
        ("models:\n- {model: LSTM4Rec, time_limit: -1}\n", "bad_value", "time_limit is -1"),
        ("models:\n- {model: GRU4Rec, time_limit: soon}\n", "bad_value", "time_limit is 'soon'"),
        ("models:\n- {model: LSTM4Rec, seeds: [1, 1]}\n", "bad_value", r"seeds is \[1, 1\]"),
        ("seeds: [-1]\nmodels:\n- model: LSTM4Rec\n", "bad_value", "seeds"),
        ("seed: 1\nmodels:\n- model: LSTM4Rec\n", "bad_value", "Give seeds"),
        ("models:\n- {model: LSTM4Rec, dataset: other}\n", "bad_value", "not for one model"),
        ("models:\n- {model: LSTM4Rec, name: ../up}\n", "bad_value", "cannot be a name"),
        ("models:\n- model: LSTM4Rec\n- model: LSTM4Rec\n", "bad_value", "two models are called 'LSTM4Rec'"),
        ("models:\n- model: LSTM4Rec\n- {model: RNN4Rec, name: lstm4rec}\n", "bad_value", "two models"),
        ("models:\n- name: nothing\n", "bad_value", "names no model"),
        ("models: LSTM4Rec\n", "bad_value", "list of mappings"),
        ("models: []\n", "bad_value", "list of mappings"),
        ("models:\n- model: popularity\n", "bad_value", "no model of it trains"),
        ("models:\n- model: LSTM4Rec\n- {model: popularity, epochs: 1}\n", "bad_value", "no options"),
        ("models:\n- model: LSTM4Rec\n- model: Pop\n", "unknown_model", "model: popularity"),
        ("model: LSTM4Rec\n", "bad_value", "seqrec train"),
    ],
)
def test_a_mistake_names_its_entry_and_what_to_do(tmp_path, text, code, words):
    with pytest.raises(SeqrecError, match=words) as caught:
        _plan(tmp_path, text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "option",
    [
        "eval_args: {split: {RS: [0.8, 0.1, 0.1]}, order: TO, group_by: user, mode: full}",
        "user_inter_num_interval: '[5,inf)'",
        "exact_time: false",
        "valid_metric: MRR@10",
    ],
)
def test_all_models_have_one_split_and_one_way_to_choose_the_best_epoch(tmp_path, option):
    with pytest.raises(WrongUsage, match=f"LSTM4Rec and GRU4Rec differ in {option.partition(':')[0]}"):
        _plan(tmp_path, f"models:\n- model: LSTM4Rec\n- model: GRU4Rec\n  {option}\n")


def test_what_is_planned_is_what_train_makes_of_the_file(tmp_path):
    """So that a run that is done is known again."""
    from seqrec_plugin.benchmarking import jobs
    from seqrec_plugin.recbole_bridge.settings import resolve

    found = _plan(tmp_path, "learning_rate: 1e-3\nmodels:\n- {model: SASRec, wandb_project: '1e5'}\n")
    (job,) = jobs(found, tmp_path / "out")
    job.folder.mkdir(parents=True)
    (job.folder / CONFIG_FILE).write_text(resolve(job.write_config()).to_yaml())
    assert [job.state for job in jobs(found, tmp_path / "out")] == ["begun"]

"""As any RecBole user would: plain scripts, each in a fresh process and a folder of its own."""

import json
import subprocess
import sys

import pytest

#: What the scripts share: small enough for seconds, and numbers with all their digits.
OPTIONS = {
    "epochs": 1,
    "embedding_size": 8,
    "hidden_size": 8,
    "train_batch_size": 4096,
    "metric_decimal_place": 17,
    "show_progress": False,
    "state": "ERROR",
    "seed": 3,
}


def _run(code: str, folder, *arguments: str) -> dict:
    """Run a script; its last line of output is JSON."""
    script = folder / "script.py"
    script.write_text(f"import json, sys\nOPTIONS = {OPTIONS!r}\n{code}")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A plain `run_recbole` of LSTM4Rec on ml-100k; (folder, its result)."""
    folder = tmp_path_factory.mktemp("plain")
    code = """
import seqrec_plugin
from recbole.quick_start import run_recbole
result = run_recbole(model="LSTM4Rec", dataset="ml-100k", config_dict=OPTIONS)
print(json.dumps(result["test_result"]))
"""
    return folder, _run(code, folder)


def test_run_recbole_trains_evaluates_and_reloads_its_best_epoch(trained):
    """`run_recbole` loads its own checkpoint before the test, which torch's safe default refuses for RecBole's own."""
    _, result = trained
    assert set(result) == {"recall@10", "mrr@10", "ndcg@10", "hit@10", "precision@10"}
    assert 0 < result["ndcg@10"] < 1


def test_a_checkpoint_loads_in_a_fresh_process_and_evaluates_to_the_last_digit(trained):
    folder, expected = trained
    code = """
import glob
import seqrec_plugin
from recbole.quick_start import load_data_and_model
from recbole.utils import get_trainer
config, model, dataset, train, valid, test = load_data_and_model(glob.glob("saved/LSTM4Rec-*.pth")[0])
trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
print(json.dumps(trainer.evaluate(test, load_best_model=False)))
"""
    assert _run(code, folder) == expected


def test_recbole_imported_first_makes_no_difference(trained):
    folder, expected = trained
    code = """
import recbole.quick_start, recbole.config, recbole.data.dataset, recbole.trainer
import glob
import seqrec_plugin
saved = glob.glob("saved/LSTM4Rec-*.pth")[0]
config, model, dataset, train, valid, test = recbole.quick_start.load_data_and_model(saved)
from recbole.utils import get_trainer
trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
print(json.dumps(trainer.evaluate(test, load_best_model=False)))
"""
    assert _run(code, folder) == expected


def test_objective_function_and_a_config_of_the_class(tmp_path):
    code = """
import seqrec_plugin
from recbole.quick_start import objective_function
from recbole.config import Config
from recbole.utils import get_model
from seqrec_plugin.recbole_bridge import LSTM4Rec
sys.argv = sys.argv[:1]
config = Config(model=LSTM4Rec, dataset="ml-100k", config_dict={"hidden_size": 16})
assert config["model"] == "LSTM4Rec" and config["hidden_size"] == 16
assert get_model("LSTM4Rec") is LSTM4Rec
result = objective_function({**OPTIONS, "model": "LSTM4Rec", "dataset": "ml-100k"})
print(json.dumps(result["test_result"]))
"""
    assert _run(code, tmp_path)["ndcg@10"] > 0


def test_a_spawned_worker_that_imports_the_plugin_knows_the_model(tmp_path):
    code = """
import multiprocessing
import seqrec_plugin

def work(name):
    from recbole.utils import get_model
    return get_model(name).__name__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(json.dumps(pool.map(work, ["LSTM4Rec", "GRU4Rec"])))
"""
    assert _run(code, tmp_path) == ["LSTM4Rec", "GRU4Rec"]


def test_recboles_own_models_train_as_before(tmp_path):
    """The same numbers with the plugin and without it (`saved=False`: RecBole cannot load its own file)."""
    code = """
if "plugin" in sys.argv:
    import seqrec_plugin
sys.argv = sys.argv[:1]
from recbole.quick_start import run_recbole
options = {**OPTIONS, "train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": 4}
print(json.dumps(run_recbole(model="GRU4Rec", dataset="ml-100k", config_dict=options, saved=False)["test_result"]))
"""
    assert _run(code, tmp_path, "plugin") == _run(code, tmp_path)


def test_an_unknown_model_is_recboles_own_error_still(tmp_path):
    code = """
import seqrec_plugin
import importlib.util
where = "recbole.model.sequential_recommender."
print(json.dumps([importlib.util.find_spec(where + name) is None for name in ("nosuch", "lstm4rec")]))
"""
    assert _run(code, tmp_path) == [True, False]


def test_every_model_trains_and_evaluates_by_its_name(mixed, tmp_path):
    """Those that read times, behaviours or numbers too: on rows that RecBole read, with its float32 times."""
    code = """
import seqrec_plugin
from seqrec_plugin import registry
from recbole.quick_start import run_recbole
found = {}
for name in registry.names():
    options = {**OPTIONS, "data_path": sys.argv[1]}
    if name == "LSTMRanker":
        options |= {"target_behaviors": ["buy"], "NUMERIC_FIELDS": ["price"], "read_behaviors": True}
        options["NUMERIC_TRANSFORMS"] = {"price": {"clip": "iqr", "smooth": {"exponential": 0.3}}}
    sys.argv[1:], kept = [], sys.argv[1:]
    found[name] = run_recbole(model=name, dataset="mixed", config_dict=options)["test_result"]
    sys.argv[1:] = kept
print(json.dumps(found))
"""
    found = _run(code, tmp_path, str(mixed))
    assert set(found.pop("LSTMRanker")) == {"auc", "logloss"}
    assert {"BehaviorLSTM4Rec", "TimeLSTM4Rec", "LRU4Rec", "GatedLRU4Rec"} <= set(found)
    assert all("ndcg@10" in result for result in found.values())


def test_gaps_are_exact_though_recboles_times_are_not(mixed, tmp_path):
    code = """
import seqrec_plugin
from recbole.config import Config
from recbole.data import create_dataset
path, sys.argv[1:] = sys.argv[1], []
config = Config(model="TimeLSTM4Rec", dataset="mixed", config_dict={**OPTIONS, "data_path": path, "exact_time": True})
train, valid, test = create_dataset(config).build()
gaps, lengths = test.inter_feat["_column_time_gap"], test.inter_feat["item_length"]
rounded = test.inter_feat["timestamp_list"]
print(json.dumps([gaps.tolist(), lengths.tolist(), rounded.diff(dim=1).tolist()]))
"""
    gaps, lengths, rounded = _run(code, tmp_path, str(mixed))
    real = [gap for row, n in zip(gaps, lengths, strict=True) for gap in row[1:n]]
    assert set(real) == set(range(1, 9))  # as `random_rows` drew them
    assert all(row[0] == -1 for row in gaps)
    known = {gap for row, n in zip(rounded, lengths, strict=True) for gap in row[: n - 1]}
    assert known <= {0.0, 128.0}

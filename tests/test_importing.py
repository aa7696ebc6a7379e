"""A checkpoint of a plain `run_recbole` becomes a run whose model computes what RecBole's computes."""

import json
import shutil

import numpy as np
import pytest
import torch

from seqrec_plugin import exporting, metrics
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.errors import BadData, Failed, SeqrecError, WrongUsage
from seqrec_plugin.evaluating import evaluate_run, load_model
from seqrec_plugin.importing import import_recbole
from seqrec_plugin.runtime import Recommender

MODELS = ["GRU4Rec", "NARM", "SASRec"]


@pytest.fixture(scope="module")
def runs(checkpoints, tmp_path_factory):
    """Model → its imported run."""
    folder = tmp_path_factory.mktemp("imported")
    return {name: import_recbole(checkpoints / "saved" / f"{name}.pth", folder / name) for name in MODELS}


def _padded_left(seq, length):
    """RecBole's rows, padded as ours."""
    left = np.zeros_like(seq)
    for row, theirs, n in zip(left, seq, length, strict=True):
        row[len(row) - n :] = theirs[:n]
    return left


@pytest.mark.parametrize("name", MODELS)
def test_it_scores_every_test_row_as_recbole_does(runs, checkpoints, name):
    recbole = np.load(checkpoints / f"{name}.npz")
    model = load_model(RunFolder.open(runs[name].path))
    scores = model.score(torch.from_numpy(_padded_left(recbole["seq"], recbole["length"]))).numpy()
    assert len(scores) > 40
    np.testing.assert_allclose(scores[:, 1:], recbole["scores"][:, 1:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_ids_titles_and_metrics_are_recboles(runs, checkpoints, name):
    recbole, run = np.load(checkpoints / f"{name}.npz"), RunFolder.open(runs[name].path)
    assert list(run.vocabulary().tokens) == recbole["tokens"].tolist()
    assert run.vocabulary().title(run.vocabulary().index("007")) == "The 007"
    found, told = evaluate_run(run), run.metrics()
    scores = recbole["scores"].copy()
    scores[:, 0] = -np.inf
    own = scores[np.arange(len(scores)), recbole["target"]]
    ranks = 1 + (scores > own[:, None]).sum(axis=1)
    for metric, value in metrics.summarise(ranks).items():
        assert found["test"]["unmasked"][metric] == pytest.approx(value, abs=1e-9), metric
    for kind in ("masked", "unmasked"):
        assert found["test"][kind] == pytest.approx(told["test"][kind], abs=1e-9)
    assert found["test"]["unmasked"]["NDCG@10"] == pytest.approx(told["test"]["recbole"]["ndcg@10"], abs=5.1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_it_exports_and_a_newcomer_gets_an_answer(runs, tmp_path, name):
    exporting.export(runs[name].path, tmp_path / "bundle", report=lambda check: None)
    recommender = Recommender.load(tmp_path / "bundle")
    made = recommender.manifest.provenance
    assert (made.model, made.exporter) == (name, "layers" if name == "GRU4Rec" else "torch")
    assert made.newcomer
    assert made.newcomer in (tmp_path / "bundle" / "README.md").read_text()
    answer = recommender.recommend([], k=3)
    assert answer.status == "newcomer"
    assert all(np.isfinite(item.score) for item in answer.items)
    if name == "GRU4Rec":
        session = recommender.session(["007"])
        assert session.push(["NA"]).items == recommender.recommend(["007", "NA"]).items
    else:
        assert recommender.manifest.state == ()
        with pytest.raises(SeqrecError, match="state"):
            recommender.session(["007"])


def test_the_run_says_where_it_comes_from(runs):
    run = RunFolder.open(runs["SASRec"].path)
    assert (run.info.model, run.info.imported, run.info.ours, run.info.max_history) == ("SASRec", True, False, 6)
    assert run.info.order == "RecBole's (time as float32)"
    assert "hidden_size: 8  # checkpoint" in (run.path / "config.yaml").read_text()
    assert run.curve() == []


def _changed(shop, folder, change):
    """A copy of `shop` whose lines went through `change`."""
    shutil.copytree(shop, folder)
    file = folder / "shop" / "shop.inter"
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([head, *change(lines)]) + "\n", encoding="utf-8")
    return folder


def _swap(lines):
    """Two items in each other's place: the same number of items, users and events."""
    names = {"i1": "i2", "i2": "i1", "i3": "007", "007": "i3", "i9": "i20", "i20": "i9"}
    rows = [line.split("\t") for line in lines]
    return ["\t".join([user, names.get(item, item), at]) for user, item, at in rows][::-1]


def test_other_data_are_refused_with_both_numbers(checkpoints, shop, tmp_path):
    data = _changed(shop, tmp_path / "data", _swap)
    with pytest.raises(Failed, match=r"is 0\.\d{4}, but the checkpoint says 0\.\d{4}") as caught:
        import_recbole(checkpoints / "saved" / "NARM.pth", tmp_path / "run", overrides=[f"data_path={data}"])
    assert caught.value.code == "check_failed"
    assert not (tmp_path / "run").exists()


def test_another_number_of_items_is_told(checkpoints, shop, tmp_path):
    data = _changed(shop, tmp_path / "data", lambda lines: [*lines, "u1\tbrand new\t1700099999"])
    with pytest.raises(Failed, match=r"knows \d+ items, but 'shop' has \d+"):
        import_recbole(checkpoints / "saved" / "NARM.pth", tmp_path / "run", overrides=[f"data_path={data}"])
    assert not (tmp_path / "run").exists()


def test_data_that_are_not_there_are_told(checkpoints, tmp_path):
    with pytest.raises(BadData, match="data_path") as caught:
        import_recbole(checkpoints / "saved" / "NARM.pth", tmp_path / "run", overrides=["data_path=nowhere"])
    assert caught.value.code == "dataset_missing"


def test_a_failed_import_leaves_the_run_that_it_was_to_replace(runs, checkpoints, shop, tmp_path):
    shutil.copytree(runs["NARM"].path, tmp_path / "run")
    data = _changed(shop, tmp_path / "data", _swap)
    file = checkpoints / "saved" / "GRU4Rec.pth"
    with pytest.raises(WrongUsage, match="--force replaces"):
        import_recbole(file, tmp_path / "run")
    with pytest.raises(Failed):
        import_recbole(file, tmp_path / "run", overrides=[f"data_path={data}"], force=True)
    assert RunFolder.open(tmp_path / "run").info.model == "NARM"
    import_recbole(file, tmp_path / "run", force=True)
    assert RunFolder.open(tmp_path / "run").info.model == "GRU4Rec"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def _rewritten(checkpoints, tmp_path, change):
    content = torch.load(checkpoints / "saved" / "GRU4Rec.pth", weights_only=False)
    change(content)
    torch.save(content, tmp_path / "changed.pth", pickle_protocol=4)
    return tmp_path / "changed.pth"


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (lambda c: c["config"].__dict__.update(model="Caser"), "unknown_model", "GRU4Rec, NARM, SASRec"),
        (lambda c: c.update(best_valid_score=float("-inf"), epoch=-1), "check_failed", "no validation score"),
        (lambda c: c.pop("config"), "checkpoint_invalid", "no RecBole checkpoint"),
        (lambda c: c["state_dict"].pop("dense.bias"), "checkpoint_invalid", "dense.bias"),
        (lambda c: c["state_dict"].update(more=torch.zeros(2)), "checkpoint_invalid", "more"),
        (lambda c: c["config"].external_config_dict.update(eval_args="x"), "bad_value", "eval_args"),
        (lambda c: c["config"].external_config_dict.update(MAX_ITEM_LIST_LENGTH="x"), "dataset_invalid", "RecBole"),
        (
            lambda c: c["config"].external_config_dict.update(eval_args={"order": "TO", "mode": "uni100"}),
            "bad_value",
            "sampled items",
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_imported_is_told_in_a_sentence(checkpoints, tmp_path, change, code, reason):
    with pytest.raises(SeqrecError, match=reason) as caught:
        import_recbole(_rewritten(checkpoints, tmp_path, change), tmp_path / "run")
    assert caught.value.code == code
    assert not (tmp_path / "run").exists()


def test_no_text_of_the_configuration_is_evaluated(checkpoints, tmp_path):
    """RecBole evaluates texts that it finds in a configuration."""
    bait = f"__import__('pathlib').Path('{tmp_path / 'ran'}').touch()"
    file = _rewritten(checkpoints, tmp_path, lambda c: c["config"].external_config_dict.update(learner=bait))
    import_recbole(file, tmp_path / "run")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_our_own_models_comes_back_as_it_was(finished_run, tmp_path):
    before = RunFolder.open(finished_run)
    run = import_recbole(finished_run / "recbole" / "LSTM4Rec.pth", tmp_path / "run")
    assert run.info.ours and not run.info.imported
    for name, weight in before.weights().items():
        assert torch.equal(run.weights()[name], weight)
    for part, kinds in evaluate_run(before).items():
        for kind, values in kinds.items():
            assert run.metrics()[part][kind] == pytest.approx(values, abs=1e-9)
    assert run.vocabulary().tokens == before.vocabulary().tokens


def test_an_imported_run_needs_no_recbole(runs, tmp_path):
    import subprocess
    import sys

    code = (
        "import sys\nfrom pathlib import Path\nfrom seqrec_plugin.exporting import export\n"
        f"export(Path({str(runs['SASRec'].path)!r}), Path('bundle'), report=lambda check: None)\n"
        "assert 'recbole' not in sys.modules and 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["state"] == []

"""From a configuration to a run folder: what is in it, what may not happen, and how an interrupted run goes on."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
import torch

from seqrec_plugin import checkpoint, evaluating, ranking
from seqrec_plugin.building import build
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.errors import BadData, Failed, WrongUsage
from seqrec_plugin.recbole_bridge import sequence_trainer
from seqrec_plugin.recbole_bridge.reading import read_yaml
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.training import train
from tests.conftest import AWKWARD, Silent, reseal, write_dataset

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def _weights(path):
    return (path / checkpoint.WEIGHTS_FILE).read_bytes()


def _curve(path):
    return [{k: v for k, v in record.items() if not k.endswith("seconds")} for record in RunFolder(path).curve()]


def test_a_run_is_readable_without_recbole_and_pickle(finished_run):
    code = """
import sys
from pathlib import Path
from seqrec_plugin.building import build
from seqrec_plugin.checkpoint import RunFolder
run = RunFolder.open(Path(sys.argv[1]))
assert run.info.model == "LSTM4Rec"
assert run.weights() and len(run.split().items) and run.probe() and run.metrics() and run.curve()
assert "recbole" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(finished_run)], check=True)


def test_ids_and_titles_are_in_the_run_as_they_were_in_the_file(finished_run):
    vocabulary = RunFolder.open(finished_run).vocabulary()
    assert set(AWKWARD) <= set(vocabulary.tokens)
    assert vocabulary.title(vocabulary.index("苹果")) == "The 苹果"


def test_the_best_epoch_is_kept_and_evaluates_to_the_same_numbers(finished_run):
    run = RunFolder.open(finished_run)
    best = max(run.curve(), key=lambda record: (record["score"], record["epoch"]))
    assert run.info.epoch == best["epoch"]
    assert run.metrics()["valid"]["masked"] == best["valid"]["masked"]
    found = evaluating.evaluate_run(run)
    for part in ("valid", "test"):
        for kind in ("masked", "unmasked"):
            assert found[part][kind] == run.metrics()[part][kind]


def test_recboles_own_number_is_the_unmasked_one(finished_run):
    for part in ("valid", "test"):
        metrics = RunFolder.open(finished_run).metrics()[part]
        assert metrics["recbole"]["ndcg@10"] == pytest.approx(metrics["unmasked"]["NDCG@10"], abs=6e-5)
        assert metrics["recbole"]["hit@10"] == pytest.approx(metrics["unmasked"]["HR@10"], abs=6e-5)


def test_the_split_leaves_out_the_last_two_events_of_each_user(finished_run):
    split = RunFolder.open(finished_run).split()
    ends = split.offsets[1:]
    np.testing.assert_array_equal(split.test, ends - 1)
    np.testing.assert_array_equal(split.valid, ends - 2)


def test_the_checkpoint_loads_with_torchs_safe_default(finished_run):
    from recbole.config import Config  # noqa: F401  (completes RecBole's module: the four allowed classes)

    saved = torch.load(finished_run / "recbole" / "LSTM4Rec.pth", weights_only=True)
    weights = RunFolder.open(finished_run).weights()
    for name, weight in weights.items():
        assert torch.equal(saved["state_dict"][f"network.{name}"], weight)


def test_its_own_config_trains_the_same_run_again(finished_run, tmp_path):
    resolved = resolve(finished_run / checkpoint.CONFIG_FILE)
    train(resolved, tmp_path / "again", Silent())
    assert _weights(tmp_path / "again") == _weights(finished_run)
    assert _curve(tmp_path / "again") == _curve(finished_run)


class _Interrupts(Silent):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.at, self.epoch, self.batches = epoch, -1, 0

    def epoch_begins(self, epoch, batches):
        self.epoch, self.batches = epoch, 0

    def batch_ends(self):
        self.batches += 1
        if self.epoch == self.at and self.batches == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_an_interrupted_run_goes_on_to_the_same_result(recipe, finished_run, tmp_path, epoch):
    with pytest.raises(KeyboardInterrupt):
        train(resolve(recipe), tmp_path / "run", _Interrupts(epoch))
    with pytest.raises(BadData, match="--resume"):
        RunFolder.open(tmp_path / "run")
    train(resolve(recipe), tmp_path / "run", Silent(), resume=True)
    assert _weights(tmp_path / "run") == _weights(finished_run)
    assert _curve(tmp_path / "run") == _curve(finished_run)
    assert RunFolder.open(tmp_path / "run").metrics() == RunFolder.open(finished_run).metrics()


def _goes_on(resolved, tmp_path, epoch):
    """Train once whole, and once interrupted in an epoch and resumed; the same must come of it."""
    whole = train(resolved, tmp_path / "whole", Silent())
    with pytest.raises(KeyboardInterrupt):
        train(resolved, tmp_path / "run", _Interrupts(epoch))
    train(resolved, tmp_path / "run", Silent(), resume=True)
    assert _weights(tmp_path / "run") == _weights(whole.path)
    assert _curve(tmp_path / "run") == _curve(whole.path)
    return whole


@pytest.mark.parametrize("by_row", [False, True])
def test_a_sampled_softmax_learns_and_goes_on_to_the_same_result(recipe, tmp_path, monkeypatch, by_row):
    monkeypatch.setattr(sequence_trainer, "rowwise", lambda *sizes: by_row)
    options = ["negatives=10", "weight_average=0.9", "clip_grad_norm={max_norm: 5.0}", "weight_decay=0.01"]
    whole = _goes_on(resolve(recipe, [*options, "learner=adamw"]), tmp_path, epoch=1)
    losses = [record["loss"] for record in _curve(whole.path)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("epoch", [0, 1])
def test_item_vectors_from_neighbours_are_where_training_begins(recipe, finished_run, tmp_path, epoch):
    """The first loss is another; a resumed run does not begin anew."""
    whole = _goes_on(resolve(recipe, ["item_vectors=neighbours"]), tmp_path, epoch)
    assert _curve(whole.path)[0]["loss"] != _curve(finished_run)[0]["loss"]


def test_an_interrupted_run_keeps_its_mean_of_weights_and_its_schedule(recipe, tmp_path):
    _goes_on(resolve(recipe, ["weight_average=0.9", "schedule=cosine", "warmup_steps=5"]), tmp_path, epoch=2)


def test_windows_are_drawn_anew_in_each_epoch_and_after_an_interruption_the_same(recipe, tmp_path, monkeypatch):
    cut, starts = sequence_trainer.windows, []

    def watched(*arguments):
        starts.append((found := cut(*arguments)).start.tolist())
        return found

    monkeypatch.setattr(sequence_trainer, "windows", watched)
    _goes_on(resolve(recipe, ["MAX_ITEM_LIST_LENGTH=3", "window_start=random"]), tmp_path, epoch=2)
    assert len(set(map(tuple, starts))) == 3 + 1  # epochs, and what steps are counted by


def test_validation_in_small_parts_finds_the_same(recipe, finished_run, tmp_path, monkeypatch):
    """What a large catalogue is ranked by: few rows at once."""
    monkeypatch.setattr(ranking, "MOST_SCORES", 100)
    _, dataset, parts = build(resolve(recipe), RunFolder.create(tmp_path / "parts"))
    assert len(parts[1]) == -(-len(parts[1].dataset) // max(1, 100 // dataset.item_num)) > 1
    run = train(resolve(recipe), tmp_path / "run", Silent())
    for before, now in zip(_curve(finished_run), _curve(run.path), strict=True):
        assert now["valid"]["masked"] == pytest.approx(before["valid"]["masked"])
    found = evaluating.evaluate_run(run)["test"]["masked"]
    assert found == pytest.approx(evaluating.evaluate_run(RunFolder.open(finished_run))["test"]["masked"])


def test_the_mean_of_the_weights_is_what_is_validated_and_saved(recipe, finished_run, tmp_path):
    """With a decay of nearly nothing the mean is the weights; with a long one, other weights from the same training."""
    near = train(resolve(recipe, ["weight_average=0.000001"]), tmp_path / "near", Silent())
    far = train(resolve(recipe, ["weight_average=0.99"]), tmp_path / "far", Silent())
    last, of_near = (run.weights() for run in (RunFolder.open(finished_run), near))
    for name, weight in last.items():
        np.testing.assert_allclose(of_near[name], weight, atol=1e-4)
    assert [r["loss"] for r in _curve(near.path)] == [r["loss"] for r in _curve(far.path)]
    assert _weights(far.path) != _weights(near.path)


def test_an_interrupted_run_of_recboles_own_model_goes_on_to_the_same_result(recipe, tmp_path):
    overrides = ["model=GRU4Rec", "epochs=2", "train_batch_size=64"]
    file = tmp_path / "gru.yaml"
    lines = [line for line in recipe.read_text().splitlines() if not line.startswith(("feed_forward", "num_layers"))]
    file.write_text("\n".join(lines))
    whole = _goes_on(resolve(file, overrides), tmp_path, epoch=1)
    assert RunFolder.open(tmp_path / "run").metrics() == whole.metrics()


def test_a_killed_run_goes_on_to_the_same_result(recipe, finished_run, tmp_path):
    path = tmp_path / "run"
    command = [sys.executable, "-m", "seqrec_plugin.cli", "train", str(recipe), "-o", str(path)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (path / checkpoint.CURVE_FILE).exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert _weights(path) == _weights(finished_run)
    assert _curve(path) == _curve(finished_run)


def test_the_ranks_of_each_target_are_kept(finished_run):
    run = RunFolder.open(finished_run)
    for part, ranks in run.ranks().items():
        np.testing.assert_array_equal(ranks["row"], getattr(run.split(), part))
        assert evaluating.summarise_ranks(ranks)["masked"] == pytest.approx(run.metrics()[part]["masked"], abs=1e-12)


def test_a_run_of_an_older_release_still_opens(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "old")
    (tmp_path / "old" / checkpoint.RANKS_FILE).unlink()
    info = json.loads((tmp_path / "old" / checkpoint.RUN_FILE).read_text())
    for key in ("parameters", "peak_memory", "cut", "machine", "date"):
        del info[key]
    del info["files"][checkpoint.RANKS_FILE]
    (tmp_path / "old" / checkpoint.RUN_FILE).write_text(json.dumps(info))
    assert RunFolder.open(tmp_path / "old").info.parameters == 0
    with pytest.raises(BadData, match=r"has no ranks\.npz"):
        RunFolder.open(tmp_path / "old").ranks()


@pytest.mark.parametrize("model", ["LSTM4Rec", "GRU4Rec"])
def test_a_time_limit_ends_training_with_its_best_epoch_evaluated(recipe, tmp_path, model):
    file = tmp_path / "cut.yaml"
    file.write_text("".join(line + "\n" for line in recipe.read_text().splitlines() if "feed_forward" not in line))
    run = train(resolve(file, [f"model={model}", "time_limit=1e-6"]), tmp_path / "run", Silent())
    (record,) = run.curve()
    assert run.info.cut and record["cut"] and run.info.epoch == 0
    assert record["elapsed_seconds"] == pytest.approx(
        record["training_seconds"] + record["validation_seconds"], abs=0.002
    )
    assert run.metrics()["valid"]["masked"] == record["valid"]["masked"]


def test_a_limit_that_is_not_reached_or_only_in_the_last_epoch_is_no_cut(recipe, finished_run, tmp_path):
    assert not RunFolder.open(finished_run).info.cut
    run = train(resolve(recipe, ["epochs=1", "time_limit=1e-6"]), tmp_path / "run", Silent())
    assert not run.info.cut


def test_a_time_limit_counts_what_was_trained_before_an_interruption(recipe, tmp_path):
    resolved = resolve(recipe, ["time_limit=1000"])
    with pytest.raises(KeyboardInterrupt):
        train(resolved, tmp_path / "run", _Interrupts(1))
    last = tmp_path / "run" / checkpoint.LAST_FILE
    saved = torch.load(last, weights_only=True)
    assert saved["elapsed"] == pytest.approx(RunFolder(tmp_path / "run").curve()[0]["elapsed_seconds"], abs=0.001)
    torch.save({**saved, "elapsed": 999.99}, last, pickle_protocol=2)
    run = train(resolved, tmp_path / "run", Silent(), resume=True)
    assert run.info.cut
    assert [record["epoch"] for record in run.curve()] == [0, 1]


def test_another_configuration_cannot_resume(recipe, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(resolve(recipe), tmp_path / "run", _Interrupts(1))
    with pytest.raises(WrongUsage, match="learning_rate"):
        train(resolve(recipe, ["learning_rate=0.5"]), tmp_path / "run", Silent(), resume=True)


def test_nothing_lands_outside_the_run_folder(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(resolve(recipe, ["epochs=1"]), tmp_path / "run", Silent())
    assert os.listdir(tmp_path) == ["run"]


class _Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_planted_in_the_run_folder_is_never_loaded(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(resolve(recipe), tmp_path / "run", _Interrupts(1))
    for name in ("shop-SequenceDataset.pth", "shop-SequentialDataset.pth", "shop-for-LSTM4Rec-dataloader.pth"):
        (tmp_path / "run" / "recbole" / name).write_bytes(pickle.dumps(_Bomb()))
    train(resolve(recipe), tmp_path / "run", Silent(), resume=True)
    assert not (tmp_path / "exploded").exists()


def test_a_hostile_last_file_is_refused(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(resolve(recipe), tmp_path / "run", _Interrupts(1))
    (tmp_path / "run" / checkpoint.LAST_FILE).write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(BadData, match=r"last\.pt"):
        train(resolve(recipe), tmp_path / "run", Silent(), resume=True)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("where", ["file", "--set"])
def test_no_text_is_evaluated(recipe, tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    attack = "__import__('os').mkdir('exploded')"
    file = tmp_path / "attack.yaml"
    extra = f'wandb_project: "{attack}"\n' if where == "file" else ""
    file.write_text(recipe.read_text() + extra)
    overrides = ["epochs=1", *([f'wandb_project="{attack}"'] if where == "--set" else [])]
    monkeypatch.setattr(sys, "argv", ["seqrec", f"--learner={attack}"])
    train(resolve(file, overrides), tmp_path / "run", Silent())
    assert not (tmp_path / "exploded").exists()
    assert read_yaml(tmp_path / "run" / checkpoint.CONFIG_FILE)["learner"] == "adam"


def test_new_data_under_the_same_name_is_used(recipe, tmp_path):
    folder = write_dataset(tmp_path, "grows", [(f"u{u}", f"i{n}", str(n)) for u in range(9) for n in range(12)])
    overrides = ["dataset=grows", f"data_path={folder}", "epochs=1"]
    first = train(resolve(recipe, overrides), tmp_path / "a", Silent())
    write_dataset(tmp_path, "grows", [(f"u{u}", f"j{n}", str(n)) for u in range(9) for n in range(11)])
    second = train(resolve(recipe, overrides), tmp_path / "b", Silent())
    assert first.info.data_sha256 != second.info.data_sha256
    assert set(second.vocabulary().tokens) == {f"j{n}" for n in range(11)}


@pytest.mark.parametrize("split", ["{RS: [0.8, 0.1, 0.1]}", "{TS: [0.8, 0.1, 0.1]}"])
def test_other_splits_of_recboles_train_and_evaluate_alike(recipe, tmp_path, split):
    overrides = ["epochs=1", f"eval_args={{split: {split}, order: TO, group_by: user, mode: full}}"]
    run = train(resolve(recipe, overrides), tmp_path / "run", Silent())
    parts = run.split()
    held_out = len(parts.valid) + len(parts.test)
    users = len(parts.offsets) - 1
    assert len(parts.train) + held_out + users == len(parts.items)  # a first event is no row
    assert evaluating.evaluate_run(run)["test"]["masked"] == run.metrics()["test"]["masked"]


def test_seen_items_are_excluded_where_repeats_are_rare(recipe, tmp_path):
    once = [(f"u{u}", f"i{n}", str(n)) for u in range(9) for n in range(12)]
    often = [(f"u{u}", f"i{n % 12}", str(n)) for u in range(9) for n in range(24)]
    for name, rows, expected in (("once", once, True), ("often", often, False)):
        folder = write_dataset(tmp_path, name, rows)
        run = train(
            resolve(recipe, [f"dataset={name}", f"data_path={folder}", "epochs=1"]), tmp_path / f"r{name}", Silent()
        )
        assert run.info.exclude_seen is expected


def test_a_used_output_folder_is_refused(recipe, finished_run, tmp_path):
    other = tmp_path / "precious"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(WrongUsage, match="already used"):
            train(resolve(recipe), other, Silent(), force=force)
    assert (other / "thesis.txt").read_text() == "mine"
    with pytest.raises(WrongUsage, match=r"give --force to replace the run\.$"):
        train(resolve(recipe), finished_run, Silent())
    unfinished = shutil.copytree(finished_run, tmp_path / "unfinished")
    (unfinished / "run.json").unlink()
    with pytest.raises(WrongUsage, match="--resume to go on or --force"):
        train(resolve(recipe), unfinished, Silent())


def test_force_replaces_a_run(recipe, finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    run = train(resolve(recipe, ["epochs=1"]), tmp_path / "run", Silent(), force=True)
    assert len(run.curve()) == 1


def test_a_forced_run_that_cannot_begin_leaves_the_old_one(recipe, finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    with pytest.raises(WrongUsage, match="RecBole does not accept"):
        train(resolve(recipe, ["repeatable=false"]), tmp_path / "run", Silent(), force=True)
    assert _weights(tmp_path / "run") == _weights(finished_run)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_training_that_cannot_begin_leaves_nothing(recipe, tmp_path):
    with pytest.raises(WrongUsage, match="topk"):
        train(resolve(recipe, ["topk=[10, 50]"]), tmp_path / "run", Silent())
    assert list(tmp_path.iterdir()) == []


def test_a_byte_order_mark_is_no_part_of_a_name(recipe, shop, tmp_path):
    (tmp_path / "bom").mkdir()
    text = (shop / "shop" / "shop.inter").read_text(encoding="utf-8")
    (tmp_path / "bom" / "bom.inter").write_text(text, encoding="utf-8-sig")
    run = train(resolve(recipe, ["dataset=bom", f"data_path={tmp_path}", "epochs=1"]), tmp_path / "run", Silent())
    assert set(AWKWARD) <= set(run.vocabulary().tokens)


def test_ids_that_recboles_reader_loses_are_said_so_without_exact_time(recipe, tmp_path):
    with pytest.raises(BadData, match="exact_time: true"):
        train(resolve(recipe, ["exact_time=false"]), tmp_path / "run", Silent())


@pytest.mark.parametrize("model", ["LSTM4Rec", "GRU4Rec"])
def test_without_exact_time_recboles_reader_and_order_are_kept(recipe, tmp_path, model):
    folder = write_dataset(tmp_path, "plain", [(f"u{u}", f"i{n}", str(n)) for u in range(9) for n in range(12)])
    file = tmp_path / "plain.yaml"
    file.write_text("".join(line + "\n" for line in recipe.read_text().splitlines() if "feed_forward" not in line))
    overrides = [f"model={model}", "exact_time=false", "dataset=plain", f"data_path={folder}", "epochs=1"]
    run = train(resolve(file, overrides), tmp_path / "run", Silent())
    assert run.info.order.startswith("RecBole's")
    assert len(run.ranks()["test"]["row"]) == 9


def test_an_unwritable_output_folder_is_said_so(recipe, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadData, match="cannot be written"):
        train(resolve(recipe), tmp_path / "file" / "run", Silent())


def test_a_diverging_training_says_so_and_what_to_do(recipe, tmp_path):
    with pytest.raises(Failed, match="learning_rate"):
        train(resolve(recipe, ["learning_rate=1e30", "normalize=false"]), tmp_path / "run", Silent())


def test_a_diverging_training_of_recboles_own_says_so_too(recipe, tmp_path):
    file = tmp_path / "gru.yaml"
    file.write_text("".join(line + "\n" for line in recipe.read_text().splitlines() if "feed_forward" not in line))
    with pytest.raises(Failed, match="learning_rate"):
        train(resolve(file, ["model=GRU4Rec", "learning_rate=1e30"]), tmp_path / "run", Silent())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        ("user_id:token\titem_id:token\ttimestamp:float\n", "no rows"),
        ("user_id:token\titem_id:token\ttimestamp:float\n" + "u\ti\t1\n" * 2, "validation and test"),
        ("user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\nu\ti\n", "line 3"),
        ("user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\nu\tj\t\n", "line 3"),
        ("user_id:token\titem_id:token\n" + "u\ti\nu\tj\n", "timestamp"),
        ("user_id:token,item_id:token,timestamp:float\nu,i,1\n", "line 1"),
        ("u\ti\t1\n", "line 1"),
        ("user:token\titem:token\ttime:float\nu\ti\t1\n", "Set USER_ID_FIELD to one of user, item, time"),
        ("user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\nu\tj\tyesterday\n", "line 3.*yesterday"),
        ("user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\nu\tj\t1700000000\nu\tj\t1700000000000\n", "mixed"),
    ],
    ids=[
        *("no byte", "header only", "two events", "a field short", "no time", "no time column", "commas"),
        *("no header", "other names", "a word for a time", "two units"),
    ],
)
def test_bad_data_is_one_sentence_that_says_where(recipe, tmp_path, content, reason):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.inter").write_text(content)
    with pytest.raises(BadData, match=reason):
        train(resolve(recipe, ["dataset=bad", f"data_path={tmp_path}"]), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


def test_filters_that_leave_nothing_are_said_so(recipe, tmp_path):
    with pytest.raises(BadData, match=r"leave none of the \d+ events of 'shop'"):
        train(resolve(recipe, ["user_inter_num_interval='[100,inf)'"]), tmp_path / "run", Silent())


def test_a_catalogue_smaller_than_topk_is_said_so(recipe, tmp_path):
    folder = write_dataset(tmp_path, "few", [(f"u{u}", f"i{n}", str(n)) for u in range(9) for n in range(5)])
    with pytest.raises(WrongUsage, match="topk asks for 10 items, but 'few' has only 5"):
        train(resolve(recipe, ["dataset=few", f"data_path={folder}"]), tmp_path / "run", Silent())


def test_a_missing_data_set_is_said_before_anything_is_made(recipe, tmp_path):
    with pytest.raises(BadData, match="has no file"):
        train(resolve(recipe, ["dataset=nowhere"]), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


def test_a_run_of_an_unknown_format_is_refused(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    info = json.loads((tmp_path / "run" / checkpoint.RUN_FILE).read_text())
    (tmp_path / "run" / checkpoint.RUN_FILE).write_text(json.dumps({**info, "format_version": 99}))
    with pytest.raises(BadData, match="format version 99") as caught:
        RunFolder.open(tmp_path / "run")
    assert caught.value.code == "run_format_unknown"


LISTED = [
    checkpoint.CONFIG_FILE,
    checkpoint.WEIGHTS_FILE,
    checkpoint.VOCABULARY_FILE,
    checkpoint.SPLIT_FILE,
    checkpoint.PROBE_FILE,
    checkpoint.METRICS_FILE,
    checkpoint.CURVE_FILE,
    checkpoint.RANKS_FILE,
]


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("how", ["missing", "one bit", "a link"])
def test_a_damaged_run_is_refused(finished_run, tmp_path, name, how):
    shutil.copytree(finished_run, tmp_path / "run")
    file = tmp_path / "run" / name
    data = bytearray(file.read_bytes())
    if how == "one bit":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    else:
        file.rename(tmp_path / "elsewhere")
        if how == "a link":
            file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadData, match=name) as caught:
        RunFolder.open(tmp_path / "run")
    assert caught.value.code == "run_invalid"


@pytest.mark.parametrize(
    "name",
    [
        *(checkpoint.WEIGHTS_FILE, checkpoint.SPLIT_FILE, checkpoint.VOCABULARY_FILE),
        *(checkpoint.PROBE_FILE, checkpoint.RANKS_FILE),
    ],
)
def test_garbage_that_was_sealed_is_still_no_traceback(finished_run, tmp_path, name):
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(b"garbage")
    reseal(tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    read = {
        checkpoint.WEIGHTS_FILE: run.weights,
        checkpoint.SPLIT_FILE: run.split,
        checkpoint.VOCABULARY_FILE: run.vocabulary,
        checkpoint.PROBE_FILE: run.probe,
        checkpoint.RANKS_FILE: run.ranks,
    }[name]
    with pytest.raises(BadData):
        read()


def test_run_json_tells_what_a_result_depends_on(finished_run):
    info = msgspec.to_builtins(RunFolder.open(finished_run).info)
    assert info["threads"] == 1
    assert info["seed"] == 2020
    assert {"python", "torch", "recbole", "numpy", "pandas", "seqrec-plugin"} <= set(info["versions"])
    assert info["order"] == "exact time, ties in file order"


def test_what_a_third_partys_model_raises_is_told_as_its_packages(recipe, tmp_path, monkeypatch):
    from seqrec_plugin import registry
    from seqrec_plugin.models.lstm4rec import LSTM4Rec

    def broken(self, *_):
        return 1 / 0

    monkeypatch.setattr(LSTM4Rec, "loss", broken)
    with pytest.raises(ZeroDivisionError):  # of our own, the bug itself
        train(resolve(recipe), tmp_path / "ours", Silent())
    monkeypatch.setattr(registry, "package", lambda model: "acme-models")
    with pytest.raises(Failed, match=r"LSTM4Rec of the package 'acme-models' failed: .*division by zero"):
        train(resolve(recipe), tmp_path / "theirs", Silent())


def test_a_run_that_only_recbole_can_run_says_how_to_make_it_portable(finished_run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished_run, path)
    told = json.loads((path / "run.json").read_text(encoding="utf-8"))
    (path / "run.json").write_text(json.dumps({**told, "ours": False, "model": "GRU4Rec"}), encoding="utf-8")
    with pytest.raises(BadData, match=rf"only RecBole can run.* seqrec import-recbole {path}/recbole/GRU4Rec.pth"):
        evaluating.load_model(RunFolder.open(path))

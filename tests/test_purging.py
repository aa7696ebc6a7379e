"""What a run folder holds of users, removed from it."""

import json
import shutil

import pytest
from click.testing import CliRunner

from seqrec_plugin import purging
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.cli import main
from seqrec_plugin.errors import BadData
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.run_info import PURGING
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.starting import Start, configuration
from seqrec_plugin.training import train
from seqrec_plugin.verifying import verify
from tests.conftest import Silent, random_rows, write_dataset

KEPT = {
    "README.txt",
    "config.yaml",
    "curve.jsonl",
    "metrics.json",
    "run.json",
    "vocabulary.json",
    "weights.safetensors",
}


def _call(*arguments, **options):
    return CliRunner().invoke(main, [str(a) for a in arguments], **options)


@pytest.fixture
def run(finished_run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished_run, path)
    (path / ".split.npz.part").write_bytes(b"half")
    return path


def _bytes(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_nothing_of_a_user_is_left(run):
    before = RunFolder.open(run)
    histories = [json.dumps(row.items.tolist(), separators=(",", ":")).encode() for row in before.probe()]
    events = before.split().items.tobytes()
    assert any(history in _bytes(run) for history in histories)
    done = _call("purge", run, "--yes")
    assert done.exit_code == 0, done.output
    for name in ("split.npz", "probe.jsonl", "ranks.npz", "recbole", "log.txt", ".split.npz.part"):
        assert f"removed  {name}  " in done.stdout
    assert {path.name for path in run.iterdir()} == KEPT
    left = _bytes(run)
    assert not any(history in left for history in histories if len(history) > 12)
    assert events[:64] not in left


def test_no_user_id_is_left(recipe, tmp_path):
    """Ids that could be found among other bytes: each user's is a word of its own."""
    rows = [(f"person-{user}-zebra", item, time) for user, item, time in random_rows(users=20, items=15)]
    folder = write_dataset(tmp_path, "people", rows)
    overrides = ["dataset=people", f"data_path={folder}", "epochs=1"]
    for model in ("LSTM4Rec", "GRU4Rec"):
        file = tmp_path / "r.yaml"
        file.write_text("".join(line + "\n" for line in recipe.read_text().splitlines() if "feed_f" not in line))
        run = train(resolve(file, [*overrides, f"model={model}"]), tmp_path / model, Silent())
        purging.purge(run)
        assert b"zebra" not in _bytes(run.path)
        assert (run.path / "weights.safetensors").exists() is run.info.portable


def test_it_still_exports_and_says_that_it_was_purged(run, tmp_path):
    _call("purge", run, "--yes")
    info = RunFolder.open(run).info
    assert info.purged and info.purged != PURGING
    assert "removed by `seqrec purge`" in (run / "README.txt").read_text()
    done = _call("export", run, "-o", tmp_path / "bundle")
    assert done.exit_code == 0, done.output
    assert "parity on 32 histories" in done.stdout
    assert list(verify(tmp_path / "bundle"))
    assert Recommender.load(tmp_path / "bundle").manifest.provenance.metrics["test"]


def test_evaluation_says_what_is_missing(run):
    _call("purge", run, "--yes")
    done = _call("evaluate", run)
    assert done.exit_code == 3
    assert "was purged on 20" in done.stderr and "metrics.json" in done.stderr
    for read in (RunFolder.open(run).split, RunFolder.open(run).ranks):
        with pytest.raises(BadData, match="purged"):
            read()


def test_a_purged_run_can_be_refitted_and_begun_from(run, tmp_path):
    _call("purge", run, "--yes")
    folder = RunFolder.open(run)
    train(configuration(folder, None), tmp_path / "all", Silent(), start=Start(refit=folder))
    train(resolve(run / "config.yaml", ["epochs=1"]), tmp_path / "more", Silent(), start=Start(initial=folder))


def test_it_asks_first_and_a_no_changes_nothing(run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    for answer in ("n\n", ""):
        done = _call("purge", run, input=answer)
        assert done.exit_code == 1
        assert "split.npz" in done.stderr
        assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert _call("purge", run, input="y\n").exit_code == 0
    again = _call("purge", run)
    assert again.exit_code == 0 and "holds nothing of users" in again.stdout


def test_an_interrupted_purge_does_not_claim_to_be_done_and_is_finished_by_another(run, monkeypatch):
    real = purging._remove

    def fails(path):
        if path.name == "ranks.npz":
            raise PermissionError(13, "Permission denied", str(path))
        real(path)

    monkeypatch.setattr(purging, "_remove", fails)
    done = _call("purge", run, "--yes")
    assert done.exit_code == 3 and "ranks.npz" in done.stderr
    folder = RunFolder.open(run)
    assert folder.info.purged == PURGING
    with pytest.raises(BadData, match="do it again"):
        folder.split()
    monkeypatch.undo()
    assert "removed  ranks.npz" in _call("purge", run, "--yes").stdout
    assert {path.name for path in run.iterdir()} == KEPT


def test_a_file_that_no_training_wrote_is_left_and_named(run):
    (run / "notes.txt").write_text("mine")
    done = _call("purge", run, "--yes", "--json")
    told = json.loads(done.stdout)
    assert told["left"] == ["notes.txt"] and (run / "notes.txt").read_text() == "mine"
    assert {"split.npz", "probe.jsonl"} <= {found["name"] for found in told["removed"]}

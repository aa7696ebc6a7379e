"""`seqrec inspect`: what a bundle says of itself."""

import json
import shutil

import msgspec
import pytest
from click.testing import CliRunner

from seqrec_plugin import bundle, cli
from tests import summing


def call(path, *args):
    return CliRunner().invoke(cli.main, ["inspect", str(path), *args])


def test_people_read_what_it_is(tiny_bundle):
    result = call(tiny_bundle)
    assert result.exit_code == 0 and result.stderr == ""
    facts = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if not line.startswith(" "))
    assert facts["bundle"].startswith(bundle.read(tiny_bundle).id)
    assert facts["model"].startswith("LSTM4Rec")
    assert facts["catalogue"].startswith("40 items")
    assert "newest 8" in facts["history"] and "at most 20" in facts["answer"] and "left out" in facts["answer"]
    for text in ("item_seq: int64 [batch, length]", "next_state_0 → state_0", "model.onnx: ", "embedding_size: 8"):
        assert text in result.stdout


def test_metrics_are_shown_and_text_cannot_move_the_cursor(tmp_path):
    provenance = msgspec.structs.replace(
        summing.manifest().provenance,
        model="Evil\x1b[2J",
        metrics={"test": {"masked": {"NDCG@10": 0.12345}, "unmasked": {"NDCG@10": 0.2}}},
    )
    result = call(summing.write(tmp_path / "b", provenance=provenance))
    assert "test, masked: NDCG@10 0.1235" in result.stdout or "test, masked: NDCG@10 0.1234" in result.stdout
    assert "\x1b" not in result.stdout and "Evil\\x1b[2J" in result.stdout


@pytest.mark.parametrize("parts", [[], [3], [{}], [{"model": "A", "epoch": "x", "seed": 1, "config": 3}], {"a": 1}])
def test_parts_that_a_stranger_wrote_are_shown_and_break_nothing(tmp_path, parts):
    """`config` of an untrusted bundle is anything."""
    provenance = msgspec.structs.replace(summing.manifest().provenance, config={"parts": parts})
    result = call(summing.write(tmp_path / "b", provenance=provenance))
    assert result.exit_code == 0, result.output
    assert "epoch 1, seed 0" in result.stdout


def test_json_is_the_manifest(tiny_bundle):
    told = json.loads(call(tiny_bundle, "--json").stdout)
    assert told["manifest"] == json.loads((tiny_bundle / "manifest.json").read_bytes())
    assert told["bundle"] == bundle.read(tiny_bundle).id


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_a_damaged_bundle_exits_3(tiny_bundle, tmp_path, name):
    path = shutil.copytree(tiny_bundle, tmp_path / "copy")
    (path / name).write_bytes(b"x")
    result = call(path)
    assert result.exit_code == 3 and name in result.stderr and result.stdout == ""

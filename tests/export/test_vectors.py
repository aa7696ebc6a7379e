"""The committed vectors are what their script makes, and what our own verifier passes."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqrec_plugin import verifying

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "export" / "vectors"
NAMES = sorted(path.parent.name for path in VECTORS.glob("*/manifest.json"))
#: What another machine or release may write otherwise.
OTHERWISE = ("files", "parity", "provenance")


def loaded(path):
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, VECTORS / "make.py", folder], check=True, capture_output=True, env=environment)
    return folder


def test_each_folder_has_its_recipe():
    assert set(NAMES) == set(loaded(VECTORS / "make.py").KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_made_again_a_vector_is_the_same(name, again):
    def read(folder, file):
        return json.loads((folder / name / file).read_bytes())

    one, other = (read(folder, "manifest.json") for folder in (VECTORS, again))
    assert {k: v for k, v in one.items() if k not in OTHERWISE} == {
        k: v for k, v in other.items() if k not in OTHERWISE
    }
    assert one["files"].keys() == other["files"].keys()
    assert read(VECTORS, "items.json") == read(again, "items.json")
    alike(read(again, "golden.json"), read(VECTORS, "golden.json"))


def alike(found, expected):
    """Equal but for floats, which may be a little apart."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            alike(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
    else:
        assert found == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_is_verified(name):
    assert list(verifying.verify(VECTORS / name))


def test_the_vectors_are_small_and_of_every_kind():
    assert sum(file.stat().st_size for file in VECTORS.rglob("*") if file.is_file()) < 3_000_000
    manifests = [json.loads((VECTORS / name / "manifest.json").read_bytes()) for name in NAMES]
    assert {m["task"] for m in manifests} == {"next_item", "probability"}
    assert {bool(m["state"]) for m in manifests} == {m["exclude_seen"] for m in manifests} == {True, False}
    inputs = {tensor["name"] for m in manifests for tensor in m["inputs"] if not tensor["name"].startswith("state")}
    assert inputs == {
        *("item_seq", "exclude", "candidates"),
        *("time_gap", "behavior", "features", "next_time_gap", "next_behavior"),
    }

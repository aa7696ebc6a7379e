"""A bundle on disk: every way it can be tampered with is refused by its own code, and nothing is half written."""

import hashlib
import json
import os
import shutil

import pytest

from seqrec_plugin import bundle
from seqrec_plugin.errors import BadData, SeqrecError, WrongUsage
from tests import summing

FILES = {"manifest.json", "model.onnx", "items.json", "golden.json", "README.md"}


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    """A bundle that a test may spoil."""
    return shutil.copytree(tiny_bundle, tmp_path / "copy")


def change_manifest(path, change):
    """Apply `change` to the manifest as JSON."""
    file = path / "manifest.json"
    value = json.loads(file.read_bytes())
    change(value)
    file.write_text(json.dumps(value))


def refused(path, code, told=""):
    with pytest.raises(BadData) as error:
        bundle.read(path)
    assert error.value.code == code
    assert told in str(error.value)


def test_a_whole_bundle_is_read_with_its_id_and_its_bytes(tiny_bundle):
    found = bundle.read(tiny_bundle)
    assert found.contents.keys() == FILES - {"manifest.json"}
    assert all(data == (tiny_bundle / name).read_bytes() for name, data in found.contents.items())
    assert found.id == hashlib.sha256((tiny_bundle / "manifest.json").read_bytes()).hexdigest()[:16]
    assert found.manifest.n_items == 41


def test_a_bundle_may_be_moved_and_pointed_to(copy, tmp_path):
    moved = copy.rename(tmp_path / "elsewhere")
    (tmp_path / "current").symlink_to(moved)
    assert bundle.read(tmp_path / "current").id == bundle.read(moved).id


def test_there_is_no_bundle(tmp_path):
    refused(tmp_path / "none", "bundle_missing", "none")
    refused(tmp_path, "bundle_missing", "manifest.json")
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "bundle_missing")


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_one_changed_byte_is_found(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    refused(copy, "file_changed", name)


def test_a_shorter_file_is_found(copy):
    (copy / "items.json").write_bytes((copy / "items.json").read_bytes()[:-1])
    refused(copy, "file_changed", "items.json has")


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    refused(copy, "file_missing", name)


@pytest.mark.parametrize("name", ["model.onnx", "items.json", "golden.json"])
def test_a_bundle_cannot_leave_out_what_every_bundle_has(copy, name):
    (copy / name).unlink()
    change_manifest(copy, lambda value: value["files"].pop(name))
    refused(copy, "file_missing", name)


def test_a_renamed_model_is_found(copy):
    (copy / "model.onnx").rename(copy / "model2.onnx")
    refused(copy, "file_unexpected", "model2.onnx")


@pytest.mark.parametrize("name", [".hidden", "weights.bin"])
def test_an_extra_file_is_found(copy, name):
    (copy / name).touch()
    refused(copy, "file_unexpected", name)


def test_a_sub_folder_is_found(copy):
    (copy / "sub").mkdir()
    refused(copy, "file_unexpected", "sub")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(copy):
    (copy / "items.json").unlink()
    os.mkfifo(copy / "items.json")
    refused(copy, "file_unexpected", "items.json")


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_link_is_refused_though_its_content_is_right(copy, tmp_path, name):
    target = (copy / name).rename(tmp_path / "target")
    (copy / name).symlink_to(target)
    refused(copy, "file_escapes", name)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/file", "..\\secret", "C:secret", "", ".", ".."])
def test_a_listed_name_that_leaves_the_folder_is_refused(copy, name):
    listed = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    change_manifest(copy, lambda value: value["files"].update({name: listed}))
    refused(copy, "file_escapes", repr(name))


def test_another_format_version_is_told_before_anything_else(copy):
    def change(value):
        value.clear()
        value.update({"format_version": 1, "all": "different"})

    change_manifest(copy, change)
    refused(copy, "format_unknown", "version 1")


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("top_k"),
        lambda value: value.update(extra=1),
        lambda value: value.update(top_k="20"),
        lambda value: value.update(top_k=0),
        lambda value: value.update(top_k=41),
        lambda value: value.update(max_history=0),
        lambda value: value.update(n_items=1),
        lambda value: value.update(task="dance"),
        lambda value: value.pop("format_version"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(copy, change):
    change_manifest(copy, change)
    refused(copy, "manifest_invalid")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[]", b'{"format_version": "0"}'])
def test_a_manifest_that_is_none_is_refused(copy, data):
    (copy / "manifest.json").write_bytes(data)
    refused(copy, "manifest_invalid")


@pytest.mark.parametrize("name", ["manifest.json", "items.json", "golden.json", "model.onnx"])
def test_a_file_above_its_limit_is_not_read(copy, name, monkeypatch):
    monkeypatch.setitem(bundle.LIMITS, name, 10)
    refused(copy, "too_large", name)


def test_any_other_file_has_a_limit_too(copy, monkeypatch):
    monkeypatch.setattr(bundle, "OTHER_LIMIT", 10)
    refused(copy, "too_large", "README.md")


def test_what_is_written_is_read_back(tmp_path):
    path = summing.write(tmp_path / "new" / "bundle")
    found = bundle.read(path)
    assert found.manifest.files.keys() == {"model.onnx", "items.json", "golden.json"}
    assert found.contents["model.onnx"] == summing.graph()
    assert [p.name for p in path.parent.iterdir()] == ["bundle"]


def test_filling_again_overwrites(tmp_path):
    with bundle.writing(tmp_path / "b") as folder:
        bundle.fill(folder, summing.manifest(), {"model.onnx": b"1", "items.json": b"1", "golden.json": b"1"})
        bundle.fill(folder, summing.manifest(), {"model.onnx": b"22", "items.json": b"1", "golden.json": b"1"})
    assert bundle.read(tmp_path / "b").contents["model.onnx"] == b"22"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("existed", [True, False])
def test_after_an_error_there_is_what_was_there_before(tmp_path, error, existed):
    path = tmp_path / "b"
    if existed:
        summing.write(path)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(error), bundle.writing(path, force=True) as folder:
        (folder / "half").touch()
        raise error
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_a_bundle_is_replaced_only_by_force(tmp_path):
    path = summing.write(tmp_path / "b")
    with pytest.raises(WrongUsage, match="--force") as error, bundle.writing(path):
        pass
    assert error.value.code == "output_exists"
    with bundle.writing(path, force=True) as folder:
        assert bundle.read(path)  # until the very end the old one serves
        bundle.fill(folder, summing.manifest(max_history=9), {"model.onnx": b"", "items.json": b"", "golden.json": b""})
    assert bundle.read(path).manifest.max_history == 9
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_an_empty_folder_may_become_a_bundle(tmp_path):
    (tmp_path / "b").mkdir()
    assert bundle.read(summing.write(tmp_path / "b"))


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("kind", ["folder", "web extension", "bundle and more", "file"])
def test_nothing_but_a_bundle_is_ever_replaced(tmp_path, kind, force):
    path = tmp_path / "mine"
    if kind == "file":
        path.write_text("precious")
    elif kind == "bundle and more":
        summing.write(path)
        (path / "notes.txt").write_text("precious")
    else:
        path.mkdir()
        (path / "manifest.json" if kind == "web extension" else path / "thesis.tex").write_text('{"name": "precious"}')
    before = {p: p.read_bytes() for p in [path, *path.rglob("*")] if p.is_file()}
    with pytest.raises(WrongUsage) as error, bundle.writing(path, force):
        pass
    assert error.value.code == "output_exists"
    assert {p: p.read_bytes() for p in [path, *path.rglob("*")] if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_what_came_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "b"
    with pytest.raises(WrongUsage), bundle.writing(path, force=True):
        path.mkdir()
        (path / "thesis.tex").write_text("precious")
    assert (path / "thesis.tex").read_text() == "precious"


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SeqrecError) as error, bundle.writing(tmp_path / "file" / "b"):
        pass
    assert error.value.code == "output_unwritable"
    with pytest.raises(BadData) as error:
        bundle.fill(tmp_path / "none", summing.manifest(), {})
    assert error.value.code == "output_unwritable"

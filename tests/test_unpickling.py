"""A checkpoint is read without running anything of it, and what is no checkpoint ends in a sentence."""

import collections
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from seqrec_plugin import unpickling
from seqrec_plugin.errors import BadData
from seqrec_plugin.unpickling import Checkpoint, Inert, StoredTensor, plain


def _zip(path, data, members=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", data)
        for name, content in members:
            file.writestr(f"archive/{name}", content)
    return path


class _Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def _by_name(module, name, arguments=b")"):
    """A pickle (protocol 2) that calls whatever is at a name; `arguments` are instructions that leave a tuple."""
    return b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n" + arguments + b"R."


def _text(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


HOSTILE = {
    "os.system": lambda canary: pickle.dumps(_Calls(os.system, f"touch {canary}"), 4),
    "builtins.eval": lambda canary: pickle.dumps(_Calls(eval, f"open({str(canary)!r}, 'w')"), 4),
    "__builtin__.eval": lambda canary: pickle.dumps(_Calls(eval, f"open({str(canary)!r}, 'w')"), 2),
    "builtins.exec": lambda canary: pickle.dumps(_Calls(exec, f"open({str(canary)!r}, 'w')"), 4),
    "builtins.getattr": lambda canary: _by_name(
        "builtins", "getattr", b"crecbole.config.configurator\nConfig\n" + _text("__init__") + b"\x86"
    ),
    "builtins.open": lambda canary: pickle.dumps(_Calls(open, str(canary), "w"), 4),
    "pathlib.Path.touch": lambda canary: _by_name("pathlib", "Path.touch", _text(str(canary)) + b"\x85"),
    "torch.load": lambda canary: _by_name("torch", "load", _text(str(canary)) + b"\x85"),
    "torch.hub": lambda canary: _by_name("torch.hub", "load", _text("a/b") + b"\x85"),
    "torch._utils": lambda canary: _by_name("torch._utils", "_import_dotted_name", _text("os.system") + b"\x85"),
    "numpy.core.multiarray": lambda canary: _by_name("numpy.core.multiarray", "fromfile", _text("x") + b"\x85"),
    "recbole.utils.utils": lambda canary: _by_name("recbole.utils.utils", "get_model", _text("x") + b"\x85"),
    "recbole.config.configurator.eval": lambda canary: _by_name("recbole.config.configurator", "eval"),
    "recbole.quick_start": lambda canary: _by_name("recbole.quick_start", "run_recbole"),
    "seqrec_plugin": lambda canary: _by_name("seqrec_plugin.tracing", "child", _text(str(canary)) + b"\x85"),
    "__main__": lambda canary: _by_name("__main__", "anything"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_runs_nothing_and_is_told_by_name(tmp_path, name):
    canary = tmp_path / "ran"
    _zip(tmp_path / "c.pth", HOSTILE[name](canary))
    with pytest.raises(BadData, match="which a checkpoint has no business with") as caught:
        Checkpoint(tmp_path / "c.pth")
    assert caught.value.code == "checkpoint_invalid"
    assert {"os.system": "posix.system", "builtins.open": "io.open"}.get(name, name) in caught.value.message
    assert not canary.exists()


def test_a_name_that_looks_like_a_model_is_held_and_never_looked_up(tmp_path):
    canary = tmp_path / "ran"
    data = _by_name("recbole.model.os", "system", _text(f"touch {canary}") + b"\x85")
    found = Checkpoint(_zip(tmp_path / "c.pth", data)).content
    assert isinstance(found, Inert)
    assert str(found.name) == "recbole.model.os.system"
    assert not canary.exists()


def test_the_state_of_an_object_stays_a_state(tmp_path):
    """A `__setstate__`, or an attribute that is set on a class, would be a way in."""
    data = b"\x80\x02crecbole.config.configurator\nConfig\n}" + _text("__class__") + b"Nsb."
    with pytest.raises(BadData, match="damaged"):
        Checkpoint(_zip(tmp_path / "c.pth", data))
    data = b"\x80\x02crecbole.config.configurator\nConfig\n)\x81}" + _text("model") + _text("x") + b"sb."
    assert Checkpoint(_zip(tmp_path / "c.pth", data)).content.state == {"model": "x"}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_torch_saves_comes_back(tmp_path, protocol):
    weights = collections.OrderedDict(
        a=torch.arange(12.0).reshape(3, 4).T,
        b=torch.nn.Parameter(torch.tensor([1, 2], dtype=torch.float64)),
        c=torch.tensor(7),
        d=torch.arange(6, dtype=torch.bfloat16)[2:],
        e=torch.zeros(0, 3),
    )
    others = {"path": Path("a") / "b", "bytes": b"\x00\xff", "t": (1, [True, -3.5])}
    content = {"w": weights, "score": np.float64(0.25), **others}
    torch.save(content, tmp_path / "c.pth", pickle_protocol=protocol)
    found = Checkpoint(tmp_path / "c.pth")
    assert {key: found.content[key] for key in ("score", "path", "bytes", "t")} == {
        "score": 0.25,
        "path": "a/b",
        "bytes": b"\x00\xff",
        "t": (1, [True, -3.5]),
    }
    for name, weight in weights.items():
        assert isinstance(found.content["w"][name], StoredTensor)
        assert torch.equal(found.tensor(found.content["w"][name]), weight.detach())


@pytest.mark.parametrize("name", ["GRU4Rec", "NARM", "SASRec"])
def test_a_checkpoint_of_recboles(checkpoints, name):
    found = Checkpoint(checkpoints / "saved" / f"{name}.pth")
    expected = torch.load(checkpoints / "saved" / f"{name}.pth", weights_only=False)
    assert found.content["config"].state["model"] == name
    assert found.content["best_valid_score"] == expected["best_valid_score"]
    assert list(found.content["state_dict"]) == list(expected["state_dict"])
    for key, weight in expected["state_dict"].items():
        assert torch.equal(found.tensor(found.content["state_dict"][key]), weight)


def test_what_our_own_trainer_writes(finished_run):
    found = Checkpoint(finished_run / "recbole" / "LSTM4Rec.pth")
    assert found.content["config"].state["model"] == "LSTM4Rec"
    assert all(isinstance(weight, StoredTensor) for weight in found.content["state_dict"].values())


def _tensor(size, stride, offset=0):
    """A pickle of one tensor over the storage `0`."""
    storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + b"K\x04tQ"

    def numbers(values):
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"

    arguments = b"(" + storage + numbers([offset])[1:-1] + numbers(size) + numbers(stride) + b"\x89Nt"
    return _by_name("torch._utils", "_rebuild_tensor_v2", arguments)


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [((5,), (1,), 0), ((10**12,), (0,), 0), ((2, 2), (3, 1), 0), ((2,), (1,), 3), ((2**40, 2**40), (1, 1), 0)],
)
def test_a_tensor_that_is_not_in_the_file_is_refused(tmp_path, size, stride, offset):
    found = Checkpoint(_zip(tmp_path / "c.pth", _tensor(size, stride, offset), [("data/0", bytes(16))]))
    with pytest.raises(BadData, match="but it is not"):
        found.tensor(found.content)


def test_a_tensor_of_negative_numbers_is_refused(tmp_path):
    for size, stride, offset in (((-1,), (1,), 0), ((2,), (-1,), 1), ((1,), (1,), -1)):
        with pytest.raises(BadData, match="no possible shape"):
            Checkpoint(_zip(tmp_path / "c.pth", _tensor(size, stride, offset), [("data/0", bytes(16))]))


def test_the_right_tensor_is_read(tmp_path):
    data = np.arange(4, dtype="<f4").tobytes()
    found = Checkpoint(_zip(tmp_path / "c.pth", _tensor((2, 2), (1, 2)), [("data/0", data)]))
    assert found.tensor(found.content).tolist() == [[0, 2], [1, 3]]


def test_a_zip_bomb_is_refused(tmp_path):
    bomb = _zip(tmp_path / "c.pth", b"\x80\x02N.", [("data/0", bytes(10**7))], zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10**5
    with pytest.raises(BadData, match="compressed"):
        Checkpoint(bomb)


def test_a_pickle_of_absurd_length_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpickling, "LONGEST_PICKLE", 100)
    with pytest.raises(BadData, match="more than 100 bytes"):
        Checkpoint(_zip(tmp_path / "c.pth", pickle.dumps(["x"] * 200, 2)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02N",
        b"garbage",
        b"\x80\x02R.",
        b"\x80\x02h\x07.",
        b"\x80\x02t.",
        b"\x80\x02(((u.",
        b"\x80\x02]Na" + b"e.",
        b"\x80\x02Nr\xff\xff\xff\xff.",  # a memo of four thousand million places
        b"\x80\x02X\xff\xff\xff\xffabc.",
        b"\x80\x02}(]Nu.",
        b"\x80\x02NQ.",
        b"\x80\x02" + b"]" * 10 + b".",
    ],
)
def test_a_damaged_pickle_ends_in_a_sentence_or_in_nothing_but_data(tmp_path, data):
    try:
        assert Checkpoint(_zip(tmp_path / "c.pth", data)).content in (None, [])
    except BadData as error:
        assert error.code == "checkpoint_invalid"


def test_a_short_file_that_would_be_endless_is_bounded(tmp_path):
    """A list that holds twice a list that holds twice a list …"""
    value = []
    for _ in range(60):
        value = [value, value]
    with pytest.raises(ValueError, match="more than a configuration holds"):
        plain(Checkpoint(_zip(tmp_path / "c.pth", pickle.dumps(value, 4))).content)
    for _ in range(3000):
        value = [value]
    with pytest.raises(ValueError):
        plain(Checkpoint(_zip(tmp_path / "c.pth", _nested(3000))).content)


def _nested(depth):
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def test_plain_takes_plain_values_only():
    assert plain({"a": (1, [None, "x", 1.5, True])}) == {"a": [1, [None, "x", 1.5, True]]}
    with pytest.raises(ValueError, match="StoredTensor"):
        plain([StoredTensor("0", torch.float32, 0, (), ())])


def test_what_is_no_such_file_is_told(tmp_path):
    (tmp_path / "text.pth").write_text("weights")
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as file:
        file.writestr("readme.txt", "x")
    for name, reason in (
        ("missing.pth", "cannot be read"),
        ("", "cannot be read"),
        ("text.pth", "no file that torch.save wrote"),
        ("other.pth", "no data.pkl"),
    ):
        with pytest.raises(BadData, match=reason) as caught:
            Checkpoint(tmp_path / name)
        assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_cut_off_is_told(checkpoints, tmp_path):
    whole = (checkpoints / "saved" / "NARM.pth").read_bytes()
    for length in (10, 5000, len(whole) - 10):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(BadData):
            Checkpoint(tmp_path / "cut.pth")

"""A checkpoint of torch's → plain values, without running anything of it.

A pickle is a program for a small machine that can name and call anything in Python. Here is a machine that knows only
the instructions by which data are built, and only the names that RecBole's and our own checkpoints hold: it imports
nothing and calls nothing. What it does not know it refuses; classes become `Inert` records.

The file is a zip of `data.pkl` and one member of raw bytes for each storage, uncompressed: so `torch.save` has it
since torch 1.6.
"""

from __future__ import annotations

import math
import os
import pickletools
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqrec_plugin.errors import BadData

#: The longest `data.pkl`: a checkpoint's has some tens of kB.
LONGEST_PICKLE = 16 * 2**20
#: The most values in what `plain` copies, each place counted; a configuration has some hundreds.
MOST_VALUES = 100_000

_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_NUMBERS = {"f4": "<f", "f8": "<d", "i4": "<i", "i8": "<q"}


@dataclass(frozen=True)
class Name:
    """A class or function that the file names. It is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Inert:
    """An object of a class that is not made: what it was made from, and its state."""

    name: Name
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies in the file; `Checkpoint.tensor` reads it."""

    key: str
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype


class Checkpoint:
    """A file of `torch.save`, read without running it.

    Args:
        path: the file.

    Raises:
        BadData: `checkpoint_invalid` where it is no such file, holds more than data, or does not hold what it says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: Any
        try:
            with zipfile.ZipFile(path) as file:
                self._members = {member.filename: member for member in file.infolist()}
                self._check_members(path.stat().st_size)
                found = [name for name in self._members if name.rpartition("/")[2] == "data.pkl"]
                if len(found) != 1:
                    raise self._error("is no file that torch.save wrote: it has no data.pkl")
                self._folder = found[0].removesuffix("data.pkl")
                if self._members[found[0]].file_size > LONGEST_PICKLE:
                    raise self._error(f"has a data.pkl of more than {LONGEST_PICKLE} bytes")
                order = self._members.get(f"{self._folder}byteorder")
                if order is not None and file.read(order) != b"little":
                    raise self._error("was written on a machine of another byte order")
                pickle = file.read(found[0])
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror or error}") from None
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            hint = "A RecBole checkpoint lies in `saved/` and ends in .pth."
            raise self._error(f"is no file that torch.save wrote ({error})", hint) from None
        self.content = _Machine(self._error).run(pickle)

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read a tensor.

        Raises:
            BadData: `checkpoint_invalid` where its storage is missing or too short.
        """
        if 0 in stored.size:
            return torch.zeros([0] * len(stored.size), dtype=stored.dtype).reshape(stored.size)
        member = self._members.get(f"{self._folder}data/{stored.key}")
        itemsize = torch.empty((), dtype=stored.dtype).element_size()
        length = 0 if member is None else member.file_size // itemsize
        last = stored.offset + sum((n - 1) * step for n, step in zip(stored.size, stored.stride, strict=True))
        # No element twice, so that a short storage cannot stand for a huge tensor.
        if member is None or math.prod(stored.size) > length or last >= length:
            raise self._error(f"says that a tensor of shape {list(stored.size)} is in it, but it is not")
        try:
            with zipfile.ZipFile(self.path) as file:
                data = bytearray(file.read(member))
        except (OSError, zipfile.BadZipFile, EOFError) as error:
            raise self._error(f"cannot be read: {error}") from None
        flat = torch.frombuffer(data, dtype=stored.dtype, count=length)
        return flat.as_strided(stored.size, stored.stride, stored.offset).clone()

    def _check_members(self, size: int) -> None:
        """torch compresses nothing; so what is read is never longer than the file."""
        members = self._members.values()
        plain = all(m.compress_type == zipfile.ZIP_STORED and m.file_size == m.compress_size for m in members)
        if not plain or sum(m.file_size for m in members) > size:
            raise self._error("is no file that torch.save wrote: its members are compressed, or lie over one another")

    def _error(self, what: str, hint: str = "") -> BadData:
        return BadData("checkpoint_invalid", f"{self.path} {what}.", hint)


class _Machine:
    """Builds the values of a pickle. `error` makes the error for a sentence's end."""

    def __init__(self, error: Callable[..., BadData]) -> None:
        self.error = error
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, pickle: bytes) -> Any:
        try:
            for code, argument, _ in pickletools.genops(pickle):
                if code.name == "STOP":
                    return self.stack.pop()
                step = _STEPS.get(code.name)
                if step is None:
                    raise self.error(f"holds the pickle instruction {code.name}, which a checkpoint has no use for")
                step(self, argument)
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, struct.error, OverflowError) as error:
            raise self.error(f"is damaged: {error}") from None
        raise self.error("is damaged: its pickle has no end")

    def named(self, module: Any, name: Any) -> Name:
        """A name that a checkpoint may hold; most of them are only held, never used."""
        found = Name(str(module), str(name))
        known = str(found) in _CALLS or str(found) in _HELD
        known = known or found.module.startswith("recbole.model.")  # the model's class stands in RecBole's Config
        if not known and not (found.module == "torch" and found.name in _DTYPES):
            shown = "".join(c if c.isprintable() else "?" for c in str(found)[:100])
            raise self.error(f"names {shown}, which a checkpoint has no business with", "Nothing of it was run.")
        return found

    def called(self, what: Any, arguments: Any) -> Any:
        if not isinstance(what, Name) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that is no name")
        make = _CALLS.get(str(what))
        return Inert(what, arguments) if make is None else make(*arguments)

    def persistent(self, identity: Any) -> _Storage:
        kind, storage, key, _, _ = identity
        if kind != "storage" or not isinstance(storage, Name) or not str(key).isalnum():
            raise ValueError("something that is no storage")
        return _Storage(str(key), _DTYPES[storage.name])

    def since_mark(self) -> list[Any]:
        begin = self.marks.pop()
        found = self.stack[begin:]
        del self.stack[begin:]
        return found

    def put_items(self, pairs: Sequence[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise ValueError("items for something that is no dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if type(key) not in (str, int, float, bool):  # not a tuple, whose hash may take for ever
                raise ValueError("a key that is no plain value")
            target[key] = value

    def put_elements(self, values: Sequence[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise ValueError("elements for something that is no list")
        target.extend(values)

    def build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].state = state
        elif type(self.stack[-1]) is not dict:  # a dict is an OrderedDict, whose attributes nobody needs
            raise ValueError("a state for something that takes none")

    def take(self, n: int) -> list[Any]:
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < n:
            raise ValueError("its stack is empty")
        found = self.stack[len(self.stack) - n :]
        del self.stack[len(self.stack) - n :]
        return found


def _tensor(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> StoredTensor:
    numbers = [offset, *size, *stride]
    if any(type(n) is not int or not 0 <= n < 2**48 for n in numbers) or len(size) != len(stride) or len(size) > 8:
        raise ValueError("a tensor of no possible shape")
    return StoredTensor(storage.key, storage.dtype, offset, tuple(size), tuple(stride))


def _number(dtype: Inert, data: bytes) -> float:
    """A numpy scalar, such as the best score."""
    number: float = struct.unpack(_NUMBERS[dtype.arguments[0]], data)[0]
    return number


#: What is made where it is called; any other allowed name becomes an `Inert`.
_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": lambda: {},
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
    "_codecs.encode": lambda text, *_: text.encode("latin-1"),  # how protocol 2 writes bytes
    "pathlib.PosixPath": lambda *parts: os.path.join(*map(str, parts)),
    "pathlib.WindowsPath": lambda *parts: os.path.join(*map(str, parts)),
}
#: What is only held.
_HELD = frozenset(
    {
        "numpy.dtype",
        "torch.device",
        "yaml.loader.FullLoader",
        "recbole.config.configurator.Config",
        "recbole.utils.enum_type.ModelType",
        "recbole.utils.enum_type.InputType",
        "recbole.utils.enum_type.EvaluatorType",
        "recbole.utils.enum_type.KGDataLoaderState",
        "recbole.utils.enum_type.FeatureType",
        "recbole.utils.enum_type.FeatureSource",
    }
)


def _push(machine: _Machine, value: Any) -> None:
    machine.stack.append(value)


def _constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(value)


def _tuple(n: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(tuple(machine.take(n)))


def _put(machine: _Machine, number: int | None) -> None:
    machine.memo[len(machine.memo) if number is None else number] = machine.stack[-1]


def _get(machine: _Machine, number: int) -> None:
    machine.stack.append(machine.memo[number])


def _global(machine: _Machine, text: str) -> None:
    module, _, name = text.partition(" ")
    machine.stack.append(machine.named(module, name))


def _call(machine: _Machine, _: Any) -> None:
    machine.stack.append(machine.called(*machine.take(2)))


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"), _push),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": _constant(()),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "APPEND": lambda machine, _: machine.put_elements(machine.take(1)),
    "APPENDS": lambda machine, _: machine.put_elements(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.put_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.put_items(machine.since_mark()),
    "MEMOIZE": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "GLOBAL": _global,
    "STACK_GLOBAL": lambda machine, _: machine.stack.append(machine.named(*machine.take(2))),
    "REDUCE": _call,
    "NEWOBJ": _call,
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.stack.append(machine.persistent(machine.take(1)[0])),
}


def plain(value: Any) -> Any:
    """A copy of nothing but texts, numbers, switches, lists and dicts; tuples become lists.

    Raises:
        ValueError: there is something else in it, or too much.
    """
    count = 0

    def copied(value: Any) -> Any:
        nonlocal count
        count += 1
        if count > MOST_VALUES:  # a list of lists of the same list … is short in a file and endless in a copy
            raise ValueError("more than a configuration holds")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) in (list, tuple):
            return [copied(element) for element in value]
        if type(value) is dict:
            return {key: copied(element) for key, element in value.items()}
        raise ValueError(f"a value of the kind {type(value).__name__}")

    try:
        return copied(value)
    except RecursionError:
        raise ValueError("values nested too deep") from None

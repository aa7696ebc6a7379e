"""Make the broken bundles: one and more for each code about bundles, from the small bundle `vectors/lstm4rec`.

    python export/hostile/make.py FOLDER        # standard library only

FOLDER then holds a folder a case, and `cases.json`: `{name: {"code", "duty", "why", "question"?}}`. They are made and
not stored, since links, sub-folders and files of a gibibyte do not travel. A case whose duty is `client` must be
refused with its code by every client (where it has a `question`, at that question and not before); one of the
`verifier`'s loads, and answers.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

BASE = Path(__file__).resolve().parents[1] / "vectors" / "lstm4rec"
GIB = 2**30


class Case(NamedTuple):
    """A way to break the bundle in a folder."""

    code: str
    why: str
    break_: Callable[[Path], object]
    duty: str = "client"
    question: dict[str, Any] | None = None


def change(path: Path, name: str, change_: Callable[[Any], object]) -> None:
    """Change a JSON file, and seal the bundle again."""
    value = json.loads((path / name).read_text(encoding="utf-8"))
    change_(value)
    replace(path, name, json.dumps(value).encode())


def manifest(change_: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change the manifest."""
    return lambda path: change(path, "manifest.json", change_)


def golden(change_: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change the golden answers, their hash included."""
    return lambda path: change(path, "golden.json", change_)


def items(change_: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change the catalogue, its hash included."""
    return lambda path: change(path, "items.json", change_)


def replace(path: Path, name: str, data: bytes) -> None:
    """Replace a file, and list its new size and sha256."""
    (path / name).write_bytes(data)
    if name != "manifest.json":
        listed = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        change(path, "manifest.json", lambda m: m["files"].update({name: listed}))


def graph(change_: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change the graph, its hash included."""
    return lambda path: replace(path, "model.onnx", change_((path / "model.onnx").read_bytes()))


def text(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Put this into a file, its hash included."""
    return lambda path: replace(path, name, content.encode() if isinstance(content, str) else content)


def both(*breaks: Callable[[Path], None]) -> Callable[[Path], None]:
    """One after the other."""

    def break_(path: Path) -> None:
        for each in breaks:
            each(path)

    return break_


def flipped(path: Path) -> None:
    """One bit of the graph is another, and nobody says so."""
    data = bytearray((path / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "model.onnx").write_bytes(bytes(data))


def linked(name: str) -> Callable[[Path], None]:
    """A file lies elsewhere, with the right content, and a link is in its place."""

    def break_(path: Path) -> None:
        away = path.parent / f"{path.name}.away"
        (path / name).rename(away)
        (path / name).symlink_to(away)

    return break_


def huge(name: str, size: int) -> Callable[[Path], None]:
    """A file of many zeros, which takes no room on most disks; its sha256 is made up, as nobody must get that far."""

    def break_(path: Path) -> None:
        with (path / name).open("wb") as stream:
            stream.truncate(size)
        change(path, "manifest.json", lambda m: m["files"].update({name: {"size": size, "sha256": "0" * 64}}))

    return break_


def dropped(name: str) -> Callable[[Path], None]:
    """A file is neither there nor listed."""

    def break_(path: Path) -> None:
        (path / name).unlink()
        change(path, "manifest.json", lambda m: m["files"].pop(name))

    return break_


def fields(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a protobuf message: number, and where its content begins and ends."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                return value, at

    while begin < end:
        key, begin = varint(begin)
        if key & 7 == 2:
            size, begin = varint(begin)
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint(begin)[1] - begin
        yield key >> 3, begin, begin + size
        begin += size


def not_a_number(data: bytes) -> bytes:
    """The largest weight is NaN. In ONNX the graph is field 7, a weight field 5 of it, its bytes field 9."""
    raw = [
        (begin, end)
        for number, *graph_ in fields(data, 0, len(data))
        if number == 7
        for part, *weight in fields(data, *graph_)
        if part == 5
        for field, begin, end in fields(data, *weight)
        if field == 9
    ]
    begin, end = max(raw, key=lambda place: place[1] - place[0])
    return data[:begin] + struct.pack("<f", float("nan")) * ((end - begin) // 4) + data[end:]


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


#: A protobuf entry that names a file outside.
OUTSIDE = field(1, b"location") + field(2, b"/etc/hostname")
#: The same, after bytes that look like an entry for weights.bin: of a field that stands twice the last counts, and the
#: first four bytes are a number that nobody reads.
DISGUISED = b"\x1d\0\0j\x17" + field(1, b"location") + field(2, b"weights.bin") + field(2, b"/etc/hostname")


def table_outside(data: bytes) -> bytes:
    """The largest weight lies in a file outside, disguised. See `not_a_number` for the fields' numbers."""

    def raw(begin: int, end: int) -> Iterator[tuple[int, bytes, tuple[int, int]]]:
        """The fields of a message: number, all of its bytes, and the place of its content."""
        for number, inner, after in fields(data, begin, end):
            yield number, data[begin:after], (inner, after)
            begin = after

    ((_, whole, place),) = [part for part in raw(0, len(data)) if part[0] == 7]
    parts = list(raw(*place))
    largest = max((part for part in parts if part[0] == 5), key=lambda part: len(part[1]))
    weight = b"".join(part for number, part, _ in raw(*largest[2]) if number != 9)
    weight += field(13, DISGUISED) + bytes([14 << 3, 1])
    others = b"".join(part[1] for part in parts if part is not largest)
    return data.replace(whole, field(7, others + field(5, weight)))


def outside(data: bytes, entry: bytes = OUTSIDE) -> bytes:
    """One weight more, which lies in a file outside. Two protobuf messages in a row are one, their lists joined."""
    weight = bytes([1 << 3, 4, 2 << 3, 1]) + field(8, b"outside") + field(13, entry) + bytes([14 << 3, 1])
    return data + field(7, field(5, weight))


def renamed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """A name in the graph is another of the same length."""

    def change_(data: bytes) -> bytes:
        if old not in data or len(old) != len(new):
            raise ValueError(f"{old!r} cannot be replaced")
        return data.replace(old, new)

    return change_


def sized(m: dict[str, Any]) -> None:
    """A state that would take all memory, if anyone made room for it."""
    m["state"][0]["size"] = 2**40
    for tensor in (*m["inputs"], *m["outputs"]):
        if tensor["name"] in ("state_0", "next_state_0"):
            tensor["shape"][1] = 2**40


def unpaired(m: dict[str, Any]) -> None:
    m["state"][0]["output"], m["state"][1]["output"] = "next_state_1", "next_state_0"


def embedding(m: dict[str, Any]) -> None:
    m["embedding_size"] = m["outputs"][2]["shape"][1] = 7


def fewer(m: dict[str, Any]) -> None:
    m["top_k"] = m["outputs"][0]["shape"][1] = m["outputs"][1]["shape"][1] = 14


def listed(name: str) -> Callable[[Path], None]:
    """The manifest lists a file of this name, as empty."""
    empty = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    return manifest(lambda m: m["files"].update({name: empty}))


def twice(m: dict[str, Any]) -> None:
    m["items"][2] = m["items"][1]


def put(key: str, value: Any) -> Callable[[Path], None]:
    """The manifest says this of a key."""
    return manifest(lambda m: m.update({key: value}))


def score(g: dict[str, Any]) -> None:
    g["questions"][1]["answer"]["items"][0]["score"] += 0.01


def first_state(g: dict[str, Any]) -> None:
    g["sessions"][0]["steps"][-1]["state"][0][0] += 0.01


NAN_QUESTION = {"history": ["i1"]}
#: Padding is looked for by `item_seq == 0`. With the constant of another node it is not found.
KEEP = (b"\n\rTranspose_0_0\n\x08weight_0", b"\n\rTranspose_0_0\n\x08weight_1")

CASES = {
    "no-folder": Case("bundle_missing", "there is no folder", shutil.rmtree),
    "a-file": Case("bundle_missing", "the path is a file", lambda p: (shutil.rmtree(p), p.write_bytes(b""))),
    "no-manifest": Case("bundle_missing", "manifest.json is missing", lambda p: (p / "manifest.json").unlink()),
    "manifest-not-json": Case(
        "manifest_invalid", "manifest.json is cut short", text("manifest.json", '{"format_version": 0,')
    ),
    "manifest-not-utf8": Case(
        "manifest_invalid", "manifest.json is no UTF-8", text("manifest.json", b'{"format_version": 0, "\xff": 1}')
    ),
    "manifest-a-list": Case("manifest_invalid", "manifest.json is a list", text("manifest.json", "[]")),
    "manifest-deep": Case(
        "manifest_invalid", "manifest.json is a hundred thousand lists deep", text("manifest.json", "[" * 100_000)
    ),
    "manifest-no-version": Case(
        "manifest_invalid", "format_version is missing", manifest(lambda m: m.pop("format_version"))
    ),
    "manifest-version-a-text": Case("manifest_invalid", "format_version is a text", put("format_version", "0")),
    "manifest-key-missing": Case(
        "manifest_invalid", "max_history is missing", manifest(lambda m: m.pop("max_history"))
    ),
    "manifest-key-unknown": Case(
        "manifest_invalid", "a key is not of this format", put("plugins", ["http://example.org"])
    ),
    "manifest-key-mistyped": Case("manifest_invalid", "exclude_seen is a text", put("exclude_seen", "true")),
    "manifest-task-unknown": Case("manifest_invalid", "the task is unknown", put("task", "dance")),
    "manifest-top-k-too-large": Case("manifest_invalid", "top_k is larger than the catalogue", put("top_k", 41)),
    "manifest-top-k-zero": Case("manifest_invalid", "top_k is 0 where items are ranked", put("top_k", 0)),
    "manifest-max-history-zero": Case("manifest_invalid", "max_history is 0", put("max_history", 0)),
    "manifest-features-unread": Case(
        "manifest_invalid", "features are named that the graph does not read", put("features", ["price"])
    ),
    "manifest-behaviour-twice": Case(
        "manifest_invalid", "a behaviour is named twice", put("behaviors", ["buy", "buy"])
    ),
    "manifest-input-missing": Case(
        "manifest_invalid", "exclude is not among the inputs", manifest(lambda m: m["inputs"].pop(1))
    ),
    "manifest-input-strange": Case(
        "manifest_invalid",
        "an input is none of the specification's",
        manifest(lambda m: m["inputs"].append({"name": "user_id", "dtype": "int64", "shape": ["batch"]})),
    ),
    "manifest-output-mistyped": Case(
        "manifest_invalid", "scores are int64", manifest(lambda m: m["outputs"][1].update(dtype="int64"))
    ),
    "manifest-int8-without-a-graph": Case(
        "manifest_invalid", "int8 is told of, but there is no such graph", put("int8", {})
    ),
    "manifest-state-unpaired": Case(
        "manifest_invalid",
        "the states' outputs are in each other's place",
        manifest(unpaired),
    ),
    "format-99": Case(
        "format_unknown",
        "a later format, of which nothing else is known",
        text("manifest.json", '{"format_version": 99, "new": {}}'),
    ),
    "file-missing": Case("file_missing", "model.onnx is missing", lambda p: (p / "model.onnx").unlink()),
    "file-not-listed-and-missing": Case("file_missing", "items.json is missing and not listed", dropped("items.json")),
    "golden-not-there": Case("file_missing", "golden.json is missing and not listed", dropped("golden.json")),
    "file-byte-changed": Case("file_changed", "one bit of model.onnx is another", flipped),
    "file-cut": Case(
        "file_changed",
        "items.json is one byte shorter",
        lambda p: (p / "items.json").write_bytes((p / "items.json").read_bytes()[:-1]),
    ),
    "file-size-declared": Case(
        "file_changed",
        "the manifest lists a size of 2^62",
        manifest(lambda m: m["files"]["items.json"].update(size=2**62)),
    ),
    "file-unexpected": Case(
        "file_unexpected", "a file is not listed", lambda p: (p / "weights.bin").write_bytes(b"\0" * 8)
    ),
    "file-hidden": Case("file_unexpected", "a hidden file is not listed", lambda p: (p / ".profile").write_bytes(b"")),
    "folder-inside": Case("file_unexpected", "there is a sub-folder", lambda p: (p / "sub").mkdir()),
    "folder-for-a-file": Case(
        "file_unexpected", "README.md is a folder", lambda p: ((p / "README.md").unlink(), (p / "README.md").mkdir())
    ),
    "link-model": Case("file_escapes", "model.onnx is a link", linked("model.onnx")),
    "link-manifest": Case("file_escapes", "manifest.json is a link", linked("manifest.json")),
    "link-dangling": Case(
        "file_escapes", "a stray link leads nowhere", lambda p: (p / "stray").symlink_to("/nowhere/at/all")
    ),
    "name-parent": Case("file_escapes", "a file above the folder is listed", listed("../secret")),
    "name-absolute": Case("file_escapes", "an absolute path is listed", listed("/etc/passwd")),
    "name-backslash": Case("file_escapes", "a path of Windows is listed", listed("..\\secret")),
    "name-drive": Case("file_escapes", "a drive of Windows is listed", listed("C:secret")),
    "name-dots": Case("file_escapes", "the folder above is listed", listed("..")),
    "name-empty": Case("file_escapes", "an empty name is listed", listed("")),
    "manifest-too-large": Case(
        "too_large",
        "manifest.json is one byte larger than a reader takes",
        lambda p: (p / "manifest.json").write_bytes((p / "manifest.json").read_bytes().ljust(2**20 + 1)),
    ),
    "file-too-large": Case("too_large", "README.md is larger than a reader takes", huge("README.md", GIB + 1)),
    "model-too-large": Case("too_large", "model.onnx is larger than a reader takes", huge("model.onnx", 2 * GIB + 1)),
    "items-not-json": Case("items_invalid", "items.json is no JSON", text("items.json", "50,172,181")),
    "items-too-few": Case(
        "items_invalid", "items.json has an entry less than n_items", items(lambda m: m["items"].pop())
    ),
    "items-titles-too-few": Case(
        "items_invalid", "there is a title less than items", items(lambda m: m["titles"].pop())
    ),
    "items-no-padding-row": Case(
        "items_invalid", "items.json does not begin with null", items(lambda m: m["items"].__setitem__(0, "i0"))
    ),
    "items-null": Case("items_invalid", "an item is null", items(lambda m: m["items"].__setitem__(5, None))),
    "items-a-number": Case("items_invalid", "an item is a number", items(lambda m: m["items"].__setitem__(5, 5))),
    "items-twice": Case("items_invalid", "an item stands twice", items(twice)),
    "items-n-items-declared": Case("items_invalid", "n_items is 2^40", put("n_items", 2**40)),
    "graph-not-onnx": Case("graph_invalid", "model.onnx is no ONNX", text("model.onnx", "PK\x03\x04")),
    "graph-empty": Case("graph_invalid", "model.onnx is empty", text("model.onnx", "")),
    "graph-cut": Case("graph_invalid", "model.onnx is cut in half", graph(lambda data: data[: len(data) // 2])),
    "graph-outside": Case("graph_invalid", "model.onnx has a weight in a file outside", graph(outside)),
    "graph-outside-beside-weights": Case(
        "graph_invalid",
        "weights.bin is listed, but a weight lies in another file",
        both(text("weights.bin", b"\0" * 8), graph(outside)),
    ),
    "graph-outside-disguised": Case(
        "graph_invalid",
        "the item table seems to lie in weights.bin, but lies elsewhere",
        both(text("weights.bin", b"\0" * 8), graph(table_outside)),
    ),
    "graph-weights-not-listed": Case(
        "graph_invalid",
        "a weight lies in weights.bin, which the manifest does not list",
        graph(lambda data: outside(data, field(1, b"location") + field(2, b"weights.bin"))),
    ),
    "graph-input-renamed": Case(
        "graph_invalid", "the graph has another input", graph(renamed(b"item_seq", b"item_ids"))
    ),
    "graph-output-renamed": Case(
        "graph_invalid", "the graph has another output", graph(renamed(b"user_embedding", b"user_embeddinh"))
    ),
    "graph-embedding-size": Case(
        "graph_invalid",
        "the embedding is of another size than the manifest says",
        manifest(embedding),
    ),
    "graph-state-size": Case("graph_invalid", "the manifest says that a state has 2^40 numbers", manifest(sized)),
    "graph-top-k": Case(
        "graph_invalid",
        "the graph gives another number of items than the manifest says",
        manifest(fewer),
    ),
    "weights-nan": Case("not_finite", "the item table is NaN", graph(not_a_number), question=NAN_QUESTION),
    "golden-not-json": Case("golden_invalid", "golden.json is no JSON", text("golden.json", "{"), duty="verifier"),
    "golden-proves-nothing": Case(
        "golden_invalid", "golden.json has no questions", golden(lambda g: g.update(questions=[])), duty="verifier"
    ),
    "golden-allows-all": Case(
        "golden_invalid",
        "golden.json allows a difference of 1",
        golden(lambda g: g.update(tolerance=1.0)),
        duty="verifier",
    ),
    "embeddings-garbage": Case(
        "embeddings_invalid", "item_embeddings.npy is no array", text("item_embeddings.npy", "garbage"), duty="verifier"
    ),
    "golden-score": Case("golden_mismatch", "a score is another", golden(score), duty="verifier"),
    "golden-state": Case("golden_mismatch", "a carried state is another", golden(first_state), duty="verifier"),
    "padding-counts": Case(
        "check_failed",
        "a history in a padded batch gives another answer than alone",
        graph(renamed(*KEEP)),
        duty="verifier",
    ),
}


def make(folder: Path) -> dict[str, dict[str, Any]]:
    """Make every case in `folder`; returns what `cases.json` there says."""
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, dict[str, Any]] = {}
    for name, case in CASES.items():
        shutil.copytree(BASE, folder / name)
        case.break_(folder / name)
        told[name] = {"code": case.code, "duty": case.duty, "why": case.why}
        if case.question is not None:
            told[name]["question"] = case.question
    (folder / "cases.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python export/hostile/make.py FOLDER")
    print(f"{len(make(Path(sys.argv[1])))} broken bundles in {sys.argv[1]}")

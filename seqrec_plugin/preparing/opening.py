"""Files of events as they come → files that the engine can read: names, compression, encoding, format."""

from __future__ import annotations

import codecs
import glob
import gzip
import io
import json
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from seqrec_plugin.errors import BadData, WrongUsage, missing_extra
from seqrec_plugin.preparing import decoding
from seqrec_plugin.preparing.source import Source

#: Of these many bytes of text the form of a file is guessed.
SAMPLE = 1 << 20

_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_OTHERS = {b"PK\x03\x04": "a zip archive", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"SQLite": "a SQLite database"}
_GLOB = set("*?[")


@dataclass(frozen=True)
class Opened:
    """A file of events, ready for the engine.

    Attributes:
        path: the file itself.
        readable: a file with the same lines in clean UTF-8: the file itself, or a copy in the engine's folder.
        format: `csv`, `jsonl` or `parquet`.
        sample: the first lines, without ends; none of a Parquet file.
        lines: how many there are; 0 for a Parquet file.
        encoding: of the file.
        why: the encoding was taken.
        dirty: whether some line has what no text may hold, see `decoding`.
    """

    path: Path
    readable: Path
    format: str
    sample: tuple[str, ...] = ()
    lines: int = 0
    encoding: str = ""
    why: str = ""
    dirty: bool = False

    def close(self) -> None:
        """Remove the copy, where there is one."""
        if self.readable != self.path:
            self.readable.unlink(missing_ok=True)


def files(names: Sequence[str | Path]) -> list[Path]:
    """The files that some names and patterns mean: in the order given, those of a pattern by name, each once.

    Raises:
        BadData: `dataset_missing`.
    """
    found: dict[Path, None] = {}
    for name in map(str, names):
        path = Path(name)
        if path.is_dir():
            raise BadData("dataset_missing", f"{name} is a folder.", f"Name its files, like {path / '*.csv'}.")
        if path.exists():
            found[path] = None
        elif _GLOB & set(name):
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True))
            matches = [match for match in matches if match.is_file()]
            if not matches:
                raise BadData("dataset_missing", f"No file matches {name}.")
            found.update(dict.fromkeys(matches))
        else:
            raise BadData("dataset_missing", f"There is no file {name}.")
    return list(found)


def opened(path: Path, source: Source, folder: Path, report: Callable[[str], None] = lambda _: None) -> Opened:
    """Look at a file, and copy it into `folder` as clean UTF-8 where it is something else.

    Raises:
        BadData: `dataset_missing`, or `events_invalid` for what is no table of events.
        WrongUsage: `bad_value` for an encoding that is none; `missing_extra`.
    """
    start = head(path)
    if start.startswith(_PARQUET) or source.format == "parquet":
        if not start.startswith(_PARQUET):
            raise BadData("events_invalid", f"{path} is no Parquet file.")
        return Opened(path, path, "parquet")
    if source.encoding:
        _check_encoding(source.encoding)
    encoding, why = (source.encoding, "it was given") if source.encoding else decoding.guess(start)
    found = None
    if codecs.lookup(encoding).name == "utf-8" and not _compressed(path):
        with _reading(path) as stream:
            found = decoding.survey(stream)
        if found.sample and not source.encoding:
            encoding, why = decoding.guess(found.sample, start.startswith(found.sample[:64]), found.valid)
    readable = path
    if found is None or not found.plain:
        handle, name = tempfile.mkstemp(".txt", dir=folder)
        os.close(handle)
        readable = Path(name)
        report(f"Copying {path} as clean UTF-8 (it is {encoding}{', compressed' if _compressed(path) else ''}).")
        with _reading(path) as stream:
            found = decoding.copy(stream, encoding, readable)
    lines = _sample(readable)
    return Opened(path, readable, _format(path, lines, source), lines, found.lines, encoding, why, found.dirty)


def head(path: Path) -> bytes:
    """The first bytes of a file's text.

    Raises:
        BadData: `dataset_missing` or `events_invalid`.
        WrongUsage: `missing_extra` for zstd without its package.
    """
    with _reading(path) as stream:
        return stream.read(SAMPLE)


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, decompressed."""
    try:
        with path.open("rb") as raw:
            start = raw.read(8)
            raw.seek(0)
            for magic, what in _OTHERS.items():
                if start.startswith(magic):
                    raise BadData("events_invalid", f"{path} is {what}.", "Unpack it, or use gzip, zstd or Parquet.")
            if start.startswith(_GZIP):
                yield cast(BinaryIO, gzip.GzipFile(fileobj=raw))
            elif start.startswith(_ZSTD):
                yield _zstd(raw)
            else:
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadData("events_invalid", f"{path} is a damaged gzip file: {error}.") from None
    except OSError as error:
        if error.filename is None:  # not about this file: the copy, on a full disk
            raise
        raise BadData("dataset_missing", f"{path} cannot be read: {error.strerror}.") from None
    except Exception as error:
        if type(error).__name__ == "ZstdError":
            raise BadData("events_invalid", f"{path} is a damaged zstd file: {error}.") from None
        raise


def _zstd(raw: BinaryIO) -> BinaryIO:
    try:
        import zstandard
    except ImportError:
        raise missing_extra("zstandard", "prepare") from None
    reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, reader), decoding.CHUNK))


def _compressed(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(4).startswith((_GZIP, _ZSTD))


def _check_encoding(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise WrongUsage(
            "bad_value", f"There is no encoding {encoding!r}.", "Some are utf-8, utf-16, gb18030, latin-1, cp1252."
        ) from None


def _sample(path: Path) -> tuple[str, ...]:
    """The first lines; the last of them only where it is whole."""
    with path.open("rb") as raw:
        data = raw.read(SAMPLE)
        whole = not raw.read(1)
    text = data.decode("utf-8", "ignore").removeprefix("\ufeff").replace("\r\n", "\n")
    lines = text.split("\n")
    if (whole and not lines[-1]) or (not whole and len(lines) > 1):
        lines.pop()
    return tuple(lines)


def _format(path: Path, sample: tuple[str, ...], source: Source) -> str:
    first = next((line for line in sample if line.strip()), "")
    begins = first.lstrip()[:1]
    suffixes = {suffix.lower() for suffix in path.suffixes}
    claims_json = source.format == "jsonl" or bool(suffixes & {".json", ".jsonl", ".ndjson"})
    if begins == "[" and claims_json:
        raise BadData(
            "events_invalid", f"{path} is one JSON array, not one object a line.", "Convert it: jq -c '.[]' FILE."
        )
    if source.format == "csv":
        return "csv"
    if begins == "{":
        refuse_literals(path, first)
        try:
            if isinstance(json.loads(first), dict):
                return "jsonl"
        except ValueError:
            pass
    return "jsonl" if claims_json else "csv"


def refuse_literals(path: Path, line: str) -> None:
    """Refuse a line such as `{u'username': u'Ann'}`.

    Raises:
        BadData: `events_invalid`.
    """
    if re.match(r"\s*\{\s*(u['\"]|')", line):
        raise BadData(
            "events_invalid",
            f"{path} holds Python literals, not JSON.",
            "Convert each line with Python: print(json.dumps(ast.literal_eval(line))).",
        )

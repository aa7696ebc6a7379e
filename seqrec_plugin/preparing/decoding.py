"""Bytes → clean UTF-8: whether a file is it already, what else it may be, and a copy that is."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

#: A line never spans more than two of them: a longer one is marked, and set aside.
CHUNK = 1 << 19

#: What stands in a clean copy for what no text may hold. Unicode keeps these code points for a program's own use.
BAD_BYTES, LONE_RETURN, TOO_LONG = "\ufdd0", "\ufdd1", "\ufdd2"
#: Between fields where there is one field only.
NO_DELIMITER = "\ufdd3"
MARKS = BAD_BYTES + LONE_RETURN + TOO_LONG + NO_DELIMITER
_MARKS_BEGIN = b"\xef\xb7"  # of all four in UTF-8

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_RUNS = re.compile(rb"[\x80-\xff]+")


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return BAD_BYTES, error.end


codecs.register_error("seqrec_mark", _mark)


@dataclass
class Survey:
    """What a look through a file found.

    Attributes:
        lines: how many it has.
        plain: whether it can be read where it is.
        dirty: whether some line has what no text may hold.
        sample: from the line of the first bytes that are not UTF-8; empty where there are none.
        valid: shortly before the sample, how many lines are UTF-8 and not ASCII.
    """

    lines: int = 0
    plain: bool = True
    dirty: bool = False
    sample: bytes = b""
    valid: int = 0


def guess(sample: bytes, start: bool = True, valid: int = 0) -> tuple[str, str]:
    """The encoding of a text by some of its bytes, and why.

    A few odd bytes in a text that is UTF-8 or GB18030 otherwise do not change it: their lines are set aside.

    Args:
        sample: whole lines, but for the last.
        start: whether they are the first of the file.
        valid: lines before them that are UTF-8 and not ASCII.
    """
    for bom, encoding in _BOMS:
        if sample.startswith(bom):
            return encoding, "it begins with a byte order mark"
    if sample[:4000].count(0) > len(sample[:4000]) // 4:  # Latin letters and digits in two bytes
        little = sample[1:4000:2].count(0) > sample[:4000:2].count(0)
        return ("utf-16-le" if little else "utf-16-be"), "every other byte is 0"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
        return "utf-8", "all bytes are valid"
    except UnicodeDecodeError:
        pass
    before = valid
    lines = sample.split(b"\n")
    bad = [not _is(line, "utf-8") for line in lines[:-1]] or [True]
    valid += sum(not line.isascii() for line, wrong in zip(lines, bad, strict=False) if not wrong)
    nearly = valid >= 9 * sum(bad)
    if nearly or (not (start and bad[0]) and (valid > sum(bad) or sum(bad) <= 0.01 * len(bad))):
        return "utf-8", f"nearly all lines are valid, {sum(bad)} of {before + len(bad)} looked at are not"
    runs = [len(run) for run in _RUNS.findall(sample)]
    even = sum(run for run in runs if run % 2 == 0)
    high = [line for line in lines[:-1] or lines if not line.isascii()]
    pairs = sum(_is(line, "gb18030") for line in high) >= 0.9 * len(high)
    if pairs and even >= 0.7 * sum(runs):  # Chinese characters are two high bytes; accented letters mostly stand alone
        return "gb18030", "it is not UTF-8, and its high bytes come in pairs"
    try:
        sample.decode("cp1252")
        if re.search(rb"[\x80-\x9f]", sample):
            return "cp1252", "it is not UTF-8, and its high bytes stand alone"
    except UnicodeDecodeError:
        pass
    return "latin-1", "it is not UTF-8, and its high bytes stand alone"


def survey(stream: BinaryIO) -> Survey:
    """Look through bytes that should be UTF-8."""
    found = Survey()
    decoder = codecs.getincrementaldecoder("utf-8")()
    waiting = False  # for the rest of a character
    returns = pairs = 0
    before = last = b""
    for chunk in _chunks(stream):
        found.lines += chunk.count(b"\n")
        found.plain &= b"\n" in chunk or len(chunk) < CHUNK
        returns += chunk.count(b"\r")
        pairs += chunk.count(b"\r\n") + (last == b"\r" and chunk[:1] == b"\n")
        if b"\0" in chunk:
            found.dirty = True
        if _MARKS_BEGIN in before[-1:] + chunk:
            found.plain = False
        if not found.sample and (waiting or not chunk.isascii()):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
                waiting = bool(decoder.getstate()[0])
            except UnicodeDecodeError as error:
                start = chunk.rfind(b"\n", 0, max(0, error.start - held)) + 1
                found.sample = chunk[start:]
                found.valid = _not_ascii(before + chunk[:start])
        before, last = chunk, chunk[-1:]
    if waiting and not found.sample:
        found.sample = before[-4:]
        found.valid = _not_ascii(before[: before.rfind(b"\n") + 1])
    # One kind of line end, or the engine's lines are not those of the file.
    found.plain &= not found.sample and (returns == 0 or returns == pairs == found.lines)
    found.lines += last not in (b"", b"\n")
    return found


def copy(stream: BinaryIO, encoding: str, target: Path) -> Survey:
    """Write a text as clean UTF-8: no byte order mark, lines that end in a line feed, marks for what no text may hold.

    Where the text has no line feed at all, carriage returns end its lines.
    """
    found = Survey()
    decoder = codecs.getincrementaldecoder(encoding)(errors="seqrec_mark")
    held, last, length, ends, first = "", "", 0, "", True
    with target.open("w", encoding="utf-8", errors="replace", newline="") as out:
        for chunk in _chunks(stream, end=True):
            text = held + decoder.decode(chunk, final=not chunk)
            if first and text:
                text, first = text.removeprefix("\ufeff"), False
                ends = "\r" if "\r" in text and "\n" not in text and "\r" in text[:-1] else "\n"
            held = ""
            if chunk and text.endswith("\r"):  # its line feed may come next
                text, held = text[:-1], "\r"
            if "\r" in text:
                text = text.replace("\r\n", "\n").replace("\r", "\n" if ends == "\r" else LONE_RETURN)
            for mark in MARKS:
                if mark in text:
                    found.dirty = True
                    text = text.replace(mark, BAD_BYTES) if mark != LONE_RETURN else text
            found.dirty |= "\0" in text
            begin, newline, rest = text.partition("\n")
            length += len(begin)
            if length > CHUNK:
                already = length - len(begin) > CHUNK
                begin = "" if already else TOO_LONG
                found.dirty = True
            if newline:
                length = len(text) - text.rfind("\n") - 1
            found.lines += text.count("\n")
            out.write(begin + newline + rest)
            last = text[-1:] or last
    found.lines += last not in ("", "\n")
    return found


def _is(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _not_ascii(text: bytes) -> int:
    return sum(not line.isascii() for line in text.split(b"\n"))


def _chunks(stream: BinaryIO, end: bool = False) -> Iterator[bytes]:
    """All of a stream; `end` gives an empty chunk at last."""
    while chunk := stream.read(CHUNK):
        yield chunk
    if end:
        yield b""

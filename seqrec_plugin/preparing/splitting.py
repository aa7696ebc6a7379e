"""Lines → fields: what stands between the fields, what they are called, and the queries that split them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqrec_plugin.errors import BadData
from seqrec_plugin.preparing import engine
from seqrec_plugin.preparing.decoding import NO_DELIMITER
from seqrec_plugin.preparing.source import Source

#: By preference where two fit alike. A space only where nothing else is.
DELIMITERS = (",", "\t", ";", "|", "::", "\x01")
_NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?\s*")
_DATE = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b.*")


@dataclass(frozen=True)
class Dialect:
    """How the lines of a CSV are to be read.

    Attributes:
        delimiter: between fields.
        quote: around a field that holds a delimiter or a quote; `""` for none.
        header: whether the names stand in the file.
        names: of the columns.
        skip: lines before the first row.
        why: the delimiter was taken.
    """

    delimiter: str
    quote: str
    header: bool
    names: tuple[str, ...]
    skip: int
    why: str

    def fields(self, lines: str) -> str:
        """A query of each line of a table, `text`, and its fields as they stand there, `f`: NULL where a quote is odd.

        A field that begins with a quote ends with one; within, two quotes are one (RFC 4180). A quote elsewhere is an
        ordinary character.
        """
        mark = engine.text(self.delimiter)
        if not self.quote:
            return f"SELECT text, string_split(text, {mark}) AS f FROM {lines}"
        one, quote, join = re.escape(self.delimiter), self.quote, engine.text(self.quote + self.delimiter + self.quote)
        field = f"{one}({quote}(?:[^{quote}]|{quote}{quote})*{quote}|[^{quote}{one}][^{one}]*|)"
        # Most lines have no quote, or all fields in quotes and none within: the others are some ten times slower.
        return f"""
            SELECT text, CASE WHEN how < 2 OR len(array_to_string(f, {mark})) = len(text) THEN f END AS f
            FROM (
                SELECT text, how, CASE how
                    WHEN 0 THEN string_split(text, {mark})
                    WHEN 1 THEN string_split(text[2:-2], {join})
                    ELSE regexp_extract_all({mark} || text, {engine.text(field)}, 1, 's') END AS f
                FROM (
                    SELECT text, CASE
                        WHEN NOT contains(text, {engine.text(quote)}) THEN 0
                        WHEN length(text) > 1 AND starts_with(text, {engine.text(quote)})
                            AND ends_with(text, {engine.text(quote)})
                            AND NOT contains(replace(text[2:-2], {join}, ''), {engine.text(quote)}) THEN 1
                        ELSE 2 END AS how
                    FROM {lines}
                )
            )"""

    def field(self, position: int) -> str:
        """A query's expression of one of the fields `f`, its quotes undone."""
        value = f"f[{position + 1}]"
        if not self.quote:
            return value
        quote, twice = engine.text(self.quote), engine.text(self.quote * 2)
        return f"CASE WHEN starts_with({value}, {quote}) THEN replace({value}[2:-2], {twice}, {quote}) ELSE {value} END"

    def row(self, line: str) -> list[str]:
        """The fields of one line of a sample."""
        return _split(line, self.delimiter, self.quote)


def dialect(path: Path, sample: Sequence[str], source: Source) -> Dialect:
    """How a CSV is to be read.

    Args:
        path: to name it in an error.
        sample: its first lines.
        source: what is known already.

    Raises:
        BadData: `events_invalid` where no delimiter or no header is found.
    """
    lines = [line for line in sample if line.strip()][:200]
    before = next((i for i, line in enumerate(sample) if line.strip()), 0)
    delimiter, why = (source.delimiter, "it was given") if source.delimiter else _delimiter(path, lines)
    quote = source.quote if len(delimiter) == 1 else ""
    rows = [_split(line, delimiter, quote) for line in lines]
    header = source.header
    if header == "auto":
        header = not any(_is_value(field) for field in rows[0])
        if source.columns:  # they are for a file without a header; this one may have one all the same
            header = header and len(rows) > 1 and any(_is_value(field) for field in rows[1])
        if not header and not source.columns:
            raise BadData(
                "events_invalid",
                f"{path} begins with {lines[0][:80]!r}, which names no columns.",
                "Name them: --columns user,item,time (as many as there are). If it is a header, say header: true.",
            )
    if not header and not source.columns:
        raise BadData("events_invalid", f"{path} has no header.", "Name its columns: --columns user,item,time.")
    names = tuple(field.strip() for field in rows[0]) if header else source.columns
    if not header and len(rows[0]) != len(names) and len(Counter(map(len, rows))) == 1:
        raise BadData(
            "events_invalid",
            f"{path} has {len(rows[0])} columns, but {len(names)} are named: {', '.join(names)}.",
            f"It begins with {lines[0][:80]!r}.",
        )
    return Dialect(delimiter, quote, header, names, before + 1 if header else 0, why)


def lines_of(path: Path, skip: int) -> str:
    """A query's table of the lines of a clean file: one column `text`, NULL for an empty line."""
    return (
        f"read_csv({engine.text(no_pattern(path))}, columns = {{'text': 'VARCHAR'}}, auto_detect = false, "
        f"header = false, skip = {skip}, delim = {engine.text(NO_DELIMITER)}, quote = '', escape = '', "
        "strict_mode = false, compression = 'none')"
    )


def no_pattern(path: Path) -> str:
    """A path whose own `*`, `?` and `[` mean themselves."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _delimiter(path: Path, lines: Sequence[str]) -> tuple[str, str]:
    """The delimiter of the first line; of several, that which splits most other lines alike, into the most fields."""
    best = (-1, 0, "")
    for delimiter in (*DELIMITERS, " "):
        counts = [len(_split(line, delimiter, '"' if len(delimiter) == 1 else "")) for line in lines]
        alike = 20 * counts.count(counts[0]) // len(counts)  # in steps of 5%
        if counts[0] > 1 and (alike, counts[0]) > best[:2] and not (delimiter == " " and best[2]):
            best = (alike, counts[0], delimiter)
    if not best[2]:
        raise BadData(
            "events_invalid",
            f"{path} begins with {lines[0][:80]!r}, in which no delimiter stands.",
            "Name it in the recipe, such as delimiter: ';'.",
        )
    return best[2], f"it splits the first line into {best[1]} fields"


def _split(line: str, delimiter: str, quote: str) -> list[str]:
    if not quote or quote not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, quotechar=quote), [])
    except csv.Error:
        return line.split(delimiter)


def _is_value(field: str) -> bool:
    return bool(_NUMBER.fullmatch(field) or _DATE.fullmatch(field))

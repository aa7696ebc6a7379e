"""What makes one doubt what was read: an error where it cannot be right, a warning where it may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqrec_plugin.errors import BadData
from seqrec_plugin.preparing import rows
from seqrec_plugin.preparing.source import Source
from seqrec_plugin.preparing.times import POSITION, Clock

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Doubt:
    """A sentence for the report, which quotes no value; and values for who has the files, see `guessing.Guess`."""

    text: str
    like: str = ""

    def __str__(self) -> str:
        """With the values."""
        return f"{self.text} Such are {self.like}." if self.like else self.text


def empty_columns(connection: duckdb.DuckDBPyConnection, source: Source, where: str) -> None:
    """Refuse a column that holds nothing in any row.

    Raises:
        BadData: `events_invalid`.
    """
    reasons = {rows.NO_USER: source.user, rows.NO_ITEM: source.item, rows.NO_TIME: source.time}
    found = connection.execute(
        "SELECT DISTINCT reason FROM parsed WHERE reason IS NULL OR reason <> '' LIMIT 2"
    ).fetchall()
    if len(found) == 1 and found[0][0] in reasons:
        raise BadData("events_invalid", f"{where}: the column {reasons[found[0][0]]!r} is empty in every row.")
    columns = {"behavior": source.behavior} if source.behavior else {}
    columns |= {f"number_{i}": name for i, name in enumerate(source.numbers or ())}
    columns |= {f"feature_{i}": name for i, name in enumerate(source.features or ())}
    if not columns:
        return
    counts = connection.execute(
        f"SELECT count(*), {', '.join(f'count({column})' for column in columns)} FROM parsed WHERE reason IS NULL"
    ).fetchone()
    assert counts is not None
    for (column, name), count in zip(columns.items(), counts[1:], strict=True):
        if not count and counts[0]:
            what = "holds no number" if column.startswith("number") else "is empty"
            raise BadData("events_invalid", f"{where}: the column {name!r} {what} in every row.")


def too_many(connection: duckdb.DuckDBPyConnection, events: int, rejected: int, most: float) -> None:
    """Refuse files of which too many rows cannot be read.

    Raises:
        BadData: `events_rejected`, with the most frequent reasons and the first line of each.
    """
    total = events + rejected
    if rejected <= most * total:
        return
    found = connection.execute(
        "SELECT reason, count(*), first(file ORDER BY rowid), first(line ORDER BY rowid) FROM rejects "
        "GROUP BY reason ORDER BY 2 DESC, reason LIMIT 3"
    ).fetchall()
    shown = "; ".join(f"{count} have {reason} (first {file}, line {line})" for reason, count, file, line in found)
    raise BadData(
        "events_rejected",
        f"{rejected} of {total} rows cannot be read, more than the share of {most:g} that may be: {shown}.",
        "Say how the files are to be read, or allow more: max_bad_share in the recipe.",
    )


def numbers(connection: duckdb.DuckDBPyConnection, source: Source, where: Callable[[int], str]) -> list[Doubt]:
    """Numbers of the table `parsed` that are not there, or cannot be read; `where` tells the place of a row."""
    found = []
    for i, name in enumerate(source.numbers or ()):
        counted = connection.execute(
            f"SELECT count(*) FILTER (odd_{i} IS NULL), count(odd_{i}) FROM parsed "
            f"WHERE reason IS NULL AND number_{i} IS NULL"
        ).fetchone()
        assert counted is not None
        empty, odd = counted
        what = [f"is empty in {empty} rows"] if empty else []
        what += [f"holds no number that can be read in {odd} rows"] if odd else []
        if not what:
            continue
        shown = connection.execute(
            f"SELECT odd_{i}, rowid FROM parsed WHERE reason IS NULL AND odd_{i} IS NOT NULL ORDER BY rowid LIMIT 3"
        ).fetchall()
        told = f"The column {name!r} {' and '.join(what)}: the field stays empty, or as the recipe says under missing."
        found.append(Doubt(told, ", ".join(f"{value[:30]!r} ({where(row)})" for value, row in shown)))
    return found


def warnings(connection: duckdb.DuckDBPyConnection, source: Source, clock: Clock) -> list[Doubt]:
    """What may be wrong with what was read besides; no user's id in it."""
    found = []
    if clock.unit == "ns":
        found.append(Doubt("Nanoseconds are cut to microseconds."))
    if source.time is not None and clock.unit == POSITION:
        told = f"The column {source.time!r} is taken for positions, not times: it gives the order and no gaps."
        found.append(Doubt(told))
    for column, name in {"user": source.user, "item": source.item}.items():
        found += _look_alikes(connection, column, name)
        found += _spaces(connection, column, name)
    return found


def _look_alikes(connection: duckdb.DuckDBPyConnection, column: str, name: str) -> list[Doubt]:
    """Ids of one number in several spellings, such as 1, 1.0 and 01."""
    pairs = connection.execute(
        "SELECT list(id ORDER BY length(id), id)[:3], count(*) OVER () "
        f"FROM (SELECT DISTINCT {column} AS id FROM events) "
        "WHERE try_cast(id AS DECIMAL(38,9)) IS NOT NULL GROUP BY try_cast(id AS DECIMAL(38,9)) HAVING count(*) > 1 "
        "ORDER BY 1 LIMIT 1"
    ).fetchall()
    if not pairs:
        return []
    like = ", ".join(map(repr, pairs[0][0])) if column == "item" else ""
    told = f"{pairs[0][1]} numbers of the column {name!r} are written in several ways: they are different {column}s."
    return [Doubt(told, like)]


def _spaces(connection: duckdb.DuckDBPyConnection, column: str, name: str) -> list[Doubt]:
    count = _count(connection, f"(SELECT DISTINCT {column} AS id FROM events) WHERE id <> trim(id)")
    told = f"{count} {column}s of the column {name!r} begin or end with a space, which is kept."
    return [Doubt(told)] if count else []


def _count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM {what}").fetchone()
    return found[0] if found else 0

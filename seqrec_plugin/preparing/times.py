"""Times as people write them → microseconds since 1970: one unit, or one format, for a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.preparing.engine import text

if TYPE_CHECKING:
    import duckdb

#: Unit → microseconds in it.
UNITS = {"s": 1_000_000.0, "ms": 1000.0, "us": 1.0, "ns": 0.001}
#: An epoch in seconds has at least nine digits after 1973; each unit has three more. What is smaller is none.
EPOCHS = {"s": 8, "ms": 11, "us": 14, "ns": 17}
POSITION, ISO = "position", "iso"
#: Microseconds beyond this are no 64-bit integer.
_MOST = 9.2e18

_DATE = r"\d{4}-\d{1,2}-\d{1,2}"
_CLOCK = r"[T ]\d{1,2}:\d{2}(:\d{2}([.,]\d{1,9})?)?"
_ZONE = r" ?(Z|UTC|[+-]\d{2}(:?\d{2})?)"
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_AFTER = r"([T ]\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?"
#: Shape → the strptime format of its date; a `*` stands where a shape does not tell day from month.
_SHAPES = {
    re.compile(rf"{_DATE}({_CLOCK})?"): ISO,
    re.compile(rf"{_DATE}{_CLOCK}{_ZONE}"): ISO + " with a zone",
    re.compile(r"\d{4}/\d{1,2}/\d{1,2}" + _AFTER): "%Y/%m/%d",
    re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}" + _AFTER): "%Y.%m.%d",
    re.compile(r"\d{4}年\d{1,2}月\d{1,2}日" + _AFTER): "%Y年%m月%d日",
    re.compile(r"\d{1,2}/\d{1,2}/\d{4}" + _AFTER): "*/*/%Y",
    re.compile(r"\d{1,2}-\d{1,2}-\d{4}" + _AFTER): "*-*-%Y",
    re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}" + _AFTER): "*.*.%Y",
}
_COMPACT = {  # numbers by their look, dates by their digits
    re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"): "%Y%m%d",
    re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])[0-5]\d[0-5]\d"): "%Y%m%d%H%M%S",
}
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S.%f")


@dataclass(frozen=True)
class Clock:
    """How the times of a column are read.

    Attributes:
        kind: `number`, `typed` (the file says that it is a time), `ISO`, `ISO with a zone`, or a strptime format.
        unit: `Source.time_unit` as far as it is known: `auto` where all numbers must be seen, or all days and months.
        zone: of times that name none.
        why: it is read so.
        column: of what `sql` gave, that holds.
    """

    kind: str
    unit: str
    zone: str = "UTC"
    why: str = "it was given"
    column: str = "time"

    def sql(self, value: str) -> tuple[str, str]:
        """Two expressions of a query, NULL where the value cannot be read.

        The first is a whole number as it stands, or microseconds. The second is what a number has besides, in
        billionths; or, for a format that does not tell day from month, microseconds with the month first; else NULL.
        """
        if self.kind == "typed":
            return value, "NULL::BIGINT"
        if self.kind == "number":
            return self._number(value)
        value = f"trim({value})"
        if self.kind.startswith(ISO):
            return self._iso(value), "NULL::BIGINT"
        if "*" in self.kind:
            day, month = ("%d", "%m"), ("%m", "%d")
            first, second = ((self.kind.replace("*", a, 1).replace("*", b, 1)) for a, b in (day, month))
            return self._format(value, first), self._format(value, second)
        return self._format(value, self.kind), "NULL::BIGINT"

    def _number(self, value: str) -> tuple[str, str]:
        broken = " OR ".join(f"contains({value}, '{mark}')" for mark in ".eE")
        number = f"try_cast({value} AS DECIMAL(38,9))"
        whole = f"CASE WHEN {broken} THEN try_cast(floor({number}) AS BIGINT) ELSE try_cast({value} AS BIGINT) END"
        rest = f"CASE WHEN {broken} THEN ((({number}) - floor({number})) * 1000000000)::BIGINT END"
        most = _MOST / UNITS.get(self.unit, 1)
        if most < _MOST:
            whole = f"CASE WHEN abs({whole}) < {most:.0f} THEN {whole} END"
        return whole, f"CASE WHEN ({whole}) IS NOT NULL THEN {rest} END"

    def _iso(self, value: str) -> str:
        plain = f"regexp_full_match({value}, {text(f'{_DATE}({_CLOCK})?')})"
        zoned = f"regexp_full_match({value}, {text(_DATE + _CLOCK + _ZONE)})"
        local = self.local(f"try_cast(replace({value}, ',', '.') AS TIMESTAMP)")
        tight = f"regexp_replace(replace({value}, ',', '.'), {text(_ZONE + '$')}, '\\1')"
        world = f"epoch_us(try_cast(replace({tight}, 'UTC', 'Z') AS TIMESTAMPTZ))"
        cases = {ISO: [(plain, local)], ISO + " with a zone": [(zoned, world)]}
        chosen = cases.get(self.kind, [(plain, local), (zoned, world)])
        return "CASE " + " ".join(f"WHEN {shape} THEN {time}" for shape, time in chosen) + " END"

    def _format(self, value: str, format: str) -> str:
        formats = [format]
        if not re.search(r"%[HIMSfgnpcTXzZ]", format):  # of a date alone: a time may follow it
            formats = [format + clock for clock in _CLOCKS]
        read = f"try_strptime({value}, [{', '.join(map(text, formats))}])"
        return f"epoch_us({read})" if re.search("%[zZ]", format) else self.local(read)

    def local(self, timestamp: str) -> str:
        """An expression of the microseconds of a timestamp that names no zone."""
        return f"epoch_us({timestamp if self.zone == 'UTC' else f'timezone({text(self.zone)}, {timestamp})'})"

    def microseconds(self) -> str:
        """An expression of the BIGINT that `events` holds, from what `sql` gave."""
        if self.kind != "number" or self.unit in (POSITION, "us"):
            return self.column
        if self.unit == "ns":
            return "(time - ((time % 1000) + 1000) % 1000) // 1000"  # rounded down, before 1970 too
        unit = int(UNITS[self.unit])
        return f"time * {unit} + coalesce(rest, 0) // {1_000_000_000 // unit}"


def kind(value: str) -> str | None:
    """What a value looks like: `number`, `iso`, `iso with a zone`, a format, or nothing that is known."""
    value = value.strip()
    if _NUMBER.fullmatch(value):
        return "number"
    return next((format for shape, format in _SHAPES.items() if shape.fullmatch(value)), None)


def epoch(value: str) -> str | None:
    """The unit that a number's size speaks for; none below 10⁸."""
    try:
        size = abs(float(value))
    except ValueError:
        return None
    return next((unit for unit, power in reversed(EPOCHS.items()) if 10**power <= size < 10 ** (power + 3)), None)


def clock(connection: duckdb.DuckDBPyConnection, values: Sequence[str], unit: str, zone: str, where: str) -> Clock:
    """How a column is read, by some of its values and what was said of it.

    Args:
        connection: to the engine.
        values: some of the column, none empty.
        unit: `Source.time_unit`.
        zone: `Source.time_zone`.
        where: file and column, for errors.

    Raises:
        WrongUsage: `bad_value` for a format or zone that is none.
        BadData: `events_invalid` where nothing is recognised.
    """
    _check_zone(connection, zone)
    if unit in UNITS or unit == POSITION:
        return Clock("number", unit, zone)
    if unit == ISO:
        return Clock(ISO + ", any", unit, zone)
    if unit != "auto":
        _check_format(connection, unit)
        return Clock(unit, unit, zone)
    kinds = [kind(value) for value in values]
    known = [each for each in kinds if each is not None]
    if not known:
        shown = ", ".join(map(repr, dict.fromkeys(values[:3])))
        raise BadData(
            "events_invalid",
            f"{where} has times of no form that is known, such as {shown}." if values else f"{where} is empty.",
            "Give their format, such as time_unit: '%d/%b/%Y:%H:%M:%S %z'." if values else "",
        )
    most = max(dict.fromkeys(known), key=known.count)
    example = values[kinds.index(most)].strip()
    if most == "number":
        for shape, format in _COMPACT.items():
            if all(shape.fullmatch(value.strip()) for value in values):
                return Clock(format, format, zone, f"all values look like {example}")
        return Clock("number", "auto", zone, f"its values are numbers, like {example}")
    resolved = ISO if most.startswith(ISO) else "auto" if "*" in most else most
    return Clock(most, resolved, zone, f"its values look like {example}")


def settle(
    connection: duckdb.DuckDBPyConnection, clock: Clock, table: str, where: Callable[[int], str], column: str
) -> Clock:
    """The one unit of a column, now that all of it was seen.

    Args:
        connection: to the engine.
        clock: as it was read.
        table: with `time` and `rest` as `Clock.sql` gives them, and `odd`, the text of what could not be read.
        where: the row of the table → its file and line.
        column: its name, for errors.

    Raises:
        BadData: `events_invalid` where units or formats are mixed, or nothing tells day from month.
    """
    _check_odd(connection, clock, table, where, column)
    if clock.kind == "number" and clock.unit == "auto":
        return _unit(connection, clock, table, where, column)
    if "*" in clock.kind:
        return _day_or_month(connection, clock, table, where, column)
    return clock


def _unit(
    connection: duckdb.DuckDBPyConnection, clock: Clock, table: str, where: Callable[[int], str], column: str
) -> Clock:
    bounds = " ".join(f"WHEN abs(time) >= {10**power} THEN '{unit}'" for unit, power in reversed(EPOCHS.items()))
    found = connection.execute(
        f"SELECT CASE {bounds} ELSE '' END AS unit, count(*), min(rowid), arg_min(time, rowid) FROM {table} "
        "WHERE time IS NOT NULL GROUP BY unit ORDER BY min(rowid)"
    ).fetchall()
    epochs = [row for row in found if row[0]]
    if len(epochs) > 1:
        (one, _, row, value), (other, _, other_row, other_value) = epochs[:2]
        raise BadData(
            "events_invalid",
            f"{where(row)} has the time {value} ({one}), but {where(other_row)} has {other_value} ({other}): "
            f"the column {column} mixes units.",
            "Name the one that holds for all, such as time_unit: s; other rows are then far from it.",
        )
    unit = epochs[0][0] if epochs else POSITION
    size = f"as large as {unit} since 1970" if epochs else "too small for an epoch: positions, not times"
    return Clock(clock.kind, unit, clock.zone, f"its numbers are {size}")


def _day_or_month(
    connection: duckdb.DuckDBPyConnection, clock: Clock, table: str, where: Callable[[int], str], column: str
) -> Clock:
    row = connection.execute(
        f"SELECT count(*) FILTER (time IS NULL), count(*) FILTER (rest IS NULL), "
        f"min(rowid) FILTER (time IS NULL), min(rowid) FILTER (rest IS NULL) FROM {table} "
        "WHERE time IS NOT NULL OR rest IS NOT NULL"
    ).fetchone()
    assert row is not None
    not_day, not_month, first_not_day, first_not_month = row
    if not_day and not_month:
        raise BadData(
            "events_invalid",
            f"In the column {column} only the month can come first at {where(first_not_day)}, "
            f"and only the day at {where(first_not_month)}.",
            "Give the format that holds, such as time_unit: '%d/%m/%Y'; the other rows are then set aside.",
        )
    if not not_day and not not_month:
        raise BadData(
            "events_invalid",
            f"No date of the column {column} tells whether day or month comes first.",
            f"Give the format: time_unit: {_first(clock.kind, '%d', '%m')!r} or {_first(clock.kind, '%m', '%d')!r}.",
        )
    day = bool(not_month)
    format = _first(clock.kind, *(("%d", "%m") if day else ("%m", "%d")))
    why = f"{'the day' if day else 'the month'} comes first: see {where(first_not_month if day else first_not_day)}"
    return Clock(format, format, clock.zone, why, "time" if day else "rest")


def _check_odd(
    connection: duckdb.DuckDBPyConnection, clock: Clock, table: str, where: Callable[[int], str], column: str
) -> None:
    """Refuse a second unit or format among what could not be read; anything else is only set aside."""
    odd = connection.execute(
        f"SELECT odd, min(rowid) FROM {table} WHERE odd IS NOT NULL GROUP BY odd ORDER BY 2 LIMIT 1000"
    ).fetchall()
    if clock.unit not in ("auto", ISO) or clock.kind == ISO + ", any":
        return  # it was given
    for value, row in odd:
        other = kind(value)
        if other is None or other == clock.kind or (other == "number" and epoch(value) is None):
            continue
        good = connection.execute(
            f"SELECT min(rowid) FROM {table} WHERE time IS NOT NULL OR rest IS NOT NULL"
        ).fetchone()
        unlike = where(good[0]) if good and good[0] is not None else "others"
        raise BadData(
            "events_invalid",
            f"{where(row)} has the time {value!r}, unlike {unlike}: "
            f"the column {column} mixes {_called(clock.kind)} and {_called(other)}.",
            "Name the unit or format that holds for all (time_unit); the other rows are then set aside.",
        )


def _called(kind: str) -> str:
    return "numbers" if kind == "number" else kind.replace("iso", "ISO 8601").replace("*", "?")


def _first(format: str, first: str, second: str) -> str:
    return format.replace("*", first, 1).replace("*", second, 1)


def _check_zone(connection: duckdb.DuckDBPyConnection, zone: str) -> None:
    zones = [row[0] for row in connection.execute("SELECT name FROM pg_timezone_names()").fetchall()]
    if zone not in zones:
        raise WrongUsage("bad_value", f"There is no time zone {zone!r}.", nearest(zone, zones))


def _check_format(connection: duckdb.DuckDBPyConnection, format: str) -> None:
    import duckdb

    good = "%" in format
    if good:
        try:
            connection.execute(f"SELECT try_strptime('', {text(format)})")
        except duckdb.Error:
            good = False
    if not good:
        raise WrongUsage(
            "bad_value",
            f"The time_unit {format!r} is neither a unit nor a format.",
            "Use s, ms, us, ns, iso, position, or a format such as '%d/%m/%Y %H:%M'.",
        )

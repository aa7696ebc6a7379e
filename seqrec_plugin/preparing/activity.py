"""When things happened: over the whole span, by the hour of the day and by the day of the week, in UTC."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import duckdb

_DAY = 86_400_000_000
#: Beyond these, in microseconds since 1970, a calendar has no date: the years 1 and 9999.
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999
#: The finest unit that gives at most some hundred bars; longer spans have no chart.
_UNITS = (("hour", 4), ("day", 120), ("week", 1_000), ("month", 3_650), ("year", 73_000))


class Moment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One bar: where it begins (ISO 8601), and its events."""

    start: str
    events: int


class Activity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When things happened, in UTC.

    Attributes:
        first, last: times of the first and last event, ISO 8601.
        days: between the two.
        unit: of `over_time`: hour, day, week, month or year.
        over_time: without gaps; empty where the span is longer than a chart can show.
        by_hour: 24 counts, from midnight; empty where a time is in no calendar.
        by_weekday: 7 counts, from Monday; likewise.
    """

    first: str
    last: str
    days: float
    unit: str
    over_time: tuple[Moment, ...]
    by_hour: tuple[int, ...]
    by_weekday: tuple[int, ...]


def measure(connection: duckdb.DuckDBPyConnection) -> Activity:
    """The activity in `keyed` (see `findings`), whose times are microseconds since 1970, at least one event."""
    found = connection.execute("SELECT min(time), max(time) FROM keyed").fetchone()
    assert found is not None
    first, last = found
    days = (last - first) / _DAY
    unit = next((unit for unit, most in _UNITS if days <= most), "year")
    told = first >= _EARLIEST and last <= _LATEST
    return Activity(
        first=iso(first),
        last=iso(last),
        days=round(days, 3),
        unit=unit,
        over_time=_over_time(connection, unit) if told and days <= _UNITS[-1][1] else (),
        by_hour=_cycle(connection, 3_600_000_000, 24) if told else (),
        by_weekday=_cycle(connection, _DAY, 7, shift=3) if told else (),  # 1970 began on a Thursday
    )


def iso(time: int) -> str:
    """Microseconds since 1970 as ISO 8601 to the second; beyond the calendar, the number."""
    if not _EARLIEST <= time <= _LATEST:
        return f"{time} µs since 1970"
    return f"{datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=time):%Y-%m-%dT%H:%M:%S}".zfill(19) + "Z"


def _over_time(connection: duckdb.DuckDBPyConnection, unit: str) -> tuple[Moment, ...]:
    rows = connection.execute(
        f"""WITH counted AS (SELECT date_trunc('{unit}', make_timestamp(time)) AS start, count(*) AS events
                             FROM keyed GROUP BY start),
                 every AS (SELECT unnest(generate_series(min(start), max(start), INTERVAL 1 {unit})) AS start
                           FROM counted)
            SELECT strftime(start, '%Y-%m-%dT%H:00:00Z'), coalesce(events, 0)
            FROM every LEFT JOIN counted USING (start) ORDER BY start"""
    ).fetchall()
    return tuple(Moment(*row) for row in rows)


def _cycle(connection: duckdb.DuckDBPyConnection, part: int, parts: int, shift: int = 0) -> tuple[int, ...]:
    """Counts over a cycle of so many parts of so many microseconds; times before 1970 are below 0."""
    cycle = part * parts
    rows = connection.execute(
        f"SELECT ((time + {shift * part}) % {cycle} + {cycle}) % {cycle} // {part} AS part, count(*)"
        " FROM keyed GROUP BY part"
    ).fetchall()
    counts = dict(rows)
    return tuple(counts.get(n, 0) for n in range(parts))

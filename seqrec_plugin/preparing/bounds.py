"""Values that cannot be, or lie far outside: bounds of times and numbers, and outliers."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.preparing.recipe import Range, Times

if TYPE_CHECKING:
    import duckdb

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

#: Tukey's fences (1977); three standard deviations; Iglewicz & Hoaglin's modified z-score (1993).
FENCES = {"iqr": 1.5, "zscore": 3.0, "mad": 3.5}
_NORMAL_MAD = 0.6745


def microseconds(moment: str, key: str) -> int:
    """A day or a moment of ISO 8601 in microseconds since 1970; UTC where it names no zone.

    Raises:
        WrongUsage: `bad_value`.
    """
    try:
        text = moment[:-1] + "+00:00" if moment.endswith(("Z", "z")) else moment  # Python 3.10 knows no Z
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise WrongUsage(
            "bad_value",
            f"{key} is {moment!r}, which is no moment.",
            "Write a day, 2024-06-30, or 2024-06-30T12:00:00Z.",
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.timezone.utc)
    return (found - _EPOCH) // datetime.timedelta(microseconds=1)


def check_times(times: Times) -> None:
    """Whether the bounds are moments, and in this order; before hours of reading.

    Raises:
        WrongUsage: `bad_value`.
    """
    found = [
        microseconds(moment, key)
        for moment, key in ((times.after, "times.after"), (times.before, "times.before"))
        if moment
    ]
    if len(found) == 2 and found[0] >= found[1]:
        raise WrongUsage(
            "bad_value", f"times.after is {times.after}, which is not earlier than before, {times.before}."
        )


def remove_times(connection: duckdb.DuckDBPyConnection, times: Times) -> None:
    """Remove events before `after`, and those not before `before`."""
    if times.after:
        connection.execute("DELETE FROM coded WHERE time < ?", [microseconds(times.after, "times.after")])
    if times.before:
        connection.execute("DELETE FROM coded WHERE time >= ?", [microseconds(times.before, "times.before")])


def remove_values(connection: duckdb.DuckDBPyConnection, column: str, values: Range) -> None:
    """Remove events whose number lies outside; one that is not there stays."""
    if values.min is not None:
        connection.execute(f"DELETE FROM coded WHERE {column} < ?", [values.min])
    if values.max is not None:
        connection.execute(f"DELETE FROM coded WHERE {column} > ?", [values.max])


def fences(connection: duckdb.DuckDBPyConnection, column: str, method: str) -> tuple[float, float] | None:
    """The least and the largest value that is no outlier; None where the values have no spread to judge by.

    iqr: 1.5 times the distance of the quartiles beyond them (Tukey, Exploratory Data Analysis, 1977). zscore: three
    standard deviations from the mean. mad: 3.5 times the median distance from the median, divided by 0.6745 (Iglewicz &
    Hoaglin, How to Detect and Handle Outliers, 1993). Rounded to 12 digits, so that the order of a sum changes nothing.
    """
    if method == "zscore":
        found = connection.execute(f"SELECT avg({column}), stddev_pop({column}) FROM coded").fetchone()
        assert found is not None
        low = high = float(found[0] or 0.0)
        spread = FENCES[method] * float(found[1] or 0.0)
    elif method == "iqr":
        low, high = (_quantile(connection, column, share) for share in (0.25, 0.75))
        spread = FENCES[method] * (high - low)
    else:
        low = high = _quantile(connection, column, 0.5)
        spread = FENCES[method] / _NORMAL_MAD * _quantile(connection, f"abs({column} - {low!r}::DOUBLE)", 0.5)
    if not spread > 0:
        return None
    return float(f"{low - spread:.12g}"), float(f"{high + spread:.12g}")


def _quantile(connection: duckdb.DuckDBPyConnection, value: str, share: float) -> float:
    """A quantile between its two neighbours; by sorting, which spills, unlike DuckDB's own aggregate."""
    row = connection.execute(f"SELECT count({value}) FROM coded").fetchone()
    assert row is not None
    if row[0] == 0:
        return 0.0
    at = share * (row[0] - 1)
    found = connection.execute(
        f"SELECT {value} AS value FROM coded WHERE {value} IS NOT NULL ORDER BY value LIMIT 2 OFFSET {int(at)}"
    ).fetchall()
    (low,), (high,) = found[0], found[-1]
    return float(low + (high - low) * (at - int(at)))

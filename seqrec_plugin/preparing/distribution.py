"""How many have which value: a handful of bins and quantiles, made of counts of rounded values.

Exact quantiles need all values at once. Rounded to three digits there are some thousand distinct values, whatever
the size of the data, so one `GROUP BY` gives both the bins and the quantiles, the same ones at every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import duckdb


class Bin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many values lie in low ≤ value < high; `high` is None in the last bin, which has no end."""

    low: float
    high: float | None
    count: int


class Distribution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values seen from afar; quantiles are the smallest value that this share of all does not exceed.

    Attributes:
        count: how many values there are.
        mean, minimum, p05, p25, p50, p75, p95, maximum: of the values as rounded, to three significant digits.
        bins: without the empty ones at both ends.
    """

    count: int
    mean: float
    minimum: float
    p05: float
    p25: float
    p50: float
    p75: float
    p95: float
    maximum: float
    bins: tuple[Bin, ...] = ()


def rounded(value: str) -> str:
    """SQL: a whole number ≥ 0 to three significant digits, downwards, so that few distinct ones are left."""
    # The power is one too small where log10 falls just below a whole number: a digit more, which harms nothing.
    power = f"pow(10, greatest(floor(log10(greatest({value}, 1))) - 2, 0))::BIGINT"
    return f"({value} // {power}) * {power}"


def of(
    connection: duckdb.DuckDBPyConnection, values: str, *, edges: Sequence[float] = (), unit: float = 1
) -> Distribution | None:
    """The distribution of a column.

    Args:
        connection: where the values are.
        values: a query that gives (value, how often), few rows.
        edges: where the bins begin, rising.
        unit: what a value is divided by.

    Returns:
        None where there are no values.
    """
    found = connection.execute(f"SELECT value, count FROM ({values}) AS t(value, count) ORDER BY value").fetchnumpy()
    value = np.asarray(found["value"], dtype=np.float64) / unit
    count = np.asarray(found["count"], dtype=np.int64)
    return _summarised(value, count, edges) if len(value) else None


def number(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> tuple[int, Distribution | None]:
    """How many values of a column of numbers are missing or no number, and the distribution of the others."""
    digits = f"2 - floor(log10(abs({column})))::INTEGER"
    rounded_value = f"CASE WHEN {column} = 0 THEN 0.0 ELSE round({column}, {digits}) END"
    found = connection.execute(
        f"SELECT count(*) FILTER (NOT coalesce(isfinite({column}), false)) FROM {table}"
    ).fetchone()
    assert found is not None
    query = f"SELECT {rounded_value} AS value, count(*) FROM {table} WHERE isfinite({column}) GROUP BY value"
    return found[0], of(connection, query)


def _summarised(value: npt.NDArray[np.float64], count: npt.NDArray[np.int64], edges: Sequence[float]) -> Distribution:
    """The distribution of rising distinct values, each with its count."""
    upto = np.cumsum(count)
    total = int(upto[-1])

    def quantile(share: float) -> float:
        return float(value[min(int(np.searchsorted(upto, share * total)), len(value) - 1)])

    bins = []
    for low, high in zip(edges, [*edges[1:], None][: len(edges)], strict=True):
        inside = (value >= low) & (value < (np.inf if high is None else high))
        bins.append(Bin(float(low), None if high is None else float(high), int(count[inside].sum())))
    filled = [n for n, found in enumerate(bins) if found.count]
    p05, p25, p50, p75, p95 = map(quantile, (0.05, 0.25, 0.5, 0.75, 0.95))
    return Distribution(
        count=total,
        mean=float((value * count).sum() / total),
        minimum=float(value[0]),
        p05=p05,
        p25=p25,
        p50=p50,
        p75=p75,
        p95=p95,
        maximum=float(value[-1]),
        bins=tuple(bins[filled[0] : filled[-1] + 1]) if filled else (),
    )

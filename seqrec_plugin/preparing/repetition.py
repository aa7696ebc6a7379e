"""Events that say nothing new: exact duplicates, and the same again soon after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def remove_duplicates(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> None:
    """Of events that agree in all `columns` of `coded` (everything but the line), keep the first in the file."""
    same = ", ".join(columns)
    connection.execute(f"CREATE OR REPLACE TABLE coded AS SELECT min(line) AS line, {same} FROM coded GROUP BY {same}")


def remove_repeats(connection: duckdb.DuckDBPyConnection, window: float, behaviors: bool) -> None:
    """Remove what the same user did with the same item at most `window` seconds before.

    It counts from the last time, whether that was removed or not: of a chain the first remains.
    """
    same = "u, i, b" if behaviors else "u, i"
    connection.execute(
        "DELETE FROM coded WHERE line IN (SELECT line FROM (SELECT line, time - lag(time) OVER "
        f"(PARTITION BY {same} ORDER BY time, line) AS gap FROM coded) WHERE gap <= ?)",
        [round(window * 1e6)],
    )

"""Users who act like machines: too quick, or always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqrec_plugin.preparing.recipe import Machines

if TYPE_CHECKING:
    import duckdb


def remove_machines(connection: duckdb.DuckDBPyConnection, machines: Machines) -> str:
    """Remove all events of users who pass one of the bounds; returns how many passed each, as words.

    The entropy of a user's items is H = −Σ p log₂ p, with p each item's share of the user's events (Shannon, 1948).
    """
    connection.execute(
        "CREATE TEMP TABLE busy AS SELECT u FROM coded GROUP BY u HAVING count(*) >= ?", [machines.min_events]
    )
    connection.execute("CREATE TEMP TABLE machines (u INTEGER)")
    told = []
    minutes = "SELECT u, count(*) AS n FROM coded SEMI JOIN busy USING (u) GROUP BY u, time // 60000000"
    items = "SELECT u, count(*) AS n FROM coded SEMI JOIN busy USING (u) GROUP BY u, i"
    entropy = "round(log2(sum(n)) - sum(n * log2(n)) / sum(n), 9)"
    for bound, each, passes, what in (
        (machines.per_minute, minutes, "max(n) > ?", "more than {} events a minute"),
        (machines.item_share, items, "max(n) / sum(n) > ?", "more than {} of events on one item"),
        (machines.min_entropy, items, f"{entropy} < ?", "items of an entropy below {} bits"),
    ):
        if bound:
            found = connection.execute(
                f"INSERT INTO machines SELECT u FROM ({each}) GROUP BY u HAVING {passes}", [bound]
            ).fetchone()
            told.append(f"{what.format(f'{bound:g}')} ({found[0] if found else 0:,})")
    connection.execute("DELETE FROM coded WHERE u IN (SELECT u FROM machines)")
    connection.execute("DROP TABLE busy; DROP TABLE machines")
    return ", ".join(told)

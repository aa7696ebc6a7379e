"""Users and items with too few events, to the fixed point: the k-core of the graph of users and items."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def remove_below(connection: duckdb.DuckDBPyConnection, user: int, item: int) -> int:
    """Remove users with fewer than `user` events and items with fewer than `item`, until all that remain have as many.

    Each round takes out those who fall short and lowers the counts of those they met, as Batagelj & Zaversnik do (2003,
    arXiv:cs/0310049), a generation at a time; each pair of user and item is counted off once.

    Returns:
        the rounds it took.
    """
    connection.execute("CREATE TEMP TABLE pairs AS SELECT u, i, count(*) AS n FROM coded GROUP BY u, i")
    for own in "ui":
        connection.execute(
            f"CREATE TEMP TABLE left_{own} AS SELECT {own}, sum(n)::BIGINT AS n FROM pairs GROUP BY {own}"
        )
    rounds = 0
    while True:
        for own, least in (("u", user), ("i", item)):
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE out_{own} AS SELECT {own} FROM left_{own} WHERE n < {least}"
            )
            connection.execute(f"DELETE FROM left_{own} WHERE n < {least}")
        if not any(_any(connection, f"out_{own}") for own in "ui"):
            break
        rounds += 1
        for own, other in (("u", "i"), ("i", "u")):
            connection.execute(
                f"UPDATE left_{other} SET n = left_{other}.n - lost.n FROM (SELECT {other}, sum(n)::BIGINT AS n "
                f"FROM pairs SEMI JOIN out_{own} USING ({own}) SEMI JOIN left_{other} USING ({other}) "
                f"GROUP BY {other}) AS lost WHERE left_{other}.{other} = lost.{other}"
            )
    if rounds:
        connection.execute("DELETE FROM coded WHERE u NOT IN (SELECT u FROM left_u) OR i NOT IN (SELECT i FROM left_i)")
    connection.execute("DROP TABLE pairs; DROP TABLE left_u; DROP TABLE left_i; DROP TABLE out_u; DROP TABLE out_i")
    return rounds


def _any(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None

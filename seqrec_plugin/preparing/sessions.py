"""Sessions: a user's events between two long pauses, each a sequence of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

#: Between the user and the number of the session. The last one in a token is this, so no two sessions share a token.
MARK = "#"
#: The key of a sequence is the user's, times this, and the session: in the order of users, then of sessions.
_SHIFT = 2**32


def split_sessions(connection: duckdb.DuckDBPyConnection, gap: float) -> None:
    """Make a user of each session: `anna` becomes `anna#1`, `anna#2` … ; a pause of more than `gap` seconds ends one.

    `users.person` stays what it was.
    """
    connection.execute(
        f"CREATE OR REPLACE TABLE coded AS SELECT * EXCLUDE (pause) REPLACE ((u * {_SHIFT} + 1 + sum(pause) OVER "
        "(PARTITION BY u ORDER BY time, line ROWS UNBOUNDED PRECEDING))::BIGINT AS u) FROM "
        "(SELECT *, if(time - lag(time) OVER (PARTITION BY u ORDER BY time, line) > ?, 1, 0) AS pause FROM coded)",
        [round(gap * 1e6)],
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE users AS SELECT s.u, user || '{MARK}' || (s.u % {_SHIFT}) AS user, person "
        f"FROM (SELECT DISTINCT u FROM coded) AS s JOIN users ON users.u = s.u // {_SHIFT}"
    )

"""Sessions: a user's events between two long pauses, each a sequence of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

#: Between the user and the number of the session. The last one in a token is this, so no two sessions share a token.
MARK = "#"


def split_sessions(connection: duckdb.DuckDBPyConnection, gap: float) -> None:
    """Make a user of each session: `anna` becomes `anna#1`, `anna#2` … ; a pause of more than `gap` seconds ends one.

    `users.person` stays what it was.
    """
    connection.execute(
        "CREATE OR REPLACE TABLE coded AS SELECT * EXCLUDE (pause), "
        "(1 + sum(pause) OVER (PARTITION BY u ORDER BY time, line ROWS UNBOUNDED PRECEDING))::INTEGER AS session FROM "
        "(SELECT *, if(time - lag(time) OVER (PARTITION BY u ORDER BY time, line) > ?, 1, 0) AS pause FROM coded)",
        [round(gap * 1e6)],
    )
    connection.execute(
        "CREATE TEMP TABLE sequences AS SELECT row_number() OVER (ORDER BY u, session)::INTEGER AS sequence, u, "
        "session FROM (SELECT DISTINCT u, session FROM coded)"
    )
    connection.execute(
        "CREATE OR REPLACE TABLE coded AS SELECT * EXCLUDE (session, sequence) REPLACE (sequence AS u) "
        "FROM coded JOIN sequences USING (u, session)"
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE users AS SELECT sequence AS u, user || '{MARK}' || session AS user, person "
        "FROM sequences JOIN users USING (u)"
    )
    connection.execute("DROP TABLE sequences")

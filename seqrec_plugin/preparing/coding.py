"""`events`, with ids as text → `coded`, with ids as numbers, on which every step works; and a view back.

coded   line, u, i, time, [b], number_0 …      one row an event
users   u, user, person                        u counts users by their first line; `person` is the same for all
                                               sequences of one user
items   i, item, feature_0 …                   of each feature the last one that is not empty
acts    b, act, weight                         the behaviours, by name
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from seqrec_plugin.preparing import privacy

if TYPE_CHECKING:
    import duckdb


def encode(
    connection: duckdb.DuckDBPyConnection,
    numbers: Sequence[str],
    features: Sequence[str],
    acts: Mapping[str, str | None] | None,
    weights: Mapping[str, float],
    key: bytes | None,
) -> None:
    """Make the coded tables and drop `events`.

    Args:
        connection: with the table `events`.
        numbers: its columns `number_0` …, by name.
        features: its columns `feature_0` …, by name.
        acts: value of `behavior` → name, None for those to be dropped (their `b` is NULL); None where there is no such
            column.
        weights: name → weight; 1 where there is none.
        key: for pseudonyms of the users, or None.
    """
    connection.execute(
        "CREATE TABLE known AS SELECT row_number() OVER (ORDER BY min(line))::INTEGER AS u, user FROM events "
        "GROUP BY user"
    )
    hashed, values = privacy.pseudonym("user", key)
    connection.execute(f"CREATE TABLE users AS SELECT u, {hashed} AS user, u AS person FROM known", values)
    last = "".join(
        f", arg_max(feature_{n}, line) FILTER (feature_{n} <> '') AS feature_{n}" for n in range(len(features))
    )
    connection.execute(
        f"CREATE TABLE items AS SELECT row_number() OVER (ORDER BY min(line))::INTEGER AS i, item{last} "
        "FROM events GROUP BY item"
    )
    b = joined = ""
    if acts is not None:
        names = list(dict.fromkeys(name for name in acts.values() if name is not None))
        connection.execute("CREATE TABLE acts (b INTEGER, act VARCHAR, weight DOUBLE)")
        connection.execute("CREATE TEMP TABLE act_values (behavior VARCHAR, b INTEGER)")
        for n, name in enumerate(names):
            connection.execute("INSERT INTO acts VALUES (?, ?, ?)", [n, name, weights.get(name, 1.0)])
        for value, act in acts.items():
            row = [value, None if act is None else names.index(act)]
            connection.execute("INSERT INTO act_values VALUES (?, ?)", row)
        b, joined = ", b", "LEFT JOIN act_values ON act_values.behavior = coalesce(events.behavior, '')"
    columns = "".join(f", number_{n}" for n in range(len(numbers)))
    connection.execute(
        f"CREATE TABLE coded AS SELECT line, u, i, time{b}{columns} FROM events "
        f"JOIN known ON known.user = events.user JOIN items ON items.item = events.item {joined}"
    )
    connection.execute("DROP TABLE events; DROP TABLE known")


def remove_unwritable(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove events whose user or item holds a tab, a line end or a NUL, which no atomic file can hold."""
    for table, key, column in (("users", "u", "user"), ("items", "i", "item")):
        connection.execute(
            f"DELETE FROM coded WHERE {key} IN (SELECT {key} FROM {table} WHERE regexp_matches({column}, ?))",
            ["[\\t\\n\\r\\x00]"],
        )


def decode(connection: duckdb.DuckDBPyConnection, numbers: int, features: int, acts: bool) -> None:
    """Make `events` again, as a view with the columns that it had."""
    columns = ["line", '"user"', "item", "time", *(["act AS behavior"] if acts else [])]
    columns += [f"number_{n}" for n in range(numbers)] + [f"feature_{n}" for n in range(features)]
    connection.execute(
        f"CREATE VIEW events AS SELECT {', '.join(columns)} FROM coded JOIN users USING (u) JOIN items USING (i)"
        + (" JOIN acts USING (b)" if acts else "")
    )

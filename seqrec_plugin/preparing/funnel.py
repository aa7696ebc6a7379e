"""What users do besides looking: counts of each behaviour, and what follows what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import duckdb

#: As many behaviours are told apart in the funnel.
MOST = 8


class Behavior(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A behaviour, its events and the users who show it."""

    name: str
    events: int
    users: int


class Funnel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What users do, and then do.

    Attributes:
        all: every behaviour, in the order asked for or by falling count.
        then: [i][j], for the first `MOST`: users who did i and, at a later event, j.
    """

    all: tuple[Behavior, ...]
    then: tuple[tuple[int, ...], ...]


def measure(connection: duckdb.DuckDBPyConnection, order: Sequence[str] = ()) -> Funnel:
    """The behaviours in `keyed` (see `findings`).

    Args:
        connection: where the events are.
        order: behaviours from the first step of the funnel to the last; others follow.
    """
    # A place is where an event stands: its time, and its line where times are equal.
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE done AS
           SELECT user, behavior, count(*) AS events, min(place) AS first, max(place) AS last
           FROM (SELECT user, behavior, time::HUGEINT * 1000000000000 + line AS place FROM keyed)
           GROUP BY user, behavior"""
    )
    rows = connection.execute(
        "SELECT behavior, sum(events)::BIGINT AS n, count(*) FROM done GROUP BY behavior ORDER BY n DESC, behavior"
    ).fetchall()
    rank = {name: n for n, name in enumerate(order)}
    found = sorted((Behavior(*row) for row in rows), key=lambda one: rank.get(one.name, len(rank)))
    followed = connection.execute(
        """SELECT a.behavior, b.behavior, count(*) FROM done AS a JOIN done AS b USING (user)
           WHERE a.first < b.last GROUP BY ALL"""
    ).fetchall()
    connection.execute("DROP TABLE done")
    users = {(a, b): count for a, b, count in followed}
    names = [one.name for one in found[:MOST]]
    return Funnel(tuple(found), tuple(tuple(users.get((a, b), 0) for b in names) for a in names))

"""Users' sequences: how long they are, how far apart their events, how often an item comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from seqrec_plugin.preparing.distribution import Distribution, of, rounded

if TYPE_CHECKING:
    import duckdb

_BOUND = 4 * 10**18
_LENGTHS = (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
#: Seconds; the first bin holds what is less than a second apart, or at the same time.
_GAPS = (0, 1, 10, _MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY, 30 * _DAY, 365 * _DAY)


class Gaps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user's successive events.

    Attributes:
        pairs: how many there are.
        ties: pairs of one and the same time; their order is that of the file.
        users: those with two events or more.
        last_tied: users whose last two events are of the same time: what leave-one-out asks for is then arbitrary.
        same_item: pairs of one and the same item.
        seconds: the gaps; None where times are only positions.
    """

    pairs: int
    ties: int
    users: int
    last_tied: int
    same_item: int
    seconds: Distribution | None


class Repeats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events whose item the user had had before, and the users who have any."""

    events: int
    users: int


def lengths(connection: duckdb.DuckDBPyConnection) -> Distribution | None:
    """Events a user, of `of_users` (see `findings`); None where there are none."""
    return of(connection, f"SELECT {rounded('events')} AS n, count(*) FROM of_users GROUP BY n", edges=_LENGTHS)


def items_per_user(connection: duckdb.DuckDBPyConnection) -> Distribution | None:
    """Different items a user, of `of_users`; None where there are none."""
    return of(connection, f"SELECT {rounded('items')} AS n, count(*) FROM of_users GROUP BY n", edges=_LENGTHS)


def repeats(connection: duckdb.DuckDBPyConnection) -> Repeats:
    """How often an item comes back, of `of_users`."""
    found = connection.execute(
        "SELECT coalesce(sum(events - items), 0)::BIGINT, count(*) FILTER (events > items) FROM of_users"
    ).fetchone()
    assert found is not None
    return Repeats(*found)


def gaps(connection: duckdb.DuckDBPyConnection, *, positions: bool) -> Gaps | None:
    """The gaps between successive events in `keyed` (see `findings`); None where nobody has two.

    Args:
        connection: where the events are.
        positions: times are an order and no clock.
    """
    time = f"greatest(-{_BOUND}, least({_BOUND}, time))"  # or the gap of two absurd times would not fit in 64 bits
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE gaps AS
            WITH bounded AS (SELECT user, item, {time} AS time, line FROM keyed),
                 pairs AS (SELECT time - lag(time) OVER one AS gap, item = lag(item) OVER one AS same_item,
                                  lead(line) OVER one IS NULL AS last
                           FROM bounded WINDOW one AS (PARTITION BY user ORDER BY time, line))
            SELECT {rounded("gap")} AS gap, same_item, last, count(*) AS count
            FROM pairs WHERE gap IS NOT NULL GROUP BY ALL"""
    )
    found = connection.execute(
        """SELECT sum(count)::BIGINT, coalesce(sum(count) FILTER (gap = 0), 0)::BIGINT,
                  coalesce(sum(count) FILTER (last), 0)::BIGINT,
                  coalesce(sum(count) FILTER (last AND gap = 0), 0)::BIGINT,
                  coalesce(sum(count) FILTER (same_item), 0)::BIGINT
           FROM gaps"""
    ).fetchone()
    assert found is not None
    seconds = None
    if found[0] and not positions:
        query = "SELECT gap AS value, sum(count)::BIGINT FROM gaps GROUP BY value"
        seconds = of(connection, query, edges=_GAPS, unit=1e6)
    connection.execute("DROP TABLE gaps")
    pairs, ties, users, last_tied, same_item = found
    return Gaps(pairs, ties, users, last_tied, same_item, seconds) if pairs else None

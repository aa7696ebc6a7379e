"""All that the report says, as one value; everything is measured by SQL aggregates, so that memory stays small.

`measure` reads the table `events` and makes one of its own beside it, `pairs(user, item, events)`: who had which item
how often. There a user and an item are 64-bit hashes; of ten million, two are alike with a chance of three in a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from seqrec_plugin.preparing import activity, behaviors, popularity, sequences
from seqrec_plugin.preparing.activity import Activity
from seqrec_plugin.preparing.behaviors import Behaviors
from seqrec_plugin.preparing.distribution import Distribution
from seqrec_plugin.preparing.popularity import Popularity
from seqrec_plugin.preparing.sequences import Gaps, Repeats

if TYPE_CHECKING:
    import duckdb


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of the preparation: what it is called, why it was done (one sentence), what was left after it."""

    name: str
    why: str
    events: int
    users: int
    items: int
    removed: int


class Guess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column that was found and not told: user, item, time …, its name, and why it was taken."""

    role: str
    column: str
    why: str


class Rejected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows that could not be read, by reason."""

    reason: str
    rows: int


class Caution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that matters.

    Attributes:
        name: stays the same from one version to the next.
        value: the number that gave rise to it.
        text: one sentence or two, with the number, and what to do.
    """

    name: str
    value: float
    text: str


class Findings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was found in the events and done with them; nothing in it names a user.

    Attributes:
        name: of the data set.
        events, users, items: what is left at the end.
        positions: times are an order and no clock.
        steps, guesses, rejected, warnings: in the order they happened; `rejected` by falling count.
        lengths, items_per_user, popularity, gaps, behaviors, activity: None where the data do not tell.
    """

    format: int = 1
    name: str
    files: tuple[str, ...] = ()
    events: int
    users: int
    items: int
    positions: bool = False
    guesses: tuple[Guess, ...] = ()
    steps: tuple[Step, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    lengths: Distribution | None = None
    items_per_user: Distribution | None = None
    popularity: Popularity | None = None
    activity: Activity | None = None
    behaviors: Behaviors | None = None
    gaps: Gaps | None = None
    repeats: Repeats
    warnings: tuple[Caution, ...] = ()

    def encode(self) -> bytes:
        """As JSON, the same bytes for the same findings."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Findings:
        """From JSON.

        Raises:
            msgspec.DecodeError: it is not JSON, or not what `encode` writes.
        """
        return msgspec.json.decode(data, type=cls)


def measure(
    connection: duckdb.DuckDBPyConnection,
    steps: Sequence[Step] = (),
    *,
    name: str = "",
    files: Sequence[str] = (),
    positions: bool = False,
    order: Sequence[str] = (),
    guesses: Sequence[Guess] = (),
    notes: Sequence[str] = (),
) -> Findings:
    """Measure what is in `events` (and in `rejects`, where there is such a table).

    Args:
        connection: a DuckDB with the table `events`; it is left as it was.
        steps: what was done, in order.
        name: of the data set.
        files: names of what was read, without their folders.
        positions: times are an order and no clock (`Source.time_unit` is "position", or there is no time column).
        order: behaviours from the first step of the funnel to the last; without, by falling count.
        guesses: the columns that were found.
        notes: warnings that came up on the way here; they are kept, first.
    """
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE pairs AS
           SELECT hash(user) AS user, hash(item) AS item, count(*) AS events FROM events GROUP BY 1, 2"""
    )
    try:
        total = connection.execute(
            "SELECT coalesce(sum(events), 0)::BIGINT, count(DISTINCT user), count(DISTINCT item) FROM pairs"
        ).fetchone()
        assert total is not None
        events, users, items = total
        return Findings(
            name=name,
            files=tuple(files),
            events=events,
            users=users,
            items=items,
            positions=positions,
            guesses=tuple(guesses),
            steps=tuple(steps),
            rejected=_rejected(connection),
            lengths=sequences.lengths(connection),
            items_per_user=sequences.items_per_user(connection),
            popularity=popularity.measure(connection) if events else None,
            activity=activity.measure(connection) if events and not positions else None,
            behaviors=behaviors.measure(connection, order) if events and _has(connection, "behavior") else None,
            gaps=sequences.gaps(connection, positions=positions),
            repeats=sequences.repeats(connection),
            warnings=tuple(Caution("reading", 0, note) for note in notes),
        )
    finally:
        connection.execute("DROP TABLE IF EXISTS pairs")


def _has(connection: duckdb.DuckDBPyConnection, column: str) -> bool:
    found = connection.execute("DESCRIBE events").fetchall()
    return any(row[0] == column for row in found)


def _rejected(connection: duckdb.DuckDBPyConnection) -> tuple[Rejected, ...]:
    tables = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    if "rejects" not in tables:
        return ()
    rows = connection.execute("SELECT reason, count(*) AS n FROM rejects GROUP BY reason ORDER BY n DESC, reason")
    return tuple(Rejected(*row) for row in rows.fetchall())

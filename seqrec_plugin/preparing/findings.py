"""All that the report says, as one value; everything is measured by SQL aggregates, so that memory stays small.

`measure` makes four relations of its own, which the modules of its parts read:

    keyed      user, item, time, line, [behavior]  one row an event; user and item are keys: the numbers that cleaning
                                                   gave them, or else hashes of 64 bits (of ten million, two are alike
                                                   with a chance of three in a million)
    named      item, token                         what an item's key stands for
    of_users   user, events, items                 how many events a user has, and how many different items
    of_items   item, events, users                 how many events an item has, and how many different users; those
                                                   whose sequence was cut in sessions are one each
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from seqrec_plugin.preparing import activity, advice, funnel, popularity, sequences, signal
from seqrec_plugin.preparing.activity import Activity
from seqrec_plugin.preparing.advice import Caution
from seqrec_plugin.preparing.distribution import Distribution, number
from seqrec_plugin.preparing.funnel import Funnel
from seqrec_plugin.preparing.popularity import Popularity
from seqrec_plugin.preparing.sequences import Gaps, Repeats
from seqrec_plugin.preparing.signal import Signal

if TYPE_CHECKING:
    import duckdb


#: As many reasons are told apart.
_REASONS = 20


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


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A numeric column: its values, and how many events have none."""

    name: str
    missing: int
    values: Distribution | None


class Findings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was found in the events and done with them; nothing in it names a user.

    Attributes:
        name: of the data set.
        events, users, items: what is left at the end.
        positions: times are an order and no clock.
        steps, guesses, rejected, warnings: in the order they happened; `rejected` by falling count.
        lengths, items_per_user, popularity, gaps, funnel, activity, signal: None where the data do not tell.
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
    funnel: Funnel | None = None
    gaps: Gaps | None = None
    repeats: Repeats
    numbers: tuple[Number, ...] = ()
    signal: Signal | None = None
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
    numbers: Sequence[str] = (),
    guesses: Sequence[Guess] = (),
    notes: Sequence[str] = (),
) -> Findings:
    """Measure what is in `events`, and in `rejects` where there is such a table.

    Where cleaning's tables are there (`coded`, `users`, `items`, `acts`; see `coding`), they are read instead:
    integers, and no joins.

    Args:
        connection: a DuckDB with these tables; it is left as it was.
        steps: what was done, in order.
        name: of the data set.
        files: names of what was read, without their folders.
        positions: times are an order and no clock (`Source.time_unit` is "position", or there is no time column).
        order: behaviours from the first step of the funnel to the last; without, by falling count.
        numbers: the names of `number_0` …
        guesses: the columns that were found.
        notes: warnings that came up on the way here; they are kept, first.
    """
    table, acted = _name(connection)
    try:
        total = connection.execute(
            "SELECT coalesce(sum(events), 0)::BIGINT, count(*), (SELECT count(*) FROM of_items) FROM of_users"
        ).fetchone()
        assert total is not None
        events, users, items = total
        found = Findings(
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
            funnel=funnel.measure(connection, order) if events and acted else None,
            gaps=sequences.gaps(connection, positions=positions),
            repeats=sequences.repeats(connection),
            numbers=tuple(Number(name, *number(connection, table, f"number_{n}")) for n, name in enumerate(numbers)),
            signal=signal.measure(connection),
        )
        kept = tuple(Caution("reading", 0.0, note) for note in notes)
        return msgspec.structs.replace(found, warnings=kept + advice.warnings(found))
    finally:
        connection.execute("DROP VIEW keyed; DROP VIEW named; DROP TABLE of_users; DROP TABLE of_items")


def _name(connection: duckdb.DuckDBPyConnection) -> tuple[str, bool]:
    """Make the four relations; gives the table they are of, and whether it knows of behaviours."""
    tables = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    table = "coded" if "coded" in tables else "events"
    columns = {row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()}
    acted = bool(columns & {"b", "behavior"})
    users, joined_users = "count(*)", ""
    if table == "coded":
        found = connection.execute("SELECT count(*) > count(DISTINCT person) FROM users").fetchone()
        if found is not None and found[0]:
            users, joined_users = "count(DISTINCT person)", "JOIN users ON users.u = pairs.user"
        behavior, joined = (", act AS behavior", " JOIN acts USING (b)") if acted else ("", "")
        keyed = f"SELECT u AS user, i AS item, time, line{behavior} FROM coded{joined}"
        named = "SELECT i AS item, item AS token FROM items"
    else:
        keyed = f"SELECT hash(user) AS user, hash(item) AS item, time, line{', behavior' if acted else ''} FROM events"
        named = "SELECT DISTINCT hash(item) AS item, item AS token FROM events"
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW keyed AS {keyed};
            CREATE OR REPLACE TEMP VIEW named AS {named};
            CREATE OR REPLACE TEMP TABLE pairs AS SELECT user, item, count(*) AS n FROM keyed GROUP BY user, item;
            CREATE OR REPLACE TEMP TABLE of_users AS
                SELECT user, sum(n)::BIGINT AS events, count(*) AS items FROM pairs GROUP BY user;
            CREATE OR REPLACE TEMP TABLE of_items AS
                SELECT item, sum(n)::BIGINT AS events, {users} AS users FROM pairs {joined_users} GROUP BY item;
            DROP TABLE pairs"""
    )
    return table, acted


def _rejected(connection: duckdb.DuckDBPyConnection) -> tuple[Rejected, ...]:
    tables = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    if "rejects" not in tables:
        return ()
    rows = connection.execute(
        "SELECT reason, count(*) AS n FROM rejects GROUP BY reason ORDER BY n DESC, reason"
    ).fetchall()
    rest = sum(row[1] for row in rows[_REASONS:])
    return tuple(Rejected(*row) for row in rows[:_REASONS]) + ((Rejected("other reasons", rest),) if rest else ())

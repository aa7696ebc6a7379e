"""What is measured of a table of events, against the same counted by hand or in plain Python."""

from __future__ import annotations

import itertools
from collections import defaultdict

import duckdb
import msgspec
import numpy as np
import pytest

from seqrec_plugin.preparing.findings import Findings, Guess, Step, measure
from tests.preparing import shop_log

HOUR = 3_600_000_000


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


@pytest.fixture(scope="module")
def log() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 2})
    shop_log.fill(connection)
    return connection


def warned(found: Findings) -> dict[str, str]:
    return {one.name: one.text for one in found.warnings}


def test_findings_come_back_from_json(log):
    steps = [Step("read", "All rows.", 10, 3, 4, 1)]
    found = measure(log, steps, name="shop", guesses=[Guess("user", "用户", "its name")], notes=["Three ids."])
    assert found.steps == tuple(steps)
    assert Findings.decode(found.encode()) == found
    assert Findings.decode(found.encode()).encode() == found.encode()
    with pytest.raises(msgspec.ValidationError, match="unknown"):
        Findings.decode(found.encode().replace(b'"events"', b'"event"', 1))


def test_the_same_events_give_the_same_bytes_on_one_thread_and_on_two(log):
    alone = duckdb.connect(config={"threads": 1})
    shop_log.fill(alone)
    assert measure(alone).encode() == measure(log).encode()


def test_nothing_of_measuring_stays_behind(log):
    before = log.execute("SHOW TABLES").fetchall()
    measure(log)
    assert log.execute("SHOW TABLES").fetchall() == before


def test_counts_agree_with_plain_python(log):
    found = measure(log, order=shop_log.FUNNEL)
    rows = log.execute("SELECT user, item, time, line, behavior FROM events ORDER BY user, time, line").fetchall()
    of_user = defaultdict(list)
    for row in rows:
        of_user[row[0]].append(row)
    items = {row[1] for row in rows}
    assert (found.events, found.users, found.items) == (len(rows), len(of_user), len(items))

    lengths = sorted(len(events) for events in of_user.values())
    assert found.lengths.p50 == lengths[int(np.ceil(len(lengths) / 2)) - 1]
    assert sum(one.count for one in found.lengths.bins) == found.lengths.count == len(of_user)

    pairs = [pair for events in of_user.values() for pair in itertools.pairwise(events)]
    assert found.gaps.pairs == len(pairs)
    assert found.gaps.ties == sum(a[2] == b[2] for a, b in pairs) > 50
    assert found.gaps.same_item == sum(a[1] == b[1] for a, b in pairs)
    last = [(events[-2], events[-1]) for events in of_user.values() if len(events) > 1]
    assert (found.gaps.users, found.gaps.last_tied) == (len(last), sum(a[2] == b[2] for a, b in last))
    gaps = sorted((b[2] - a[2]) / 1e6 for a, b in pairs)
    assert found.gaps.seconds.p95 == pytest.approx(gaps[int(np.ceil(0.95 * len(gaps))) - 1], rel=0.01)
    assert found.gaps.seconds.bins[0].count == sum(gap < 1 for gap in gaps)

    again = {user: len(events) - len({row[1] for row in events}) for user, events in of_user.items()}
    assert (found.repeats.events, found.repeats.users) == (sum(again.values()), sum(n > 0 for n in again.values()))

    then = [
        [
            sum(
                any(a[4] == first and b[4] == second for n, a in enumerate(events) for b in events[n + 1 :])
                for events in of_user.values()
            )
            for second in shop_log.FUNNEL
        ]
        for first in shop_log.FUNNEL
    ]
    assert [one.name for one in found.funnel.all] == list(shop_log.FUNNEL)
    assert [list(row) for row in found.funnel.then] == then


def test_popularity_by_hand(connection):
    shop_log.table(connection, user=list("abcdefgabc"), item=[*"xxxxxx", *"yzzz"], time=list(range(10)))
    popularity = measure(connection).popularity
    assert [(one.item, one.events, one.users) for one in popularity.top] == [("x", 6, 6)]  # z has only three users
    assert (popularity.cold, popularity.few_users) == (2, 2)
    assert popularity.curve[-1] == (1.0, 1.0)
    # Mean absolute difference of 6, 3, 1 over twice their mean: (3 + 5 + 2) · 2 / 9 / (2 · 10 / 3).
    assert popularity.gini == pytest.approx(1 / 3, abs=1e-6)


def test_hours_and_days_hold_before_1970_too(connection):
    # Wednesday 31 December 1969 23:00, Thursday 1 January 1970 01:00, Saturday 3 January 00:00.
    shop_log.table(connection, user=list("aab"), item=list("xyz"), time=[-HOUR, HOUR, 48 * HOUR])
    activity = measure(connection).activity
    assert (activity.first, activity.last) == ("1969-12-31T23:00:00Z", "1970-01-03T00:00:00Z")
    assert [n for n, count in enumerate(activity.by_hour) if count] == [0, 1, 23]
    assert activity.by_weekday == (0, 0, 1, 1, 0, 1, 0)
    assert activity.unit == "hour"
    assert len(activity.over_time) == 50 and sum(one.events for one in activity.over_time) == 3


@pytest.mark.parametrize(("days", "unit"), [(3, "hour"), (90, "day"), (800, "week"), (3000, "month"), (40_000, "year")])
def test_the_unit_of_a_chart_follows_the_span(connection, days, unit):
    shop_log.table(connection, user=["a", "b"], item=["x", "y"], time=[0, days * 24 * HOUR])
    activity = measure(connection).activity
    assert activity.unit == unit
    assert 2 <= len(activity.over_time) <= 150


def test_absurd_times_are_no_error(connection):
    shop_log.table(connection, user=["a", "a", "b"], item=list("xyz"), time=[-(2**63) + 1, 2**63 - 1, 0])
    found = measure(connection)
    assert found.activity.over_time == ()
    assert "µs" in found.activity.first
    assert "wrong_unit" in warned(found)


def test_positions_are_no_times(connection):
    shop_log.table(connection, user=list("aabb"), item=list("xyxz"), time=[1, 2, 1, 2])
    found = measure(connection, positions=True)
    assert found.activity is None
    assert found.gaps.pairs == 2 and found.gaps.seconds is None


def test_numeric_columns(connection):
    price = np.array([0.0, 12.34, 1234.0, -5.0, np.nan, np.inf])
    shop_log.table(connection, user=list("aaabbb"), item=list("xyzxyz"), time=list(range(6)), number_0=price)
    (number,) = measure(connection, numbers=["price"]).numbers
    assert (number.name, number.missing, number.values.count) == ("price", 2, 4)
    assert (number.values.minimum, number.values.p50, number.values.maximum) == (-5.0, 0.0, 1230.0)


def test_no_events_and_no_rejects(connection):
    connection.execute("CREATE TABLE events (line BIGINT, user VARCHAR, item VARCHAR, time BIGINT)")
    found = measure(connection)
    assert (found.events, found.warnings, found.rejected, found.signal) == (0, (), (), None)


def test_rejected_rows_are_counted_by_reason(connection):
    shop_log.table(connection, user=["a"], item=["x"], time=[0])
    connection.execute("CREATE TABLE rejects (file VARCHAR, line BIGINT, reason VARCHAR, text VARCHAR)")
    reason = "CASE WHEN i < 3 THEN 'no item' ELSE 'reason ' || i END"
    connection.execute(f"INSERT INTO rejects SELECT 'f', i, {reason}, '' FROM range(60) t(i)")
    rejected = measure(connection).rejected
    assert (rejected[0].reason, rejected[0].rows) == ("no item", 3)
    assert (rejected[-1].reason, sum(one.rows for one in rejected)) == ("other reasons", 60)


@pytest.fixture
def coded(connection) -> duckdb.DuckDBPyConnection:
    """The same log as cleaning leaves it: numbers, beside the view with their ids."""
    shop_log.fill(connection)
    connection.execute(
        """CREATE TABLE users AS SELECT *, u AS person
                                 FROM (SELECT user, row_number() OVER ()::INTEGER AS u FROM events GROUP BY user);
           CREATE TABLE items AS SELECT item, row_number() OVER ()::INTEGER AS i FROM events GROUP BY item;
           CREATE TABLE acts AS SELECT behavior AS act, row_number() OVER ()::INTEGER AS b FROM events GROUP BY act;
           CREATE TABLE coded AS SELECT line, u, i, time, b FROM events JOIN users USING (user) JOIN items USING (item)
                                 JOIN acts ON act = behavior;
           DROP TABLE events"""
    )
    return connection


def test_the_tables_of_cleaning_give_the_same(log, coded):
    found, expected = measure(coded, name="shop"), measure(log, name="shop")
    drop = {"signal": None, "warnings": ()}  # which users are held out depends on their keys
    assert msgspec.structs.replace(found, **drop) == msgspec.structs.replace(expected, **drop)
    assert found.signal.events == expected.signal.events


def test_an_item_of_many_sessions_but_few_users_is_not_named(coded):
    assert measure(coded).popularity.top
    coded.execute("UPDATE users SET person = u % 4")
    popularity = measure(coded).popularity
    assert popularity.top == ()
    assert popularity.few_users == measure(coded).items


def test_ties_are_warned_of_with_their_numbers(connection):
    users, times = ["a"] * 10 + ["b"] * 10, [*[0] * 5, *[HOUR] * 5, *range(10)]
    shop_log.table(connection, user=users, item=[*"abcdefghij"] * 2, time=times)
    text = warned(measure(connection))["ties"]
    assert "44.4%" in text  # 8 of 18 pairs
    assert "50.0% of the users" in text  # one of two


@pytest.mark.parametrize(
    ("items", "name"), [("abcdefghij", "few_repeats"), ("abababcdef", "many_repeats"), ("abcdefghia", None)]
)
def test_rare_and_frequent_repeats_ask_for_opposite_things(connection, items, name):
    shop_log.table(connection, user=["a"] * 10, item=list(items), time=list(range(10)))
    found = warned(measure(connection))
    assert {one for one in found if one.endswith("repeats")} == ({name} if name else set())


def test_what_is_too_little_is_warned_of(connection):
    users = [f"u{n}" for n in range(30) for _ in range(2)]
    shop_log.table(connection, user=users, item=[f"i{n}" for n in range(60)], time=[n * HOUR for n in range(60)])
    found = warned(measure(connection, [Step("k-core", "…", 60, 30, 60, 940)]))
    assert {"short_sequences", "few_items", "cold_items", "few_users", "much_removed"} <= set(found)
    assert "94.0%" in found["much_removed"]
    assert "60 of 60 items" in found["few_users"]


def test_milliseconds_taken_for_microseconds_are_seen(connection):
    times = [(1_700_000_000 + n) * 1_000 for n in range(20)]
    shop_log.table(connection, user=["a"] * 20, item=[f"i{n % 7}" for n in range(20)], time=times)
    assert "1970-01-20" in warned(measure(connection))["wrong_unit"]


def test_a_sound_log_has_no_warning_of_time_or_order(log):
    assert set(warned(measure(log))) <= {"ties", "few_users", "many_repeats"}

"""Each step of a recipe removes what it says, and no more."""

from collections import Counter

import duckdb
import msgspec
import numpy as np
import pytest

from seqrec_plugin.errors import SeqrecError
from seqrec_plugin.preparing import cleaning, recipe
from seqrec_plugin.preparing.source import Source

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def events(rows, columns="user item time"):
    """A connection with the table `events`; times are seconds after a start."""
    connection = duckdb.connect(config={"threads": 1})
    names = ["line", *columns.split()]
    types = {"line": "BIGINT", "time": "BIGINT"}
    declared = ", ".join(f'"{n}" {types.get(n, "DOUBLE" if n.startswith("number") else "VARCHAR")}' for n in names)
    connection.execute(f"CREATE TABLE events ({declared})")
    for line, row in enumerate(rows, start=1):
        row = [START + round(v * SECOND) if n == "time" else v for n, v in zip(names[1:], row, strict=True)]
        connection.execute(f"INSERT INTO events VALUES ({', '.join('?' * len(names))})", [line, *row])
    return connection


def clean(rows, text, columns="user item time", numbers=(), key=None, **source):
    """What is left, as rows, and the steps by name."""
    connection = events(rows, columns)
    behavior = "act" if "behavior" in columns else None
    source = Source(behavior=behavior, numbers=numbers, **source)
    chosen = msgspec.structs.replace(recipe.parse(text), source=source)
    _, steps = cleaning.clean(connection, chosen, lambda _: None, key=key)
    left = connection.execute("SELECT * FROM events ORDER BY line").fetchall()
    return left, {step.name: step for step in steps}


def lines(left):
    return [row[0] for row in left]


def test_nothing_is_asked_and_nothing_changes():
    rows = [("anna", "007", 0), ("bob", "7", 5), ("anna", "7.0", 5)]
    left, steps = clean(rows, "")
    assert [(user, item, (time - START) / SECOND) for _, user, item, time in left] == rows
    assert [step.removed for step in steps.values()] == [0, 0, 0]
    assert (steps["read"].events, steps["read"].users, steps["read"].items) == (3, 2, 3)


def test_an_id_that_no_atomic_file_can_hold():
    left, steps = clean([("a", "x", 0), ("a\tb", "x", 1), ("a", "y\nz", 2), ("a", "q\r", 3)], "")
    assert (lines(left), steps["ids"].removed) == ([1], 3)


def test_of_duplicates_the_first_line_stays():
    rows = [("a", "x", 9), ("a", "x", 9), ("a", "x", 8), ("b", "x", 9), ("a", "x", 9)]
    left, steps = clean(rows, "")
    assert lines(left) == [1, 3, 4]
    assert steps["duplicates"].removed == 2
    assert len(clean(rows, "duplicates: false")[0]) == 5


def test_another_behaviour_or_number_is_no_duplicate():
    rows = [
        ("a", "x", 9, "view", 1.0),
        ("a", "x", 9, "cart", 1.0),
        ("a", "x", 9, "view", 2.0),
        ("a", "x", 9, "view", None),
    ]
    columns = "user item time behavior number_0"
    assert lines(clean(rows + rows, "missing: {price: drop}", columns, ("price",))[0]) == [1, 2, 3]


def test_repeats_count_from_the_last_event_kept_or_not():
    rows = [("a", "x", t) for t in (0, 40, 80, 200)] + [("a", "y", 41), ("b", "x", 41)]
    left, steps = clean(rows, "repeats: 60")
    assert lines(left) == [1, 4, 5, 6]
    assert steps["repeats"].removed == 2


def test_a_repeat_is_of_the_same_behaviour():
    rows = [("a", "x", 0, "view"), ("a", "x", 10, "cart"), ("a", "x", 20, "view")]
    assert lines(clean(rows, "repeats: 60", "user item time behavior")[0]) == [1, 2]


def test_impossible_times():
    year = 365 * 86400
    rows = [("a", "x", 0), ("a", "y", -60 * year), ("a", "z", 100 * year), ("b", "x", -1)]
    left, steps = clean(rows, "")
    assert (lines(left), steps["impossible times"].removed) == ([1, 4], 2)
    left, _ = clean(rows, "times: {after: 2023-11-14T22:13:20Z, before: ''}")
    assert lines(left) == [1, 3]
    assert len(clean(rows, "times: {after: '', before: ''}")[0]) == 4


def test_positions_are_not_times():
    rows = [("a", "x", -1), ("a", "y", -2)]
    assert len(clean(rows, "times: {after: 2030-01-01}", time_unit="position")[0]) == 2
    with pytest.raises(SeqrecError, match="no times"):
        clean(rows, "session_gap: 5", time_unit="position")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["pv", "fav", "cart", "buy"], ["view", "favourite", "cart", "purchase"]),
        (["点击", "收藏", "加购", "购买"], ["click", "favourite", "cart", "purchase"]),
        (["1", "2", "3", "4"], ["view", "favourite", "cart", "purchase"]),
        (["View", "add_to_cart", "Transaction"], ["view", "cart", "purchase"]),
        (["pv", "pv", "share", "buy"], ["pv", "pv", "share", "buy"]),  # one is not known: none is renamed
        (["1", "2", "3", "3"], ["1", "2", "3", "3"]),  # stars, perhaps
        (["1", "2", "3", "4", "5"], ["1", "2", "3", "4", "5"]),
        (["pv", "", "buy"], ["view", "unknown", "purchase"]),
        (["pv", None, "buy"], ["view", "unknown", "purchase"]),
    ],
)
def test_well_known_behaviours_are_recognised_as_a_set(values, names):
    rows = [("a", f"i{n}", n, value) for n, value in enumerate(values)]
    left, _ = clean(rows, "", "user item time behavior")
    assert [row[4] for row in left] == names


def test_the_recipe_maps_keeps_and_drops():
    rows = [("a", f"i{n}", n, value) for n, value in enumerate(["pv", "buy", "share"])]
    columns = "user item time behavior"
    left, _ = clean(rows, "behaviors: {map: {pv: look}}", columns)
    assert [row[4] for row in left] == ["look", "buy", "share"]
    left, steps = clean(rows, "behaviors: {map: {pv: look, buy: purchase}, unmapped: drop}", columns)
    assert [row[4] for row in left] == ["look", "purchase"]
    assert steps["behaviours"].removed == 1
    left, _ = clean(rows, "behaviors: {keep: [buy]}", columns)
    assert [row[4] for row in left] == ["buy"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("behaviors: {targets: [purchas]}", "'purchase'"),
        ("behaviors: {keep: [view], targets: [purchase]}", "leaves out"),
        ("behaviors: {weights: {vieww: 1}}", "'view'"),
        ("values: {price: {min: 1}}", "--value"),
    ],
)
def test_a_recipe_that_speaks_of_what_is_not_there(text, said):
    rows = [("a", "x", 0, "pv"), ("a", "y", 1, "buy")]
    with pytest.raises(SeqrecError, match=said) as found:
        clean(rows, text, "user item time behavior")
    assert found.value.code == "bad_value"


def test_behaviours_without_a_column():
    with pytest.raises(SeqrecError, match="--behavior"):
        clean([("a", "x", 0)], "behaviors: {keep: [buy]}")


def test_values_and_what_is_missing():
    rows = [("a", f"i{n}", n, value) for n, value in enumerate([1.0, -1.0, 50.0, None, float("nan"), float("inf")])]
    columns = "user item time number_0"
    left, steps = clean(rows, "values: {price: {min: 0, max: 10}}", columns, ("price",))
    assert [(row[0], row[4]) for row in left] == [(1, 1.0), (4, None), (5, None), (6, None)]
    assert steps["missing price"].why == "3 events lack price: a training reads its median there."
    left, steps = clean(rows, "missing: {price: 0}", columns, ("price",))
    assert [row[4] for row in left[3:]] == [0.0, 0.0, 0.0]
    left, steps = clean(rows, "missing: {price: drop}", columns, ("price",))
    assert (lines(left), steps["missing price"].removed) == ([1, 2, 3], 3)


@pytest.mark.parametrize("method", ["iqr", "zscore", "mad"])
def test_outliers_are_those_of_the_formula(method):
    values = [*np.random.default_rng(0).normal(20, 5, 200).round(2).tolist(), 500.0, -300.0]
    rows = [("a", f"i{n}", n, value) for n, value in enumerate(values)]
    left, _ = clean(rows, f"outliers: {{price: {method}}}", "user item time number_0", ("price",))
    x = np.array(values)
    if method == "iqr":
        low, high = np.quantile(x, [0.25, 0.75])
        low, high = low - 1.5 * (high - low), high + 1.5 * (high - low)
    elif method == "zscore":
        low, high = x.mean() - 3 * x.std(), x.mean() + 3 * x.std()
    else:
        spread = 3.5 / 0.6745 * np.median(np.abs(x - np.median(x)))
        low, high = np.median(x) - spread, np.median(x) + spread
    assert [row[4] for row in left] == [v for v in values if low <= v <= high]
    assert len(left) < len(values)


def test_a_column_without_spread_has_no_outliers():
    rows = [("a", f"i{n}", n, 1.0 if n else 2.0) for n in range(20)]
    assert len(clean(rows, "outliers: {price: iqr}", "user item time number_0", ("price",))[0]) == 20


def test_machines():
    human = [("human", f"i{n}", 100 * n) for n in range(10)]
    quick = [("quick", f"i{n}", n / 10) for n in range(10)]
    stuck = [("stuck", "i0" if n < 9 else "i1", 100 * n) for n in range(10)]
    few = [("few", "i0", n / 10) for n in range(3)]
    rows = human + quick + stuck + few
    left, steps = clean(rows, "machines: {min_events: 5, per_minute: 5}")
    assert {row[1] for row in left} == {"human", "stuck", "few"}
    assert "(1)" in steps["machines"].why
    for text in ("item_share: 0.8", "min_entropy: 1"):
        left, _ = clean(rows, f"machines: {{min_events: 5, {text}}}")
        assert {row[1] for row in left} == {"human", "quick", "few"}


def k_core(pairs, user, item):
    while True:
        by_user, by_item = Counter(u for u, _ in pairs), Counter(i for _, i in pairs)
        left = [(u, i) for u, i in pairs if by_user[u] >= user and by_item[i] >= item]
        if len(left) == len(pairs):
            return left
        pairs = left


@pytest.mark.parametrize(("user", "item"), [(3, 3), (5, 2), (0, 4), (4, 0)])
def test_the_k_core_is_the_fixed_point(user, item):
    random = np.random.default_rng(user * 10 + item)
    pairs = [(f"u{u}", f"i{i}") for u, i in zip(random.zipf(1.6, 300) % 60, random.zipf(1.6, 300) % 40, strict=True)]
    left, steps = clean([(u, i, n) for n, (u, i) in enumerate(pairs)], f"k_core: {{user: {user}, item: {item}}}")
    expected = k_core(pairs, user, item)
    assert [row[1:3] for row in left] == expected
    assert steps["k-core"].removed == 300 - len(expected)


def test_items_of_few_users_stay_out_after_the_k_core():
    # z loses its second user by the k-core, and has to go then.
    rows = [
        ("a", "x", 0),
        ("a", "y", 1),
        ("a", "z", 2),
        ("a", "x", 3),
        ("b", "x", 0),
        ("b", "y", 1),
        ("b", "x", 2),
        ("c", "z", 0),
    ]
    left, steps = clean(rows, "min_users_per_item: 2\nk_core: {user: 3}")
    users = {}
    for _, user, item, _ in left:
        users.setdefault(item, set()).add(user)
    assert min(map(len, users.values())) >= 2
    assert "items of few users (again)" in steps


def test_a_session_is_a_sequence_and_its_user_still_one_person():
    rows = [("anna", "x", 0), ("anna", "y", 10), ("anna", "x", 5000), ("bob", "y", 0), ("anna", "x", 9000)]
    left, steps = clean(rows, "session_gap: 1800")
    assert [row[1] for row in left] == ["anna#1", "anna#1", "anna#2", "bob#1", "anna#3"]
    assert (steps["sessions"].users, steps["sessions"].removed) == (4, 0)
    left, _ = clean(rows, "session_gap: 1800\nmin_users_per_item: 2")
    assert {row[2] for row in left} == {"y"}  # x was in three sessions, but only one person's


def test_nothing_left_says_what_each_step_took():
    with pytest.raises(SeqrecError) as found:
        clean([("a", "x", 0), ("a", "x", 0)], "k_core: {user: 5}")
    assert (found.value.code, found.value.exit_code) == ("dataset_empty", 3)
    assert "of 2 events" in str(found.value) and "duplicates 1, k-core 1" in str(found.value)


def test_a_bound_is_where_the_recipe_says_it_is():
    """On a bound: kept at `after`, not at `before`; a repeat at the window's end; no pause yet at the gap."""
    moment = "2023-11-14T22:13:20Z"  # START
    assert lines(clean([("a", "x", 0), ("a", "y", -1)], f"times: {{after: {moment}, before: ''}}")[0]) == [1]
    assert lines(clean([("a", "x", 0), ("a", "y", -1)], f"times: {{after: '', before: {moment}}}")[0]) == [2]
    assert lines(clean([("a", "x", 0), ("a", "x", 60), ("a", "x", 121)], "repeats: 60")[0]) == [1, 3]
    left, _ = clean([("a", "x", 0), ("a", "y", 60), ("a", "z", 121)], "session_gap: 60")
    assert [row[1] for row in left] == ["a#1", "a#1", "a#2"]


def test_a_machine_is_one_from_the_least_number_of_events_on():
    rows = [("bot", "x", t) for t in range(5)] + [("a", "x", t) for t in range(4)]
    left, _ = clean(rows, "machines: {min_events: 5, item_share: 0.9}")
    assert {row[1] for row in left} == {"a"}


def test_users_are_written_as_they_first_appear(tmp_path):
    from seqrec_plugin.preparing import prepare

    source = tmp_path / "events.csv"
    source.write_text("user,item,time\nzoe,1,3\nanna,2,1\nzoe,3,2\n", encoding="utf-8")
    prepare([str(source)], tmp_path / "out", recipe.parse("times: {after: '', before: ''}"), lambda _: None)
    rows = (tmp_path / "out/out.inter").read_text(encoding="utf-8").splitlines()[1:]
    assert [row.split("\t")[:3] for row in rows] == [["zoe", "3", "1"], ["zoe", "1", "2"], ["anna", "2", "1"]]

"""How much the order tells: nothing where events are drawn at random, much where one leads to the next."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from seqrec_plugin.preparing import signal
from seqrec_plugin.preparing.findings import measure
from tests.preparing import shop_log

USERS, LENGTH, ITEMS = 600, 12, 80


def walk(random: np.random.Generator, follow: float) -> tuple[np.ndarray, np.ndarray]:
    """Users who go on to the next item of the catalogue with this chance, and anywhere else otherwise."""
    items = random.integers(0, ITEMS, (USERS, LENGTH))
    for step in range(1, LENGTH):
        on = random.random(USERS) < follow
        items[on, step] = (items[on, step - 1] + 1) % ITEMS
    return np.repeat(np.arange(USERS), LENGTH), items.ravel()


def test_random_events_carry_no_signal():
    found = signal.of(*walk(np.random.default_rng(0), 0.0))
    assert found.enough and found.weak
    assert found.low <= found.shuffled <= found.high
    assert found.ratio == pytest.approx(1, abs=0.15)


def test_tastes_without_order_are_no_signal():
    random = np.random.default_rng(0)
    taste = random.integers(0, 8, USERS)
    items = taste[:, None] * 20 + random.integers(0, 20, (USERS, LENGTH))
    found = signal.of(np.repeat(np.arange(USERS), LENGTH), items.ravel())
    assert found.hit > 0.4  # what goes together is easy to find
    assert found.weak  # but not by the order


def test_paths_through_the_catalogue_are_a_signal_and_the_more_the_stronger():
    some, strong = (signal.of(*walk(np.random.default_rng(0), follow)) for follow in (0.3, 0.9))
    assert not some.weak and not strong.weak
    assert strong.hit > 0.9
    assert 0.1 < some.hit - some.shuffled < strong.hit - strong.shuffled


def test_a_run_of_one_item_counts_once():
    user, item = walk(np.random.default_rng(0), 0.5)
    thrice = signal.of(np.repeat(user, 3), np.repeat(item, 3))
    once = signal.of(user, item)
    assert thrice.pairs == once.pairs and thrice.hit == once.hit


def test_it_is_the_same_each_time():
    first, second = (signal.of(*walk(np.random.default_rng(0), 0.5)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("user", "item"), [([0], [0]), ([0, 1], [0, 1]), ([0, 0], [3, 3])])
def test_nothing_to_predict_is_none(user, item):
    assert signal.of(np.array(user), np.array(item)) is None


def test_a_few_events_are_not_judged():
    found = signal.of(np.repeat(np.arange(6), 4), np.arange(24) % 5)
    assert not found.enough


def test_a_large_log_is_sampled_and_no_user_counts_for_much(monkeypatch):
    monkeypatch.setattr(signal, "EVENTS", 1_000)
    monkeypatch.setattr(signal, "NEWEST", 20)
    connection = duckdb.connect(config={"threads": 1})
    shop_log.fill(connection)
    found = measure(connection).signal
    assert 200 < found.events < 1_500
    assert found.events <= 20 * found.users


def test_data_of_little_signal_are_warned_of():
    connection = duckdb.connect(config={"threads": 1})
    user, item = walk(np.random.default_rng(0), 0.0)
    shop_log.table(
        connection, user=[f"u{n}" for n in user], item=[f"i{n}" for n in item], time=np.arange(len(user)) * 10**9
    )
    (text,) = [one.text for one in measure(connection).warnings if one.name == "weak_signal"]
    assert "shuffled" in text and "%" in text

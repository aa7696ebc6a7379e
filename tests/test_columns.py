"""What is known of events besides their items, and the arrays that a model reads."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqrec_plugin.columns import (
    BEHAVIOR,
    FEATURES,
    NEXT_BEHAVIOR,
    NEXT_TIME_GAP,
    NO_GAP,
    TIME_GAP,
    EventColumns,
    Row,
    negatives,
    padded,
)

EVENTS = EventColumns(
    time=np.array([100.0, 107.0, 107.0, 500.0, 1.7e9, 1.7e9 + 1]),
    behavior=np.array([1, 2, 1, 3, 1, 1]),
    features=np.arange(12, dtype=np.float32).reshape(6, 2),
)


def test_a_gap_is_to_the_event_before_in_the_same_row():
    read = np.array([[-1, 0, 1], [2, 3, -1][:3], [3, 4, 5]])
    read[1] = [-1, -1, 3]
    found = EVENTS.read([TIME_GAP], read, read)[TIME_GAP]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[NO_GAP, NO_GAP, 7], [NO_GAP] * 3, [NO_GAP, np.float32(1.7e9 - 500), 1]])


def test_seconds_apart_at_todays_epoch_are_exact():
    """float32 has steps of 128 s there: the difference must be taken before the rounding."""
    assert EVENTS.read([TIME_GAP], np.array([[4, 5]]), np.array([[5, 5]]))[TIME_GAP][0, 1] == 1.0


def test_the_next_event_is_told_at_each_position_or_at_the_last():
    read, following = np.array([[-1, 0, 1]]), np.array([[0, 1, 2]])
    found = EVENTS.read([NEXT_TIME_GAP, NEXT_BEHAVIOR], read, following)
    np.testing.assert_array_equal(found[NEXT_TIME_GAP], [[NO_GAP, 7, 0]])
    np.testing.assert_array_equal(found[NEXT_BEHAVIOR], [[1, 2, 1]])
    last = EVENTS.read([NEXT_TIME_GAP, NEXT_BEHAVIOR], read, following[:, -1:], wanted=3)
    np.testing.assert_array_equal(last[NEXT_TIME_GAP], [[0]])
    np.testing.assert_array_equal(last[NEXT_BEHAVIOR], [[3]])


def test_padding_is_filled_with_what_means_nothing():
    row = Row(np.array([5]), EVENTS.row([TIME_GAP, BEHAVIOR, FEATURES], slice(1, 2)))
    longer = Row(np.array([5, 6]), EVENTS.row([TIME_GAP, BEHAVIOR, FEATURES], slice(1, 3)))
    item_seq, columns = padded([row, longer], [TIME_GAP, BEHAVIOR, FEATURES])
    np.testing.assert_array_equal(item_seq, [[0, 5], [5, 6]])
    np.testing.assert_array_equal(columns[TIME_GAP], [[NO_GAP, NO_GAP], [NO_GAP, 0]])
    np.testing.assert_array_equal(columns[BEHAVIOR], [[0, 2], [2, 1]])
    np.testing.assert_array_equal(columns[FEATURES][0], [[0, 0], [2, 3]])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=50))
def test_a_negative_is_another_item_of_the_catalogue_and_the_same_again(items):
    items = np.array(items)
    found = negatives(items, 5)
    assert ((found >= 1) & (found <= 4) & (found != items)).all()
    np.testing.assert_array_equal(found, negatives(items, 5))

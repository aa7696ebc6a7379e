"""Times keep exactly their order, however they are written."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqrec_plugin import times
from seqrec_plugin.errors import BadData

WHOLE = st.integers(-(2**63), 2**63 - 1).map(str)


@given(st.lists(WHOLE, min_size=1))
def test_whole_numbers_are_themselves(values):
    keys = times.exact_times(values)
    assert keys.dtype == np.int64
    assert keys.tolist() == [int(value) for value in values]


def test_whole_numbers_written_otherwise_are_themselves_too():
    values = ["12.0", "1e9", "+7", "-3.", "1.5E1", "9223372036854775807.0", "9007199254740993", "-0.0"]
    assert times.exact_times(values).tolist() == [12, 10**9, 7, -3, 15, 2**63 - 1, 2**53 + 1, 0]


# At most ten decimals before eight digits: scaled, all of them fit int64.
DECIMAL = st.one_of(
    st.integers(-(10**8), 10**8).map(str),
    st.decimals(-(10**8), 10**8, places=6, allow_nan=False).map(str),
    st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-3).map(lambda x: f"{x:.8g}"),
)


@given(st.lists(DECIMAL, min_size=1))
def test_keys_are_in_exactly_the_order_of_the_numbers(values):
    keys = times.exact_times(values).tolist()
    numbers = [Fraction(value) for value in values]
    for a, x in zip(keys, numbers, strict=True):
        for b, y in zip(keys, numbers, strict=True):
            assert (a < b) == (x < y) and (a == b) == (x == y)


def test_milliseconds_are_told_apart_at_todays_epoch():
    keys = times.exact_times(["1700000000.124", "1700000000.123", "1700000000"])
    assert keys.tolist() == [1700000000124, 1700000000123, 1700000000000]


def test_a_scale_that_does_not_fit_is_refused():
    with pytest.raises(BadData, match=r"line 2.*decimal places"):
        times.exact_times(["9000000000000000000", "0.01"])

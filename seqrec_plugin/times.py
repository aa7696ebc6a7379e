"""Times as text → integers in exactly their order, and the unit that they are in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation

import numpy as np
import numpy.typing as npt

from seqrec_plugin.errors import BadData

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INT64 = np.iinfo(np.int64)
#: Decimal places beyond this say nothing about a time.
_MOST_PLACES = 18
#: From here on a number may be an epoch in seconds, milliseconds, microseconds, nanoseconds.
_UNITS = np.array([10**8, 10**11, 10**14, 10**17])
#: Units of time, in seconds.
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_EXACT = Context(prec=64, traps=[Inexact])


def exact_times(values: Sequence[str], where: str = "the column") -> npt.NDArray[np.int64]:
    """Numbers as text → integers in exactly their order.

    Whole numbers (also `12.0` or `1e9`) become themselves. Where some have decimals, all are scaled by the
    smallest power of ten that makes them whole.

    Args:
        values: one a row, the first of line 2.
        where: how to call them in an error.

    Returns:
        int64 [rows].

    Raises:
        BadData: `dataset_invalid` for a value that is empty, no number, or beyond int64.
    """
    if not "".join(values).encode("utf-8", "replace").translate(None, b"0123456789-"):
        try:  # the usual case, quick: nothing but digits and signs
            return np.array(list(map(int, values)), dtype=np.int64)
        except (ValueError, OverflowError):
            pass  # something like "" or "1-2" or 20 digits; below it is named with its line
    numbers: dict[str, Decimal] = {}
    for row, value in enumerate(values):
        if value not in numbers:
            numbers[value] = _number(value, f"{where}, line {row + 2}")
    places = max((max(0, -int(number.as_tuple().exponent)) for number in numbers.values()), default=0)
    keys: dict[str, int] = {}
    for value, number in numbers.items():
        keys[value] = int(number.scaleb(places, _EXACT))
        if not _INT64.min <= keys[value] <= _INT64.max:
            raise BadData(
                "dataset_invalid",
                f"{where}, line {values.index(value) + 2}: {value} is beyond 64-bit integers"
                + (f" with the {places} decimal places of this field." if places else "."),
            )
    return np.array([keys[value] for value in values], dtype=np.int64)


def unit_seconds(times: npt.NDArray[np.float64], unit: str = "auto") -> float:
    """How many seconds one unit of a time column is.

    Args:
        times: [rows], the column.
        unit: one of `UNITS`; `auto` finds it by the size of the numbers, which for anything below 10⁸ (positions, or
            seconds since some start) is a second.
    """
    if unit == "auto":
        largest = float(np.max(np.abs(times), initial=0))
        unit = list(UNITS)[max(0, int(np.searchsorted(_UNITS, largest, side="right")) - 1)]
    return UNITS[unit]


def check_one_unit(keys: npt.NDArray[np.int64], values: Sequence[str], where: str) -> None:
    """Refuse epochs in several units in one field: after 1973 each is a thousand times the one before.

    Positions (1, 2, 3 …) and anything else below 10⁸ are no epochs.

    Args:
        keys: int64 [rows], from `exact_times`.
        values: what they were made of.
        where: how to call them in an error.

    Raises:
        BadData: `dataset_invalid`.
    """
    units = np.searchsorted(_UNITS, keys, side="right")
    found = np.unique(units[units > 0])
    if len(found) > 1:
        first = int(np.flatnonzero(units > 0)[0])
        other = int(np.flatnonzero((units > 0) & (units != units[first]))[0])
        raise BadData(
            "dataset_invalid",
            f"{where}: line {first + 2} has {values[first]} and line {other + 2} has {values[other]}, "
            "so seconds, milliseconds or microseconds are mixed.",
            "Write all times in one unit.",
        )


def _number(value: str, where: str) -> Decimal:
    """A number exactly, with no more decimal places than it needs."""
    if not _NUMBER.fullmatch(value):
        what = "is empty" if not value else f"is {value!r}, not a number"
        raise BadData("dataset_invalid", f"{where}: the value {what}.", "Each event needs a time as a number.")
    try:
        number = Decimal(value)
    except InvalidOperation:  # an exponent that no Decimal can hold
        raise BadData("dataset_invalid", f"{where}: {value} is beyond 64-bit integers.") from None
    if number == 0:
        return Decimal(0)
    if number.adjusted() > 18 or len(number.as_tuple().digits) > 60:
        raise BadData("dataset_invalid", f"{where}: {value} is beyond 64-bit integers.")
    number = number.normalize(_EXACT)
    if -int(number.as_tuple().exponent) > _MOST_PLACES:
        raise BadData("dataset_invalid", f"{where}: {value} has more than {_MOST_PLACES} decimal places.")
    return number

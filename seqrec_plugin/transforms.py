"""Numeric columns: what may be declared of one, and what of it is fitted on the training events; numpy.

A value goes through clip → log → scale → smooth. Clipping is first, so its bounds are in the data's own unit, where
people can judge them, and no outlier reaches what is fitted after it. The logarithm is before the scale, whose mean and
deviation say little of a skewed number. Smoothing is last: what is carried from event to event then has the size of the
scaled values, and no outlier lasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from seqrec_plugin.errors import BadData, WrongUsage, nearest

Floats = npt.NDArray[np.float64]

Clip = Literal["none", "iqr", "zscore", "mad"]
Scale = Literal["standard", "minmax", "robust", "none"]
Smooth = Literal["exponential", "mean", "median"]

#: Fences so many interquartile ranges away from the quartiles (Tukey, Exploratory Data Analysis, 1977).
FENCES = 1.5
#: Standard deviations from the mean: the three-sigma rule.
LARGEST_Z = 3.0
#: Modified z-scores, 0.6745·(x − median)/MAD (Iglewicz & Hoaglin, How to Detect and Handle Outliers, 1993).
LARGEST_MODIFIED_Z = 3.5
#: The median absolute deviation of a normal distribution is σ/1.4826, its interquartile range 1.349·σ.
MAD_TO_SIGMA, SIGMA_TO_IQR = 1.4826, 1.349

#: The most events that a moving mean or median looks at: all but one of them are carried.
LONGEST_WINDOW = 50
LEAST_ALPHA = 0.001
#: A bound that nothing reaches.
BEYOND = float(np.finfo(np.float32).max)


class Transform(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one number is treated: an entry of NUMERIC_TRANSFORMS.

    Attributes:
        clip: where outliers are cut: `iqr` at Q1 − 1.5·IQR and Q3 + 1.5·IQR, `zscore` at mean ± 3σ, `mad` at
            median ± 3.5·1.4826·MAD. Where that spread is 0 it says nothing of outliers, and nothing is clipped.
        log: sign(x)·log(1 + |x|).
        scale: `standard` to mean 0 and deviation 1, `minmax` from 0 to 1, `robust` to median 0 and IQR 1 (the IQR of a
            normal distribution of the same σ, where the IQR is 0). A number that never changes is read as 0.
        smooth: over the user's events so far, the newest among them: `{"exponential": α}`, `{"mean": n}` or
            `{"median": n}` of the newest n; empty for none.
    """

    clip: Clip = "none"
    log: bool = False
    scale: Scale = "standard"
    smooth: Mapping[Smooth, float] = {}


@dataclass(frozen=True)
class Fitted:
    """What is fitted of the numbers, float64 [numbers] each.

    Attributes:
        low, high: bounds of the raw value.
        center, factor: the scaled value is (x − center)·factor, x being clipped and, where so declared, logged.
        unknown: the raw value that stands for a missing one: the median.
    """

    low: Floats
    high: Floats
    center: Floats
    factor: Floats
    unknown: Floats


def read(given: Any, fields: Sequence[str], name: str = "NUMERIC_TRANSFORMS") -> dict[str, Transform]:
    """The option NUMERIC_TRANSFORMS.

    Args:
        given: field → {clip, log, scale, smooth}, as YAML has it.
        fields: NUMERIC_FIELDS.
        name: what holds it, for errors.

    Returns:
        field → transform, for those that are declared.

    Raises:
        WrongUsage: `unknown_key` for an unknown field or key, `bad_value` for a value; both with the nearest name.
    """
    found = {}
    for field, declared in dict(given).items():
        where = f"{name}: {field}"
        if field not in fields:
            hint = nearest(str(field), fields) if fields else "Name the field in NUMERIC_FIELDS too."
            raise WrongUsage("unknown_key", f"{where} is not among NUMERIC_FIELDS.", hint)
        if not isinstance(declared, Mapping):
            hint = f"Write {field}: {{clip: iqr, log: true}}."
            raise WrongUsage("bad_value", f"{where} is {declared!r}, but must be a mapping.", hint)
        for key, value in declared.items():
            if key not in Transform.__struct_fields__:
                raise WrongUsage("unknown_key", f"{where} has {key!r}.", nearest(str(key), Transform.__struct_fields__))
            if key == "log" and not isinstance(value, bool):
                raise WrongUsage("bad_value", f"{where}: log is {value!r}, but must be true or false.")
            choices = _CHOICES.get(key)
            if choices and value not in choices:
                raise WrongUsage("bad_value", f"{where}: {key} cannot be {value!r}.", nearest(str(value), choices))
        smooth = _smooth(declared.get("smooth", "none"), where)
        found[str(field)] = msgspec.convert({**declared, "smooth": smooth}, Transform)
    return found


_CHOICES: dict[str, tuple[str, ...]] = {"clip": get_args(Clip), "scale": get_args(Scale)}
_SMOOTH_FORMS = "Write none, {exponential: 0.3}, {mean: 3} or {median: 3}."


def _smooth(given: Any, where: str) -> dict[str, float]:
    """`none` or one way of smoothing with its number."""
    if given == "none" or given == {}:
        return {}
    if not isinstance(given, Mapping) or len(given) != 1:
        raise WrongUsage("bad_value", f"{where}: smooth cannot be {given!r}.", _SMOOTH_FORMS)
    ((kind, by),) = given.items()
    if kind not in get_args(Smooth):
        raise WrongUsage("bad_value", f"{where}: smooth cannot be {kind!r}.", nearest(str(kind), get_args(Smooth)))
    if kind == "exponential":
        if type(by) not in (int, float) or not LEAST_ALPHA <= by <= 1:
            reason = f"{by!r}, but must be the share of the newest value, {LEAST_ALPHA} to 1"
            raise WrongUsage("bad_value", f"{where}: exponential is {reason}.")
    elif type(by) is not int or not 2 <= by <= LONGEST_WINDOW:
        reason = f"{by!r}, but must be a number of events, 2 to {LONGEST_WINDOW}"
        raise WrongUsage("bad_value", f"{where}: {kind} is {reason}, whose values are carried from event to event.")
    return {str(kind): float(by)}


def fit(values: npt.NDArray[np.float32], transforms: Mapping[str, Transform]) -> Fitted:
    """Fit bounds and scales.

    Args:
        values: float32 [events, numbers], of training events only; NaN is a missing value and has no part in it.
        transforms: number → transform, in the order of the last axis.

    Raises:
        BadData: `dataset_invalid` where no event tells a number.
    """
    rows = []
    for (name, transform), column in zip(transforms.items(), values.T.astype(np.float64), strict=True):
        told = column[~np.isnan(column)]
        if not len(told):
            raise BadData("dataset_invalid", f"No training event has a value of {name!r}.", "Leave it out.")
        low, high = _bounds(told, transform.clip)
        x = np.clip(told, low, high)
        scale = _scale(logged(x) if transform.log else x, transform.scale)
        rows.append((low, high, *scale, np.median(told)))
    return Fitted(*np.array(rows, dtype=np.float64).reshape(len(rows), 5).T)


def logged(x: Floats) -> Floats:
    """sign(x)·log(1 + |x|)."""
    found: Floats = np.sign(x) * np.log1p(np.abs(x))
    return found


def _bounds(x: Floats, clip: Clip) -> tuple[float, float]:
    if clip == "iqr":
        q1, q3 = np.quantile(x, [0.25, 0.75])
        low, high, spread = q1, q3, FENCES * (q3 - q1)
    elif clip == "zscore":
        low = high = x.mean()
        spread = LARGEST_Z * x.std()
    elif clip == "mad":
        low = high = np.median(x)
        spread = LARGEST_MODIFIED_Z * MAD_TO_SIGMA * np.median(np.abs(x - low))
    else:
        spread = 0.0
    return (float(low - spread), float(high + spread)) if spread > 0 else (-BEYOND, BEYOND)


def _scale(x: Floats, scale: Scale) -> tuple[float, float]:
    """Centre and factor."""
    if scale == "none":
        return 0.0, 1.0
    if scale == "standard":
        center, spread = x.mean(), x.std()
    elif scale == "minmax":
        center, spread = x.min(), x.max() - x.min()
    else:
        q1, center, q3 = np.quantile(x, [0.25, 0.5, 0.75])
        spread = q3 - q1 or SIGMA_TO_IQR * x.std()
    return float(center), float(1 / spread) if spread > 0 else 0.0


def told(transform: Transform, low: float, high: float, center: float, factor: float) -> str:
    """How a number is treated, for people: `clipped to 1.5 … 88 (iqr), (x − 21.3)·0.042 (standard)`."""
    parts = []
    if high < BEYOND:
        parts.append(f"clipped to {low:.6g} … {high:.6g} ({transform.clip})")
    if transform.log:
        parts.append("sign(x)·log(1 + abs x)")
    if transform.scale != "none":
        parts.append(f"(x − {center:.6g})·{factor:.6g} ({transform.scale})")
    for kind, by in transform.smooth.items():
        words = f"α = {by:g}" if kind == "exponential" else f"of {by:g} events"
        parts.append(f"smoothed over the user's events ({kind}, {words})")
    return ", ".join(parts) or "as it is"

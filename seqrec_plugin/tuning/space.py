"""What a recipe's `tune` says may be searched: option → values or a range, checked against the model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.recbole_bridge.settings import TUNE, Resolved, Setting, resolve_given

#: Options that decide what is measured: scores under two values of one cannot be compared. Nor is a seed a finding.
FIXED = (
    *("model", "dataset", "data_path", "seed", "reproducibility", "valid_metric", "metrics", "topk", "eval_args"),
    "valid_sample",
    *(
        "exact_time",
        "val_interval",
        "user_inter_num_interval",
        "item_inter_num_interval",
        "filter_inter_by_user_or_item",
    ),
    *("target_behaviors", "USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "rm_dup_inter", "load_col"),
)
_RANGE = ("low", "high", "log", "step")
_EXAMPLE = "tune:\n  learning_rate: {low: 0.0005, high: 0.01, log: true}\n  hidden_size: [64, 128]"


@dataclass(frozen=True)
class Space:
    """Option → what may be tried, and the configuration that the other options keep.

    Args:
        base: the recipe as it stands.
        options: option → distribution.
    """

    base: Resolved
    options: dict[str, BaseDistribution]

    def resolve(self, values: Mapping[str, Any]) -> Resolved:
        """The recipe with other values.

        Raises:
            WrongUsage: where they do not go together.
        """
        tuned = {name: Setting(_short(value), TUNE) for name, value in values.items()}
        return resolve_given({**self.base.given, **tuned}, TUNE)

    def as_it_stands(self) -> dict[str, Any] | None:
        """The recipe's own values, where all of them lie in the space."""
        values = {name: self.base.values[name] for name in self.options}
        inside = all(_contains(self.options[name], value) for name, value in values.items())
        return values if inside else None

    def described(self) -> dict[str, Any]:
        """Option → its range as a recipe has it."""
        return {name: _plain(distribution) for name, distribution in self.options.items()}


def read(tune: Any, base: Resolved, where: str) -> Space:
    """Check a recipe's `tune`.

    Args:
        tune: what stands there: option → list of values, or `{low, high, log, step}`. What `base` left out, for another
            model was chosen than the recipe's, is left out here too.
        base: the recipe without it.
        where: the file's name, for errors.

    Raises:
        WrongUsage: `unknown_key`, `bad_value`, with the option, also where a value in it is none for the model.
    """
    if not isinstance(tune, Mapping) or not tune:
        raise WrongUsage("bad_value", f"{where} says nothing of what may be tried.", f"Add for example:\n{_EXAMPLE}")
    options = {}
    for name, said in tune.items():
        if name in base.left_out:
            continue
        if name not in {*base.settings, *FIXED}:
            raise WrongUsage(
                "unknown_key",
                f"{where}, {TUNE}: there is no option {name!r} for {base.model}.",
                nearest(name, [key for key in base.settings if key not in FIXED]),
            )
        if name in FIXED:
            why = "the best seed is luck, not a finding" if name == "seed" else "it decides what is measured"
            raise WrongUsage("bad_value", f"{where}, {TUNE}: {name} cannot be searched: {why}.", "Leave it out.")
        options[name] = _distribution(said, base.values[name], f"{where}, {TUNE}: {name}")
    if not options:
        raise WrongUsage(
            "bad_value", f"{where}, {TUNE}: {base.model} has none of its options.", "Name some that it has."
        )
    space = Space(base, options)
    for name, distribution in options.items():
        for value in _ends(distribution):
            try:
                space.resolve({name: value})
            except (WrongUsage, BadData) as error:
                raise WrongUsage(error.code, f"{where}, {TUNE}: {error.message}", error.hint) from None
    return space


def _distribution(said: Any, default: Any, where: str) -> BaseDistribution:
    if isinstance(said, list):
        plain = all(value is None or type(value) in (bool, int, float, str) for value in said)
        if len(said) < 2 or not plain or len({json.dumps(value) for value in said}) < len(said):
            raise WrongUsage(
                "bad_value", f"{where} is {said!r}, but must be two or more different values, none of them a list."
            )
        return CategoricalDistribution(said)
    if not isinstance(said, Mapping) or not {"low", "high"} <= set(said):
        raise WrongUsage(
            "bad_value",
            f"{where} is {said!r}.",
            "Write a list of values, or {low: …, high: …}, with log: true or step: ….",
        )
    for key in said:
        if key not in _RANGE:
            hint = f"A range has low and high, and log: true or step: …. {nearest(str(key), _RANGE)}".strip()
            raise WrongUsage("unknown_key", f"{where} has {key!r}.", hint)
    low, high, log, step = said["low"], said["high"], said.get("log", False), said.get("step")
    numbers = [low, high] if step is None else [low, high, step]
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers) or type(log) is not bool:
        raise WrongUsage("bad_value", f"{where}: low, high and step must be numbers, and log true or false.")
    if not low < high:
        raise WrongUsage("bad_value", f"{where}: low is {low} and high {high}, but low must be less.")
    if step is not None and not 0 < step <= high - low:
        raise WrongUsage("bad_value", f"{where}: step is {step}, but must be above 0 and at most high − low.")
    if log and (low <= 0 or step is not None):
        raise WrongUsage("bad_value", f"{where}: with log: true low must be above 0, and there is no step.")
    whole = all(type(number) is int for number in numbers) and type(default) is not float
    if whole:
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=None if step is None else float(step))


def _short(value: Any) -> Any:
    """Steps of 0.1 come to 0.3, not to 0.30000000000000004."""
    return float(f"{value:.12g}") if isinstance(value, float) else value


def _ends(distribution: BaseDistribution) -> list[Any]:
    """The values of a distribution that are checked: all choices, or least and greatest."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return [distribution.low, distribution.high]


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return any(value == choice and type(value) is type(choice) for choice in distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    if type(value) not in (int, float) or not distribution.low <= value <= distribution.high:
        return False
    steps = (value - distribution.low) / distribution.step if distribution.step else 0.0
    return bool(abs(steps - round(steps)) < 1e-9)


def _plain(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    found: dict[str, Any] = {"low": distribution.low, "high": distribution.high}
    if distribution.log:
        found["log"] = True
    elif distribution.step not in (None, 1):
        found["step"] = distribution.step
    return found

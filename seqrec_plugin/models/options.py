"""A model's options: type, default, range and one sentence each, and no unknown key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from seqrec_plugin.errors import WrongUsage, nearest

C = TypeVar("C")


def option(
    default: Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of a model's config.

    Args:
        default: its value where the user gives none; () for a list or a mapping.
        meaning: one sentence for people.
        low, high: the least and the greatest valid number, both inclusive.
        choices: the valid texts, for an option that is one.
    """
    metadata = {"meaning": meaning, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def build(config: type[C], values: Mapping[str, Any]) -> C:
    """Make a config from plain values.

    Args:
        config: a frozen dataclass whose fields are made by `option`.
        values: option name → value; integers are taken where a float is wanted, and a list of names becomes a tuple
            of texts.

    Raises:
        WrongUsage: `unknown_key` with the nearest name, or `bad_value`.
    """
    fields = {f.name: f for f in dataclasses.fields(config)}  # type: ignore[arg-type]
    types = get_type_hints(config)
    for name, value in values.items():
        if name not in fields:
            raise WrongUsage("unknown_key", f"There is no option {name!r}.", nearest(name, fields))
        _check(name, value, types[name], fields[name].metadata)
    lists = {name: tuple(map(str, value)) for name, value in values.items() if types[name] is tuple}
    return config(**{**values, **lists})


@dataclasses.dataclass(frozen=True)
class Described:
    """One option for people: `range` is empty where any value of the type will do."""

    name: str
    type: str
    default: Any
    range: str
    meaning: str


def describe(config: type[Any]) -> list[Described]:
    """The options of a config, in their order."""
    types = get_type_hints(config)
    return [
        Described(f.name, *_kind(types[f.name], f.default), _range(f.metadata), f.metadata["meaning"])
        for f in dataclasses.fields(config)
    ]


def _kind(of: type, default: Any) -> tuple[str, Any]:
    """An option's type and default as YAML has them."""
    if of is Mapping:
        return "dict", dict(default)
    return ("list", list(default)) if of is tuple else (of.__name__, default)


def _range(metadata: Mapping[str, Any]) -> str:
    low, high = metadata["low"], metadata["high"]
    if metadata["choices"]:
        return ", ".join(metadata["choices"])
    if low is None and high is None:
        return ""
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def _check(name: str, value: Any, wanted: type, metadata: Mapping[str, Any]) -> None:
    if wanted is tuple:
        if not isinstance(value, (list, tuple)) or not all(type(v) in (str, int, float) for v in value):
            raise WrongUsage(
                "bad_value", f"{name} is {value!r}, but must be a list of names.", f"Write {name}: [a, b]."
            )
        return
    if wanted is Mapping:
        if not isinstance(value, Mapping):
            raise WrongUsage("bad_value", f"{name} is {value!r}, but must be a mapping.", f"Write {name}: {{a: …}}.")
        return
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    if not fits:
        raise WrongUsage("bad_value", f"{name} is {value!r}, but must be of type {wanted.__name__}.")
    if metadata["choices"] and value not in metadata["choices"]:
        raise WrongUsage("bad_value", f"{name} cannot be {value!r}.", nearest(value, metadata["choices"]))
    low, high = metadata["low"], metadata["high"]
    # Written so that NaN, which compares with nothing, is refused too.
    if not ((low is None or value >= low) and (high is None or value <= high)):
        raise WrongUsage("bad_value", f"{name} is {value!r}, but must be {_range(metadata)}.")

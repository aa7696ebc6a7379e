"""Is an answer the right one? Clause 8.2 of the specification; standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Answer = Mapping[str, Any]


class Wrong(Exception):
    """An answer is not the right one; the text says how."""


def check_answer(found: Answer, expected: Answer, tolerance: float) -> float:
    """Compare with an answer of `golden.json`; returns the largest difference of a score.

    Raises:
        Wrong: they differ by more than clause 8.2 allows.
    """
    for key, missing in (
        ("status", None),
        ("unknown", None),
        ("unknown_candidates", []),
        ("truncated", None),
        ("beyond_max_history", None),
    ):
        same(key, found.get(key, missing), expected.get(key, missing))
    largest = close("probability", listed(found.get("probability")), listed(expected.get("probability")), tolerance)
    wanted = list(expected["items"])
    items = found.get("items")
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise Wrong(f"items is {items!r}")
    place = 0
    while place + 1 < min(len(wanted), len(items)):
        here, after = wanted[place], wanted[place + 1]
        swapped = items[place].get("item") == after["item"] and items[place + 1].get("item") == here["item"]
        if swapped and abs(here["score"] - after["score"]) <= tolerance:
            wanted[place : place + 2] = after, here
            place += 1
        place += 1
    same("items", [item.get("item") for item in items], [item["item"] for item in wanted])
    scores = [item.get("score") for item in items]
    return max(largest, close("scores", scores, [item["score"] for item in wanted], tolerance))


def check_tensors(found: Answer, embedding: Sequence[float] | None, state: Sequence[Any], tolerance: float) -> float:
    """Compare the user embedding (None: do not) and the state after."""
    largest = 0.0 if embedding is None else close("embedding", found.get("embedding"), embedding, tolerance)
    return max(largest, close("state", found.get("state"), state, tolerance))


def same(what: str, found: Any, expected: Any) -> None:
    """Both must be equal, and of one type.

    Raises:
        Wrong: they are not.
    """
    if type(found) is not type(expected) or found != expected:
        raise Wrong(f"{what} is {short(found)}, not {short(expected)}")


def close(what: str, found: Any, expected: Any, tolerance: float) -> float:
    """Nested lists of numbers, each within the tolerance (absolute plus relative); returns the largest difference.

    Raises:
        Wrong: they are not.
    """
    if isinstance(expected, (list, tuple)):
        if not isinstance(found, list) or len(found) != len(expected):
            raise Wrong(f"{what} is {short(found)}, but has {len(expected)} entries")
        pairs = zip(found, expected, strict=True)
        return max((close(what, one, other, tolerance) for one, other in pairs), default=0.0)
    if expected is None:
        same(what, found, None)
        return 0.0
    if type(found) not in (int, float) or not math.isfinite(found):
        raise Wrong(f"{what} holds {short(found)}")
    apart = abs(found - expected)
    if apart > tolerance + tolerance * abs(expected):
        raise Wrong(f"{what} is {apart:.2g} away, and at most {tolerance} is allowed")
    return float(apart)


def listed(value: Any) -> list[Any]:
    """Nothing or one value, as a list."""
    return [] if value is None else [value]


def short(value: Any) -> str:
    """A value as text of a readable length."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}…"

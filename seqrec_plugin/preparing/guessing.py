"""Which column is the user, the item, the time, the behaviour, the value: by its name, then by what is in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from seqrec_plugin.errors import BadData, nearest
from seqrec_plugin.preparing import naming, times, words
from seqrec_plugin.preparing.source import Source

#: Role → the option that settles it.
OPTIONS = {
    "user": "--user",
    "item": "--item",
    "time": "--time",
    "behavior": "--behavior",
    "value": "--value",
    "feature": "--feature",
}
#: More different values than this are no behaviours.
_MOST_BEHAVIORS = 30
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")


class Guess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a column, or a property of the files, was taken for, and why.

    `like` quotes values of the column. It is for who has the files: a report may go further, and must name no item
    that only a few touched.
    """

    role: str
    column: str
    why: str
    like: str = ""

    def __str__(self) -> str:
        """With the values."""
        return f"{self.role}: {self.column} ({self.why}{'; its values are like ' if self.like else ''}{self.like})"


@dataclass(frozen=True)
class Sample:
    """Some rows of a file.

    Attributes:
        names: of the columns.
        rows: their values as text; None where there is none.
        floats: columns that hold numbers with decimals by the file's own types: no ids.
        times: columns that are times by the file's own types.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    floats: frozenset[str] = frozenset()
    times: frozenset[str] = frozenset()

    def values(self, name: str) -> list[str]:
        """What stands in a column, without what is empty."""
        at = self.names.index(name)
        return [value for row in self.rows if at < len(row) and (value := row[at])]


def guess(sample: Sample, source: Source, where: str) -> tuple[Source, list[Guess]]:
    """Fill in the columns that a source leaves open.

    Args:
        sample: of the first file.
        source: what is known.
        where: the file, for errors.

    Returns:
        the source with every column named, and each guess with its reason.

    Raises:
        BadData: `events_invalid` for a column that is not there, one that could be several, and none that could be.
    """
    check(sample.names, source, where)
    for role in ("user", "item"):
        _refuse_floats(sample, role, getattr(source, role), where)
    return _Guesser(sample, source, where).run()


def check(names: Sequence[str], source: Source, where: str) -> None:
    """Hold that all columns that a source names are there, once.

    Raises:
        BadData: `events_invalid`.
    """
    wanted = [("user", source.user), ("item", source.item), ("time", source.time), ("behavior", source.behavior)]
    wanted += [("value", name) for name in source.numbers or ()]
    wanted += [("feature", name) for name in source.features or ()]
    for role, name in wanted:
        if name and name not in names:
            raise BadData(
                "events_invalid", f"{where} has no column {name!r} ({OPTIONS[role]}).", nearest(name, set(names))
            )
        if name and names.count(name) > 1:
            raise BadData("events_invalid", f"{where} has {names.count(name)} columns {name!r}.", "Rename one of them.")
    taken: dict[str, str] = {}
    for role, name in wanted[:4]:
        if name and name in taken:
            raise BadData("events_invalid", f"The column {name!r} cannot be both {taken[name]} and {role}.")
        if name:
            taken[name] = role


def unused(sample: Sample, source: Source) -> list[str]:
    """The columns that a source with every guess filled in does not speak of."""
    used = {source.user, source.item, source.time, source.behavior, *(source.numbers or ()), *(source.features or ())}
    return [name for name in sample.names if name and name not in used]


class _Guesser:
    def __init__(self, sample: Sample, source: Source, where: str) -> None:
        self.sample, self.source, self.where = sample, source, where
        self.guesses: list[Guess] = []
        single = (source.user, source.item, source.time, source.behavior)
        self.taken = {name for name in (*single, *(source.numbers or ()), *(source.features or ())) if name}

    def run(self) -> tuple[Source, list[Guess]]:
        found: dict[str, str | None] = {}
        fits: dict[str, Callable[[str], bool]] = {
            "time": self._is_time,
            "user": self._is_id,
            "item": self._is_id,
            "behavior": self._is_behavior,
        }
        for role, fit in fits.items():
            found[role] = getattr(self.source, role)
            if found[role] == "":
                found[role] = self._named(role, fit)
        if found["time"] == "":
            found["time"] = self._only("time", self._is_time, "only its values are times")
        if found["behavior"] == "":
            found["behavior"] = self._only("behavior", self._says_behavior, "its values are behaviours") or None
        numbers, features = self.source.numbers, self.source.features
        if numbers is None:
            numbers = tuple(self._all("value", self._is_number))
        if features is None:
            features = tuple(self._all("feature", lambda name: bool(self.sample.values(name))))
        for role, other in (("user", "item"), ("item", "user")):
            if found[role] == "" and found[other]:
                found[role] = self._only(role, self._is_id, f"no other column could hold ids besides the {other}'s")
        for role in ("user", "item", "time"):
            if found[role] == "":
                raise self._missing(role)
        filled = {**found, "numbers": numbers, "features": features}
        return msgspec.structs.replace(self.source, **filled), self.guesses

    def _named(self, role: str, fit: Callable[[str], bool]) -> str:
        """The column whose name says most that it is this; "" where none does."""
        ranked = self._ranked(role)
        for rank in sorted(set(ranked.values())):
            good = [name for name in ranked if ranked[name] == rank and fit(name)]
            if len(good) > 1:
                raise BadData(
                    "events_invalid",
                    f"{self.where}: the {role} could be {' or '.join(map(repr, good))} "
                    f"(there are {', '.join(self.sample.names)}).",
                    f"Say which: {OPTIONS[role]} {good[0]}.",
                )
            if good:
                return self._take(role, good[0], "by its name")
        return ""

    def _only(self, role: str, fit: Callable[[str], bool], why: str) -> str:
        """The one column left whose content fits; "" where there is none or more than one."""
        good = [name for name in self._left() if fit(name)]
        return self._take(role, good[0], why) if len(good) == 1 else ""

    def _all(self, role: str, fit: Callable[[str], bool]) -> list[str]:
        return [self._take(role, name, "by its name") for name in self._ranked(role) if fit(name)]

    def _ranked(self, role: str) -> dict[str, int]:
        ranks = {name: words.rank(name, role) for name in self._left()}
        return {name: rank for name, rank in ranks.items() if rank is not None}

    def _left(self) -> list[str]:
        names = self.sample.names
        return [name for name in names if name and name not in self.taken and names.count(name) == 1]

    def _take(self, role: str, name: str, why: str) -> str:
        # Users' ids are shown nowhere.
        values = [] if role == "user" else list(dict.fromkeys(self.sample.values(name)))[:3]
        shown = ", ".join(repr(value[:30]) for value in values)
        self.taken.add(name)
        self.guesses.append(Guess(role, name, why, shown))
        return name

    def _missing(self, role: str) -> BadData:
        there = ", ".join(map(repr, self.sample.names))
        named = [name for name in self._left() if words.rank(name, role) is not None]
        empty = [name for name in named if not self.sample.values(name)]
        if empty:
            return BadData("events_invalid", f"{self.where}: the column {empty[0]!r} is empty in every row.")
        for name in named:
            if role != "time":
                _refuse_floats(self.sample, role, name, self.where)
            else:
                value = self.sample.values(name)[0]
                return BadData(
                    "events_invalid",
                    f"{self.where}: the column {name!r} has times of no form that is known, such as {value!r}.",
                    f"Say --time {name}, and give the format in a recipe: time_unit: '%d/%b/%Y %H:%M'.",
                )
        hint = f"Name it: {OPTIONS[role]} COLUMN."
        if role == "time":
            hint += " If the lines are in order and there is none, write time: null in a recipe."
        return BadData("events_invalid", f"{self.where}: none of the columns {there} looks like the {role}.", hint)

    def _is_id(self, name: str) -> bool:
        return bool(self.sample.values(name)) and name not in self.sample.floats | self.sample.times

    def _is_time(self, name: str) -> bool:
        if name in self.sample.times:
            return True
        values = self.sample.values(name)
        if words.rank(name, "time") is not None:
            return any(times.kind(value) is not None for value in values)
        # Without a name that says so, a number must be an epoch.
        known = sum(times.kind(value) not in (None, "number") or bool(times.epoch(value)) for value in values)
        return known > 0.5 * len(values)

    def _is_behavior(self, name: str) -> bool:
        different = set(self.sample.values(name))
        few = len(different) <= _MOST_BEHAVIORS
        return bool(different) and few and name not in self.sample.times | self.sample.floats

    def _says_behavior(self, name: str) -> bool:
        different = set(self.sample.values(name))
        return sum(naming.known(value) is not None for value in different) > 0.5 * len(different)

    def _is_number(self, name: str) -> bool:
        values = self.sample.values(name)
        return bool(values) and sum(bool(_NUMBER.fullmatch(value)) for value in values) >= 0.5 * len(values)


def _refuse_floats(sample: Sample, role: str, name: str, where: str) -> None:
    if name in sample.floats:
        value = next(iter(sample.values(name)), "")
        raise BadData(
            "events_invalid",
            f"{where}: the column {name!r} of the {role}s holds numbers with decimals, such as {value}; "
            "the ids that they once were may be lost.",
            "Write the ids as text or as integers (in pandas: read with dtype=str).",
        )

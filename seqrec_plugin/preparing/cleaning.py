"""The steps of a recipe, in their order, each counted and told in a sentence.

`events` has been read; from here on the work is on `coded` (see `coding.py`), and at the end `events` is there again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.preparing import bounds, coding, kcore, machines, naming, privacy, repetition, sessions
from seqrec_plugin.preparing.findings import Step
from seqrec_plugin.preparing.recipe import Recipe

if TYPE_CHECKING:
    import duckdb

Report = Callable[[str], None]


def clean(
    connection: duckdb.DuckDBPyConnection,
    recipe: Recipe,
    report: Report,
    *,
    rejected: int = 0,
    key: bytes | None = None,
) -> tuple[Recipe, tuple[Step, ...]]:
    """Run every step of a recipe that is on.

    Args:
        connection: with the table `events`; afterwards `events` is a view of what is left.
        recipe: which steps, and how; its `source` as resolved by reading.
        report: told what is worth a line while it runs.
        rejected: rows that reading set aside.
        key: for pseudonyms of the users, or None.

    Returns:
        the recipe with the behaviours that were recognised, and the steps that ran, reading first.

    Raises:
        WrongUsage: `bad_value` where the recipe speaks of a column or behaviour that there is not.
        BadData: `dataset_empty` where nothing is left, with what each step removed; `dataset_invalid`.
    """
    source = recipe.source
    numbers, features = source.numbers or (), source.features or ()
    _check(recipe)
    acts = None
    if source.behavior:
        values = naming.counts(connection, source.behavior)
        recipe = msgspec.structs.replace(recipe, behaviors=naming.resolved(values, recipe.behaviors))
        acts = naming.mapping(values, recipe.behaviors)
        report(f"behaviours: {naming.described(acts)}")
        for value in naming.unused(values, recipe.behaviors):
            report(f"behaviours: no event has {value!r}, which behaviors.map renames")
    coding.encode(connection, numbers, features, acts, recipe.behaviors.weights, key)
    steps = _Steps(connection, report, rejected)

    coding.remove_unwritable(connection)
    why = "Ids that hold a tab, a line end or a NUL cannot stand in an atomic file."
    steps.did("ids", why, note_nothing=False)
    if acts is not None and None in acts.values():
        connection.execute("DELETE FROM coded WHERE b IS NULL")
        kept = ", ".join(dict.fromkeys(name for name in acts.values() if name is not None))
        steps.did("behaviours", f"Only these stay: {kept or 'none'}.")
    if source.time_unit != "position" and (recipe.times.after or recipe.times.before):
        bounds.remove_times(connection, recipe.times)
        words = [f"{word} {moment}" for word, moment in _moments(recipe) if moment]
        steps.did("impossible times", f"Events {' or '.join(words)} are removed.")
    columns = ["u", "i", "time", *(["b"] if acts is not None else []), *(f"number_{n}" for n in range(len(numbers)))]
    if recipe.duplicates:
        repetition.remove_duplicates(connection, columns)
        steps.did("duplicates", "Of events that are the same in everything, the first of the file stays.")
    if recipe.repeats:
        repetition.remove_repeats(connection, recipe.repeats, acts is not None)
        what = "the same behaviour on the same item" if acts is not None else "the same item"
        steps.did("repeats", f"A user's event is removed that is {what} at most {recipe.repeats:g} s after the last.")
    _numbers(connection, recipe, numbers, steps)
    if any((recipe.machines.per_minute, recipe.machines.item_share, recipe.machines.min_entropy)):
        told = machines.remove_machines(connection, recipe.machines)
        steps.did("machines", f"Users with at least {recipe.machines.min_events} events are removed for {told}.")
    if recipe.session_gap:
        sessions.split_sessions(connection, recipe.session_gap)
        steps.did("sessions", f"After a pause of more than {recipe.session_gap:g} s a new sequence begins.")
    _below(connection, recipe, steps)
    coding.decode(connection, len(numbers), len(features), acts is not None)
    return recipe, tuple(steps.done)


class _Steps:
    """Counts what is left after each step, and stops where that is nothing."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, report: Report, rejected: int) -> None:
        self.connection, self.report, self.done = connection, report, list[Step]()
        self.did("read", "Every row that can be read is an event; the others are set aside.", rejected)

    def did(self, name: str, why: str, removed: int = 0, note_nothing: bool = True) -> int:
        """Note a step, and return how many events it removed."""
        last = self.done[-1] if self.done else None
        events = _one(self.connection, "SELECT count(*) FROM coded")
        users = items = 0
        if last is not None:
            removed = last.events - events
            users, items = last.users, last.items
            if not removed and not note_nothing:
                return 0
        if last is None or removed or name == "sessions":
            users, items = (
                _one(self.connection, f"SELECT count(*) FROM (SELECT DISTINCT {k} FROM coded)") for k in "ui"
            )
        self.done.append(Step(name, why, events, users, items, removed))
        if last is not None:
            self.report(f"{name}: {removed:,} events removed, {events:,} left")
        if not events:
            told = ", ".join(f"{step.name} {step.removed:,}" for step in self.done[1:] if step.removed)
            raise BadData(
                "dataset_empty",
                f"Nothing is left of {self.done[0].events:,} events; what each step removed: {told or 'nothing'}."
                if self.done[0].events
                else "There is no event in the files.",
                "Change the recipe; `seqrec init recipe` writes one that says what each step means.",
            )
        return removed


def _check(recipe: Recipe) -> None:
    """What the recipe asks for must be there."""
    source = recipe.source
    for name in recipe.named_numbers:
        if name not in (source.numbers or ()):
            hint = nearest(name, source.numbers) if source.numbers else "Name it in source.numbers, or with --value."
            raise WrongUsage("bad_value", f"The recipe speaks of {name!r}, which is no numeric column here.", hint)
    chosen = recipe.behaviors
    if not source.behavior and (chosen.map or chosen.keep or chosen.targets or chosen.weights):
        raise WrongUsage(
            "bad_value", "The recipe speaks of behaviours, but no column holds them.", "Name it with --behavior."
        )
    if source.time_unit == "position":
        for key, value in (
            ("repeats", recipe.repeats),
            ("session_gap", recipe.session_gap),
            ("machines.per_minute", recipe.machines.per_minute),
        ):
            if value:
                raise WrongUsage("bad_value", f"{key} is {value:g}, but the events have an order and no times.")


def _moments(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    return ("before", recipe.times.after), ("from", recipe.times.before and f"{recipe.times.before} on")


def _numbers(connection: duckdb.DuckDBPyConnection, recipe: Recipe, numbers: Sequence[str], steps: _Steps) -> None:
    """Bounds, outliers, and what is not there, column by column."""
    for n, name in enumerate(numbers):
        connection.execute(f"UPDATE coded SET number_{n} = NULL WHERE NOT isfinite(number_{n})")
        if name in recipe.values:
            bounds.remove_values(connection, f"number_{n}", recipe.values[name])
            low, high = recipe.values[name].min, recipe.values[name].max
            told = [f"at least {low:g}" for _ in [0] if low is not None]
            told += [f"at most {high:g}" for _ in [0] if high is not None]
            steps.did(f"values of {name}", f"{name} must be {' and '.join(told) or 'a number'}.")
    for n, name in enumerate(numbers):
        method = recipe.outliers.get(name, "none")
        if method != "none":
            found = bounds.fences(connection, f"number_{n}", method)
            told_fences = "Its values have no spread to judge by."
            if found is not None:
                connection.execute(f"DELETE FROM coded WHERE number_{n} < ? OR number_{n} > ?", found)
                told_fences = f"By {method}, {name} from {found[0]:g} to {found[1]:g} is usual; the rest is removed."
            steps.did(f"outliers of {name}", told_fences)
    for n, name in enumerate(numbers):
        without = _one(connection, f"SELECT count(*) FROM coded WHERE number_{n} IS NULL")
        filling = recipe.missing.get(name)
        if without and filling == "drop":
            connection.execute(f"DELETE FROM coded WHERE number_{n} IS NULL")
            steps.did(f"missing {name}", f"Events without {name} are removed.")
        elif without and filling is None:
            steps.did(f"missing {name}", f"{without:,} events lack {name}: a training reads its median there.")
        elif without:
            connection.execute(f"UPDATE coded SET number_{n} = ? WHERE number_{n} IS NULL", [filling])
            steps.did(f"missing {name}", f"{without:,} events without {name} have {filling:g} there.")


def _below(connection: duckdb.DuckDBPyConnection, recipe: Recipe, steps: _Steps) -> None:
    """Items of few users, and users and items below k, until neither finds any more."""
    few, core = recipe.min_users_per_item, recipe.k_core
    again = ""
    while True:
        if few > 1:
            privacy.remove_items_of_few(connection, few)
            why = f"Items that fewer than {few} users touched are removed."
            if not steps.did(f"items of few users{again}", why, note_nothing=not again) and again:
                return
        if max(core.user, core.item) <= 1:
            return
        rounds = kcore.remove_below(connection, core.user, core.item)
        told = f"Users have at least {core.user} events, items at least {core.item}"
        why = f"{told}: a fixed point after {rounds} rounds."
        if not steps.did(f"k-core{again}", why, note_nothing=not again) or few <= 1:
            return
        again = " (again)"


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])

"""Findings → the warnings that matter: each a sentence with its number, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from seqrec_plugin.preparing.popularity import COLD, MIN_USERS_SHOWN

if TYPE_CHECKING:
    from seqrec_plugin.preparing.findings import Findings

_MANY_TIES = 0.1
_RARE_REPEATS = 0.05  # as in training, which then leaves out of its answers what a user had
_MANY_REPEATS = 0.2
_SHORT = 4  # with fewer events, leave-one-out has no row for each of training, validation and test
_MOST_SHORT = 0.5
_MANY_COLD = 0.3
_MOST_REMOVED = 0.5
#: Logs of users of a computer are of these years.
_YEARS = ("1990", "2100")
_HURRIED = (1_000, 1 / 24)  # so many events within an hour are seconds read as milliseconds


class Caution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that matters.

    Attributes:
        name: stays the same from one version to the next.
        value: the number that gave rise to it.
        text: one sentence, with the number, and what to do.
    """

    name: str
    value: float
    text: str


def warnings(found: Findings) -> tuple[Caution, ...]:
    """What of the findings somebody should know before training; `found.warnings` is not looked at."""
    if not found.events:
        return ()
    return tuple(one for part in (_times, _steps, _order, _repeats, _lengths, _items) for one in part(found))


def _times(found: Findings) -> Iterator[Caution]:
    activity = found.activity
    if activity is None:
        return
    if not all(time.endswith("Z") and _YEARS[0] <= time < _YEARS[1] for time in (activity.first, activity.last)):
        yield Caution(
            "wrong_unit",
            activity.days,
            f"The events are from {_moment(activity.first)} to {_moment(activity.last)}, so the unit of the times may"
            " be wrong: say which it is with source.time_unit, or bound the times.",
        )
    elif found.events >= _HURRIED[0] and activity.days < _HURRIED[1]:
        minutes = activity.days * 24 * 60
        yield Caution(
            "short_span",
            activity.days,
            f"All {found.events:,} events lie within {minutes:.1f} minutes, so the unit of the times may be wrong: say"
            " which it is with source.time_unit.",
        )


def _steps(found: Findings) -> Iterator[Caution]:
    for step in found.steps:
        before = step.events + step.removed
        if before and step.removed / before > _MOST_REMOVED:
            share = step.removed / before
            yield Caution(
                "much_removed",
                share,
                f"The step “{step.name}” removed {_percent(share)} of the events: see whether that was meant.",
            )


def _order(found: Findings) -> Iterator[Caution]:
    gaps, signal = found.gaps, found.signal
    if gaps is not None and not found.positions and gaps.ties / gaps.pairs >= _MANY_TIES:
        share = gaps.ties / gaps.pairs
        yield Caution(
            "ties",
            share,
            f"{_percent(share)} of successive events have one and the same time, so their order is that of the file;"
            f" the last two events of {_percent(gaps.last_tied / gaps.users)} of the users with two or more are among"
            " them, and there what leave-one-out asks for is arbitrary: use finer times if the source has any.",
        )
    if signal is not None and signal.enough and signal.weak:
        yield Caution(
            "weak_signal",
            signal.ratio or 0.0,
            f"The order tells little: the item before predicts the next one in {_percent(signal.hit)} of the cases, and"
            f" in {_percent(signal.shuffled)} with each user's events shuffled; compare any model with popularity and a"
            " model that knows no order before you pay for one that does.",
        )


def _repeats(found: Findings) -> Iterator[Caution]:
    share = found.repeats.events / found.events
    if share < _RARE_REPEATS:
        yield Caution(
            "few_repeats",
            share,
            f"{'Only ' + _percent(share) if share else 'None'} of the events are about an item that the user had"
            " before, so serving should leave out what a user has seen.",
        )
    elif share >= _MANY_REPEATS:
        yield Caution(
            "many_repeats",
            share,
            f"{_percent(share)} of the events are about an item that the user had before, so serving should not leave"
            " out what a user has seen; read unmasked metrics beside masked ones.",
        )


def _lengths(found: Findings) -> Iterator[Caution]:
    if found.lengths is None or found.items_per_user is None:
        return
    counted = sum(one.count for one in found.lengths.bins if one.high is not None and one.high <= _SHORT)
    short = counted / found.users
    if short >= _MOST_SHORT:
        yield Caution(
            "short_sequences",
            short,
            f"{_percent(short)} of the users have fewer than {_SHORT} events, and so no row in each of training,"
            " validation and test: ask for more with k_core.user, or make sequences of longer sessions.",
        )
    few = found.items_per_user.p50
    if few <= 2:
        yield Caution(
            "few_items",
            few,
            f"Half of the users have touched at most {few:g} different items, from which little can be learned of them:"
            " remove repeats, or ask for more with k_core.user.",
        )


def _items(found: Findings) -> Iterator[Caution]:
    popularity = found.popularity
    if popularity is None:
        return
    cold = popularity.cold / found.items
    if cold >= _MANY_COLD:
        yield Caution(
            "cold_items",
            cold,
            f"{_percent(cold)} of the items have fewer than {COLD} events, too few to learn a vector from: remove them"
            f" with k_core.item: {COLD}, or expect them never to be recommended.",
        )
    if popularity.few_users:
        yield Caution(
            "few_users",
            float(popularity.few_users),
            f"{popularity.few_users:,} of {found.items:,} items were touched by fewer than {MIN_USERS_SHOWN} users,"
            " whom they may identify where the list of items is published: remove them with"
            f" --min-users-per-item {MIN_USERS_SHOWN}.",
        )


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 or not share else "less than 0.1%"


def _moment(time: str) -> str:
    return time.replace("T", " ").replace("Z", "")

"""What is known of an event besides its item, and the arrays that a model reads of it; numpy.

A *column* is an input of the model that stands beside `item_seq`, one value an event. Those of `NEXT` are one value a
history: what is known of the event that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

#: float32, seconds since the history's event before; `NO_GAP` where there is none: at the first event, at padding.
TIME_GAP = "time_gap"
#: int64, the index of the event's behaviour; 0 is padding.
BEHAVIOR = "behavior"
#: float32 [features], the event's numbers as they are.
FEATURES = "features"
#: float32, seconds from the last event to the one asked for; `NO_GAP` where nobody said.
NEXT_TIME_GAP = "next_time_gap"
#: int64, the behaviour that the next event shall have; 0 is any.
NEXT_BEHAVIOR = "next_behavior"

#: float32, in training only: whether the next event has one of the behaviours that a probability is asked for.
LABEL = "label"

NAMES = (TIME_GAP, BEHAVIOR, FEATURES, NEXT_TIME_GAP, NEXT_BEHAVIOR)
NEXT = (NEXT_TIME_GAP, NEXT_BEHAVIOR)
NO_GAP = -1.0
#: What stands at padding, and where nothing is known.
FILLING: dict[str, float] = {TIME_GAP: NO_GAP, BEHAVIOR: 0, FEATURES: 0.0, NEXT_TIME_GAP: NO_GAP, NEXT_BEHAVIOR: 0}
DTYPES: dict[str, type[np.generic]] = {
    TIME_GAP: np.float32,
    BEHAVIOR: np.int64,
    FEATURES: np.float32,
    NEXT_TIME_GAP: np.float32,
    NEXT_BEHAVIOR: np.int64,
}


class Row(NamedTuple):
    """One history as a model reads it, oldest first, without padding.

    Attributes:
        items: int64 [n]; n may be 0.
        columns: name → [n], [n, features], or, for those of `NEXT`, [].
    """

    items: Indices
    columns: Mapping[str, Array] = {}

    def part(self, start: int, stop: int | None = None) -> Row:
        """The events from `start` to before `stop`, each with the gap to the event before it in the whole."""
        return Row(
            self.items[start:stop],
            {name: value if name in NEXT else value[start:stop] for name, value in self.columns.items()},
        )


def padded(rows: Sequence[Row], names: Iterable[str] = ()) -> tuple[Indices, dict[str, Array]]:
    """Histories of unequal length as arrays, padded on the left.

    Args:
        rows: the histories.
        names: the columns to give.

    Returns:
        item_seq int64 [batch, length ≥ 1], and each column [batch, length], [batch, length, features] or [batch].
    """
    length = max(1, max((len(row.items) for row in rows), default=1))
    item_seq = np.zeros((len(rows), length), dtype=np.int64)
    for seq, row in zip(item_seq, rows, strict=True):
        seq[length - len(row.items) :] = row.items
    columns = {}
    for name in names:
        if name in NEXT:
            columns[name] = np.array([row.columns[name] for row in rows], dtype=DTYPES[name])
            continue
        tail = rows[0].columns[name].shape[1:] if rows else ()
        column = np.full((len(rows), length, *tail), FILLING[name], dtype=DTYPES[name])
        for values, row in zip(column, rows, strict=True):
            values[length - len(row.items) :] = row.columns[name]
        columns[name] = column
    return item_seq, columns


@dataclass(frozen=True)
class EventColumns:
    """What is known of many events besides their items; None where a data set does not tell.

    Attributes:
        time: float64 [events], seconds.
        behavior: int64 [events], from 1.
        features: float32 [events, features].
        label: float32 [events], 1 for an event that a probability is asked for.
    """

    time: npt.NDArray[np.float64] | None = None
    behavior: Indices | None = None
    features: npt.NDArray[np.float32] | None = None
    label: npt.NDArray[np.float32] | None = None

    def only(self, names: Iterable[str]) -> EventColumns:
        """Without what a model that reads these columns has no use for."""
        names = set(names)
        return EventColumns(
            time=self.time if names & {TIME_GAP, NEXT_TIME_GAP} else None,
            behavior=self.behavior if names & {BEHAVIOR, NEXT_BEHAVIOR} else None,
            features=self.features if FEATURES in names else None,
            label=self.label if LABEL in names else None,
        )

    def read(
        self, names: Iterable[str], read: Indices, following: Indices, wanted: int | None = None
    ) -> dict[str, Array]:
        """The columns of a batch.

        Args:
            names: the columns to give.
            read: int64 [batch, length], the number of the event that each position reads, −1 at padding.
            following: int64 [batch, length] or [batch, 1], the number of the event that comes after each (or the
                last) position; it is looked at for the columns of `NEXT` only.
            wanted: the behaviour to ask for at every row, in place of that of the following event.

        Returns:
            name → [batch, length] or [batch, length, features]; of the shape of `following` for those of `NEXT`.
        """
        found: dict[str, Array] = {}
        for name in names:
            if name == TIME_GAP:
                before = np.concatenate([np.full((len(read), 1), -1), read[:, :-1]], axis=1)
                found[name] = self._gap(before, read)
            elif name == NEXT_TIME_GAP:
                found[name] = self._gap(read[:, -following.shape[1] :], following)
            elif name == NEXT_BEHAVIOR and wanted is not None:
                found[name] = np.full(following.shape, wanted, dtype=np.int64)
            elif name == LABEL:
                assert self.label is not None
                found[name] = np.where(following >= 0, self.label[following], np.float32(0))
            elif name in (BEHAVIOR, NEXT_BEHAVIOR):
                assert self.behavior is not None
                event = read if name == BEHAVIOR else following
                found[name] = np.where(event >= 0, self.behavior[event], 0)
            else:
                assert self.features is not None
                found[name] = np.where(read[..., None] >= 0, self.features[read], np.float32(0))
        return found

    def row(self, names: Iterable[str], events: slice, wanted: int = 0) -> dict[str, Array]:
        """The columns of one history, for a `Row`; of the next event nothing but the wanted behaviour is known."""
        read = np.arange(events.start, events.stop)[None]
        names = list(names)
        found = {name: values[0] for name, values in self.read([n for n in names if n not in NEXT], read, read).items()}
        asked = {NEXT_TIME_GAP: np.float32(NO_GAP), NEXT_BEHAVIOR: np.int64(wanted)}
        return found | {name: np.array(value) for name, value in asked.items() if name in names}

    def _gap(self, before: Indices, event: Indices) -> npt.NDArray[np.float32]:
        assert self.time is not None
        gap = self.time[event] - self.time[before]
        return np.where((before >= 0) & (event >= 0), gap, NO_GAP).astype(np.float32)


def negatives(items: Indices, n_items: int) -> Indices:
    """For each event an item that it was not about, drawn evenly, the same at every call.

    Args:
        items: int64 [events], each from 1.
        n_items: 3 or more, the padding row included.

    Returns:
        int64 [events].
    """
    others = np.random.default_rng(0).integers(1, n_items - 1, len(items))
    return others + (others >= items)


def draw(
    names: Iterable[str], length: int, random: np.random.Generator, behaviors: int, features: int
) -> dict[str, Array]:
    """Columns of a made-up history, of every size that occurs, for checks.

    Args:
        names: the columns to give.
        length: of the history.
        random: draws them.
        behaviors: how many behaviours there are.
        features: how many features there are.
    """
    found: dict[str, Array] = {}
    for name in names:
        shape = () if name in NEXT else (length,)
        if name in (TIME_GAP, NEXT_TIME_GAP):
            # Whole seconds from 0 to a year; somebody may know no gap.
            gap = np.floor(np.exp(random.uniform(0, 17, shape)) - 1)
            gap = np.where(random.random(shape) < 0.1, NO_GAP, gap)
            if name == TIME_GAP:
                gap[:1] = NO_GAP
            found[name] = gap.astype(np.float32)
        elif name in (BEHAVIOR, NEXT_BEHAVIOR):
            found[name] = random.integers(1 if name == BEHAVIOR else 0, behaviors + 1, shape)
        else:
            found[name] = random.normal(0, 1, (*shape, features)).astype(np.float32)
    return found

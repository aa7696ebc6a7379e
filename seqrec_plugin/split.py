"""All events of a data set by user and time, and the part each belongs to; numpy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqrec_plugin.columns import EventColumns


@dataclass(frozen=True)
class Split:
    """All events by user and time, and the part each belongs to.

    Attributes:
        items: int64 [events].
        offsets: int64 [users + 1]; user u's events are offsets[u] … offsets[u + 1] − 1.
        train, valid, test: int64, the numbers of the events that are targets of each part.
        columns: what else the model reads of each event.
        wanted: the index of the behaviour that validation and test ask for; 0 is any.
    """

    items: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    train: npt.NDArray[np.int64]
    valid: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    columns: EventColumns = dataclasses.field(default_factory=EventColumns)
    wanted: int = 0

    def history(self, row: int) -> npt.NDArray[np.int64]:
        """The items that the user of event `row` had before it, oldest first."""
        start = self.offsets[np.searchsorted(self.offsets, row, side="right") - 1]
        return self.items[start:row]

    def inputs(
        self, rows: npt.NDArray[np.int64], max_history: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What a model reads before each of some events.

        Args:
            rows: int64 [batch ≥ 1], the numbers of the events.
            max_history: the newest so many events are read.

        Returns:
            item_seq int64 [batch, length ≥ 1], padded with 0 on the left; and the number of the event that each
            position reads, −1 at padding.
        """
        starts = self.offsets[np.searchsorted(self.offsets, rows, side="right") - 1]
        longest = max(1, min(max_history, int((rows - starts).max())))
        read = rows[:, None] + np.arange(-longest, 0)
        read = np.where(read >= starts[:, None], read, -1)
        return np.where(read >= 0, self.items[read], 0), read

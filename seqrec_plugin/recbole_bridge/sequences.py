"""What a data set of ours hands on: all events by user and time, and the names of what its rows hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seqrec_plugin.columns import EventColumns

#: The field of a row that holds the number of its target's event in `Sequences`.
ROW = "_row"
#: Begins the fields that hold the columns which the model reads beside the items.
COLUMN = "_column_"


@dataclass(frozen=True)
class Sequences:
    """All events by user and time, as RecBole sorted them.

    Attributes:
        events: every field of every event, a RecBole Interaction.
        items: int64 [events].
        offsets: int64 [users + 1]; user u's events are offsets[u] … offsets[u + 1] − 1.
        users: the RecBole user id of each user, int64 [users].
        columns: what else is known of each event.
    """

    events: Any
    items: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    users: npt.NDArray[np.int64]
    columns: EventColumns

    def start_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The first event of the user of each event."""
        starts: npt.NDArray[np.int64] = self.offsets[np.searchsorted(self.offsets, rows, side="right") - 1]
        return starts


@dataclass(frozen=True)
class Followed:
    """Names whose index is given: those of the run that training begins from. Others come after them.

    It is looked for as `config.followed`.
    """

    items: tuple[str, ...]
    behaviors: tuple[str, ...] = ()

"""RecBole's sequential data sets: exactly ordered rows, and rows that do not copy a prefix each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import recbole.data.dataset.dataset as recbole_dataset
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource

from seqrec_plugin import atomic
from seqrec_plugin.errors import BadData

#: The field of a row that holds the number of its target's event in `Sequences`.
ROW = "_row"


@dataclass(frozen=True)
class Sequences:
    """All events by user and time, as RecBole sorted them.

    Attributes:
        events: every field of every event, a RecBole Interaction.
        items: int64 [events].
        offsets: int64 [users + 1]; user u's events are offsets[u] … offsets[u + 1] − 1.
        users: the RecBole user id of each user, int64 [users].
    """

    events: Any
    items: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    users: npt.NDArray[np.int64]

    def start_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The first event of the user of each event."""
        starts: npt.NDArray[np.int64] = self.offsets[np.searchsorted(self.offsets, rows, side="right") - 1]
        return starts


class _ExactDataset(SequentialDataset):  # type: ignore[misc]
    """What both data sets do: with `exact_time`, read ids byte for byte and order events by exact integers.

    RecBole keeps times as float32, in steps of 128 s at today's epoch. Its sorts are stable and its rounding keeps
    order, so rows that are read in exact order stay in exact order, through RecBole's own code.
    """

    sequences: Sequences
    inter_feat: Any  # a DataFrame until `build`, then an Interaction

    def _load_feat(self, filepath: str, source: Any) -> Any:
        if not self.config["exact_time"]:
            return super()._load_feat(filepath, source)
        time_field = self.time_field if source == FeatureSource.INTERACTION else None
        own = self.config["encoding"]
        # RecBole opens the file for its header, in the locale's encoding; a byte order mark would be part of a name.
        self.config["encoding"] = own or "utf-8-sig"
        try:
            with _reading(_ExactReader(self.config, time_field)):
                return super()._load_feat(filepath, source)
        finally:
            self.config["encoding"] = own

    def _remove_duplication(self) -> None:
        keep = self.config["rm_dup_inter"]
        if not self.config["exact_time"] or keep is None:
            super()._remove_duplication()
        else:  # RecBole's sort before this is not stable, and the rows are in order already
            self.inter_feat.drop_duplicates(subset=[self.uid_field, self.iid_field], keep=keep, inplace=True)

    def _data_filtering(self) -> None:
        events = len(self.inter_feat)
        try:
            super()._data_filtering()
        except ValueError:
            if not self.inter_feat.empty:
                raise
            raise BadData(
                "dataset_empty",
                f"The filters leave none of the {events} events of {self.dataset_name!r}.",
                "Check val_interval, user_inter_num_interval and item_inter_num_interval.",
            ) from None

    def data_augmentation(self) -> None:
        """Sort by user and time, remember the sequences, then make RecBole's rows of them."""
        self._check_field("uid_field", "time_field")
        if self.time_field not in self.inter_feat:
            raise BadData(
                "dataset_invalid",
                f"The data set {self.dataset_name!r} was loaded without its time field {self.time_field!r}.",
                "Add it to load_col, or name the right column with TIME_FIELD.",
            )
        self.sort(by=[self.uid_field, self.time_field], ascending=True)
        users = self.inter_feat[self.uid_field].numpy()
        starts = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]]))
        self.sequences = Sequences(
            events=self.inter_feat,
            items=self.inter_feat[self.iid_field].numpy(),
            offsets=np.concatenate([starts, [len(users)]]),
            users=users[starts],
        )
        if len(starts) == len(users):
            raise BadData(
                "dataset_too_short",
                f"No user of {self.dataset_name!r} has two events, so there is no next item to learn "
                f"({len(users)} events, {len(starts)} users).",
                "Check USER_ID_FIELD and the filters, or bring longer histories.",
            )
        self._make_rows(np.setdiff1d(np.arange(len(users)), starts, assume_unique=True))

    def _make_rows(self, rows: npt.NDArray[np.int64]) -> None:
        raise NotImplementedError


class ExactSequentialDataset(_ExactDataset):
    """RecBole's own rows for RecBole's own models; each carries its event's number besides."""

    def _make_rows(self, rows: npt.NDArray[np.int64]) -> None:
        super(_ExactDataset, self).data_augmentation()
        self.inter_feat.update(Interaction({ROW: torch.from_numpy(rows)}))


class SequenceDataset(_ExactDataset):
    """Light rows: user, target, length and event number; the prefix is looked up when it is asked for.

    RecBole copies up to MAX_ITEM_LIST_LENGTH earlier events into every row, which is what explodes its memory.
    Here valid and test get these lists (equal to RecBole's, in one vectorised step), and training reads windows of
    `sequences`.
    """

    def _make_rows(self, rows: npt.NDArray[np.int64]) -> None:
        self._aug_presets()
        lengths = np.minimum(rows - self.sequences.start_of(rows), self.max_item_list_len)
        light = self.inter_feat[rows]
        light.update(Interaction({self.item_list_length_field: torch.from_numpy(lengths), ROW: torch.from_numpy(rows)}))
        self.inter_feat = light

    def build(self) -> list[SequenceDataset]:
        """Split by RecBole's code into train, valid and test."""
        train, *held_out = super().build()
        for part in held_out:
            part.inter_feat = part._with_lists(part.inter_feat)
        return [train, *held_out]

    def __getitem__(self, index: Any, join: bool = True) -> Any:
        rows = self.inter_feat[index]
        if self._list_field(self.iid_field) not in rows:
            rows = self._with_lists(rows)
        return self.join(rows) if join else rows

    def inter_matrix(self, form: str = "coo", value_field: str | None = None) -> Any:
        """See RecBole; it counts each user's first event from the lists."""
        return super(_ExactDataset, self.copy(self._with_lists(self.inter_feat))).inter_matrix(form, value_field)

    def _list_field(self, field: str) -> str:
        return field + str(self.config["LIST_SUFFIX"])

    def _with_lists(self, rows: Any) -> Any:
        """Add the fields of the earlier events, [rows, max_item_list_len], padded with 0 on the right."""
        lengths = rows[self.item_list_length_field].unsqueeze(1)
        position = torch.arange(self.max_item_list_len)
        real = position < lengths
        event = torch.where(real, rows[ROW].unsqueeze(1) - lengths + position, 0)
        lists = {}
        for field in self.sequences.events:
            if field == self.uid_field:
                continue
            values = self.sequences.events[field][event]
            mask = real.reshape(real.shape + (1,) * (values.dim() - 2))
            lists[self._list_field(field)] = torch.where(mask, values, torch.zeros((), dtype=values.dtype))
        out = rows[torch.arange(len(rows))]  # a copy; the caller's rows stay light
        out.update(Interaction(lists))
        return out


class _ExactReader:
    """Stands in for pandas' `read_csv` while RecBole loads a file.

    Args:
        config: RecBole's Config.
        time_field: the field to order the rows by, or None for files without events.
    """

    def __init__(self, config: Any, time_field: str | None) -> None:
        self.config, self.time_field = config, time_field

    def __call__(self, filepath: str, *, usecols: list[str], dtype: dict[str, Any], **_: Any) -> pd.DataFrame:
        config = self.config
        table = atomic.read(
            filepath,
            separator=config["field_separator"],
            encoding=config["encoding"],
            ids=[config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]],
        )
        names = [name for name, _, _ in (column.partition(":") for column in usecols)]
        frame = pd.DataFrame({f: table.columns[n] for f, n in zip(usecols, names, strict=True)}, dtype=object)
        order = None
        if self.time_field in names:
            order = np.argsort(table.exact_times(self.time_field), kind="stable")
        for name, column in zip(names, usecols, strict=True):
            if dtype[column] is np.float64:
                frame[column] = _floats(table, name)
        if order is not None:
            frame = frame.take(order).reset_index(drop=True)
        return frame


def _floats(table: atomic.Table, name: str) -> npt.NDArray[np.float64]:
    """A column of numbers; an empty value is missing, as RecBole has it."""
    values = table.column(name)
    try:
        return np.array([value or "nan" for value in values], dtype=np.float64)
    except ValueError:
        pass
    for line, value in enumerate(values, start=2):
        try:
            float(value or "nan")
        except ValueError:
            raise BadData("dataset_invalid", f"{table.path}, line {line}: {name} is {value!r}, not a number.") from None
    raise AssertionError("unreachable: numpy and float() agree on what a number is")


@contextlib.contextmanager
def _reading(reader: _ExactReader) -> Iterator[None]:
    """Let RecBole's loader read with `reader`; only its own name for pandas changes, and only meanwhile."""
    own = recbole_dataset.pd
    recbole_dataset.pd = SimpleNamespace(**{**vars(own), "read_csv": reader})
    try:
        yield
    finally:
        recbole_dataset.pd = own

"""RecBole's sequential data sets: exactly ordered rows, and rows that do not copy a prefix each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction, cat_interactions
from recbole.utils import FeatureSource, FeatureType

from seqrec_plugin import registry
from seqrec_plugin.columns import BEHAVIOR, FEATURES, NEXT, NEXT_BEHAVIOR, EventColumns, negatives
from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.recbole_bridge.exact_reading import ExactReader, reading_by
from seqrec_plugin.recbole_bridge.options import TrainingOptions, columns_read, fields_read, training_options
from seqrec_plugin.recbole_bridge.sequences import COLUMN, ROW, Sequences
from seqrec_plugin.times import unit_seconds

_TIME, _BEHAVIOR, _FEATURES = "_time", "_behavior", "_features"


class _ExactDataset(SequentialDataset):  # type: ignore[misc]
    """What both data sets do: with `exact_time`, read ids byte for byte and order events by exact integers.

    RecBole keeps times as float32, in steps of 128 s at today's epoch. Its sorts are stable and its rounding keeps
    order, so rows that are read in exact order stay in exact order, through RecBole's own code.
    """

    sequences: Sequences
    inter_feat: Any  # a DataFrame until `build`, then an Interaction
    #: The names of the behaviours, from index 1, where the model or the choice of targets needs them.
    behaviors: tuple[str, ...] = ()
    #: Whether training learns from the events of validation and test too: `seqrec train --refit`.
    train_on_all = False
    _raw: dict[str, Any]
    #: Number → which events have none, bool [events].
    _missing: dict[str, npt.NDArray[np.bool_]]

    def _load_feat(self, filepath: str, source: Any) -> Any:
        if not self.config["exact_time"]:
            return super()._load_feat(filepath, source)
        time_field = self.time_field if source == FeatureSource.INTERACTION else None
        own = self.config["encoding"]
        # RecBole opens the file for its header, in the locale's encoding; a byte order mark would be part of a name.
        self.config["encoding"] = own or "utf-8-sig"
        try:
            with reading_by(ExactReader(self.config, time_field)):
                return super()._load_feat(filepath, source)
        finally:
            self.config["encoding"] = own

    def _remap(self, remap_list: Any) -> None:
        """RecBole numbers names as they appear; those that are followed keep their index."""
        super()._remap(remap_list)
        fields = [field for _, field, _ in remap_list]
        given: tuple[str, ...] = ()
        if (followed := getattr(self.config, "followed", None)) is not None:
            options = self._training
            given = followed.items if self.iid_field in fields else ()
            given = followed.behaviors if options.BEHAVIOR_FIELD in fields else given
        if not given:
            return
        found = self.field2id_token[fields[0]]
        names = [found[0], *given, *_others(found[1:], given)]
        index = {name: i for i, name in enumerate(names)}
        place = np.array([index[name] for name in found])
        for feat, field, kind in remap_list:
            self.field2id_token[field], self.field2token_id[field] = np.array(names), index
            if kind == FeatureType.TOKEN:
                feat[field] = place[feat[field].to_numpy()]
            else:
                feat[field] = [place[value] for value in feat[field]]

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

    def _fill_nan(self) -> None:
        """Remember which numbers are missing: RecBole fills in the mean of all events, those of the test among them."""
        fields = [field for field in self._training.NUMERIC_FIELDS if field in self.inter_feat]
        self._missing = {field: self.inter_feat[field].isna().to_numpy() for field in fields}
        super()._fill_nan()

    @property
    def _training(self) -> TrainingOptions:
        return training_options(self.config.final_config_dict)

    def _normalize(self) -> None:
        """Keep times, behaviours and numbers as the file has them: RecBole scales them, and then rounds to float32."""
        options, columns = self._training, self._columns
        self._raw = {}
        clock = options.TIMESTAMP_FIELD or self.time_field
        if clock in self.inter_feat or clock in fields_read(self.config["model"], self.config.final_config_dict):
            times = self._column(clock).to_numpy(np.float64)
            self._raw[_TIME] = times * unit_seconds(times, options.time_unit)
        if options.target_behaviors or BEHAVIOR in columns or NEXT_BEHAVIOR in columns:
            self._raw[_BEHAVIOR], self.behaviors = self._read_behaviors(options.BEHAVIOR_FIELD)
            # A warm start keeps the names of its run, so that one may be known of which there is no event.
            seen = [self.behaviors[i - 1] for i in np.unique(self._raw[_BEHAVIOR]).tolist() if i]
            for name in options.target_behaviors:
                if name not in seen:
                    raise WrongUsage(
                        "bad_value",
                        f"target_behaviors names {name!r}, which {options.BEHAVIOR_FIELD} never is.",
                        nearest(name, seen),
                    )
        if FEATURES in columns:
            for field in options.NUMERIC_FIELDS:
                if field in self.field2type and self.field2type[field] != FeatureType.FLOAT:
                    raise BadData("dataset_invalid", f"The field {field!r} of NUMERIC_FIELDS holds no numbers.")
            self._raw[_FEATURES] = np.stack([self._numbers(field) for field in options.NUMERIC_FIELDS], axis=1)
        super()._normalize()

    @property
    def _columns(self) -> tuple[str, ...]:
        """The columns that the model reads."""
        return columns_read(self.config["model"], self.config.final_config_dict)

    @property
    def wanted(self) -> int:
        """The behaviour that validation and test ask for: the only target, or any."""
        targets = self._training.target_behaviors
        return self.behaviors.index(targets[0]) + 1 if len(targets) == 1 else 0

    def _column(self, field: str) -> Any:
        if field not in self.inter_feat:
            raise BadData(
                "dataset_invalid",
                f"The data set {self.dataset_name!r} was loaded without the field {field!r}.",
                "Add it to load_col, or name another with BEHAVIOR_FIELD, NUMERIC_FIELDS or TIMESTAMP_FIELD.",
            )
        return self.inter_feat[field]

    def _numbers(self, field: str) -> npt.NDArray[np.float32]:
        """A number of each event; NaN where it is missing."""
        values = self._column(field).to_numpy(np.float64)
        with np.errstate(over="ignore"):  # told below, by name
            found = np.where(self._missing[field], np.nan, values).astype(np.float32)
        if np.isinf(found).any():
            value = values[np.isinf(found)][0]
            raise BadData("dataset_invalid", f"The field {field!r} holds {value}, which is beyond float32.")
        return found

    def _read_behaviors(self, field: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """The behaviour of each event, from 1, and their names; a field of numbers, such as stars, will do too."""
        column = self._column(field)
        if self.field2type[field] == FeatureType.TOKEN:
            return column.to_numpy(np.int64), tuple(map(str, self.field2id_token[field][1:]))
        if self.field2type[field] != FeatureType.FLOAT:
            raise BadData("dataset_invalid", f"The field {field!r} holds lists, and no behaviour can be read from it.")
        values, index = np.unique(column.to_numpy(np.float64), return_inverse=True)
        names = [f"{value:g}" for value in values]
        given = getattr(getattr(self.config, "followed", None), "behaviors", ())
        both = (*given, *_others(names, given))
        return np.array([both.index(name) for name in names], dtype=np.int64)[index] + 1, both

    def _dataframe_to_interaction(self, data: Any) -> Any:
        interaction = super()._dataframe_to_interaction(data)
        if data is self.inter_feat:
            interaction.update(Interaction({name: torch.from_numpy(value) for name, value in self._raw.items()}))
        return interaction

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
        raw = {name: self.inter_feat[name].numpy() for name in self._raw}
        for name in raw:
            self.inter_feat.drop(name)
        starts = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]]))
        self.sequences = Sequences(
            events=self.inter_feat,
            items=self.inter_feat[self.iid_field].numpy(),
            offsets=np.concatenate([starts, [len(users)]]),
            users=users[starts],
            columns=EventColumns(
                raw.get(_TIME), raw.get(_BEHAVIOR), raw.get(_FEATURES), self._labels(raw.get(_BEHAVIOR))
            ),
        )
        if len(starts) == len(users):
            raise BadData(
                "dataset_too_short",
                f"No user of {self.dataset_name!r} has two events, so there is no next item to learn "
                f"({len(users)} events, {len(starts)} users).",
                "Check USER_ID_FIELD and the filters, or bring longer histories.",
            )
        self._make_rows(np.setdiff1d(np.arange(len(users)), starts, assume_unique=True))

    def _labels(self, behavior: npt.NDArray[np.int64] | None) -> npt.NDArray[np.float32] | None:
        """1 for each event of a target behaviour."""
        targets = [self.behaviors.index(name) + 1 for name in self._training.target_behaviors]
        return np.isin(behavior, targets).astype(np.float32) if behavior is not None and targets else None

    def _make_rows(self, rows: npt.NDArray[np.int64]) -> None:
        raise NotImplementedError

    def build(self) -> list[Any]:
        """Split by RecBole's code into train, valid and test; only events of a target behaviour are held out."""
        train, *held_out = super().build()
        if self.train_on_all:
            train.inter_feat = cat_interactions([part.inter_feat for part in (train, *held_out)])
        label = self.sequences.columns.label
        if label is not None and not self._probability:
            for part in held_out:
                part.inter_feat = part.inter_feat[torch.from_numpy(label[part.inter_feat[ROW].numpy()] > 0)]
        return [train, *held_out]

    @property
    def _probability(self) -> bool:
        """Whether the model gives probabilities of labelled rows."""
        model = self.config["model"]
        return model in registry.names() and registry.load(model).task == "probability"


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
        """See `_ExactDataset.build`; valid and test get the lists of earlier events."""
        train, *held_out = super().build()
        for part in held_out:
            part.inter_feat = part._with_lists(part.inter_feat)
            if self._probability:
                part.inter_feat = part._labelled(part.inter_feat)
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
        lists |= self._column_lists(rows, event, real)
        out = rows[torch.arange(len(rows))]  # a copy; the caller's rows stay light
        out.update(Interaction(lists))
        return out

    def _labelled(self, rows: Any) -> Any:
        """Rows with their label; where no behaviour tells it, each is followed by one of an item not chosen."""
        field, label = self.config["LABEL_FIELD"], self.sequences.columns.label
        number = rows[ROW].numpy()
        if label is not None:
            rows.update(Interaction({field: torch.from_numpy(label[number])}))
            return rows
        both = rows[torch.arange(len(rows)).repeat_interleave(2)]
        others = negatives(self.sequences.items, self.item_num)
        both[self.iid_field][1::2] = torch.from_numpy(others[number])
        both.update(Interaction({field: (torch.arange(len(both)) % 2 == 0).float()}))
        return both

    def _column_lists(self, rows: Any, event: torch.Tensor, real: torch.Tensor) -> dict[str, torch.Tensor]:
        """The model's columns, named `COLUMN + name`, padded on the right as RecBole's lists are."""
        read = torch.where(real, event, -1).numpy()
        last = np.where(rows[self.item_list_length_field].numpy() > 0, rows[ROW].numpy() - 1, -1)
        following = rows[ROW].numpy()[:, None]
        columns = self.sequences.columns
        found = {}
        for name in self._columns:
            if name in NEXT:
                values = columns.read([name], last[:, None], following, self.wanted)[name][:, 0]
            else:
                values = columns.read([name], read, following)[name]
            found[COLUMN + name] = torch.from_numpy(values)
        return found


def _others(names: Iterable[str], given: Sequence[str]) -> list[str]:
    """The names that are not among the given ones, in their order."""
    known = set(given)
    return [name for name in names if name not in known]

"""What a run says of itself: `run.json`, typed and strict."""

from __future__ import annotations

from typing import Any

import msgspec

from seqrec_plugin.columns import NEXT_TIME_GAP
from seqrec_plugin.transforms import Transform

FORMAT_VERSION = 0
#: What `RunInfo.purged` says until a purge has come to its end.
PURGING = "begun"


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run that another came from: its folder's name, the sha256 of its weights, and its best epoch, from 0."""

    run: str
    weights: str
    epoch: int


class Origins(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The runs that a run came from.

    `refit_of` is the run whose configuration and number of epochs were trained again, on all events; `began_from` the
    one whose weights training began with. `parts` are the runs whose models were combined into this one's.
    """

    refit_of: Origin | None = None
    began_from: Origin | None = None
    parts: tuple[Origin, ...] = ()


class RunInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`run.json`. `files` holds each sha256.

    `ours` tells whether the model is in our registry, `imported` whether it is RecBole's own in our portable form;
    where neither is so, only RecBole can run it. `columns` are what it reads beside the items. `parameters` counts the
    numbers that are trained, `peak_memory` is in bytes, `cut` says that `time_limit` ended the training, `retired` are
    the indices of items that are known and never recommended, `purged` is the day on which what was of users was
    removed (or `PURGING`), `processes` trained together, each with so many `threads`. These and what follows are empty
    in runs of older releases.
    """

    format_version: int
    model: str
    ours: bool
    model_config: dict[str, Any]
    dataset: str
    data_sha256: str
    n_items: int
    max_history: int
    exclude_seen: bool
    seed: int
    epoch: int
    order: str
    threads: int
    seconds: float
    versions: dict[str, str]
    columns: tuple[str, ...] = ()
    behaviors: tuple[str, ...] = ()
    target_behaviors: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    transforms: dict[str, Transform] = {}
    files: dict[str, str] = {}  # name → sha256
    parameters: int = 0
    peak_memory: int = 0
    cut: bool = False
    machine: str = ""
    date: str = ""
    imported: bool = False
    origins: Origins = Origins()
    retired: tuple[int, ...] = ()
    purged: str = ""
    processes: int = 1

    @property
    def told_target_time(self) -> bool:
        """Whether the model read the time of the target itself, in evaluation too."""
        return NEXT_TIME_GAP in self.columns

    @property
    def combined(self) -> bool:
        """Whether the model is several models' mean; `model_config` then holds name and options of each."""
        return bool(self.origins.parts)

    @property
    def portable(self) -> bool:
        """Whether the model runs without RecBole."""
        return self.ours or self.imported or self.combined

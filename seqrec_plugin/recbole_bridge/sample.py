"""Validation on some rows of its part: over a large catalogue each costs as much as thousands of training steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import BatchSampler


class Sample:
    """A loader of validation that gives some of its rows only, always the same; else as the loader is.

    Args:
        loader: RecBole's, of a sequential model.
        rows: how many, fewer than the loader has.
        seed: draws them.
    """

    def __init__(self, loader: Any, rows: int, seed: int) -> None:
        self._loader = loader
        #: RecBole's name for the number of rows.
        self.sample_size = rows
        chosen = np.random.default_rng(seed).choice(loader.sample_size, rows, replace=False)
        self.batch_sampler = BatchSampler(np.sort(chosen).tolist(), loader.step, drop_last=False)

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # RecBole asks which loader it is
        found: type = self._loader.__class__
        return found

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        return map(self._loader.collate_fn, self.batch_sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

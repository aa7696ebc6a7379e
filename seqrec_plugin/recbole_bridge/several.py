"""Evaluation by several processes: each scores its share of the batches, and all have what all found.

Batches are dealt whole, so that each is scored as one process would score it, to the bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from recbole.evaluator import Collector

from seqrec_plugin import distributed
from seqrec_plugin.errors import WrongUsage

#: What RecBole's collector keeps of each row.
_OF_ROWS = ("rec.items", "rec.topk", "rec.meanrank", "rec.score", "data.label")

Arrays = tuple[npt.NDArray[Any], ...]


class Share:
    """A loader of validation or test, of which this process gets a run of the batches; else as the loader is."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # RecBole asks which loader it is
        found: type = self._loader.__class__
        return found

    def __bool__(self) -> bool:  # RecBole asks whether there is any; there may be no batch for this process
        return True

    def __len__(self) -> int:
        return len(range(*self._bounds()))

    def __iter__(self) -> Iterator[Any]:
        for rows in itertools.islice(self._loader.batch_sampler, *self._bounds()):
            yield self._loader.collate_fn(rows)

    def _bounds(self) -> tuple[int, int]:
        batches, rank, processes = len(self._loader), distributed.rank(), distributed.processes()
        return batches * rank // processes, batches * (rank + 1) // processes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class SharedCollector(Collector):  # type: ignore[misc]
    """RecBole's collector of what its metrics need, over the rows of all processes."""

    def get_data_struct(self) -> Any:
        """See RecBole."""
        if distributed.processes() > 1:
            own = {name: self.data_struct.get(name).cpu() for name in _OF_ROWS if name in self.data_struct}
            everyones = distributed.gather(own)
            for name in _OF_ROWS:
                if parts := [found[name] for found in everyones if name in found]:
                    self.data_struct.set(name, torch.cat(parts))
        return super().get_data_struct()


def joined(own: list[Arrays]) -> list[npt.NDArray[Any]]:
    """What was collected of each batch, one after the other over all processes.

    Args:
        own: of each of this process's batches the same kinds of arrays, [rows] each.

    Returns:
        one array of each kind, [all rows]; empty if there is no batch anywhere.
    """
    here = [torch.from_numpy(np.concatenate(part)) for part in zip(*own, strict=True)]
    parts = [found for found in distributed.gather(here) if found]
    return [torch.cat(kind).numpy() for kind in zip(*parts, strict=True)]


def own_random(last: dict[str, Any]) -> dict[str, Any]:
    """The random states of this process, of those in a trainer's `last_file`.

    Raises:
        WrongUsage: `bad_value` where another number of processes wrote it.
    """
    states: list[dict[str, Any]] = [last["random"], *last.get("random_of_others", ())]
    if len(states) != distributed.processes():
        hint = "Leave out torchrun, or start it anew with --force."
        if len(states) > 1:
            hint = f"Resume it as it began: {distributed.torchrun(len(states))} --resume"
        raise WrongUsage(
            "bad_value",
            f"The run was begun in {_count(len(states))} and cannot be resumed in {_count(distributed.processes())}.",
            hint,
        )
    return states[distributed.rank()]


def _count(processes: int) -> str:
    return f"{processes} processes" if processes > 1 else "one process"

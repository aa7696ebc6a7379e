"""A running mean of the weights, which is what a training ends with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


class WeightAverage:
    """An exponentially decayed mean of the weights over the steps (Polyak & Juditsky, 1992; Kingma & Ba, 2015, 7.2).

    At step t (from 0) the decay is min(decay, t / (t + 9)), so that the mean forgets where training began.

    Args:
        weights: the model's; between two epochs they may be exchanged for their mean (`swap`).
        decay: of the mean, a step; above 0 and below 1.
        tables: weights besides, of which a step changes only some rows. Their means are brought up to date row by row:
            while a row stands still, its mean comes nearer by the product of the steps' decays.
    """

    def __init__(self, weights: Iterable[Tensor], decay: float, tables: Iterable[Tensor] = ()) -> None:
        dense = [weight.detach() for weight in weights]
        self._tables = [table.detach() for table in tables]
        self._weights = dense + self._tables
        self._dense = len(dense)
        self._decay = decay
        self._steps = 0
        self._mean = [weight.clone() for weight in self._weights]
        self._decays = 0.0  # the sum of the logarithms of all steps' decays
        self._reached = [table.new_zeros(len(table), dtype=torch.float64) for table in self._tables]

    @torch.no_grad()
    def take(self, step: Callable[[], None], rows: Sequence[Tensor] = ()) -> None:
        """Make one more step, and take the weights that come of it into the mean.

        Args:
            step: changes the weights.
            rows: int64 [any] for each table, those that it changes.
        """
        self._catch_up(rows)
        step()
        decay = min(self._decay, self._steps / (self._steps + 9))
        self._steps += 1
        self._decays += math.log(max(decay, 1e-30))
        torch._foreach_lerp_(self._mean[: self._dense], self._weights[: self._dense], 1 - decay)
        for mean, table, reached, touched in zip(self._means, self._tables, self._reached, rows, strict=True):
            mean[touched] = mean[touched].lerp_(table[touched], 1 - decay)
            reached[touched] = self._decays

    def _catch_up(self, rows: Iterable[Tensor]) -> None:
        """Bring rows' means up to the last step, before they change."""
        for mean, table, reached, touched in zip(self._means, self._tables, self._reached, rows, strict=True):
            left = torch.exp(self._decays - reached[touched]).to(table.dtype)
            now = table[touched]
            mean[touched] = now + (mean[touched] - now) * left.reshape(-1, *[1] * (table.dim() - 1))
            reached[touched] = self._decays

    @property
    def _means(self) -> list[Tensor]:
        return self._mean[self._dense :]

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights and their mean, in place; a second call, before any step, exchanges them back."""
        self._catch_up([torch.arange(len(table), device=table.device) for table in self._tables])
        self._decays = 0.0  # so that a resumed training computes the same numbers
        for reached in self._reached:
            reached.zero_()
        for weight, mean in zip(self._weights, self._mean, strict=True):
            kept = weight.clone()
            weight.copy_(mean)
            mean.copy_(kept)

    def state(self) -> tuple[int, list[Tensor]]:
        """The number of steps and the mean of each weight as of the last `swap`, to `load` in a later process."""
        return self._steps, self._mean

    def load(self, steps: int, mean: Iterable[Tensor]) -> None:
        """Go on from a `state`.

        Raises:
            ValueError: it is of other weights.
        """
        mean = list(mean)
        if [tuple(m.shape) for m in mean] != [tuple(w.shape) for w in self._weights]:
            raise ValueError("the mean is of other weights")
        self._steps = steps
        for own, given in zip(self._mean, mean, strict=True):
            own.copy_(given)

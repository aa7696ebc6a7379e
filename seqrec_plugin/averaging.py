"""A running mean of the weights, and how the step size goes: what a training ends with, beside its optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor


class WeightAverage:
    """An exponentially decayed mean of the weights over the steps (Polyak & Juditsky, 1992; Kingma & Ba, 2015, 7.2).

    At step t (from 0) the decay is min(decay, t / (t + 9)), so that the mean forgets where training began.

    Args:
        weights: the model's; between two epochs they may be exchanged for their mean (`swap`).
        decay: of the mean, a step; above 0 and below 1.
    """

    def __init__(self, weights: Iterable[Tensor], decay: float) -> None:
        self._weights = [weight.detach() for weight in weights]
        self._decay = decay
        self._steps = 0
        self._mean = [weight.clone() for weight in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step into the mean."""
        decay = min(self._decay, self._steps / (self._steps + 9))
        self._steps += 1
        torch._foreach_lerp_(self._mean, self._weights, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights and their mean, in place; a second call exchanges them back."""
        for weight, mean in zip(self._weights, self._mean, strict=True):
            kept = weight.clone()
            weight.copy_(mean)
            mean.copy_(kept)

    def state(self) -> tuple[int, list[Tensor]]:
        """The number of steps and the mean of each weight, to `load` in a later process."""
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


def step_size(schedule: str, step: int, steps: int, warmup: int = 0) -> float:
    """The share of the learning rate at a step.

    Args:
        schedule: `constant`, or `cosine`: ½(1 + cos(π·step/steps)) (Loshchilov & Hutter, 2017, without restarts).
        step: from 0; from `steps` on a cosine stays at 0.
        steps: in which the cosine falls to 0.
        warmup: steps in which the share rises linearly from nearly nothing, besides (Goyal et al., 2017).
    """
    share = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))) if schedule == "cosine" else 1.0
    return share * min(1.0, (step + 1) / (warmup + 1))

"""Numbers of an event, such as a price or a dwell time, as what a model reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, array


class Numbers(nn.Module):
    """Raw numbers → a vector: each is brought to mean 0 and deviation 1, then a linear map.

    The scaling is fitted once, on training events, and is part of the weights and of the graph: callers give the
    numbers as they are.

    Args:
        n: how many numbers an event has.
        size: width of the vector.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n: int, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("scale", torch.ones(n))
        self.linear = nn.Linear(n, size, bias=False)

    def fit(self, values: npt.NDArray[np.float32]) -> None:
        """Take mean and deviation from float [events, n]; a number that never changes is read as 0."""
        self.mean.copy_(torch.from_numpy(values.mean(axis=0, dtype=np.float64)))
        deviation = values.std(axis=0, dtype=np.float64)
        self.scale.copy_(torch.from_numpy(np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)))

    def forward(self, values: Tensor, keep: Tensor) -> Tensor:
        """float [batch, length, n] and keep [batch, length, 1] → float [batch, length, size], 0 at padding."""
        vector: Tensor = self.linear((values - self.mean) * self.scale) * keep
        return vector

    def emit(self, graph: Emitter, values: str, keep: str) -> str:
        """Write the same."""
        centred = graph.op("Sub", values, graph.constant(array(self.mean)))
        scaled = graph.op("Mul", centred, graph.constant(array(self.scale)))
        return graph.op("Mul", graph.op("MatMul", scaled, graph.constant(array(self.linear.weight).T)), keep)

"""Time between events, as what a model reads."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, array

#: Seconds: 0, 1, 2, 4 … to some four years.
_THRESHOLDS = [0.0, *(2.0**k for k in range(28))]


class GapEmbedding(nn.Module):
    """A gap in seconds → a vector, by logarithmic buckets that are told like a thermometer.

    The vector is the sum of the weights of all thresholds that the gap reaches, so neighbouring buckets share what they
    have in common. A gap is compared with the thresholds and not put through a logarithm: so it falls into the same
    bucket in every runtime, to the bit. No gap at all (`columns.NO_GAP`, below 0) gives zeros.

    Args:
        size: width of the vector.
        std: of the initial weights.
    """

    thresholds: Tensor

    def __init__(self, size: int, std: float = 0.02) -> None:
        super().__init__()
        self.register_buffer("thresholds", torch.tensor(_THRESHOLDS), persistent=False)
        self.weight = nn.Parameter(torch.zeros(len(_THRESHOLDS), size))
        if std:
            nn.init.normal_(self.weight, std=std)

    def forward(self, gap: Tensor) -> Tensor:
        """float [any …] → float [any …, size]."""
        return (gap.unsqueeze(-1) >= self.thresholds).to(self.weight.dtype) @ self.weight

    def emit(self, graph: Emitter, gap: str) -> str:
        """Write the same; the gap is float32 [any, any] or [any]."""
        last = graph.op("Unsqueeze", gap, graph.constant([-1]))
        below = graph.op("Less", last, graph.constant(np.array(_THRESHOLDS, dtype=np.float32)))
        reached = graph.op("Cast", graph.op("Not", below), to=1)
        return graph.op("MatMul", reached, graph.constant(array(self.weight)))

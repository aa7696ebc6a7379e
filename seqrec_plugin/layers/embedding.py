"""A table of vectors for small vocabularies, such as behaviours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, array


class Embedding(nn.Module):
    """Index → vector.

    Args:
        n: how many indices have a vector of their own.
        size: width of a vector.
        padded: whether index 0 is padding, and gives zeros; the others then are 1 to n, else 0 to n − 1.
    """

    def __init__(self, n: int, size: int, padded: bool = True) -> None:
        super().__init__()
        self.padded = padded
        self.weight = nn.Parameter(torch.empty(n, size))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, index: Tensor) -> Tensor:
        """int64 [any …] → float [any …, size]."""
        return nn.functional.embedding(index, self._table())

    def emit(self, graph: Emitter, index: str) -> str:
        """Write the same."""
        return graph.op("Gather", graph.constant(array(self._table())), index, axis=0)

    def _table(self) -> Tensor:
        return torch.cat([self.weight.new_zeros(1, self.weight.shape[1]), self.weight]) if self.padded else self.weight

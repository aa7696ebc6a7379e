"""The item table: one vector an item, read at the input and scored against at the output."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, array


class ItemTable(nn.Module):
    """Tied input and output embedding with an item bias (Press & Wolf, 2017).

    Row 0 is padding and, as the only input of an empty history, the newcomer: a learned vector like the others
    (so no `padding_idx`, which would freeze it). As an output, row 0 can never be recommended.

    Args:
        n_items: rows, the padding row included.
        embedding_size: width of a vector.
    """

    def __init__(self, n_items: int, embedding_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, embedding_size))
        self.bias = nn.Parameter(torch.zeros(n_items))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, item_seq: Tensor) -> Tensor:
        """int64 [batch, length] → float [batch, length, embedding_size]."""
        return nn.functional.embedding(item_seq, self.weight)

    def scores(self, vectors: Tensor) -> Tensor:
        """float [batch, embedding_size] → float [batch, n_items], −inf for padding."""
        scores = torch.addmm(self.bias, vectors, self.weight.T)
        scores[:, 0] = -torch.inf
        return scores

    def emit(self, graph: Emitter, item_seq: str) -> tuple[str, str]:
        """Write the look-up; returns the names of the vectors [length, batch, embedding_size] and of the table."""
        table = graph.constant(array(self.weight))
        return graph.op("Gather", table, item_seq, axis=0), table

    def emit_scores(self, graph: Emitter, vectors: str, table: str) -> str:
        """Write the scoring against the same table, stored once: [batch, embedding_size] → [batch, n_items]."""
        bias = array(self.bias)
        bias[0] = -np.inf
        return graph.op("Gemm", vectors, table, graph.constant(bias), transB=1)

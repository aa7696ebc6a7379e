"""The item table: one vector an item, read at the input and scored against at the output."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, array


class ItemTable(nn.Module):
    """Tied input and output embedding with an item bias (Press & Wolf, 2017).

    Row 0 is padding and, as the only input of an empty history, the newcomer: a learned vector like the others
    (so no `padding_idx`, which would freeze it). As an output, row 0 can never be recommended, nor can a retired item:
    one that the model knows from an earlier catalogue, and reads in a history, but that is no longer there.

    Args:
        n_items: rows, the padding row included.
        embedding_size: width of a vector.
    """

    def __init__(self, n_items: int, embedding_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, embedding_size))
        self.bias = nn.Parameter(torch.zeros(n_items))
        nn.init.normal_(self.weight, std=0.02)
        # Not among the weights: which items are retired is said by the run.
        self.never: Tensor
        self.register_buffer("never", torch.arange(n_items) == 0, persistent=False)
        #: Whether the gradients of table and bias are sparse, for a large catalogue (see `sampling`).
        self.sparse = False

    def forward(self, item_seq: Tensor) -> Tensor:
        """int64 [batch, length] → float [batch, length, embedding_size]."""
        return nn.functional.embedding(item_seq, self.weight, sparse=self.sparse)

    def retire(self, items: Sequence[int]) -> None:
        """Let some items never be recommended again, in training, evaluation and the graph."""
        self.never[list(items)] = True

    @property
    def output_bias(self) -> Tensor:
        """float [n_items], −inf for padding and what is retired: left out of every softmax and score."""
        return self.bias.masked_fill(self.never, -torch.inf)

    def scores(self, vectors: Tensor) -> Tensor:
        """float [batch, embedding_size] → float [batch, n_items], −inf for padding and for what is retired."""
        return torch.addmm(self.output_bias, vectors, self.weight.T)

    def emit(self, graph: Emitter, item_seq: str) -> tuple[str, str]:
        """Write the look-up; returns the names of the vectors [length, batch, embedding_size] and of the table."""
        table = graph.constant(array(self.weight))
        return graph.op("Gather", table, item_seq, axis=0), table

    def emit_scores(self, graph: Emitter, vectors: str, table: str) -> str:
        """Write the scoring against the same table, stored once: [batch, embedding_size] → [batch, n_items]."""
        return graph.op("Gemm", vectors, table, graph.constant(array(self.output_bias)), transB=1)

"""A column that is carried past the layers, so that deep ones can read it as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from seqrec_plugin.layers.base import Emitter, Layer, Names, State


class Aside(Layer):
    """Carries the last column of its input past a layer: [x, column] → [inner(x), column].

    Args:
        inner: the layer.
        reads: whether the inner layer reads the column as well, as the last of its input.
        ends: whether the column is dropped after it.
    """

    def __init__(self, inner: Layer, reads: bool = False, ends: bool = False) -> None:
        super().__init__()
        self.inner, self.reads, self.ends = inner, reads, ends
        self.state_sizes = inner.state_sizes

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        y, state = self.inner(x if self.reads else x[..., :-1], keep, state)
        return y if self.ends else torch.cat([y, x[..., -1:]], dim=-1), state

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        axis, last = graph.constant([2]), graph.constant([-1])
        main = x if self.reads else graph.op("Slice", x, graph.constant([0]), last, axis)
        y, state = self.inner.emit(graph, main, keep, state)
        if self.ends:
            return y, state
        column = graph.op("Slice", x, last, graph.constant([2**31 - 1]), axis)
        return graph.op("Concat", y, column, axis=2), state

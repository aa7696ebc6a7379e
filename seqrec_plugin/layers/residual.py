"""Wrapping a layer: dropout, residual, normalisation."""

from __future__ import annotations

from torch import Tensor

from seqrec_plugin.layers.base import Emitter, Layer, Names, Stack, State
from seqrec_plugin.layers.pointwise import Dropout, LayerNorm


class Residual(Layer):
    """inner → dropout → + input → layer norm (post-norm; He et al., 2016; Ba et al., 2016).

    The residual keeps the unmasked input: at padding the inner recurrence gives 0, and what a newcomer is
    recommended comes through here.

    Args:
        inner: the wrapped layer; its output has the input's width where `residual` is on.
        width: width of the output.
        dropout: probability of a value of the inner layer's output to be dropped.
        residual: whether the input is added.
        normalize: whether the sum is normalised.
        column: whether the input has one column more than the output, which only the inner layer reads.
    """

    def __init__(
        self,
        inner: Layer,
        width: int,
        dropout: float,
        residual: bool = True,
        normalize: bool = True,
        column: bool = False,
    ) -> None:
        super().__init__()
        self.inner = Stack([inner, Dropout(dropout)])
        self.residual = residual
        self.column = column
        self.after = Stack([LayerNorm(width)] if normalize else [])
        self.state_sizes = inner.state_sizes

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        y, state = self.inner(x, keep, state)
        x = x[..., :-1] if self.column else x
        return self.after(x + y if self.residual else y, keep, ())[0], state

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        y, state = self.inner.emit(graph, x, keep, state)
        if self.column:
            x = graph.op("Slice", x, graph.constant([0]), graph.constant([-1]), graph.constant([2]))
        return self.after.emit(graph, graph.op("Add", x, y) if self.residual else y, keep, ())[0], state

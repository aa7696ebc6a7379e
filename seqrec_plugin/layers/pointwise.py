"""Layers that treat each position by itself and carry no state."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, Layer, Names, State, array


class Linear(Layer):
    """y = x·Wᵀ (+ b).

    Args:
        input_size: width of the input.
        output_size: width of the output.
        bias: without it, an input of zeros (a skipped recurrence) stays zero.
    """

    def __init__(self, input_size: int, output_size: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, output_size, bias=bias)
        nn.init.xavier_uniform_(self.linear.weight)
        if bias:
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        return self.linear(x), state

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        y = graph.op("MatMul", x, graph.constant(array(self.linear.weight).T))
        if self.linear.bias is not None:
            y = graph.op("Add", y, graph.constant(array(self.linear.bias)))
        return y, state


class Gelu(Layer):
    """x·Φ(x), exactly, by the error function (Hendrycks & Gimpel, 2016)."""

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        return nn.functional.gelu(x), state

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        erf = graph.op("Erf", graph.op("Mul", x, graph.constant(np.float32(1 / math.sqrt(2)))))
        half = graph.op("Mul", x, graph.constant(np.float32(0.5)))
        return graph.op("Mul", half, graph.op("Add", erf, graph.constant(np.float32(1)))), state


class LayerNorm(Layer):
    """Layer normalisation over the width (Ba et al., 2016).

    Args:
        width: width of input and output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        return self.norm(x), state

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        scale, bias = graph.constant(array(self.norm.weight)), graph.constant(array(self.norm.bias))
        return graph.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=self.norm.eps), state


class Dropout(Layer):
    """Dropout in training (Srivastava et al., 2014); nothing in the graph.

    Args:
        probability: of a value to be dropped.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        if not self.training or self.probability == 0:
            return x, state
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.probability), state
        return x * _mask(x, self.probability), state

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        return x, state


def _mask(x: Tensor, probability: float) -> Tensor:
    """0 with the given probability (to 2⁻¹⁶), else what keeps the mean; of the shape of x.

    Four values share one random word of 64 bits: on a CPU torch's own dropout draws one number at a time, which takes
    several times as long and is a visible part of the whole training.
    """
    kept = min(2**16 - 1, max(1, round((1 - probability) * 2**16)))
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    values = words.view(torch.int16)[: x.numel()].view(x.shape)
    return (values < kept - 2**15).to(x.dtype).mul_(2**16 / kept)


class FeedForward(Layer):
    """Linear → GELU → dropout → linear, as in the transformer's block (Vaswani et al., 2017).

    Args:
        width: width of input and output.
        inner_size: width between the two.
        dropout: probability of a value between the two to be dropped.
    """

    def __init__(self, width: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Linear(width, inner_size), Gelu(), Dropout(dropout), Linear(inner_size, width)])

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        for part in self.parts:
            x, state = part(x, keep, state)
        return x, state

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        for part in self.parts:
            assert isinstance(part, Layer)
            x, state = part.emit(graph, x, keep, state)
        return x, state

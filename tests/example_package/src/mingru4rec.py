"""MinGRU4Rec, a model of one new layer, for RecBole and seqrec."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqrec_plugin.layers import Dropout, Emitter, Layer, Linear, Names, Residual, Stack, State
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.options import option


class MinGRU(Layer):
    """z_t = σ(W·x_t + b), c_t = V·x_t, h_t = h_{t−1} + z_t∘(c_t − h_{t−1})."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.state_sizes = (width,)
        self.gate = Linear(width, width)
        self.candidate = Linear(width, width, bias=False)  # c = 0 at padding, so that the state stays 0 there

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        z = torch.sigmoid(self.gate(x, keep, ())[0])
        c, _ = self.candidate(x * keep, keep, ())
        (h,), steps = state, []
        for t in range(x.shape[1]):
            h = h + z[:, t] * (c[:, t] - h)
            steps.append(h)
        return torch.stack(steps, dim=1), (h,)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        z = graph.op("Sigmoid", self.gate.emit(graph, x, keep, ())[0])
        c, _ = self.candidate.emit(graph, graph.op("Mul", x, keep), keep, ())

        def step(body: Emitter, state: Names, slices: Names) -> tuple[Names, Names]:
            (h,), (z, c) = state, slices
            h = body.op("Add", h, body.op("Mul", z, body.op("Sub", c, h)))
            return (h,), (h,)

        after, (y,) = graph.scan(step, state, (z, c))
        return y, after


class MinGRU4Rec(SequenceModel):
    """A GRU cut to its minimum: a third of the weights, and no gate looks back.

    Paper: Feng et al., Were RNNs All We Needed? (2024).
    """

    @dataclass(frozen=True)
    class Config:
        embedding_size: int = option(64, "Width of an item's vector, and of each state.", low=1, high=4096)
        num_layers: int = option(2, "Recurrences one after the other.", low=1, high=16)
        dropout_prob: float = option(0.3, "Dropout of the input and of each recurrence's output.", low=0.0, high=0.95)

    def build_encoder(self, config: Config) -> Layer:
        width, drop = config.embedding_size, config.dropout_prob
        return Stack([Dropout(drop), *(Residual(MinGRU(width), width, drop) for _ in range(config.num_layers))])

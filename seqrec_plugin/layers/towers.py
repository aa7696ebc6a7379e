"""Encoders side by side, each over its own part of the vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, Layer, Names, State


class Towers(Layer):
    """Gives each encoder its part of the input, and puts what they say side by side.

    Args:
        towers: the encoders.
        widths: the width of each one's part of the input.
    """

    def __init__(self, towers: Sequence[Layer], widths: Sequence[int]) -> None:
        super().__init__()
        self.towers, self.widths = nn.ModuleList(towers), tuple(widths)
        self.state_sizes = tuple(size for tower in towers for size in tower.state_sizes)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        return self._run(x, keep, state, last=False)

    def forward_last(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward_last`."""
        return self._run(x, keep, state, last=True)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        return self._emit(graph, x, keep, state, last=False)

    def emit_last(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit_last`."""
        return self._emit(graph, x, keep, state, last=True)

    def _each(self) -> list[tuple[Layer, slice]]:
        """Every encoder, and which tensors of the state are its own."""
        found, at = [], 0
        for tower in self.towers:
            assert isinstance(tower, Layer)
            found.append((tower, slice(at, at := at + len(tower.state_sizes))))
        return found

    def _run(self, x: Tensor, keep: Tensor, state: State, last: bool) -> tuple[Tensor, State]:
        said, after = [], list[Tensor]()
        for (tower, own), part in zip(self._each(), x.split(self.widths, dim=-1), strict=True):
            y, then = (tower.forward_last if last else tower)(part, keep, state[own])
            said.append(y)
            after.extend(then)
        return torch.cat(said, dim=-1), tuple(after)

    def _emit(self, graph: Emitter, x: str, keep: str, state: Names, last: bool) -> tuple[str, Names]:
        said, after = [], list[str]()
        parts = graph.ops("Split", x, graph.constant(self.widths), outputs=len(self.widths), axis=2)
        for (tower, own), part in zip(self._each(), parts, strict=True):
            y, then = (tower.emit_last if last else tower.emit)(graph, part, keep, state[own])
            said.append(y)
            after.extend(then)
        return graph.op("Concat", *said, axis=2), tuple(after)

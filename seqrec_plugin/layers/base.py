"""What every layer is: whole sequences, a state that can be carried, and the same computation as a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
Names = tuple[str, ...]
Array = npt.NDArray[Any]


#: (graph, state, slices) → (next state, outputs)
Step = Callable[["Emitter", Names, Names], tuple[Names, Names]]


class Emitter(Protocol):
    """What a layer may ask of the graph under construction; training needs no onnx for it."""

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> Names:
        """Add a node with several outputs and return their names."""

    def scan(self, step: Step, state: Names, sequences: Names) -> tuple[Names, Names]:
        """Run `step` along the first axis of `sequences`, for recurrences that no operator computes.

        Args:
            step: writes one step: from a graph, the names of the state and of one slice of each sequence, to the names
                of the next state and of the step's outputs.
            state: names of the state at the start.
            sequences: names of float32 [length, batch, any].

        Returns:
            names of the state at the end, and of the outputs, [length, batch, any] each.
        """

    def constant(self, value: Array | np.generic | Sequence[int]) -> str:
        """Add an initializer (a list of integers becomes int64 [n]) and return its name."""


class Layer(nn.Module):
    """A part of a sequence encoder.

    In torch a sequence is [batch, length, width]; in the graph it is [length, batch, width], which is what
    ONNX's recurrent operators take. `keep` is 1.0 at real positions and 0.0 at padding, with a last axis of 1.
    Padding stands on the left, so a state is still zero where it is met; a layer with state must leave it
    exactly zero there.
    """

    #: The width of each tensor of the carried state; a state tensor is float32 [batch, size].
    state_sizes: tuple[int, ...] = ()

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """Run over whole sequences.

        Args:
            x: float [batch, length, width].
            keep: float [batch, length, 1].
            state: one float [batch, size] for each of `state_sizes`.

        Returns:
            float [batch, length, width'], and the state after the last position.
        """
        raise NotImplementedError

    def forward_last(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """As `forward`, but the output of the last position only: float [batch, 1, width']."""
        y, state = self(x, keep, state)
        return y[:, -1:], state

    @property
    def emits(self) -> bool:
        """Whether this layer and all layers in it have an `emit` of their own; else torch's exporter is asked."""
        return all(type(part).emit is not Layer.emit for part in self.modules() if isinstance(part, Layer))

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """Write the same computation, without dropout, as ONNX nodes. A layer that cannot leaves this as it is.

        Args:
            graph: the graph under construction.
            x: name of a float32 [length, batch, width].
            keep: name of a float32 [length, batch, 1].
            state: name of one float32 [batch, size] for each of `state_sizes`.

        Returns:
            the names of the output and of the next state.
        """
        raise NotImplementedError

    def emit_last(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """As `emit`, but the output of the last position only: float32 [1, batch, width']."""
        y, state = self.emit(graph, x, keep, state)
        return graph.op("Gather", y, graph.constant([-1]), axis=0), state

    def zero_state(self, batch: int, like: Tensor) -> State:
        """The state at the start of a history, on the device and in the dtype of `like`."""
        return tuple(like.new_zeros(batch, size) for size in self.state_sizes)


def array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """A float32 copy of a parameter, for the graph."""
    return tensor.detach().to("cpu", torch.float32).numpy().copy()


class Stack(Layer):
    """Layers one after the other; the state is theirs, side by side."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.state_sizes = tuple(size for layer in layers for size in layer.state_sizes)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        after: list[Tensor] = []
        for layer in self.layers:
            x, part = layer(x, keep, state[len(after) : len(after) + len(layer.state_sizes)])  # type: ignore[arg-type]
            after.extend(part)
        return x, tuple(after)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        after: list[str] = []
        for layer in self.layers:
            assert isinstance(layer, Layer)
            x, part = layer.emit(graph, x, keep, state[len(after) : len(after) + len(layer.state_sizes)])
            after.extend(part)
        return x, tuple(after)

    def emit_last(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit_last`. What follows the last recurrence need not be computed where nobody looks."""
        layers = [layer for layer in self.layers if isinstance(layer, Layer)]
        cut = max((i for i, layer in enumerate(layers, start=1) if layer.state_sizes), default=0)
        x, state = Stack(layers[:cut]).emit(graph, x, keep, state)
        last = graph.constant([-1])
        x, keep = (graph.op("Gather", name, last, axis=0) for name in (x, keep))
        return Stack(layers[cut:]).emit(graph, x, keep, ())[0], state

"""Numbers smoothed over a user's events: each output is of the events so far, never of a later one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from seqrec_plugin.layers.base import Emitter, Layer, Names, State
from seqrec_plugin.layers.linear_recurrence import linear_recurrence

_END = 2**31 - 1


class ExponentialMean(Layer):
    """The exponential moving average, unbiased from the first event on.

        s' = (1 − α)·s + α·x    n' = (1 − α)·n + α    y = s'/n'

    Exponential smoothing (Brown, Statistical Forecasting for Inventory Control, 1959) from a state of 0; the division
    takes out the weight of that 0 (Kingma & Ba, Adam, ICLR 2015), so the first output is the first value. s and n are
    linear recurrences: parallel in time in torch, a scan in the graph.

    Args:
        width: width of input and output.
        alpha: the share of the newest value, above 0, at most 1.
    """

    def __init__(self, width: int, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.state_sizes = (width + 1,)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        inputs = torch.cat([x * keep, keep], dim=-1) * self.alpha
        decay = inputs.new_full((1, 1, inputs.shape[-1]), 1 - self.alpha)
        h = linear_recurrence(decay, inputs, state[0])
        # At padding n is 0, and so is s.
        return h[..., :-1] / (h[..., -1:] + (1 - keep)), (h[:, -1],)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        inputs = graph.op("Concat", graph.op("Mul", x, keep), keep, axis=2)
        inputs = graph.op("Mul", inputs, graph.constant(np.float32(self.alpha)))
        decay = graph.constant(np.float32(1 - self.alpha))

        def step(body: Emitter, state: Names, slices: Names) -> tuple[Names, Names]:
            new = body.op("Add", body.op("Mul", state[0], decay), slices[0])
            return (new,), (new,)

        after, (h,) = graph.scan(step, state, (inputs,))
        axis, last = graph.constant([2]), graph.constant([-1])
        s = graph.op("Slice", h, graph.constant([0]), last, axis)
        n = graph.op("Slice", h, last, graph.constant([_END]), axis)
        padding = graph.op("Sub", graph.constant(np.float32(1)), keep)
        return graph.op("Div", s, graph.op("Add", n, padding)), after


class MovingMean(Layer):
    """The mean of the newest so many events; of fewer, while there are fewer.

    The state holds the events before: their values and whether each is real, so 0 at the start of a history.

    Args:
        width: width of input and output.
        window: how many events, 2 or more.
    """

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        self.width, self.window = width, window
        self.state_sizes = ((window - 1) * (width + 1),)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        before = state[0].unflatten(1, (self.window - 1, self.width + 1))
        events = torch.cat([before, torch.cat([x * keep, keep], dim=-1)], dim=1)
        windows = events.unfold(1, self.window, 1)  # [batch, length, width + 1, window]
        y = self._middle(windows[:, :, :-1], windows[:, :, -1:])
        return y * keep, (events[:, 1 - self.window :].flatten(1),)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        first, end, size = graph.constant([0]), graph.constant([_END]), self.state_sizes[0]
        before = graph.op("Reshape", state[0], graph.constant([0, self.window - 1, self.width + 1]))
        before = graph.op("Transpose", before, perm=[1, 0, 2])
        now = graph.op("Concat", graph.op("Mul", x, keep), keep, axis=2)
        events = graph.op("Concat", before, now, axis=0)
        last, moved = graph.constant([-1]), []
        for i in range(self.window):
            stop = graph.constant([i + 1 - self.window]) if i + 1 < self.window else end
            part = graph.op("Slice", events, graph.constant([i]), stop, first)
            moved.append(graph.op("Unsqueeze", part, last))
        windows, axis = graph.op("Concat", *moved, axis=3), graph.constant([2])
        values = graph.op("Slice", windows, first, last, axis)
        y = self._emit_middle(graph, values, graph.op("Slice", windows, last, end, axis))
        after = graph.op("Slice", events, graph.constant([1 - self.window]), end, first)
        after = graph.op("Reshape", graph.op("Transpose", after, perm=[1, 0, 2]), graph.constant([0, size]))
        return graph.op("Mul", y, keep), (after,)

    def _middle(self, values: Tensor, real: Tensor) -> Tensor:
        """Of [batch, length, width, window] and [batch, length, 1, window], the mean of what is real."""
        return values.sum(-1) / real.sum(-1).clamp(min=1)

    def _emit_middle(self, graph: Emitter, values: str, real: str) -> str:
        last = graph.constant([-1])
        total, count = (graph.op("ReduceSum", part, last, keepdims=0) for part in (values, real))
        return graph.op("Div", total, graph.op("Max", count, graph.constant(np.float32(1))))


class MovingMedian(MovingMean):
    """The median of the newest so many events; of fewer, while there are fewer.

    Of an even number it is the mean of the middle two.

    Args: see `MovingMean`.
    """

    #: Sorts behind every value.
    _BEHIND = 3e38

    def _middle(self, values: Tensor, real: Tensor) -> Tensor:
        """The median of what is real."""
        there = real > 0.5
        count = there.sum(-1, keepdim=True).to(values.dtype)
        ordered = torch.where(there, values, self._BEHIND).sort(-1).values
        place = torch.arange(self.window, device=values.device, dtype=values.dtype)
        below, above = (place == ((count + shift) / 2).floor() for shift in (-1, 0))
        return (ordered * (below.to(values.dtype) + above.to(values.dtype))).sum(-1) * 0.5

    def _emit_middle(self, graph: Emitter, values: str, real: str) -> str:
        half, last = graph.constant(np.float32(0.5)), graph.constant([-1])
        there = graph.op("Greater", real, half)
        count = graph.op("ReduceSum", graph.op("Cast", there, to=1), last, keepdims=1)
        behind = graph.op("Where", there, values, graph.constant(np.float32(self._BEHIND)))
        ordered, _ = graph.ops("TopK", behind, graph.constant([self.window]), outputs=2, axis=-1, largest=0)
        place = graph.constant(np.arange(self.window, dtype=np.float32))
        picks = []
        for shift in (-1, 0):
            at = graph.op("Mul", graph.op("Add", count, graph.constant(np.float32(shift))), half)
            picks.append(graph.op("Cast", graph.op("Equal", place, graph.op("Floor", at)), to=1))
        picked = graph.op("Mul", ordered, graph.op("Add", *picks))
        return graph.op("Mul", graph.op("ReduceSum", picked, last, keepdims=0), half)

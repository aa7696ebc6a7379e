"""Numbers of an event, such as a price or a dwell time, as what a model reads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqrec_plugin.layers.base import Emitter, Layer, Names, Stack, State, array
from seqrec_plugin.layers.smoothing import ExponentialMean, MovingMean, MovingMedian
from seqrec_plugin.transforms import BEYOND, Transform, fit, told


class Numbers(Layer):
    """Raw numbers, clipped, logged, scaled and smoothed as their transforms say; 0 at padding.

    What is fitted is fitted once, on training events, and is part of the weights and of the graph: callers give the
    numbers as they are. NaN, a missing value, is read as `unknown`, the number's median. Data sets may hold it;
    questions may not, so it is not in the graph.

    Args:
        transforms: number → transform, in the order of the last axis.
    """

    low: Tensor
    high: Tensor
    center: Tensor
    factor: Tensor
    unknown: Tensor
    logs: Tensor

    def __init__(self, transforms: Mapping[str, Transform]) -> None:
        super().__init__()
        self.transforms = dict(transforms)
        n = len(transforms)
        for name, start in (("low", -BEYOND), ("high", BEYOND), ("center", 0.0), ("factor", 1.0), ("unknown", 0.0)):
            self.register_buffer(name, torch.full((n,), start))
        logs = torch.tensor([transform.log for transform in transforms.values()], dtype=torch.bool)
        self.register_buffer("logs", logs, persistent=False)
        self.smoothing = _SideBySide([_smoothing(transform) for transform in transforms.values()])
        self.state_sizes = self.smoothing.state_sizes

    def fit(self, values: npt.NDArray[np.float32]) -> None:
        """Fit on float32 [events, n]; see `transforms.fit`."""
        for name, fitted in vars(fit(values, self.transforms)).items():
            getattr(self, name).copy_(torch.from_numpy(fitted))

    def filled(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 [any …, n] with each missing value as it is read."""
        found: npt.NDArray[np.float32] = np.where(np.isnan(values), array(self.unknown), values)
        return found

    def spread(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Values of a standard normal, [any …, n], as raw ones that fall within the bounds of clipping and beyond."""
        low, high = array(self.low), array(self.high)
        clips = high < BEYOND
        middle, wide = np.where(clips, low / 2 + high / 2, 0), np.where(clips, high / 4 - low / 4, 1)
        found: npt.NDArray[np.float32] = (values * wide + middle).astype(np.float32)
        return found

    def told(self) -> dict[str, str]:
        """Number → how it is treated, for people."""
        fitted = zip(*(array(x).tolist() for x in (self.low, self.high, self.center, self.factor)), strict=True)
        return {name: told(t, *values) for (name, t), values in zip(self.transforms.items(), fitted, strict=True)}

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        x = torch.where(torch.isnan(x), self.unknown, x)
        x = torch.maximum(torch.minimum(x, self.high), self.low)
        if self.logs.any():
            x = torch.where(self.logs, torch.sign(x) * torch.log(1 + x.abs()), x)
        found: tuple[Tensor, State] = self.smoothing((x - self.center) * self.factor * keep, keep, state)
        return found

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        if any(transform.clip != "none" for transform in self.transforms.values()):
            x = graph.op("Min", x, graph.constant(array(self.high)))
            x = graph.op("Max", x, graph.constant(array(self.low)))
        if self.logs.any():
            size = graph.op("Log", graph.op("Add", graph.op("Abs", x), graph.constant(np.float32(1))))
            logged = graph.op("Mul", graph.op("Sign", x), size)
            x = graph.op("Where", graph.constant(self.logs.cpu().numpy()), logged, x)
        x = graph.op("Sub", x, graph.constant(array(self.center)))
        x = graph.op("Mul", x, graph.constant(array(self.factor)))
        return self.smoothing.emit(graph, graph.op("Mul", x, keep), keep, state)


def _smoothing(transform: Transform) -> Layer:
    """The layer of one number; one without layers lets it pass."""
    layers: list[Layer] = []
    for kind, by in transform.smooth.items():
        if kind == "exponential":
            layers.append(ExponentialMean(1, by))
        else:
            layers.append((MovingMedian if kind == "median" else MovingMean)(1, int(by)))
    return Stack(layers)


class _SideBySide(Layer):
    """One layer a column."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)
        self.state_sizes = tuple(size for layer in layers for size in layer.state_sizes)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        if not self.state_sizes:
            return x, ()
        outputs, after = [], list(state)
        for layer, column in zip(self.layers, x.split(1, dim=-1), strict=True):
            n = len(layer.state_sizes)  # type: ignore[arg-type]
            y, part = layer(column, keep, tuple(after[:n]))
            outputs.append(y)
            after = [*after[n:], *part]
        return torch.cat(outputs, dim=-1), tuple(after)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        if not self.state_sizes:
            return x, ()
        n = len(self.layers)
        columns = graph.ops("Split", x, graph.constant([1] * n), outputs=n, axis=2) if n > 1 else (x,)
        outputs, after = [], list(state)
        for layer, column in zip(self.layers, columns, strict=True):
            assert isinstance(layer, Layer)
            y, part = layer.emit(graph, column, keep, tuple(after[: len(layer.state_sizes)]))
            outputs.append(y)
            after = [*after[len(layer.state_sizes) :], *part]
        return graph.op("Concat", *outputs, axis=2), tuple(after)

"""LSTM cells that no ONNX operator computes, so each is a scan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, Layer, Names, State, array

#: Divides the logarithm of a gap in seconds: a month becomes 1.5.
_LOG_SCALE = 10.0
#: The unit of T-LSTM's decay.
_HOUR = 3600.0

#: Writes one step: see `Emitter.scan`.
_Step = Callable[[Emitter, Names, Names], tuple[Names, Names]]


class _ScannedLSTM(Layer):
    """What these cells share: the projections of the input outside the recurrence, and the loop.

    The bias is the weight of the keep column, as in `recurrent.LSTM`: a zero state stays exactly zero at padding.

    Args:
        input_size: width of the input, without a gap.
        hidden_size: width of the output and of both state tensors (h, c).
    """

    #: Rows of the input's projection, in hidden sizes.
    parts = 4
    #: Whether the last column of the input is the gap in seconds, below 0 where there is none.
    reads_gap = False

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.state_sizes = (hidden_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.zeros(self.parts * hidden_size, input_size + 1))
        self.weight_hh = nn.Parameter(torch.zeros(4 * hidden_size, hidden_size))
        for gate in self.weight_ih.data[:, :-1].split(hidden_size):
            nn.init.xavier_uniform_(gate)
        for gate in self.weight_hh.data.split(hidden_size):
            nn.init.orthogonal_(gate)
        # i, f, g, o; a forget gate that starts open remembers (Jozefowicz et al., 2015).
        self.weight_ih.data[hidden_size : 2 * hidden_size, -1] = 1.0

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`; x is [batch, length, input_size], or one column wider with the gap."""
        time = self._time(x[..., -1:]) if self.reads_gap else keep
        x = x[..., :-1] if self.reads_gap else x
        projected = torch.cat([x * keep, keep], dim=-1) @ self.weight_ih.T
        (h, c), steps = state, []
        for t in range(x.shape[1]):
            h, c = self._step(projected[:, t], time[:, t], h, c)
            steps.append(h)
        return torch.stack(steps, dim=1), (h, c)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        slices: Names = ()
        if self.reads_gap:
            axis, last = graph.constant([2]), graph.constant([-1])
            slices = (self._emit_time(graph, graph.op("Slice", x, last, graph.constant([2**31 - 1]), axis)),)
            x = graph.op("Slice", x, graph.constant([0]), last, axis)
        masked = graph.op("Concat", graph.op("Mul", x, keep), keep, axis=2)
        projected = graph.op("MatMul", masked, graph.constant(array(self.weight_ih).T))
        sizes = graph.constant([self.hidden_size] * 4)
        (h, c), (y,) = graph.scan(self._emit_step(graph, sizes), state, (projected, *slices))
        return y, (h, c)

    def _time(self, gap: Tensor) -> Tensor:
        """What a step reads of the gap: float [batch, length, 1] → [batch, length, any]."""
        raise NotImplementedError

    def _step(self, projected: Tensor, time: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _emit_time(self, graph: Emitter, gap: str) -> str:
        raise NotImplementedError

    def _emit_step(self, graph: Emitter, sizes: str) -> _Step:
        raise NotImplementedError


class ReluLSTM(_ScannedLSTM):
    """An LSTM with relu in place of tanh: c' = f∘c + i∘relu(g), h' = o∘relu(c').

    Nothing bounds its memory, so over long histories it can grow without limit; tanh is the safe choice.
    """

    def _step(self, projected: Tensor, time: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = (projected + h @ self.weight_hh.T).split(self.hidden_size, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.relu(g)
        return torch.sigmoid(o) * torch.relu(c), c

    def _emit_step(self, graph: Emitter, sizes: str) -> _Step:
        recurrent = graph.constant(array(self.weight_hh).T)

        def step(body: Emitter, state: Names, slices: Names) -> tuple[Names, Names]:
            h, c = state
            gates = body.op("Add", slices[0], body.op("MatMul", h, recurrent))
            i, f, g, o = body.ops("Split", gates, sizes, outputs=4, axis=1)
            new = body.op("Mul", body.op("Sigmoid", i), body.op("Relu", g))
            c = body.op("Add", body.op("Mul", body.op("Sigmoid", f), c), new)
            h = body.op("Mul", body.op("Sigmoid", o), body.op("Relu", c))
            return (h, c), (h,)

        return step


class TimeLSTM(_ScannedLSTM):
    """Time-LSTM 1 (Zhu et al., What to Do Next: Modeling User Behaviors by Time-LSTM, IJCAI 2017, equations 8 to 10).

        T = σ(W·x + σ(w·Δ) + b)    c' = f∘c + i∘T∘g    o = σ(W·x + v·Δ + U·h + b)    h' = o∘tanh(c')

    i, f and g are the LSTM's. Δ is log(1 + seconds)/10, and 0 where there is no gap.
    """

    parts = 5
    reads_gap = True

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.gate_weight = nn.Parameter(torch.empty(1, hidden_size).uniform_(-1, 1))
        self.output_weight = nn.Parameter(torch.zeros(1, hidden_size))

    def _time(self, gap: Tensor) -> Tensor:
        delta = torch.log1p(gap.clamp(min=0)) / _LOG_SCALE
        return torch.cat([torch.sigmoid(delta * self.gate_weight), delta * self.output_weight], dim=-1)

    def _step(self, projected: Tensor, time: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        size = self.hidden_size
        i, f, g, o = (projected[:, : 4 * size] + h @ self.weight_hh.T).split(size, dim=1)
        gate = torch.sigmoid(projected[:, 4 * size :] + time[:, :size])
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * gate * torch.tanh(g)
        return torch.sigmoid(o + time[:, size:]) * torch.tanh(c), c

    def _emit_time(self, graph: Emitter, gap: str) -> str:
        known = graph.op("Relu", gap)
        delta = graph.op("Log", graph.op("Add", known, graph.constant(np.float32(1))))
        delta = graph.op("Div", delta, graph.constant(np.float32(_LOG_SCALE)))
        gate = graph.op("Sigmoid", graph.op("MatMul", delta, graph.constant(array(self.gate_weight))))
        return graph.op("Concat", gate, graph.op("MatMul", delta, graph.constant(array(self.output_weight))), axis=2)

    def _emit_step(self, graph: Emitter, sizes: str) -> _Step:
        size, recurrent = self.hidden_size, graph.constant(array(self.weight_hh).T)
        cut, halves = graph.constant([4 * size, size]), graph.constant([size, size])

        def step(body: Emitter, state: Names, slices: Names) -> tuple[Names, Names]:
            h, c = state
            projected, gate = body.ops("Split", slices[0], cut, outputs=2, axis=1)
            time_gate, time_output = body.ops("Split", slices[1], halves, outputs=2, axis=1)
            gates = body.op("Add", projected, body.op("MatMul", h, recurrent))
            i, f, g, o = body.ops("Split", gates, sizes, outputs=4, axis=1)
            gate = body.op("Sigmoid", body.op("Add", gate, time_gate))
            new = body.op("Mul", body.op("Mul", body.op("Sigmoid", i), gate), body.op("Tanh", g))
            c = body.op("Add", body.op("Mul", body.op("Sigmoid", f), c), new)
            h = body.op("Mul", body.op("Sigmoid", body.op("Add", o, time_output)), body.op("Tanh", c))
            return (h, c), (h,)

        return step


class DecayLSTM(_ScannedLSTM):
    """T-LSTM (Baytas et al., Patient Subtyping via Time-Aware LSTM Networks, KDD 2017).

        s = tanh(W_d·c)    c* = c − s + s·g(Δ)    g(Δ) = 1/log(e + Δ)

    then the LSTM's own step from c*: the short-term part of the memory fades with the time that passed. Δ is in
    hours; g is 1 where there is no gap. W_d has no bias, so that a zero state stays zero at padding.
    """

    reads_gap = True

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.decay_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        nn.init.xavier_uniform_(self.decay_weight)

    def _time(self, gap: Tensor) -> Tensor:
        return torch.log(torch.e + gap.clamp(min=0) / _HOUR).reciprocal()

    def _step(self, projected: Tensor, time: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = (projected + h @ self.weight_hh.T).split(self.hidden_size, dim=1)
        c = c + torch.tanh(c @ self.decay_weight.T) * (time - 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def _emit_time(self, graph: Emitter, gap: str) -> str:
        hours = graph.op("Div", graph.op("Relu", gap), graph.constant(np.float32(_HOUR)))
        return graph.op("Reciprocal", graph.op("Log", graph.op("Add", hours, graph.constant(np.float32(np.e)))))

    def _emit_step(self, graph: Emitter, sizes: str) -> _Step:
        recurrent, decay = graph.constant(array(self.weight_hh).T), graph.constant(array(self.decay_weight).T)
        one = graph.constant(np.float32(1))

        def step(body: Emitter, state: Names, slices: Names) -> tuple[Names, Names]:
            h, c = state
            gates = body.op("Add", slices[0], body.op("MatMul", h, recurrent))
            i, f, g, o = body.ops("Split", gates, sizes, outputs=4, axis=1)
            faded = body.op("Mul", body.op("Tanh", body.op("MatMul", c, decay)), body.op("Sub", slices[1], one))
            c = body.op("Mul", body.op("Sigmoid", f), body.op("Add", c, faded))
            c = body.op("Add", c, body.op("Mul", body.op("Sigmoid", i), body.op("Tanh", g)))
            h = body.op("Mul", body.op("Sigmoid", o), body.op("Tanh", c))
            return (h, c), (h,)

        return step

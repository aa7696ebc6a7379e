"""Recurrences that an ONNX operator computes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, Layer, Names, State, array
from seqrec_plugin.layers.gru_recurrence import gru_recurrence

#: The operators' inputs B and sequence_lens.
_NO_BIAS_NO_LENGTHS = ("", "")


class LSTM(Layer):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997; forget gate: Gers et al., 2000).

        i, f, o = σ(W·x + U·h + b)    g = tanh(W·x + U·h + b)    c' = f∘c + i∘g    h' = o∘tanh(c')

    The bias is the weight of one more input column that is 1 at real positions and 0 at padding, where the other
    columns are 0 too. So at padding g = tanh(0) = 0 and a zero state stays exactly zero, in torch and in every
    runtime, with no mask inside the recurrence.

    Args:
        input_size: width of the input.
        hidden_size: width of the output and of both state tensors (h, c).
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.state_sizes = (hidden_size, hidden_size)
        self.cell = nn.LSTM(input_size + 1, hidden_size, bias=False, batch_first=True)
        bias = _initialise(self.cell)
        # A forget gate that starts open remembers (Jozefowicz et al., 2015).
        bias[hidden_size : 2 * hidden_size] = 1.0

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        h, c = (tensor.unsqueeze(0) for tensor in state)
        y, (h, c) = self.cell(torch.cat([x * keep, keep], dim=-1), (h, c))
        return y, (h.squeeze(0), c.squeeze(0))

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""

        def gates(weight: Tensor) -> str:
            i, f, g, o = np.split(array(weight), 4)  # torch's order; ONNX wants i, o, f, c
            return graph.constant(np.concatenate([i, o, f, g])[None])

        zero = graph.constant([0])
        masked = graph.op("Concat", graph.op("Mul", x, keep), keep, axis=2)
        y, h, c = graph.ops(
            "LSTM",
            masked,
            *map(gates, _weights(self.cell)),
            *_NO_BIAS_NO_LENGTHS,
            graph.op("Unsqueeze", state[0], zero),
            graph.op("Unsqueeze", state[1], zero),
            outputs=3,
            hidden_size=self.hidden_size,
        )
        y = graph.op("Squeeze", y, graph.constant([1]))  # [length, directions = 1, batch, hidden]
        return y, (graph.op("Squeeze", h, zero), graph.op("Squeeze", c, zero))


class GRU(Layer):
    """Gated recurrent unit (Cho et al., 2014), in torch's and cuDNN's form, without a bias inside the reset product.

        r, z = σ(W·x + U·h + b)    n = tanh(W·x + b + r∘(U·h))    h' = (1 − z)∘n + z∘h

    The bias is the weight of one more input column, as in `LSTM`: at padding n = tanh(0) = 0 and a zero state stays
    exactly zero.

    Args:
        input_size: width of the input.
        hidden_size: width of the output and of the state.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.state_sizes = (hidden_size,)
        self.cell = nn.GRU(input_size + 1, hidden_size, bias=False, batch_first=True)
        _initialise(self.cell)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        masked = torch.cat([x * keep, keep], dim=-1)
        # Without gradients torch's steps are as quick; on a GPU they are cuDNN's.
        if torch.is_grad_enabled() and x.device.type == "cpu":
            weight_ih, weight_hh = _weights(self.cell)
            y = gru_recurrence(nn.functional.linear(masked.transpose(0, 1), weight_ih), weight_hh, state[0])
            return y.transpose(0, 1), (y[-1],)
        y, h = self.cell(masked, state[0].unsqueeze(0))
        return y, (h.squeeze(0),)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""

        def gates(weight: Tensor) -> str:
            r, z, n = np.split(array(weight), 3)  # torch's order; ONNX wants z, r, h
            return graph.constant(np.concatenate([z, r, n])[None])

        zero = graph.constant([0])
        y, h = graph.ops(
            "GRU",
            graph.op("Concat", graph.op("Mul", x, keep), keep, axis=2),
            *map(gates, _weights(self.cell)),
            *_NO_BIAS_NO_LENGTHS,
            graph.op("Unsqueeze", state[0], zero),
            outputs=2,
            hidden_size=self.hidden_size,
            linear_before_reset=1,
        )
        return graph.op("Squeeze", y, graph.constant([1])), (graph.op("Squeeze", h, zero),)


#: How an Elman network may squash: torch's function and ONNX's operator.
ACTIVATIONS = {"tanh": (torch.tanh, "Tanh"), "relu": (torch.relu, "Relu"), "sigmoid": (torch.sigmoid, "Sigmoid")}


class Elman(Layer):
    """The plain recurrent network (Elman, 1990).

        h' = σ(W·x + U·h + b)    o = σ(V·h' + c)

    The operator RNN of ONNX computes tanh alone in every runtime (tract ignores its `activations` attribute), so the
    others are a scan. Where σ(0) is not 0 the state is held at padding, as is the output.

    Args:
        input_size: width of the input.
        hidden_size: width of the state.
        output_size: width of the output.
        activation: σ: `tanh`, `relu` or `sigmoid`.
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int, activation: str = "tanh") -> None:
        super().__init__()
        self.activation = activation
        self.state_sizes = (hidden_size,)
        self.cell = nn.RNN(
            input_size + 1,
            hidden_size,
            bias=False,
            batch_first=True,
            nonlinearity="relu" if activation == "relu" else "tanh",
        )
        _initialise(self.cell)
        self.output = nn.Linear(hidden_size, output_size)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        squash, _ = ACTIVATIONS[self.activation]
        masked = torch.cat([x * keep, keep], dim=-1)
        if self.activation == "sigmoid":  # which torch's cell does not have
            y, h = self._steps(masked, keep, state[0])
        else:
            y, last = self.cell(masked, state[0].unsqueeze(0))
            h = last.squeeze(0)
        return squash(self.output(y)) * keep, (h,)

    def _steps(self, masked: Tensor, keep: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        weight_ih, weight_hh = _weights(self.cell)
        projected, steps = masked @ weight_ih.T, []
        for t in range(masked.shape[1]):
            h = torch.where(keep[:, t] > 0, torch.sigmoid(projected[:, t] + h @ weight_hh.T), h)
            steps.append(h)
        return torch.stack(steps, dim=1), h

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        weight_ih, weight_hh = map(array, _weights(self.cell))
        squash = ACTIVATIONS[self.activation][1]
        masked = graph.op("Concat", graph.op("Mul", x, keep), keep, axis=2)
        if self.activation == "tanh":
            zero = graph.constant([0])
            weights = graph.constant(weight_ih[None]), graph.constant(weight_hh[None])
            h = graph.op("Unsqueeze", state[0], zero)
            y, last = graph.ops(
                "RNN", masked, *weights, *_NO_BIAS_NO_LENGTHS, h, outputs=2, hidden_size=self.state_sizes[0]
            )
            y, after = graph.op("Squeeze", y, graph.constant([1])), graph.op("Squeeze", last, zero)
        else:
            projected = graph.op("MatMul", masked, graph.constant(weight_ih.T))
            recurrent, half = graph.constant(weight_hh.T), graph.constant(np.float32(0.5))

            def step(body: Emitter, state: Names, slices: Names) -> tuple[Names, Names]:
                new = body.op(squash, body.op("Add", slices[0], body.op("MatMul", state[0], recurrent)))
                new = body.op("Where", body.op("Greater", slices[1], half), new, state[0])
                return (new,), (new,)

            (after,), (y,) = graph.scan(step, state, (projected, keep))
        output = graph.op("MatMul", y, graph.constant(array(self.output.weight).T))
        output = graph.op(squash, graph.op("Add", output, graph.constant(array(self.output.bias))))
        return graph.op("Mul", output, keep), (after,)


def _weights(cell: nn.RNNBase) -> tuple[Tensor, Tensor]:
    """[gates·hidden, input + 1] and [gates·hidden, hidden], gates in torch's order."""
    weight_ih, weight_hh = cell.weight_ih_l0, cell.weight_hh_l0
    assert isinstance(weight_ih, Tensor)
    assert isinstance(weight_hh, Tensor)
    return weight_ih, weight_hh


def _initialise(cell: nn.RNNBase) -> Tensor:
    """Glorot for the input, orthogonal for the recurrence, gate by gate; returns the bias column, now zero."""
    weight_ih, weight_hh = _weights(cell)
    for gate in weight_ih.data[:, :-1].split(cell.hidden_size):
        nn.init.xavier_uniform_(gate)
    for gate in weight_hh.data.split(cell.hidden_size):
        nn.init.orthogonal_(gate)
    bias = weight_ih.data[:, -1]
    return bias.zero_()

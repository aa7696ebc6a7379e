"""Linear recurrent units: nothing squashes the state, so training is parallel in time."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, Layer, Names, State, array
from seqrec_plugin.layers.linear_recurrence import linear_recurrence
from seqrec_plugin.layers.pointwise import Gelu, Linear


class LRU(Layer):
    """Linear recurrent unit (Orvieto et al., Resurrecting Recurrent Neural Networks for Long Sequences, ICML 2023).

        h' = λ∘h + √(1 − |λ|²)∘(W·x + b)    o = V·[re h', im h']    λ = exp(−exp(ν) + i·exp(θ))

    A complex diagonal decay λ, whose modulus is below 1 whatever ν is; the scale of the input keeps the state's size.
    Padding enters as 0 and V has no bias, so there a zero state and the output are exactly zero.

    Args:
        input_size: width of the input.
        hidden_size: width of both state tensors (re h, im h).
        output_size: width of the output.
        r_min, r_max: λ starts uniform on the ring between these two radii, r_max < 1.
    """

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, r_min: float = 0.8, r_max: float = 0.99
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.state_sizes = (hidden_size, hidden_size)
        # Real and imaginary part of each unit side by side, as torch lays out complex numbers.
        self.input = Linear(input_size, 2 * hidden_size)
        self.output = Linear(2 * hidden_size, output_size, bias=False)
        square = torch.empty(hidden_size).uniform_(r_min**2, r_max**2)
        self.nu = nn.Parameter(torch.log(-0.5 * torch.log(square.clamp_min(1e-6))))
        self.theta = nn.Parameter(torch.log(2 * math.pi * (1 - torch.rand(hidden_size))))

    def _decay(self) -> tuple[Tensor, Tensor]:
        """λ, complex [hidden_size], and √(1 − |λ|²), float [hidden_size]."""
        rate = self.nu.exp()
        # expm1, since 1 − |λ|² would lose its digits near |λ| = 1.
        return torch.exp(torch.complex(-rate, self.theta.exp())), torch.sqrt(-torch.expm1(-2 * rate))

    def _scaled_input(self, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of the input, the scale multiplied in: a product of weights, not of activations."""
        both = scale.repeat_interleave(2)
        return self.input.linear.weight * both.unsqueeze(1), self.input.linear.bias * both

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        decay, scale = self._decay()
        inputs = nn.functional.linear(x, *self._scaled_input(scale)) * keep
        inputs = torch.view_as_complex(inputs.unflatten(-1, (self.hidden_size, 2)))
        h = linear_recurrence(decay[None, None], inputs, torch.complex(*state))
        y, _ = self.output(torch.view_as_real(h).flatten(-2), keep, ())
        return y, (h[:, -1].real, h[:, -1].imag)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`. Inside the scan, real and imaginary parts are stacked on an axis of 2."""
        decay, scale = self._decay()
        weight, bias = map(array, self._scaled_input(scale))
        apart = np.arange(2 * self.hidden_size).reshape(-1, 2).T.ravel()  # all real parts, then all imaginary ones
        u = graph.op("MatMul", x, graph.constant(weight[apart].T))
        u = graph.op("Mul", graph.op("Add", u, graph.constant(bias[apart])), keep)
        u = graph.op("Reshape", u, graph.constant([0, 0, 2, self.hidden_size]))
        u = graph.op("Transpose", u, perm=[0, 2, 1, 3])  # [length, 2, batch, hidden]

        # (λr + i·λi)·(re + i·im) = λr·[re, im] + [−λi, λi]·[im, re]
        real, imaginary = array(decay.real), array(decay.imag)
        straight, crossed = graph.constant(real), graph.constant(np.stack([-imaginary, imaginary])[:, None])
        swapped = graph.constant([1, 0])

        def step(body: Emitter, state: Names, slices: Names) -> tuple[Names, Names]:
            turned = body.op("Mul", body.op("Gather", state[0], swapped, axis=0), crossed)
            kept = body.op("Mul", state[0], straight)
            new = body.op("Add", body.op("Add", kept, turned), slices[0])
            return (new,), (new,)

        first = graph.constant([0])
        start = graph.op("Concat", *(graph.op("Unsqueeze", name, first) for name in state), axis=0)
        (end,), (h,) = graph.scan(step, (start,), (u,))
        h = graph.op("Transpose", h, perm=[0, 2, 1, 3])
        h = graph.op("Reshape", h, graph.constant([0, 0, 2 * self.hidden_size]))
        y = graph.op("MatMul", h, graph.constant(array(self.output.linear.weight)[:, apart].T))
        re, im = (graph.op("Gather", end, graph.constant(np.int64(i)), axis=0) for i in (0, 1))
        return y, (re, im)


class GatedLRU(Layer):
    """A linear recurrence whose decay depends on the input: the RG-LRU (De et al., Griffin, 2024).

        u, v = W·x + b    r, i = σ(W·x + b)    ρ = c·softplus(Λ)∘r    a = exp(−ρ)
        h' = a∘h + √(1 − a²)∘(i∘u)    o = V·(h'∘gelu(v))    c = 8

    ρ is at least `LEAST_DECAY`: at ρ = 0 the root has no finite slope. Padding enters as u = 0 and V has no bias, so
    there a zero state and the output are exactly zero.

    Args:
        input_size: width of the input.
        hidden_size: width of the state.
        output_size: width of the output.
    """

    SHARPNESS = 8.0
    LEAST_DECAY = 1e-4

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.state_sizes = (hidden_size,)
        self.input = Linear(input_size, 4 * hidden_size)  # u, r, i, v
        for part in self.input.linear.weight.data.split(hidden_size):
            nn.init.xavier_uniform_(part)
        self.gelu = Gelu()
        self.output = Linear(hidden_size, output_size, bias=False)
        # With an open gate the decay starts uniform between 0.9 and 0.999, as in the paper.
        rate = -torch.log(torch.empty(hidden_size).uniform_(0.9, 0.999)) / self.SHARPNESS
        self.rate = nn.Parameter(torch.log(torch.expm1(rate)))

    def _sharpened(self) -> Tensor:
        """c·softplus(Λ), float [hidden_size]."""
        return self.SHARPNESS * nn.functional.softplus(self.rate)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        u, r, i, v = self.input.linear(x).chunk(4, dim=-1)
        rho = self._sharpened() * torch.sigmoid(r) + self.LEAST_DECAY
        decay = torch.exp(-rho)
        scale = torch.sqrt(-torch.expm1(-2 * rho))
        h = linear_recurrence(decay, scale * torch.sigmoid(i) * (u * keep), state[0])
        y, _ = self.output(h * self.gelu(v, keep, ())[0], keep, ())
        return y, (h[:, -1],)

    def emit(self, graph: Emitter, x: str, keep: str, state: Names) -> tuple[str, Names]:
        """See `Layer.emit`."""
        hidden = self.state_sizes[0]
        projected, _ = self.input.emit(graph, x, keep, ())
        u, r, i, v = graph.ops("Split", projected, graph.constant([hidden] * 4), outputs=4, axis=-1)
        rho = graph.op("Mul", graph.op("Sigmoid", r), graph.constant(array(self._sharpened())))
        rho = graph.op("Add", rho, graph.constant(np.float32(self.LEAST_DECAY)))
        decay = graph.op("Exp", graph.op("Neg", rho))
        # ONNX has no expm1, but 1 − a² = tanh(ρ)·(1 + a²) keeps its digits near a = 1 as well.
        both = graph.op("Add", graph.op("Mul", decay, decay), graph.constant(np.float32(1)))
        scale = graph.op("Sqrt", graph.op("Mul", graph.op("Tanh", rho), both))
        gated = graph.op("Mul", graph.op("Mul", scale, graph.op("Sigmoid", i)), graph.op("Mul", u, keep))

        def step(body: Emitter, state: Names, slices: Names) -> tuple[Names, Names]:
            new = body.op("Add", body.op("Mul", slices[0], state[0]), slices[1])
            return (new,), (new,)

        (after,), (h,) = graph.scan(step, state, (decay, gated))
        branch, _ = self.gelu.emit(graph, v, keep, ())
        y, _ = self.output.emit(graph, graph.op("Mul", h, branch), keep, ())
        return y, (after,)

"""A GRU's steps over whole sequences on a CPU, with a backward pass of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqrec_plugin.precision import multiplying


def gru_recurrence(inputs: Tensor, weight: Tensor, state: Tensor) -> Tensor:
    """r, z = σ(a + U·h)    n = tanh(a + r∘(U·h))    h' = (1 − z)∘n + z∘h, step by step.

    torch's own is a dozen small operations a step, each of which autograd remembers: with long histories, and so few
    rows, calling them takes longer than computing. Here a step is half as many, autograd remembers none of them, and
    what the steps of the backward pass have in common is made for all of them at once.

    Products are of full precision, whatever torch is told of others: rounded ones would be no quicker at this size.

    Args:
        inputs: float [length ≥ 1, batch, 3·hidden], a = W·x of r, z and n at each step.
        weight: float [3·hidden, hidden], U of r, z and n.
        state: float [batch, hidden], h before the first step.

    Returns:
        h after each step, float [length, batch, hidden], with exact gradients for all three (first ones only).
    """
    h: Tensor = _GRURecurrence.apply(inputs, weight, state)  # type: ignore[no-untyped-call]
    return h


class _GRURecurrence(torch.autograd.Function):
    """With g the gradient for h', that of what σ and tanh are taken of is

        dn = g∘(1 − z)∘(1 − n²)    dz = g∘(h − n)∘z∘(1 − z)    dr = dn∘q∘r∘(1 − r)    where q = U·h of n

    and that of q is dn∘r; so for h it is g∘z and Uᵀ times these. All but g is known before the first step backwards.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, state: Tensor) -> Tensor:
        length, batch, hidden = *inputs.shape[:2], weight.shape[1]
        gates, n, q = (inputs.new_empty(length, batch, size) for size in (2 * hidden, hidden, hidden))
        h = inputs.new_empty(length + 1, batch, hidden)
        h[0] = state
        u_gates, u_n = weight[: 2 * hidden].t().contiguous(), weight[2 * hidden :].t().contiguous()
        before, *later = h.unbind()
        steps = zip(*map(torch.unbind, (*_two(inputs), gates, *_two(gates, hidden), n, q)), later, strict=True)
        with multiplying("highest"):
            for a_gates, a_n, gates_t, r_t, z_t, n_t, q_t, after in steps:
                torch.addmm(a_gates, before, u_gates, out=gates_t).sigmoid_()
                torch.mm(before, u_n, out=q_t)
                torch.addcmul(a_n, r_t, q_t, out=n_t).tanh_()
                torch.lerp(n_t, before, z_t, out=after)
                before = after
        ctx.save_for_backward(gates, n, q, h, weight)
        return h[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates, n, q, h, weight = ctx.saved_tensors
        (length, batch, hidden), before = n.shape, h[:-1]
        r, z = _two(gates, hidden)
        rest = 1 - z
        of_n = torch.addcmul(rest, rest, n * n, value=-1)
        of_z = (before - n).mul_(z).mul_(rest)
        of_r = (q * r).mul_(1 - r)
        d_inputs, d_q = n.new_empty(length, batch, 3 * hidden), torch.empty_like(n)
        d_gates, d_n = _two(d_inputs)
        d_r, d_z = _two(d_gates, hidden)
        u_gates, u_n = weight[: 2 * hidden], weight[2 * hidden :]
        carried = n.new_zeros(batch, hidden)
        read = (upstream[0], of_n, of_z, of_r, r, z)
        backwards = (reversed(x.unbind()) for x in (*read, d_gates, d_r, d_z, d_n, d_q))
        with multiplying("highest"):
            for given, of_nt, of_zt, of_rt, r_t, z_t, d_gates_t, d_rt, d_zt, d_nt, d_qt in zip(*backwards, strict=True):
                g = carried.add_(given)
                torch.mul(g, of_zt, out=d_zt)
                torch.mul(g, of_nt, out=d_nt)
                torch.mul(d_nt, of_rt, out=d_rt)
                torch.mul(d_nt, r_t, out=d_qt)
                carried = torch.mm(d_gates_t, u_gates).addmm_(d_qt, u_n).addcmul_(g, z_t)
            rows = before.flatten(0, 1)
            d_weight = torch.cat([d.flatten(0, 1).t() @ rows for d in (d_gates, d_q)])
        return d_inputs, d_weight, carried


def _two(x: Tensor, first: int | None = None) -> tuple[Tensor, Tensor]:
    """Views of the first columns and of the rest; of three parts, the two gates' and n's."""
    first = x.shape[-1] // 3 * 2 if first is None else first
    return x[..., :first], x[..., first:]

"""h_t = a_t∘h_{t−1} + b_t over whole sequences, parallel in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def linear_recurrence(decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
    """h_t = decay_t∘h_{t−1} + inputs_t, in ⌈log₂ length⌉ passes of whole-tensor operations.

    Steps are joined in blocks of 2, 4, 8, …: in each pass the right half of a block adds what the last step of its left
    half has become by then (Sklansky, Conditional-Sum Addition Logic, 1960; for recurrences: Blelloch, Prefix Sums and
    Their Applications, 1990).

    Args:
        decay: float or complex [batch or 1, length or 1, width]. One for all steps and rows costs only its powers.
        inputs: of the same dtype, [batch, length, width], length ≥ 1.
        state: of the same dtype, [batch, width], h before the first step.

    Returns:
        h after each step, [batch, length, width], with exact gradients for all three.
    """
    length = inputs.shape[1]
    if length == 1:
        return torch.addcmul(inputs, decay, state.unsqueeze(1))
    if decay.shape[1] == 1 and decay.shape[0] > 1:
        decay = decay.expand(-1, length, -1)
    h: Tensor = _LinearRecurrence.apply(decay, inputs, state)  # type: ignore[no-untyped-call]
    return h


class _LinearRecurrence(torch.autograd.Function):
    """The backward pass is the same recurrence, run backwards in time.

    With the loss's gradient y_t for h_t alone, that for h_t and all that follows from it is
    g_t = y_t + conj(a_{t+1})∘g_{t+1}; so db_t = g_t, da_t = g_t∘conj(h_{t−1}) and, for the state, conj(a_1)∘g_1.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
        h = inputs.clone(memory_format=torch.contiguous_format)
        h[:, 0].addcmul_(decay[:, 0], state)
        _accumulate(decay, h)
        ctx.save_for_backward(decay, state, h)
        return h

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        decay, state, h = ctx.saved_tensors
        # Backwards, a step is joined to the one after it by that one's decay.
        later = decay if decay.shape[1] == 1 else decay.roll(-1, 1)
        gradient = upstream[0].resolve_conj().clone(memory_format=torch.contiguous_format)
        _accumulate(later.conj().resolve_conj(), gradient, backwards=True)
        grad_decay = grad_state = None
        if ctx.needs_input_grad[0]:
            grad_decay = torch.empty_like(h)
            torch.mul(gradient[:, 1:], h[:, :-1].conj(), out=grad_decay[:, 1:])
            torch.mul(gradient[:, 0], state.conj(), out=grad_decay[:, 0])
            grad_decay = grad_decay.sum_to_size(decay.shape)
        if ctx.needs_input_grad[2]:
            grad_state = gradient[:, 0] * decay[:, 0].conj()
        return grad_decay, gradient, grad_state


def _accumulate(decay: Tensor, h: Tensor, backwards: bool = False) -> None:
    """In place: h_t += decay_t∘h_{t−1} from the second step on, or backwards h_t += decay_t∘h_{t+1}."""
    length, half = h.shape[1], 1
    constant = decay.shape[1] == 1
    # How much of what enters a half is left after each of its steps: the same for all halves, or one for each step.
    left = decay[0] if constant else decay.clone(memory_format=torch.contiguous_format)
    while half < length:
        if constant:
            for before, after in _halves(h, half, backwards):
                n = after.shape[-2]
                after.addcmul_(left[-n:] if backwards else left[:n], before)
            left = torch.cat([left * left[0], left] if backwards else [left, left * left[-1]])
        else:
            pairs = zip(_halves(h, half, backwards), _halves(left, half, backwards), strict=True)
            for (before, after), (left_before, left_after) in pairs:
                after.addcmul_(left_after, before)
                if 2 * half < length:
                    left_after.mul_(left_before)
        half *= 2


def _halves(x: Tensor, half: int, backwards: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of blocks of two halves: the step of the earlier half that is next to the later one, and the later half.

    [batch, blocks, 1, width] and [batch, blocks, half, width]; then, without the axis of the blocks, those of the last
    block, which may not be whole. Backwards, the last is first.
    """
    length = x.shape[1]
    rest = length % (2 * half)
    whole = length - rest
    if backwards:
        if whole:
            blocks = x[:, rest:].unflatten(1, (-1, 2 * half))
            yield blocks[:, :, half : half + 1], blocks[:, :, :half]
        if rest > half:
            yield x[:, rest - half : rest - half + 1], x[:, : rest - half]
    else:
        if whole:
            blocks = x[:, :whole].unflatten(1, (-1, 2 * half))
            yield blocks[:, :, half - 1 : half], blocks[:, :, half:]
        if rest > half:
            yield x[:, whole + half - 1 : whole + half], x[:, whole + half :]

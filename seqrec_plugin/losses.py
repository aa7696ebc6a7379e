"""Cross-entropy over a whole catalogue, in memory that does not grow with the positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

#: Positions per chunk: the logits of a chunk stay in the cache between the three products that use them.
CHUNK = 128


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss and exact gradients in one pass, chunk by chunk, in one reused buffer of [CHUNK, n_items].

    With p = softmax(h·Eᵀ + b) and one-hot target y, the gradient of the mean over n positions with respect to the
    logits is (p − y)/n; those of h, E and b follow by the chain rule. They are made in `forward`, while a chunk's
    logits are at hand, so that no [n, n_items] tensor ever exists.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, table: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        n = len(targets)
        buffer = vectors.new_empty(min(CHUNK, n), len(table))
        grad_vectors = torch.empty_like(vectors)
        grad_table = torch.zeros_like(table)
        grad_bias = torch.zeros_like(bias)
        total = vectors.new_zeros((), dtype=torch.float64)
        for start in range(0, n, CHUNK):
            chunk = slice(start, min(start + CHUNK, n))
            h, target = vectors[chunk], targets[chunk, None]
            logits = torch.addmm(bias, h, table.T, out=buffer[: len(h)])
            logits[:, 0] = -torch.inf  # padding is never a candidate
            target_logits = logits.gather(1, target)
            highest = logits.amax(dim=1, keepdim=True)
            probabilities = logits.sub_(highest).exp_()
            sums = probabilities.sum(dim=1, keepdim=True)
            total += (sums.log() + highest - target_logits).sum(dtype=torch.float64)
            gradient = probabilities.div_(sums * n)
            gradient.scatter_add_(1, target, gradient.new_full(target.shape, -1 / n))
            torch.mm(gradient, table, out=grad_vectors[chunk])
            grad_table.addmm_(gradient.T, h)
            grad_bias += gradient.sum(dim=0)
        ctx.save_for_backward(grad_vectors, grad_table, grad_bias)
        return (total / n).to(vectors.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        grad_vectors, grad_table, grad_bias = ctx.saved_tensors
        (scale,) = upstream
        return grad_vectors * scale, grad_table * scale, grad_bias * scale, None


def cross_entropy(vectors: Tensor, table: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Mean over positions of −log softmax(vectors·tableᵀ + bias)[target], index 0 left out of the softmax.

    Args:
        vectors: float [n, width], n ≥ 1.
        table: float [n_items, width].
        bias: float [n_items].
        targets: int64 [n], each ≥ 1.

    Returns:
        float scalar with exact gradients for the first three.
    """
    loss: Tensor = _ChunkedCrossEntropy.apply(vectors, table, bias, targets)  # type: ignore[no-untyped-call]
    return loss

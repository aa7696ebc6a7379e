"""Cross-entropy over a whole catalogue, in memory that does not grow with the positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

#: Most positions of a chunk: its logits stay in the cache between the three products that use them.
CHUNK = 128

#: While no logit can be larger, exp() neither overflows nor vanishes in float32, and no maximum need be subtracted.
_SAFE = 60.0


def alike(n: int, most: int) -> list[slice]:
    """Chunks of n positions, of at most so many each, alike in size: products are compiled for each size anew."""
    chunks = -(-n // most)
    ends = [n * i // chunks for i in range(chunks + 1)]
    return list(map(slice, ends[:-1], ends[1:]))


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss and exact gradients in one pass, chunk by chunk, in one reused buffer of at most [CHUNK, n_items].

    With p = softmax(h·Eᵀ + b) and one-hot target y, the gradient of the mean over n positions with respect to the
    logits is (p − y)/n; those of h, E and b follow by the chain rule. They are made in `forward`, while a chunk's
    logits are at hand, so that no [n, n_items] tensor ever exists.

    Each pass over the buffer costs as much as a tenth of a product, so there are few: its sums divide the narrow h, not
    the wide p, and y is a row each of h and E.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, table: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        n, chunks = len(targets), alike(len(targets), CHUNK)
        buffer = vectors.new_empty(-(-n // len(chunks)), len(table))
        grad_vectors = torch.empty_like(vectors)
        grad_table = torch.zeros_like(table)
        grad_bias = torch.zeros_like(bias)
        total = vectors.new_zeros((), dtype=torch.float64)
        # |h·e + b| ≤ |h||e| + |b|; what is never recommended has b = −∞.
        largest = vectors.norm(dim=1).max() * table.norm(dim=1).max() + bias[bias.isfinite()].abs().max()
        safe = bool(largest < _SAFE)
        for chunk in chunks:
            h, target = vectors[chunk], targets[chunk, None]
            logits = torch.addmm(bias, h, table.T, out=buffer[: len(h)])
            logits[:, 0] = -torch.inf  # padding is never a candidate
            target_logits = logits.gather(1, target)
            highest = torch.zeros_like(target_logits) if safe else logits.amax(dim=1, keepdim=True)
            weights = (logits if safe else logits.sub_(highest)).exp_()
            sums = weights.sum(dim=1, keepdim=True)
            total += (sums.log() + highest - target_logits).sum(dtype=torch.float64)
            share = 1 / (sums * n)
            torch.mm(weights, table, out=grad_vectors[chunk]).mul_(share)
            grad_table.addmm_(weights.T, h * share)
            grad_bias.addmv_(weights.T, share[:, 0])
        grad_vectors.sub_(table[targets], alpha=1 / n)
        grad_table.index_add_(0, targets, vectors, alpha=-1 / n)
        grad_bias.index_add_(0, targets, torch.full_like(vectors[:, 0], -1 / n))
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

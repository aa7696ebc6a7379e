"""Softmax over a sample of a large catalogue: negatives by popularity, shared by a step, and a loss that knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrec_plugin.losses import alike

#: Most positions per chunk of the logits.
CHUNK = 256

#: A sample is filled up to a multiple of so many columns: products are compiled for each size anew (oneDNN, on a CPU).
_COLUMNS = 128


@dataclass(frozen=True)
class Negatives:
    """The items that a step's softmax sums over, beside each position's own target.

    Attributes:
        items: int64 [n], each once, in ascending order.
        correction: float32 [n], log of how often each was to be expected, less log of how often it came: a score
            less this counts for all the items that were not drawn.
    """

    items: Tensor
    correction: Tensor


class NegativeSampler:
    """Draws items with replacement, by their number of events and one more: also an item without events is a negative.

    Args:
        counts: int64 [n_items], events of each item in the training part; index 0 is padding and never drawn.
        never: bool [n_items], what is never drawn besides.
    """

    def __init__(self, counts: npt.NDArray[np.int64], never: npt.NDArray[np.bool_]) -> None:
        weights = np.where(never, 0.0, counts + 1.0)
        weights[0] = 0.0
        self._share = weights / weights.sum()
        self._reach = np.cumsum(self._share)

    def draw(self, n: int, random: np.random.Generator, device: torch.device | None = None) -> Negatives:
        """Draw n items; what was drawn twice is there once, and counts twice."""
        drawn = np.searchsorted(self._reach, random.random(n) * self._reach[-1], side="right")
        items, times = np.unique(drawn, return_counts=True)
        correction = np.log(n * self._share[items]) - np.log(times)
        return Negatives(torch.from_numpy(items).to(device), torch.from_numpy(correction.astype(np.float32)).to(device))


class _SampledCrossEntropy(torch.autograd.Function):
    """Loss and its exact gradients in one pass, chunk by chunk.

    The sum over the catalogue, Σ exp(s), is estimated by the target's own term and, of each negative j that is not the
    target, exp(s_j − correction_j).
    """

    @staticmethod
    def forward(
        ctx: Any,
        vectors: Tensor,
        table: Tensor,
        bias: Tensor,
        targets: Tensor,
        items: Tensor,
        correction: Tensor,
        sparse: bool,
    ) -> Tensor:
        n, chunks, fill = len(targets), alike(len(targets), CHUNK), -len(items) % _COLUMNS
        rows = pad(table[items], (0, 0, 0, fill))
        offset = pad(bias[items] - correction, (0, fill), value=-torch.inf)
        own = (vectors * table[targets]).sum(dim=1) + bias[targets]
        place = torch.searchsorted(items, targets).clamp_(max=len(items) - 1)
        drawn = items[place] == targets
        buffer = vectors.new_empty(-(-n // len(chunks)), len(rows))
        grad_vectors, grad_own = torch.empty_like(vectors), torch.empty_like(own)
        grad_rows, grad_offset = torch.zeros_like(rows), torch.zeros_like(offset)
        total = vectors.new_zeros((), dtype=torch.float64)
        for chunk in chunks:
            h, target_logit = vectors[chunk], own[chunk, None]
            logits = torch.addmm(offset, h, rows.T, out=buffer[: len(h)])
            hit = drawn[chunk].nonzero().squeeze(1)
            logits[hit, place[chunk][hit]] = -torch.inf  # the target counts once
            highest = torch.maximum(logits.amax(dim=1, keepdim=True), target_logit)
            odds, target_odds = logits.sub_(highest).exp_(), (target_logit - highest).exp()
            sums = odds.sum(dim=1, keepdim=True) + target_odds
            total += (sums.log() + highest - target_logit).sum(dtype=torch.float64)
            share = 1 / (sums * n)
            torch.mul(odds @ rows, share, out=grad_vectors[chunk])
            # Scaling the vectors spares a pass over the logits.
            grad_rows.addmm_(odds.T, h * share)
            grad_offset += torch.mv(odds.T, share.squeeze(1))
            grad_own[chunk] = (target_odds * share).squeeze(1) - 1 / n
        grad_vectors += grad_own[:, None] * table[targets]
        touched = torch.cat([items, targets])
        of_table = torch.cat([grad_rows[: len(items)], grad_own[:, None] * vectors])
        of_bias = torch.cat([grad_offset[: len(items)], grad_own])
        ctx.save_for_backward(grad_vectors, touched, of_table, of_bias)
        ctx.shapes, ctx.sparse = (table.shape, bias.shape), sparse
        return (total / n).to(vectors.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad_vectors, touched, of_table, of_bias = ctx.saved_tensors
        (scale,) = upstream
        grads = []
        for values, shape in zip((of_table * scale, of_bias * scale), ctx.shapes, strict=True):
            if ctx.sparse:
                grads.append(torch.sparse_coo_tensor(touched[None], values, shape, check_invariants=False))
            else:
                grads.append(values.new_zeros(shape).index_add_(0, touched, values))
        return grad_vectors * scale, *grads, None, None, None, None


def sampled_cross_entropy(
    vectors: Tensor, table: Tensor, bias: Tensor, targets: Tensor, negatives: Negatives, sparse: bool = False
) -> Tensor:
    """Mean over positions of −log softmax(vectors·tableᵀ + bias)[target], the sum over the catalogue estimated.

    The estimate of the sum is unbiased: each negative stands for as many items as its chance of being drawn is small
    (Bengio & Senécal, 2008; Jean et al., 2015). Time and memory do not depend on the size of the catalogue.

    Args:
        vectors: float [n, width], n ≥ 1.
        table: float [n_items, width].
        bias: float [n_items].
        targets: int64 [n], each ≥ 1.
        negatives: of this step.
        sparse: whether the gradients for table and bias are sparse tensors, of the rows that are read.

    Returns:
        float scalar.
    """
    loss: Tensor = _SampledCrossEntropy.apply(  # type: ignore[no-untyped-call]
        vectors, table, bias, targets, negatives.items, negatives.correction, sparse
    )
    return loss


#: Up to so many items, all of them are summed over where `negatives` is left to itself; above, so many are drawn.
ALL_ITEMS, MANY_NEGATIVES = 20_000, 4_096


def how_many(negatives: int, n_items: int) -> int:
    """The number of negatives that a step draws; 0 where all items are summed over."""
    chosen = (0 if n_items <= ALL_ITEMS else MANY_NEGATIVES) if negatives < 0 else negatives
    return chosen if chosen < n_items - 1 else 0


def rowwise(negatives: int, positions: int, n_items: int) -> bool:
    """Whether a step touches so little of the table that its rows are worth an optimizer of their own.

    A step reads its inputs, its targets and its negatives; below a quarter of the items, work on the whole table
    would be most of the work.
    """
    return negatives > 0 and 4 * (negatives + 2 * positions) < n_items

"""Scores → top k in numpy: exclusion, ties, padding.

This is the reference: the graph in every runtime and every client must agree with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


def exclude(scores: Scores, excluded: Indices) -> Scores:
    """A copy of `scores` in which padding and excluded items can never be recommended.

    Args:
        scores: float32 [batch, n_items].
        excluded: int64 [batch, any]; 0 is filling, repeats are harmless.

    Returns:
        float32 [batch, n_items], −inf at index 0 and at each excluded index.
    """
    out = scores.copy()
    out[:, 0] = -np.inf
    np.put_along_axis(out, excluded, np.float32(-np.inf), axis=1)
    return out


def top_k(scores: Scores, k: int) -> tuple[Indices, Scores]:
    """The k best items of each row, best first; of equal scores the lower index first.

    Args:
        scores: float32 [batch, n_items], −inf where an item must not come.
        k: 1 ≤ k ≤ n_items.

    Returns:
        indices int64 [batch, k] and their scores float32 [batch, k]; where fewer than k remain the index is 0
        and the score −inf.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    return np.where(np.isneginf(best), 0, order).astype(np.int64), best


def ranks(scores: Scores, targets: Indices) -> Indices:
    """The place of each target in its row's ranking, 1 for the best; ties as in `top_k`.

    Args:
        scores: float32 [batch, n_items].
        targets: int64 [batch].

    Returns:
        int64 [batch].
    """
    rows = np.arange(len(targets))
    target_scores = scores[rows, targets][:, None]
    above = (scores > target_scores).sum(axis=1)
    before = np.arange(scores.shape[1])[None, :] < targets[:, None]
    ranks: Indices = 1 + above + ((scores == target_scores) & before).sum(axis=1)
    return ranks


def mask_histories(scores: Scores, rows: Indices, items: Indices, targets: Indices) -> Scores:
    """A copy of `scores` in which no row's history can be ranked, but its target always can.

    In evaluation a target that repeats an earlier item stays rankable; serving excludes all of the history.

    Args:
        scores: float32 [batch, n_items].
        rows, items: int64 [n]; item `items[i]` stands in the history of row `rows[i]`.
        targets: int64 [batch].
    """
    out = scores.copy()
    out[rows, items] = -np.inf
    each = np.arange(len(targets))
    out[each, targets] = scores[each, targets]
    return out

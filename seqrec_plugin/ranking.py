"""Scores → top k in numpy: exclusion, ties, padding.

This is the reference: the graph in every runtime and every client must agree with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


#: Scores that are at hand at once, 128 MiB of them; they lie in memory some four times. RecBole's 4,096 rows of a
#: million items would be 16 GiB, each time.
MOST_SCORES = 2**25


def rows_at_once(wanted: int, n_items: int) -> int:
    """How many rows of scores are ranked at once: what is wanted, or fewer where the catalogue is large."""
    return min(wanted, max(1, MOST_SCORES // n_items))


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
    own = scores[np.arange(len(targets)), targets][:, None]
    above = np.count_nonzero(scores > own, axis=1)
    equal = scores == own
    for row in np.flatnonzero(np.count_nonzero(equal, axis=1) > 1):
        above[row] += np.count_nonzero(equal[row, : targets[row]])
    places: Indices = 1 + above.astype(np.int64)
    return places


def masked_ranks(scores: Scores, unmasked: Indices, rows: Indices, items: Indices, targets: Indices) -> Indices:
    """The place of each target where no item of its row's history can be ranked, but the target always can.

    In evaluation a target that repeats an earlier item stays rankable; serving excludes all of the history.

    Args:
        scores: float32 [batch, n_items].
        unmasked: int64 [batch], the `ranks`.
        rows, items: int64 [n]; item `items[i]` stands in the history of row `rows[i]`; repeats are harmless.
        targets: int64 [batch].

    Returns:
        int64 [batch]: the place, less one for each item of the history that stands before the target.
    """
    rows, items = np.divmod(np.unique(rows * scores.shape[1] + items), scores.shape[1])
    found, own = scores[rows, items], scores[rows, targets[rows]]
    before = (found > own) | ((found == own) & (items < targets[rows]))
    masked: Indices = unmasked - np.bincount(rows[before], minlength=len(unmasked))
    return masked

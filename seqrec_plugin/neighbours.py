"""Item vectors to begin with, from which items stand near each other in the training events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy import sparse

#: Events apart that two items may stand.
WINDOW = 5
#: Deviation of the vectors' values. Larger ones make scores that are sure of themselves before anything is learned.
DEVIATION = 0.05
#: Most pairs that are counted at once; of a larger log, the users of an even share are read.
MOST_PAIRS = 50_000_000


def item_vectors(
    items: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    is_read: npt.NDArray[np.bool_],
    n_items: int,
    width: int,
    seed: int,
) -> npt.NDArray[np.float32]:
    """Factorise how much more often than by chance two items are neighbours.

    Two items of a user that are k ≤ 5 events apart count 1/√k. Of the counts, the positive pointwise mutual information
    (Church & Hanks, 1990; Bullinaria & Levy, 2007) is factorised by a truncated SVD, and an item's vector is U·√Σ
    (Levy & Goldberg, 2014), scaled to a deviation of 0.05; a little noise tells items without neighbours apart.

    Args:
        items: int64 [events], from 1, users one after the other, each in order of time.
        offsets: int64 [users + 1], where each user's events begin.
        is_read: bool [events], the events that may be looked at: those of the training part.
        n_items: rows wanted, the padding row included; that one gets noise only.
        width: of a vector.
        seed: of the noise and of the factorisation's start.

    Returns:
        float32 [n_items, width].
    """
    from sklearn.utils.extmath import randomized_svd

    random = np.random.default_rng(seed)
    information = _mutual_information(_counts(items, offsets, is_read, n_items, random))
    vectors = random.normal(0.0, 0.1 * DEVIATION, (n_items, width)).astype(np.float32)
    rank = min(width, n_items - 1)
    u, s, _ = randomized_svd(information, rank, n_iter=5, random_state=seed % 2**32)
    found = u * np.sqrt(s)
    if (deviation := found.std()) > 0:
        vectors[:, :rank] += found * (DEVIATION / deviation)
    return vectors


def _counts(
    items: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    is_read: npt.NDArray[np.bool_],
    n_items: int,
    random: np.random.Generator,
) -> sparse.csr_matrix:
    """How often two items are neighbours, weighted; symmetric, [n_items, n_items]."""
    from scipy import sparse

    user = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    share = MOST_PAIRS / max(1, WINDOW * np.count_nonzero(is_read))
    if share < 1:
        is_read = is_read & (random.random(len(offsets) - 1) < share)[user]
    counts = sparse.csr_matrix((n_items, n_items), dtype=np.float32)
    for apart in range(1, WINDOW + 1):
        near = (user[:-apart] == user[apart:]) & is_read[:-apart] & is_read[apart:]
        pair = items[:-apart][near], items[apart:][near]
        weight = np.full(len(pair[0]), 1 / np.sqrt(apart), dtype=np.float32)
        counts += sparse.csr_matrix((weight, pair), shape=counts.shape)  # sums what occurs twice
    return counts + counts.T


def _mutual_information(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """max(0, log(p(i, j) / (p(i) p(j)))) of each counted pair."""
    from scipy import sparse

    pairs = counts.tocoo()
    often = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    ratio = pairs.data * often.sum() / (often[pairs.row] * often[pairs.col])
    found = np.log(np.maximum(ratio, 1)).astype(np.float32)
    return sparse.csr_matrix((found, (pairs.row, pairs.col)), shape=counts.shape)

"""The reference ranking against the plainest possible one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seqrec_plugin import ranking

# A few values only, so that ties are common.
SCORES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(2, 9)),
    elements=st.sampled_from([np.float32(x) for x in (-2.5, -0.0, 0.0, 1.0, 1.5)]),
)


def _sorted(row, left_out):
    """Indices of a row that may be recommended, best first, of equal scores the lower index first."""
    return sorted((i for i in range(1, len(row)) if i not in left_out), key=lambda i: (-row[i], i))


@given(SCORES, st.data())
def test_top_k_is_what_sorting_by_hand_gives(scores, data):
    excluded = data.draw(
        hnp.arrays(np.int64, (len(scores), data.draw(st.integers(0, 5))), elements=st.integers(0, scores.shape[1] - 1))
    )
    k = data.draw(st.integers(1, scores.shape[1]))
    items, best = ranking.top_k(ranking.exclude(scores, excluded), k)
    for row, left_out, found, values in zip(scores, excluded.tolist(), items.tolist(), best, strict=True):
        expected = _sorted(row, left_out)[:k]
        assert found == expected + [0] * (k - len(expected))
        assert (values[: len(expected)] == row[expected]).all() and np.isneginf(values[len(expected) :]).all()


@given(SCORES, st.data())
def test_a_rank_is_the_place_in_the_whole_ranking(scores, data):
    targets = np.array([data.draw(st.integers(1, scores.shape[1] - 1)) for _ in scores])
    hidden = ranking.exclude(scores, np.zeros((len(scores), 0), dtype=np.int64))
    items, _ = ranking.top_k(hidden, scores.shape[1])
    expected = [row.index(target) + 1 for row, target in zip(items.tolist(), targets.tolist(), strict=True)]
    assert ranking.ranks(hidden, targets).tolist() == expected


@given(SCORES, st.data())
def test_a_masked_rank_is_the_place_among_what_is_not_in_the_history(scores, data):
    n = scores.shape[1]
    targets = np.array([data.draw(st.integers(1, n - 1)) for _ in scores])
    histories = [data.draw(st.lists(st.integers(1, n - 1), max_size=6)) for _ in scores]
    hidden = ranking.exclude(scores, np.zeros((len(scores), 0), dtype=np.int64))
    rows = np.repeat(np.arange(len(scores)), [len(history) for history in histories])
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    found = ranking.masked_ranks(hidden, ranking.ranks(hidden, targets), rows, items, targets)
    for row, target, history, place in zip(scores, targets.tolist(), histories, found.tolist(), strict=True):
        assert place == _sorted(row, set(history) - {target}).index(target) + 1


def test_exclusion_leaves_the_callers_scores_alone():
    scores = np.ones((1, 3), dtype=np.float32)
    ranking.exclude(scores, np.array([[1]]))
    assert (scores == 1).all()

"""Windows cover every target exactly once, with the context that was promised."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqrec_plugin.windows import batches, fill, rounded, windows


@st.composite
def users(draw):
    lengths = draw(st.lists(st.integers(1, 25), min_size=1, max_size=6))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    is_target = np.array(draw(st.lists(st.booleans(), min_size=int(offsets[-1]), max_size=int(offsets[-1]))))
    length = draw(st.integers(1, 12))
    stride = draw(st.integers(1, length))
    shift = draw(st.none() | st.lists(st.integers(0, stride - 1), min_size=len(lengths), max_size=len(lengths)))
    return offsets, is_target, length, stride, None if shift is None else np.array(shift), draw(st.integers(0, 2**32))


@given(users())
@settings(max_examples=300, deadline=None)
def test_each_target_once_after_its_own_past(case):
    offsets, is_target, length, stride, shift, seed = case
    items = np.arange(1, len(is_target) + 1)  # the item names its event
    cut = windows(offsets, is_target, length, stride, shift)
    learned = np.zeros(len(items), dtype=int)
    if len(cut):
        lengths = rounded(cut.lengths)
        for chosen in batches(lengths, positions=40, random=np.random.default_rng(seed)):
            filled = fill(cut[chosen], items, is_target, lengths[chosen].max())
            item_seq, targets = filled.item_seq, filled.targets
            for row, goals in zip(item_seq, targets, strict=True):
                assert (row > 0).sum() <= length
                for place in np.flatnonzero(goals):
                    event = goals[place] - 1
                    learned[event] += 1
                    user = np.searchsorted(offsets, event, side="right") - 1
                    before = event - offsets[user]
                    past = row[: place + 1][row[: place + 1] > 0]
                    # Its own past, all of it or more than length - stride of it, nothing else, nothing later.
                    assert past.tolist() == list(range(event - len(past) + 1, event + 1))
                    assert len(past) >= min(before, length - stride + 1)
                    assert (before == 0) == (row[place] == 0)
    np.testing.assert_array_equal(learned, is_target.astype(int))


def test_only_a_users_first_event_is_learned_from_padding():
    offsets = np.array([0, 5])
    filled = fill(windows(offsets, np.ones(5, bool), 3, 3), np.arange(11, 16), np.ones(5, bool), 5)
    item_seq, targets = filled.item_seq, filled.targets
    assert item_seq.tolist() == [[0, 0, 11, 12, 13], [0, 0, 0, 0, 14]]
    assert targets.tolist() == [[0, 11, 12, 13, 14], [0, 0, 0, 0, 15]]


def test_a_shift_moves_all_windows_but_the_first_of_a_long_history_only():
    offsets, every = np.array([0, 10, 14]), np.ones(14, bool)
    cut = windows(offsets, every, 4, 4, np.array([3, 3]))
    assert cut.start.tolist() == [0, 1, 5, 10] and cut.stop.tolist() == [1, 5, 9, 13]
    assert cut.newcomer.tolist() == [True, False, False, True]


def test_a_batch_holds_like_lengths_and_about_as_many_positions_as_asked():
    lengths = np.array([1, 50, 2, 49, 1, 50, 2, 48] * 50)
    groups = batches(lengths, positions=200, random=np.random.default_rng(0))
    assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
    assert max(len(g) * lengths[g].max() for g in groups) <= 200
    padding = sum(len(g) * lengths[g].max() - lengths[g].sum() for g in groups)
    assert padding / lengths.sum() < 0.05


def test_lengths_are_rounded_up_a_little_to_few_but_not_above_the_longest():
    lengths = np.arange(1, 202)
    filled = rounded(lengths)
    assert (filled >= lengths).all() and (filled <= lengths * 9 / 8).all() and filled.max() == 201
    assert (filled[:16] == lengths[:16]).all()
    assert len(set(filled.tolist())) == 16 + 3 * 8 + 5
    assert rounded(lengths[:0]).tolist() == []

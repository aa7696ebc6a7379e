"""Item vectors to begin with: near where items are neighbours, and of the training events only."""

import numpy as np
import pytest

from seqrec_plugin import neighbours
from seqrec_plugin.neighbours import item_vectors

GROUPS, MEMBERS, USERS, LENGTH = 4, 5, 200, 12


def _log(seed=0):
    """Users who stay in one group of items: items 1 to 5, 6 to 10, …"""
    random = np.random.default_rng(seed)
    group = random.integers(GROUPS, size=(USERS, 1))
    items = 1 + group * MEMBERS + random.integers(MEMBERS, size=(USERS, LENGTH))
    return items.ravel(), np.arange(USERS + 1) * LENGTH, np.ones(USERS * LENGTH, bool)


def _vectors(items, offsets, is_read, width=8, seed=3):
    return item_vectors(items, offsets, is_read, 1 + GROUPS * MEMBERS, width, seed)


def test_neighbours_are_near_and_others_are_not():
    vectors = _vectors(*_log())[1:]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = (unit @ unit.T).reshape(GROUPS, MEMBERS, GROUPS, MEMBERS).mean(axis=(1, 3))
    others = near[~np.eye(GROUPS, dtype=bool)]
    assert near.diagonal().min() > 0.9 and others.max() < 0.1


def test_what_training_may_not_see_changes_nothing():
    items, offsets, is_read = _log()
    is_read[LENGTH - 1 :: LENGTH] = is_read[LENGTH - 2 :: LENGTH] = False
    other = np.where(is_read, items, 1)
    assert np.array_equal(_vectors(items, offsets, is_read), _vectors(other, offsets, is_read))


def test_neighbours_are_of_one_user():
    """Of users with one event each nobody has a neighbour: only noise is left."""
    items = np.arange(1, 21)
    vectors = _vectors(items, np.arange(21), np.ones(20, bool))
    assert vectors.std() < 0.2 * neighbours.DEVIATION


def test_the_same_seed_gives_the_same_vectors():
    assert np.array_equal(_vectors(*_log()), _vectors(*_log()))
    assert not np.array_equal(_vectors(*_log()), _vectors(*_log(), seed=4))


def test_vectors_may_be_wider_than_the_catalogue():
    vectors = _vectors(*_log(), width=40)
    assert vectors.shape == (1 + GROUPS * MEMBERS, 40) and np.isfinite(vectors).all()
    assert vectors.std(axis=0).min() > 0


@pytest.mark.parametrize("most", [2000, 20])
def test_of_a_larger_log_a_share_of_the_users_is_read(monkeypatch, most):
    whole = _vectors(*_log())
    monkeypatch.setattr(neighbours, "MOST_PAIRS", most)
    part = _vectors(*_log())
    assert np.isfinite(part).all() and not np.array_equal(part, whole)

"""The softmax over a sample: its gradients, what it estimates, what is drawn."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqrec_plugin.losses import cross_entropy
from seqrec_plugin.sampling import CHUNK, Negatives, NegativeSampler, how_many, rowwise, sampled_cross_entropy

ITEMS, WIDTH = 40, 6


def _case(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    vectors, table = (torch.randn(m, WIDTH, generator=g, dtype=torch.float64) for m in (n, ITEMS))
    bias = torch.randn(ITEMS, generator=g, dtype=torch.float64)
    leaves = [leaf.requires_grad_() for leaf in (vectors, table, bias)]
    return leaves, torch.randint(1, ITEMS, (n,), generator=g)


def _sampler(counts=None):
    return NegativeSampler(np.arange(ITEMS) if counts is None else counts, np.zeros(ITEMS, dtype=bool))


def _naive(vectors, table, bias, targets, negatives):
    logits = vectors @ table[negatives.items].T + bias[negatives.items] - negatives.correction
    logits = logits.masked_fill(negatives.items[None] == targets[:, None], -torch.inf)
    own = ((vectors * table[targets]).sum(1) + bias[targets])[:, None]
    return (torch.logsumexp(torch.cat([own, logits], 1), 1) - own[:, 0]).mean()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n", [1, CHUNK, CHUNK + 3])
def test_loss_and_gradients_are_those_of_the_formula(n, sparse):
    leaves, targets = _case(n)
    negatives = _sampler().draw(25, np.random.default_rng(0))
    expected = _naive(*leaves, targets, negatives)
    wanted = torch.autograd.grad(expected, leaves)
    loss = sampled_cross_entropy(*leaves, targets, negatives, sparse)
    (2 * loss).backward()
    torch.testing.assert_close(loss, expected)
    for leaf, gradient in zip(leaves, wanted, strict=True):
        found = leaf.grad.to_dense() if leaf.grad.is_sparse else leaf.grad
        torch.testing.assert_close(found, 2 * gradient)
    assert leaves[1].grad.is_sparse is leaves[2].grad.is_sparse is sparse


def test_a_sparse_gradient_is_of_the_rows_that_are_read_only():
    leaves, targets = _case(3)
    negatives = _sampler().draw(4, np.random.default_rng(0))
    sampled_cross_entropy(*leaves, targets, negatives, sparse=True).backward()
    touched = set(leaves[1].grad.coalesce().indices()[0].tolist())
    assert touched == {*targets.tolist(), *negatives.items.tolist()}


def test_the_sum_over_the_catalogue_is_estimated_without_bias():
    """The mean over many draws of Σ exp(s) is the sum over all items but the target, whatever the popularity."""
    scores, target = torch.linspace(-2, 2, ITEMS, dtype=torch.float64), 7
    sampler, random = _sampler(np.arange(ITEMS) ** 2), np.random.default_rng(0)
    found = []
    for _ in range(4000):
        drawn = sampler.draw(12, random)
        others = drawn.items != target
        found.append(float(torch.exp(scores[drawn.items] - drawn.correction)[others].sum()))
    every = torch.arange(1, ITEMS)
    expected = float(torch.exp(scores[every[every != target]]).sum())
    error = np.std(found) / len(found) ** 0.5
    assert np.mean(found) == pytest.approx(expected, abs=4 * error) and error < 0.02 * expected


def test_with_many_draws_it_is_the_loss_over_all_items():
    leaves, targets = _case(50)
    table, bias = leaves[1], leaves[2].detach().index_fill(0, torch.tensor([0]), -torch.inf)
    exact = cross_entropy(leaves[0], table, bias, targets)
    many = sampled_cross_entropy(*leaves, targets, _sampler().draw(200_000, np.random.default_rng(0)))
    assert many.item() == pytest.approx(exact.item(), rel=5e-3)


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_what_is_drawn_is_valid_once_and_of_the_seed(n, seed):
    never = np.zeros(ITEMS, dtype=bool)
    never[[3, 39]] = True
    sampler = NegativeSampler(np.where(np.arange(ITEMS) == 5, 0, 4), never)
    drawn, again = (sampler.draw(n, np.random.default_rng(seed)) for _ in range(2))
    items = drawn.items.tolist()
    assert items == sorted(set(items)) and 1 <= len(items) <= n
    assert not {0, 3, 39} & set(items) and max(items) < ITEMS
    assert torch.equal(drawn.items, again.items) and torch.equal(drawn.correction, again.correction)


def test_items_are_drawn_by_their_events_and_one_without_events_is_drawn_too():
    counts = np.zeros(ITEMS, dtype=np.int64)
    counts[1] = 2 * ITEMS
    random, times = np.random.default_rng(0), np.zeros(ITEMS)
    sampler = NegativeSampler(counts, np.zeros(ITEMS, dtype=bool))
    for _ in range(5000):
        times[sampler.draw(1, random).items] += 1
    share = (counts + 1) / (counts[1:] + 1).sum()
    np.testing.assert_allclose(times[1:] / 5000, share[1:], atol=4 * (0.25 / 5000) ** 0.5)
    assert times[1:].min() > 0


def test_a_target_that_was_drawn_counts_once():
    leaves, _ = _case(2)
    targets = torch.tensor([4, 9])
    with_them = Negatives(torch.tensor([4, 9, 11]), torch.zeros(3, dtype=torch.float64))
    loss = sampled_cross_entropy(*leaves, targets, with_them)
    scores = leaves[0] @ leaves[1].T + leaves[2]
    expected = -torch.log_softmax(scores[:, [4, 9, 11]], dim=1)[[0, 1], [0, 1]].mean()
    torch.testing.assert_close(loss, expected)


def test_a_small_catalogue_is_summed_over_whole_and_a_large_one_sampled():
    assert how_many(-1, 12_102) == 0 and how_many(-1, 100_000) == 4096
    assert how_many(2048, 12_102) == 2048 and how_many(0, 10**6) == 0
    assert how_many(2048, 2049) == 0  # a sample of more than all is all
    assert not rowwise(0, 2048, 10**6) and not rowwise(2048, 2048, 12_102) and rowwise(4096, 2048, 10**6)

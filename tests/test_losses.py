"""The chunked loss is the ordinary one."""

import pytest
import torch

from seqrec_plugin.losses import CHUNK, cross_entropy


@pytest.mark.parametrize("n", [1, CHUNK - 1, CHUNK, 3 * CHUNK + 5])
def test_value_and_gradients_are_those_of_torchs_cross_entropy(n):
    torch.manual_seed(0)
    inputs = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((n, 7), (40, 7), (40,))]
    targets = torch.randint(1, 40, (n,))

    loss = cross_entropy(*inputs, targets)
    (3 * loss).backward()
    found = [x.grad.clone() for x in inputs]
    for x in inputs:
        x.grad = None

    vectors, table, bias = inputs
    logits = (vectors @ table.T + bias)[:, 1:]  # padding is never a candidate
    expected = torch.nn.functional.cross_entropy(logits, targets - 1)
    (3 * expected).backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, [x.grad for x in inputs])


def test_large_logits_neither_overflow_nor_vanish():
    vectors = torch.full((2, 1), 1000.0, requires_grad=True)
    table = torch.tensor([[0.0], [1.0], [-1.0]], requires_grad=True)
    loss = cross_entropy(vectors, table, torch.zeros(3), torch.tensor([1, 2]))
    assert loss.item() == pytest.approx(1000.0)


@pytest.mark.parametrize("scale", [1.0, 40.0])  # with and without a maximum to subtract
def test_what_is_never_recommended_has_no_part_in_the_loss(scale):
    torch.manual_seed(0)
    vectors, table = (torch.randn(9, 4) * scale).requires_grad_(), torch.randn(12, 4, requires_grad=True)
    bias = torch.zeros(12).index_fill(0, torch.tensor([0, 5, 7]), -torch.inf).requires_grad_()
    targets = torch.tensor([1, 2, 3, 4, 6, 8, 9, 10, 11])
    found = torch.autograd.grad(cross_entropy(vectors, table, bias, targets), (vectors, table, bias))
    expected = torch.autograd.grad(
        torch.nn.functional.cross_entropy(vectors @ table.T + bias, targets), (vectors, table, bias)
    )
    assert not found[1][[0, 5, 7]].any() and not found[2][[0, 5, 7]].any()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)

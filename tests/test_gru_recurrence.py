"""Our steps of a GRU equal torch's, forwards and backwards, whatever the precision of other products."""

import pytest
import torch
from torch import nn

from seqrec_plugin.layers import GRU
from seqrec_plugin.layers.gru_recurrence import gru_recurrence
from seqrec_plugin.precision import multiplying


def _arguments(length, batch=3, hidden=4, dtype=torch.float64):
    torch.manual_seed(length)
    shapes = (length, batch, 3 * hidden), (3 * hidden, hidden), (batch, hidden)
    return tuple(torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)


def _torchs(inputs, weight, state):
    """torch's GRU, whose input is a already."""
    size = inputs.shape[-1]
    cell = nn.GRU(size, state.shape[-1], bias=False, dtype=inputs.dtype)
    parameters = {"weight_ih_l0": torch.eye(size, dtype=inputs.dtype), "weight_hh_l0": weight}
    return torch.func.functional_call(cell, parameters, (inputs, state[None]))[0]


@pytest.mark.parametrize("length", [1, 2, 17, 300])
def test_states_and_gradients_are_those_of_torch(length):
    arguments = _arguments(length)
    found, expected = gru_recurrence(*arguments), _torchs(*arguments)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    upstream = torch.randn_like(found)
    ours, theirs = (torch.autograd.grad(h, arguments, upstream) for h in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("length", [1, 5])
def test_gradients_equal_finite_differences(length):
    assert torch.autograd.gradcheck(gru_recurrence, _arguments(length))


def test_what_lies_elsewhere_in_memory_is_the_same():
    inputs, weight, state = _arguments(6)
    apart = inputs.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    for upstream in (torch.randn(6, 3, 4, dtype=torch.float64), torch.ones((), dtype=torch.float64).expand(6, 3, 4)):
        expected = torch.autograd.grad(gru_recurrence(inputs, weight, state), (inputs, weight, state), upstream)
        found = torch.autograd.grad(gru_recurrence(apart, weight, state), (apart, weight, state), upstream)
        torch.testing.assert_close(found, expected)


def test_rounded_products_elsewhere_do_not_round_these_and_stay_rounded():
    arguments = _arguments(20, batch=32, hidden=32, dtype=torch.float32)
    h = gru_recurrence(*arguments)
    expected = (h, *torch.autograd.grad(h.sum(), arguments))
    with multiplying("medium"):
        h = gru_recurrence(*arguments)
        found = (h, *torch.autograd.grad(h.sum(), arguments))
        assert torch.get_float32_matmul_precision() == "medium"
    assert all(map(torch.equal, found, expected))


def test_second_derivatives_are_refused_not_wrong():
    arguments = _arguments(1)
    (gradient,) = torch.autograd.grad(gru_recurrence(*arguments).square().sum(), arguments[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_a_layer_that_learns_answers_as_one_that_does_not():
    torch.manual_seed(0)
    layer, x = GRU(5, 6), torch.randn(4, 9, 5)
    keep = (torch.arange(9) >= torch.tensor([0, 3, 8, 9])[:, None]).float().unsqueeze(-1)
    state = (torch.randn(4, 6) * torch.tensor([1.0, 0.0, 0.0, 0.0])[:, None],)
    y, after = layer(x, keep, state)
    with torch.no_grad():
        expected, expected_after = layer(x, keep, state)
    assert y.requires_grad
    torch.testing.assert_close((y, after), (expected, expected_after))
    assert y[3].abs().max() == 0 and after[0][3].abs().max() == 0  # nothing but padding

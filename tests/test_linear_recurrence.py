"""The scan equals the plain loop, and its hand-written gradients equal finite differences."""

import pytest
import torch

from seqrec_plugin.layers import GatedLRU, linear_recurrence

LENGTHS = [1, 2, 3, 7, 16, 21]
DTYPES = [torch.float64, torch.complex128]
#: Batch and length of the decay, of a batch of 2: one for each row and step, for each step, for each row, for all.
DECAYS = ["row and step", "step", "row", "all"]


def _loop(decay, inputs, state):
    decay, steps = decay.expand_as(inputs), []
    for t in range(inputs.shape[1]):
        state = decay[:, t] * state + inputs[:, t]
        steps.append(state)
    return torch.stack(steps, dim=1)


def _arguments(length, dtype, decay, batch=2, width=3):
    torch.manual_seed(length)
    shape = (batch if "row" in decay else 1, length if "step" in decay else 1, width)
    modulus = torch.empty(shape, dtype=torch.float64).uniform_(0.3, 0.99)
    turn = torch.randn(shape, dtype=torch.float64)
    factor = torch.polar(modulus, turn) if dtype.is_complex else modulus
    return (
        factor.requires_grad_(),
        torch.randn(batch, length, width, dtype=dtype, requires_grad=True),
        torch.randn(batch, width, dtype=dtype, requires_grad=True),
    )


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("length", [*LENGTHS, 1000])
def test_parallel_equals_step_by_step(length, dtype, decay):
    arguments = _arguments(length, dtype, decay)
    torch.testing.assert_close(linear_recurrence(*arguments), _loop(*arguments), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("length", LENGTHS)
def test_gradients_equal_finite_differences(length, dtype, decay):
    assert torch.autograd.gradcheck(linear_recurrence, _arguments(length, dtype, decay))


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradients_of_long_sequences_equal_those_of_the_loop(dtype, decay):
    arguments = _arguments(300, dtype, decay)
    upstream = torch.randn(2, 300, 3, dtype=dtype)
    found = torch.autograd.grad(linear_recurrence(*arguments), arguments, upstream)
    expected = torch.autograd.grad(_loop(*arguments), arguments, upstream)
    for ours, loops in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, loops, rtol=1e-9, atol=1e-9)


def test_arguments_are_left_as_they_were():
    """The scan works in place, on copies."""
    decay, inputs, state = (x.detach() for x in _arguments(7, torch.float64, "row and step"))
    before = [x.clone() for x in (decay, inputs, state)]
    linear_recurrence(decay, inputs, state)
    for now, then in zip((decay, inputs, state), before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize("gate", [-1e4, -100.0, 0.0, 100.0, 1e4])
def test_a_gate_shut_or_open_to_the_limit_still_has_a_finite_gradient(gate):
    """√(1 − a²) has no finite slope at a = 1, where a gate would never forget."""
    torch.manual_seed(0)
    layer = GatedLRU(4, 5, 4)
    with torch.no_grad():
        layer.input.linear.bias.fill_(gate)
        layer.rate.fill_(gate)
    x = torch.randn(2, 9, 4, requires_grad=True)
    y, _ = layer(x, torch.ones(2, 9, 1), layer.zero_state(2, x))
    y.square().sum().backward()
    assert torch.isfinite(y).all()
    for tensor in (x, *layer.parameters()):
        assert torch.isfinite(tensor.grad).all()

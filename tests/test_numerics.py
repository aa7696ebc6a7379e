"""Numerical honesty: gradients against finite differences, and long sequences against float64, for every layer."""

import copy

import numpy as np
import onnxruntime
import pytest
import torch

from seqrec_plugin.graph import Graph
from tests.test_layers import CASES, WIDTH

STEPS = 2000
#: The graph may be as far from float64 as torch's float32 is, times this …
FACTOR = 4
#: … but so many units in the last place of the largest value are always allowed: torch may happen to be exact.
FLOOR = 4 * np.finfo(np.float32).eps

RECURRENT = [name for name, build in CASES.items() if build().state_sizes]


def _inputs(batch, length, dtype, padding=0):
    x = torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    keep = torch.ones(batch, length, 1, dtype=dtype)
    keep[:, :padding] = 0
    return x, keep


def _layer(case):
    torch.manual_seed(0)
    return CASES[case]().eval()


@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_finite_differences(case):
    layer = _layer(case).double()
    x, keep = _inputs(1, 4, torch.float64)
    state = tuple(torch.randn(1, size, dtype=torch.float64) for size in layer.state_sizes)
    weights = tuple(layer.parameters())

    def run(x, *rest):
        y, after = layer(x, keep, rest[: len(state)])
        return y, *after

    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *(s.requires_grad_() for s in state), *weights))


@pytest.mark.parametrize("case", RECURRENT)
def test_gradients_equal_finite_differences_beside_padding(case):
    layer = _layer(case).double()
    x, keep = _inputs(1, 4, torch.float64, padding=2)

    def run(x, *_):
        y, after = layer(x, keep, layer.zero_state(1, x))
        return y, *after

    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *layer.parameters()))


def _graph(layer):
    """The layer alone in onnxruntime: (x, keep, state) → (output, state), all in torch's order of axes."""
    graph = Graph()
    x = graph.input("x", "float32", ["length", "batch", WIDTH])
    keep = graph.input("keep", "float32", ["length", "batch", 1])
    states = [graph.input(f"state_{i}", "float32", ["batch", size]) for i, size in enumerate(layer.state_sizes)]
    y, after = layer.emit(graph, x, keep, tuple(states))
    graph.output("y", y, "float32", ["length", "batch", "width"])
    for i, (name, size) in enumerate(zip(after, layer.state_sizes, strict=True)):
        graph.output(f"next_state_{i}", name, "float32", ["batch", size])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(graph.build(), options, providers=["CPUExecutionProvider"])
    given = {i.name for i in session.get_inputs()}

    def run(x, keep, state):
        feed = {"x": x.transpose(0, 1).numpy(), "keep": keep.transpose(0, 1).numpy()}
        feed |= dict(zip(states, (s.numpy() for s in state), strict=True))
        y, *after = session.run(None, {name: value for name, value in feed.items() if name in given})
        return torch.from_numpy(y).transpose(0, 1), tuple(map(torch.from_numpy, after))

    return run


def _in_pieces(run, x, keep, state, cuts):
    """As one run, with the state carried over each cut."""
    outputs = []
    for start, stop in zip([0, *cuts], [*cuts, STEPS], strict=True):
        y, state = run(x[:, start:stop], keep[:, start:stop], state)
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


@pytest.mark.parametrize("case", RECURRENT)
@torch.no_grad()
def test_two_thousand_steps_in_the_graph_stay_as_near_to_float64_as_torch(case):
    """In one call, and carried: one event at a time at first, then in pieces."""
    layer = _layer(case)
    double = copy.deepcopy(layer).double()
    x, keep = _inputs(2, STEPS, torch.float32)
    zero = layer.zero_state(2, x)
    exact, exact_end = double(x.double(), keep.double(), double.zero_state(2, x.double()))
    torchs, torchs_end = layer(x, keep, zero)
    graph = _graph(layer)
    for cuts in ([], [*range(1, 20), 500, 501, 1300]):
        found, found_end = _in_pieces(graph, x, keep, zero, cuts)
        for ours, theirs, wanted in zip((found, *found_end), (torchs, *torchs_end), (exact, *exact_end), strict=True):
            assert torch.isfinite(ours).all()
            allowed = FACTOR * float((theirs - wanted).abs().max()) + FLOOR * float(wanted.abs().max())
            assert float((ours - wanted).abs().max()) <= allowed, f"{len(cuts)} cuts"


@pytest.mark.parametrize("case", RECURRENT)
def test_gradients_through_two_thousand_steps_are_finite(case):
    layer = _layer(case)
    x, keep = _inputs(1, STEPS, torch.float32)
    y, after = layer(x.requires_grad_(), keep, layer.zero_state(1, x))
    sum(part.sum() for part in (y, *after)).backward()
    for tensor in (x, *layer.parameters()):
        assert torch.isfinite(tensor.grad).all()

"""Every layer keeps the contract."""

import numpy as np
import pytest
import torch

from seqrec_plugin import transforms
from seqrec_plugin.layers import (
    GRU,
    LRU,
    LSTM,
    Aside,
    DecayLSTM,
    Dropout,
    Elman,
    ExponentialMean,
    FeedForward,
    GatedLRU,
    Gelu,
    Layer,
    LayerNorm,
    Linear,
    MovingMean,
    MovingMedian,
    Numbers,
    ReluLSTM,
    Residual,
    Stack,
    TimeLSTM,
    Towers,
)
from seqrec_plugin.testing import LayerContract

WIDTH = LayerContract.width


def _numbers() -> Numbers:
    """One number of each kind, fitted."""
    declared = {
        "a": {"clip": "zscore", "log": True, "smooth": {"exponential": 0.3}},
        "b": {"clip": "iqr", "scale": "robust", "smooth": {"mean": 3}},
        "c": {"clip": "mad", "scale": "minmax", "smooth": {"median": 4}},
        "d": {"log": True, "scale": "none"},
        "e": {"smooth": {"median": 3}},
        "f": {},
    }
    layer = Numbers(transforms.read(declared, list(declared)))
    layer.fit(np.random.default_rng(0).normal(0.2, 0.7, (50, WIDTH)).astype(np.float32))
    return layer


EXAMPLES = {
    ExponentialMean: lambda: ExponentialMean(WIDTH, 0.3),
    MovingMean: lambda: MovingMean(WIDTH, 3),
    MovingMedian: lambda: MovingMedian(WIDTH, 4),
    Numbers: _numbers,
    Aside: lambda: Aside(LSTM(WIDTH - 1, 5)),
    DecayLSTM: lambda: DecayLSTM(WIDTH - 1, 5),
    ReluLSTM: lambda: ReluLSTM(WIDTH, 5),
    TimeLSTM: lambda: TimeLSTM(WIDTH - 1, 5),
    Elman: lambda: Elman(WIDTH, 5, 4),
    LSTM: lambda: LSTM(WIDTH, 5),
    GRU: lambda: GRU(WIDTH, 5),
    LRU: lambda: LRU(WIDTH, 5, 4),
    GatedLRU: lambda: GatedLRU(WIDTH, 5, 4),
    Linear: lambda: Linear(WIDTH, 4),
    Gelu: Gelu,
    LayerNorm: lambda: LayerNorm(WIDTH),
    Dropout: lambda: Dropout(0.5),
    FeedForward: lambda: FeedForward(WIDTH, 11, 0.5),
    Residual: lambda: Residual(LSTM(WIDTH, WIDTH), WIDTH, 0.5),
    Towers: lambda: Towers([LSTM(2, 2), GRU(WIDTH - 2, WIDTH - 2)], [2, WIDTH - 2]),
    Stack: lambda: Stack([LSTM(WIDTH, 5), Linear(5, 4), LSTM(4, 3)]),
}


#: Others that are a formula of their own.
VARIANTS = {
    "Elman, relu": lambda: Elman(WIDTH, 5, 4, "relu"),
    "MovingMean of two": lambda: MovingMean(WIDTH, 2),
    "MovingMedian of nine": lambda: MovingMedian(WIDTH, 9),
    "ExponentialMean of the newest": lambda: ExponentialMean(WIDTH, 1),
    "Elman, sigmoid": lambda: Elman(WIDTH, 5, 4, "sigmoid"),
}
CASES = {kind.__name__: build for kind, build in EXAMPLES.items()} | VARIANTS


def _subclasses(base: type) -> set[type]:
    return {c for child in base.__subclasses__() for c in {child, *_subclasses(child)}}


def test_every_layer_has_an_example_here():
    """Imported models have encoders of their own, which `tests/imported` holds to the contract of models."""
    ours = {c for c in _subclasses(Layer) if c.__module__.startswith("seqrec_plugin.") and c.__name__[0] != "_"}
    assert {c for c in ours if not c.__module__.startswith("seqrec_plugin.imported.")} == set(EXAMPLES)


@pytest.mark.parametrize("case", CASES)
class TestLayer(LayerContract):
    @pytest.fixture(autouse=True)
    def _case(self, case):
        self.case = case

    def build(self):
        return CASES[self.case]()


def test_lstm_is_torchs_lstm_with_biases():
    """The bias as an input column is the ordinary LSTM, whose two biases only ever act as their sum."""
    ours, theirs = LSTM(4, 3), torch.nn.LSTM(4, 3, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.cell.weight_ih_l0[:, :4])
        theirs.bias_ih_l0.copy_(ours.cell.weight_ih_l0[:, 4])
        theirs.bias_hh_l0.zero_()
        theirs.weight_hh_l0.copy_(ours.cell.weight_hh_l0)
    x = torch.randn(2, 9, 4)
    y, (h, c) = ours(x, torch.ones(2, 9, 1), ours.zero_state(2, x))
    expected, (eh, ec) = theirs(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close((h, c), (eh[0], ec[0]))


def test_gru_is_torchs_gru_with_input_biases():
    ours, theirs = GRU(4, 3), torch.nn.GRU(4, 3, batch_first=True)
    with torch.no_grad():
        ours.cell.weight_ih_l0[:, 4].normal_()
        theirs.weight_ih_l0.copy_(ours.cell.weight_ih_l0[:, :4])
        theirs.bias_ih_l0.copy_(ours.cell.weight_ih_l0[:, 4])
        theirs.bias_hh_l0.zero_()
        theirs.weight_hh_l0.copy_(ours.cell.weight_hh_l0)
    x = torch.randn(2, 9, 4)
    y, (h,) = ours(x, torch.ones(2, 9, 1), ours.zero_state(2, x))
    expected, end = theirs(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(h, end[0])


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_keeps_the_mean_and_never_the_same_twice(probability):
    torch.manual_seed(0)
    layer, x = Dropout(probability).train(), torch.ones(1000, 999)
    first, second = (layer(x, x, ())[0] for _ in range(2))
    assert (first == 0).float().mean() == pytest.approx(probability, abs=0.005)
    assert first.mean() == pytest.approx(1, abs=0.02)
    assert first.unique().tolist() == pytest.approx([0, 1 / (1 - probability)], rel=1e-3)
    both = ((first == 0) & (second == 0)).float().mean()
    assert both == pytest.approx(probability**2, abs=0.005)  # one mask says nothing of the other
    beside = ((first[:, 1:] == 0) & (first[:, :-1] == 0)).float().mean()
    assert beside == pytest.approx(probability**2, abs=0.005)  # nor one value of its neighbour
    assert torch.equal(layer.eval()(x, x, ())[0], x)

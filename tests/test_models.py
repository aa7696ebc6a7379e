"""Every registered model keeps the contract, with each of its switches."""

import dataclasses

import pytest
import torch

from seqrec_plugin import registry
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.models import options
from seqrec_plugin.models.combined import Combined
from seqrec_plugin.models.lru4rec import LRU4Rec, LRU4RecConfig
from seqrec_plugin.models.lstm4rec import LSTM4RecConfig
from seqrec_plugin.testing import ModelContract


def _variants(name: str) -> list[dict]:
    """Small ones: as by default, with a state wider than the item vectors, and with each switch the other way."""
    fields = dataclasses.fields(registry.load(name).Config)
    sizes = {"embedding_size": 8, "hidden_size": 8}
    small = {f.name: sizes[f.name] for f in fields if f.name in sizes}
    others = [(f.name, not f.default) for f in fields if isinstance(f.default, bool)]
    others += [(f.name, choice) for f in fields for choice in f.metadata["choices"] if choice != f.default]
    if "hidden_size" in small:
        others.append(("hidden_size", 13))
    return [small, *({**small, name: value} for name, value in others)]


CASES = [(name, values) for name in registry.names() for values in _variants(name)]


@pytest.mark.parametrize("case", CASES, ids=str)
class TestModel(ModelContract):
    @pytest.fixture(autouse=True)
    def _case(self, case):
        self.case = case

    def build(self):
        name, values = self.case
        model = registry.load(name)
        return model(options.build(model.Config, values), 30, behaviors=["view", "cart", "buy"], features=["price"])


def _combined(**kinds):
    """Models of several kinds and widths as one."""
    parts = []
    for width, (name, values) in enumerate(kinds.items(), start=6):
        model = registry.load(name)
        config = options.build(model.Config, {"embedding_size": width, "hidden_size": 6, **values})
        known = {"behaviors": ["view", "cart", "buy"]} if model.reads(config) else {}
        parts.append(model(config, 30, **known))
    return Combined(parts)


class TestCombined(ModelContract):
    """One of them without a residual."""

    def build(self):
        return _combined(LSTM4Rec={"hidden_size": 5}, GRU4RecTied={"num_layers": 1}, LRU4Rec={}, RNN4Rec={})


class TestCombinedOfReaders(ModelContract):
    """They read columns, one in cells that take the column itself, and one bends its answer by what is asked."""

    def build(self):
        return _combined(TimeLSTM4Rec={"cell": "time_lstm", "time_to_ask": True}, BehaviorLSTM4Rec={}, GRU4RecTied={})


def test_what_the_parts_never_recommend_their_mean_does_not_either():
    parts = [registry.load("LSTM4Rec")(LSTM4RecConfig(embedding_size=8, hidden_size=8), 30) for _ in range(2)]
    for part in parts:
        part.item_table.retire((3, 5))
    scores = Combined(parts).eval().score(torch.tensor([[7, 8]]))
    assert torch.isneginf(scores[0]).nonzero().flatten().tolist() == [0, 3, 5]


@pytest.mark.parametrize("name", ["LSTM4Rec", "GRU4RecTied"])
@pytest.mark.parametrize("hidden", [8, 13])
def test_weights_keep_the_names_that_runs_already_have(name, hidden):
    """A run folder finds its weights by name."""
    model = registry.load(name)
    built = model(
        options.build(model.Config, {"embedding_size": 8, "hidden_size": hidden, "num_layers": 1}), n_items=30
    )
    inner = "encoder.layers.2.inner.layers.0"
    recurrence = {f"{inner}.cell.weight_ih_l0", f"{inner}.cell.weight_hh_l0"}
    if hidden != 8:
        within = f"{inner}.layers"
        recurrence = {f"{within}.0.cell.weight_ih_l0", f"{within}.0.cell.weight_hh_l0", f"{within}.1.linear.weight"}
    found = {key for key in built.state_dict() if key.startswith("encoder.layers.2.inner")}
    assert found == recurrence
    forward = "encoder.layers.3.inner.layers.0.parts.0.linear.weight"
    assert {"item_table.weight", "item_table.bias", "encoder.layers.0.norm.weight", forward} <= set(built.state_dict())


def test_lru_starts_with_decays_between_its_radii():
    model = LRU4Rec(LRU4RecConfig(r_min=0.9, r_max=0.95, num_layers=1), n_items=30)
    (nu,) = (value for name, value in model.named_parameters() if name.endswith(".nu"))
    decay = torch.exp(-nu.exp())
    assert ((decay > 0.899) & (decay < 0.951)).all() and decay.max() > 0.93 and decay.min() < 0.92


def test_lru_refuses_a_ring_turned_inside_out():
    with pytest.raises(WrongUsage, match="at most r_max"):
        options.build(LRU4RecConfig, {"r_min": 0.95, "r_max": 0.9})


def test_a_wrong_option_names_the_nearest():
    with pytest.raises(WrongUsage, match="'hidden_size'"):
        options.build(LSTM4RecConfig, {"hiden_size": 7})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"hidden_size": 0}, "1 to 4096"),
        ({"dropout_prob": 1.5}, "0 to 0.95"),
        ({"hidden_size": "64"}, "of type int"),
        ({"residual": 1}, "of type bool"),
        ({"hidden_size": True}, "of type int"),
        ({"dropout_prob": float("nan")}, "0 to 0.95"),
    ],
)
def test_an_option_out_of_range_is_refused(values, reason):
    with pytest.raises(WrongUsage, match=reason):
        options.build(LSTM4RecConfig, values)

"""Every registered model keeps the contract, with each of its switches."""

import dataclasses

import pytest

from seqrec_plugin import registry
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.models import options
from seqrec_plugin.models.lstm4rec import LSTM4Rec, LSTM4RecConfig
from seqrec_plugin.testing import ModelContract


def _variants(name: str) -> list[dict]:
    """Small ones: as by default, and with each switch the other way."""
    fields = dataclasses.fields(registry.load(name).Config)
    sizes = {"embedding_size": 8, "hidden_size": 8}
    small = {f.name: sizes[f.name] for f in fields if f.name in sizes}
    others = [(f.name, not f.default) for f in fields if isinstance(f.default, bool)]
    others += [(f.name, choice) for f in fields for choice in f.metadata["choices"] if choice != f.default]
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


class TestWideState(ModelContract):
    """A state of another width than the item vectors, by a projection."""

    def build(self):
        return LSTM4Rec(LSTM4RecConfig(embedding_size=8, hidden_size=13, num_layers=3), n_items=30)


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

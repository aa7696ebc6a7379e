"""RecBole's models as plain torch keep the contract of every model."""

import pytest
import torch

from seqrec_plugin import imported
from seqrec_plugin.models import options
from seqrec_plugin.testing import ModelContract

CASES = [
    ("GRU4Rec", {"embedding_size": 8, "hidden_size": 12, "num_layers": 2}),
    ("NARM", {"embedding_size": 8, "hidden_size": 12, "n_layers": 2}),
    ("SASRec", {"hidden_size": 8, "inner_size": 16, "n_heads": 2, "max_length": 24}),
    ("SASRec", {"hidden_size": 8, "inner_size": 16, "n_heads": 4, "max_length": 24, "hidden_act": "swish"}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
class TestImported(ModelContract):
    @pytest.fixture(autouse=True)
    def _case(self, case):
        self.case = case

    def build(self):
        name, values = self.case
        kind = imported.load(name)
        return kind(options.build(kind.Config, values), n_items=30)


def test_only_what_recbole_computes_step_by_step_carries_a_state():
    made = {name: imported.load(name)(imported.load(name).Config(), 30) for name in imported.MODELS}
    assert {name: model.emits for name, model in made.items()} == {"GRU4Rec": True, "NARM": False, "SASRec": False}
    assert [name for name, model in made.items() if model.state_sizes] == ["GRU4Rec"]


@pytest.mark.parametrize("activation", ["gelu", "relu", "swish", "tanh", "sigmoid"])
def test_sasrecs_activations_are_recboles(activation):
    from recbole.model.layers import FeedForward

    from seqrec_plugin.imported.sasrec import ACTIVATIONS

    theirs = FeedForward(4, 8, 0.0, activation, 1e-12).intermediate_act_fn
    x = torch.linspace(-4, 4, 101)
    torch.testing.assert_close(ACTIVATIONS[activation](x), theirs(x))

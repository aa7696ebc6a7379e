"""A model whose layers cannot emit is exported by torch's exporter, and its bundle is as good as any."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from seqrec_plugin import exporting, tracing, verifying
from seqrec_plugin.errors import Failed, SeqrecError
from seqrec_plugin.layers import LSTM, Layer, Stack
from seqrec_plugin.manifest import Provenance
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.options import option
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.testing import ModelContract
from seqrec_plugin.vocabulary import Vocabulary

N_ITEMS = 30


@dataclasses.dataclass(frozen=True)
class Config:
    embedding_size: int = option(8, "Width.", low=1)


class Mean(Layer):
    """The mean of what came before: no state, no `emit`."""

    def forward(self, x, keep, state):
        return (x * keep).cumsum(1) / keep.cumsum(1).clamp(min=1), state


class Decayed(Layer):
    """A sum in which the past fades, over GRU's output: two states, no `emit`."""

    state_sizes = (8, 8)

    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(9, 8, bias=False, batch_first=True)

    def forward(self, x, keep, state):
        y, h = self.cell(torch.cat([x * keep, keep], dim=-1), state[0].unsqueeze(0))
        n = x.shape[1]
        age = torch.arange(n).unsqueeze(1) - torch.arange(n)
        fade = torch.where(age >= 0, 0.5 ** age.clamp(min=0), 0.0)
        total = fade @ y + 0.5 ** torch.arange(1, n + 1).unsqueeze(1) * state[1].unsqueeze(1)
        return total, (h.squeeze(0), total[:, -1])


class Unrolled(Layer):
    """A loop over the steps, which tracing writes out for the one length that it saw: it must not pass for any."""

    state_sizes = (8,)

    def forward(self, x, keep, state):
        h, steps = state[0], []
        for t in range(x.shape[1]):
            h = torch.where(keep[:, t] > 0, torch.tanh(h + x[:, t]), h)
            steps.append(h)
        return torch.stack(steps, dim=1), (h,)


class Recount(Layer):
    """Says that it has a state, but looks back at the whole history: right without the state, wrong with it."""

    state_sizes = (8,)

    def forward(self, x, keep, state):
        y = (x * keep).cumsum(1)
        return torch.tanh(y), (state[0] * 0,)


def _model(layers):
    class Model(SequenceModel):
        Config = globals()["Config"]

        def build_encoder(self, config):
            return Stack(layers())

    return Model


MeanModel = _model(lambda: [Mean()])
DecayedModel = _model(lambda: [Decayed()])
UnrolledModel = _model(lambda: [Unrolled()])
RecountModel = _model(lambda: [Recount()])
HalfModel = _model(lambda: [LSTM(8, 8), Mean()])
for _name in ("MeanModel", "DecayedModel", "UnrolledModel", "RecountModel", "HalfModel"):
    globals()[_name].__qualname__ = globals()[_name].__name__ = _name


def _made(kind):
    torch.manual_seed(0)
    model = kind(Config(), N_ITEMS).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return model


def _bundle(model, path):
    checks = []
    exporting.write_bundle(
        path,
        model,
        Vocabulary([f"i{n}" for n in range(1, N_ITEMS)], None),
        max_history=9,
        exclude_seen=True,
        provenance=Provenance(type(model).__name__, {}, "tiny", "0" * 64, 0, 0, {}, {}),
        top_k=20,
        report=checks.append,
    )
    return checks


class TestMean(ModelContract):
    def build(self):
        return MeanModel(Config(), N_ITEMS)


class TestDecayed(ModelContract):
    def build(self):
        return DecayedModel(Config(), N_ITEMS)


@pytest.fixture(scope="module")
def stateless(tmp_path_factory):
    path = tmp_path_factory.mktemp("traced") / "bundle"
    return path, _bundle(_made(MeanModel), path)


def test_a_model_without_state_works_everywhere(stateless):
    path, checks = stateless
    recommender, model = Recommender.load(path), _made(MeanModel)
    assert recommender.manifest.provenance.exporter == "torch"
    assert recommender.manifest.state == ()
    assert "by torch's exporter" in checks[0].detail
    assert list(verifying.verify(path))
    with torch.no_grad():
        scores = model.score(torch.tensor([[3, 9, 4]]))[0]
    scores[[3, 9, 4]] = -torch.inf
    best = [f"i{index}" for index in scores.topk(5).indices.tolist()]
    assert [item.item for item in recommender.recommend(["i3", "i9", "i4"], k=5).items] == best
    assert recommender.recommend([]).status == "newcomer"
    with pytest.raises(SeqrecError, match="state"):
        recommender.session()


def test_the_graph_keeps_to_the_contract_and_names_no_place_of_this_machine(stateless):
    data = (stateless[0] / "model.onnx").read_bytes()
    model = onnx.load_from_string(data)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert not any(node.domain or node.doc_string or node.metadata_props for node in model.graph.node)
    names = [name for node in model.graph.node for name in (node.name, *node.input, *node.output)]
    assert all(re.fullmatch(r"\w*", name) for name in names)
    places = [str(Path(__file__).parents[1]), sys.prefix, torch.__file__, "site-packages", ".py", "location"]
    for text in (*places, "forward", "self.", "Mean", "encoder", "pytorch"):
        assert text.encode() not in data, text
    # The item table stands in the file once, though the traced part reads it too.
    tables = [w for w in model.graph.initializer if list(w.dims) == [N_ITEMS, 8]]
    assert len(tables) == 1


def test_ties_exclusions_and_padding_are_as_in_every_graph(stateless):
    session = onnxruntime.InferenceSession(stateless[0] / "model.onnx", providers=["CPUExecutionProvider"])
    everything = np.arange(1, N_ITEMS)[None]
    items, scores, _ = session.run(None, {"item_seq": np.array([[0, 3]]), "exclude": everything[:, :-1]})
    assert items[0, 0] == N_ITEMS - 1
    assert (items[0, 1:] == 0).all()
    assert np.isneginf(scores[0, 1:]).all()


def test_a_state_that_torchs_graph_can_carry_is_carried(tmp_path):
    checks = _bundle(_made(DecayedModel), tmp_path / "bundle")
    recommender = Recommender.load(tmp_path / "bundle")
    assert [state.size for state in recommender.manifest.state] == [8, 8]
    assert any(check.name == "carried state equals whole history" for check in checks)
    session = recommender.session(["i3"])
    assert session.push(["i9"]).items[0].item == recommender.recommend(["i3", "i9"]).items[0].item


def test_a_state_that_cannot_be_carried_is_left_out_and_said(tmp_path):
    checks = _bundle(_made(RecountModel), tmp_path / "bundle")
    assert "its state cannot be carried" in checks[0].detail
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert manifest["state"] == []
    assert [tensor["name"] for tensor in manifest["inputs"]] == ["item_seq", "exclude"]
    assert "session" not in (tmp_path / "bundle" / "README.md").read_text()


def test_a_model_with_one_layer_that_cannot_emit_is_traced_whole(tmp_path):
    assert _made(HalfModel).emits is False
    assert "by torch's exporter" in _bundle(_made(HalfModel), tmp_path / "bundle")[0].detail


def test_two_exports_are_the_same_bytes(stateless, tmp_path):
    _bundle(_made(MeanModel), tmp_path / "again")
    for file in stateless[0].iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


def test_a_graph_for_one_length_only_is_refused(tmp_path):
    with pytest.raises(Failed, match="torch's exporter cannot write UnrolledModel") as caught:
        _bundle(_made(UnrolledModel), tmp_path / "bundle")
    assert caught.value.code == "check_failed"
    assert list(tmp_path.iterdir()) == []


def test_a_class_that_another_process_cannot_import_is_told_in_a_sentence():
    with pytest.raises(Failed, match="torch's exporter cannot write Model") as caught:
        tracing.trace(_made(_model(lambda: [Mean()])))
    assert len(str(caught.value).splitlines()) == 1


def test_the_exporter_leaves_this_process_alone():
    code = (
        "import logging, sys, warnings\n"
        "from tests.test_tracing import MeanModel, _made\n"
        "from seqrec_plugin import tracing\n"
        "before = set(sys.modules), len(logging.root.handlers), len(warnings.filters)\n"
        "tracing.trace(_made(MeanModel))\n"
        "assert not any('torchscript_exporter' in name for name in set(sys.modules) - before[0])\n"
        "assert before[1:] == (len(logging.root.handlers), len(warnings.filters))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr

"""The item table in int8: close to float32, the same in every place, and refused where ranking suffers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from seqrec_plugin import bundle as bundles
from seqrec_plugin.encoder import Encoder
from seqrec_plugin.errors import BadData, Failed, WrongUsage
from seqrec_plugin.exporting import write_bundle
from seqrec_plugin.graph import Graph
from seqrec_plugin.layers import Int8Table, ItemTable
from seqrec_plugin.manifest import Provenance
from seqrec_plugin.models.lstm4rec import LSTM4Rec, LSTM4RecConfig
from seqrec_plugin.models.lstmranker import LSTMRanker, LSTMRankerConfig
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.verifying import verify
from seqrec_plugin.vocabulary import Vocabulary

VECTORS = Path(__file__).parent.parent / "export/vectors"
BOTH = VECTORS / "lstm4rec-int8-and-encoder"


@pytest.fixture
def table() -> ItemTable:
    torch.manual_seed(0)
    table = ItemTable(500, 32)
    with torch.no_grad():
        # Rows of very different sizes, as rare and popular items have; each must keep a precision of its own.
        table.weight.mul_(torch.logspace(-2, 2, 500).unsqueeze(1))
        table.bias.normal_()
    return table


def run(table: Int8Table, item_seq: np.ndarray, vectors: np.ndarray) -> list[np.ndarray]:
    graph = Graph()
    seq = graph.input("item_seq", "int64", ("length", "batch"))
    given = graph.input("vectors", "float32", ("batch", 32))
    x, name = table.emit(graph, seq)
    graph.output("x", x, "float32", ("length", "batch", 32))
    graph.output("scores", table.emit_scores(graph, given, name), "float32", ("batch", 500))
    session = onnxruntime.InferenceSession(graph.build(), providers=["CPUExecutionProvider"])
    return session.run(None, {"item_seq": item_seq, "vectors": vectors})


def test_each_row_is_within_half_a_step_of_its_own_scale(table: ItemTable) -> None:
    rounded = Int8Table(table)(torch.arange(500))
    step = table.weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((rounded - table.weight).abs() <= step * 0.5001).all()


def test_the_query_costs_far_less_than_the_table(table: ItemTable) -> None:
    """Two digits: the scores differ from the product with the rounded table by a fraction of what rounding it cost."""
    rounded, vectors = Int8Table(table), torch.randn(20, 32)
    dequantised = torch.addmm(table.bias, vectors, rounded(torch.arange(500)).T)[:, 1:]
    by_query = (rounded.scores(vectors)[:, 1:] - dequantised).abs().mean()
    by_table = (table.scores(vectors)[:, 1:] - dequantised).abs().mean()
    assert by_query < by_table / 10


def test_graph_and_torch_agree_also_for_a_zero_query(table: ItemTable) -> None:
    rounded, vectors = Int8Table(table), torch.randn(3, 32)
    vectors[1] = 0
    x, scores = run(rounded, np.array([[0, 3, 499]]), vectors.numpy())
    np.testing.assert_array_equal(x[0], rounded(torch.tensor([0, 3, 499])).numpy())
    np.testing.assert_allclose(scores, rounded.scores(vectors).numpy(), rtol=1e-5, atol=1e-5)
    assert np.isneginf(scores[:, 0]).all()


def test_a_batch_mate_does_not_change_a_row(table: ItemTable) -> None:
    rounded, vectors = Int8Table(table), np.random.default_rng(0).normal(size=(2, 32)).astype(np.float32)
    vectors[1] *= 1e4  # with one scale for both, nothing would be left of the first
    alone, both = (run(rounded, np.array([[1]]), v)[1][0] for v in (vectors[:1], vectors))
    np.testing.assert_array_equal(alone, both)


def model() -> LSTM4Rec:
    torch.manual_seed(0)
    made = LSTM4Rec(LSTM4RecConfig(embedding_size=8, hidden_size=8), n_items=31)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return made.eval()


def written(path: Path, **options: object) -> Path:
    provenance = Provenance("LSTM4Rec", {}, "tiny", "0" * 64, 0, 0, {}, {})
    vocabulary = Vocabulary([f"i{n}" for n in range(30)])
    write_bundle(path, model(), vocabulary, max_history=8, exclude_seen=True, provenance=provenance, **options)
    return path


def test_a_drop_beyond_the_limit_leaves_no_bundle(tmp_path: Path) -> None:
    values = iter([0.10, 0.0985])
    with pytest.raises(Failed, match=r"0.0985 with int8, 0.1000 without.* 1.5% are lost, and at most 1.0%"):
        written(tmp_path / "bundle", judge=lambda model: (next(values), 100))
    assert not list(tmp_path.iterdir())


def test_the_manifest_tells_the_drop(tmp_path: Path) -> None:
    values = iter([0.10, 0.0995])
    path = written(tmp_path / "bundle", judge=lambda model: (next(values), 100))
    told = json.loads((path / "manifest.json").read_text())["int8"]
    assert told["drop"] == pytest.approx(0.005)
    assert (told["targets"], told["most_drop"]) == (100, 0.01)


def test_int8_answers_as_the_float_graph_ranks(tmp_path: Path) -> None:
    path = written(tmp_path / "bundle", judge=lambda model: (0.1, 1))
    full, rounded = Recommender.load(path), Recommender.load(path, int8=True)
    assert (path / "model_int8.onnx").read_bytes() != (path / "model.onnx").read_bytes()
    for history in ([], ["i3"], ["i4", "i9", "i2"]):
        a, b = (r.recommend(history, k=30, include_seen=True) for r in (full, rounded))
        scores = {item.item: item.score for item in b.items}
        np.testing.assert_allclose([scores[i.item] for i in a.items], [i.score for i in a.items], atol=0.05)


def test_a_state_is_carried_through_the_int8_graph() -> None:
    recommender = Recommender.load(BOTH, int8=True)
    session = recommender.session()
    for item in ("i1", "i2", "i3"):
        answer = session.push([item])
    whole = recommender.recommend(["i1", "i2", "i3"])
    assert [i.item for i in answer.items] == [i.item for i in whole.items]


def test_int8_is_asked_for_where_there_is_none(tiny_bundle: Path) -> None:
    with pytest.raises(WrongUsage, match=r"has no model_int8.onnx.* --int8"):
        Recommender.load(tiny_bundle, int8=True)


def test_int8_of_probabilities_is_refused(tmp_path: Path) -> None:
    ranker = LSTMRanker(LSTMRankerConfig(embedding_size=8, hidden_size=8), n_items=31).eval()
    provenance = Provenance("LSTMRanker", {}, "tiny", "0" * 64, 0, 0, {}, {})
    with pytest.raises(WrongUsage, match="ranks no items"):
        write_bundle(
            tmp_path / "b",
            ranker,
            Vocabulary([f"i{n}" for n in range(30)]),
            max_history=8,
            exclude_seen=True,
            provenance=provenance,
            judge=lambda model: (0.1, 1),
        )


def test_verify_finds_an_int8_graph_that_is_another_models(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(BOTH, path)
    other = (VECTORS / "lstm4rec/model.onnx").read_bytes()
    bundle = bundles.read(path)
    bundles.fill(path, bundle.manifest, {**bundle.contents, "model_int8.onnx": other})
    with pytest.raises(Failed) as error:
        list(verify(path))
    assert error.value.code == "golden_mismatch"


def test_verify_finds_an_encoder_that_is_another_models(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    written(path, encoder=True)
    torch.manual_seed(1)
    bundle = bundles.read(path)
    other = written(tmp_path / "other", encoder=True)
    shaken = bytearray((other / "encoder.onnx").read_bytes())
    where = shaken.find(np.ascontiguousarray(model().item_table.weight.detach().numpy()).tobytes())
    shaken[where + 64 : where + 68] = np.float32(3).tobytes()
    bundles.fill(path, bundle.manifest, {**bundle.contents, "encoder.onnx": bytes(shaken)})
    with pytest.raises(Failed, match=r"encoder.onnx"):
        list(verify(path))


def test_the_encoder_and_the_embeddings_give_the_scores() -> None:
    encoder, recommender = Encoder.load(BOTH), Recommender.load(BOTH)
    questions = [{"history": ["i1", "i2"]}, {"history": []}, {"history": ["unknown", "i7"]}]
    vectors = encoder.embed(questions)
    table = np.load(BOTH / "item_embeddings.npy")
    for question, vector in zip(questions, vectors, strict=True):
        scores = table @ np.append(vector, np.float32(1))
        answer = recommender.recommend(question["history"], include_seen=True, k=5)
        for item in answer.items:
            index = recommender.vocabulary.index(item.item)
            assert scores[index - 1] == pytest.approx(item.score, abs=1e-5)
    assert encoder.embed([]).shape == (0, encoder.manifest.embedding_size)


def test_weights_in_a_second_file_answer_alike(tmp_path: Path) -> None:
    inside, apart = (written(tmp_path / name, most_inside=most) for name, most in (("in", 2**31), ("apart", 0)))
    assert (apart / "model.onnx").stat().st_size < (inside / "model.onnx").stat().st_size / 2
    a, b = (Recommender.load(path).recommend(["i3", "i4"], k=20).items for path in (inside, apart))
    assert [item.item for item in a] == [item.item for item in b]
    np.testing.assert_allclose([item.score for item in a], [item.score for item in b], atol=1e-6)


def test_a_changed_weights_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "bundle", most_inside=0)
    data = bytearray((path / "weights.bin").read_bytes())
    data[100] ^= 1
    (path / "weights.bin").write_bytes(bytes(data))
    with pytest.raises(BadData) as error:
        Recommender.load(path)
    assert error.value.code == "file_changed"

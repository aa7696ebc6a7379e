"""From a run to a bundle: what is checked, and that a check that fails leaves no bundle."""

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from seqrec_plugin import bundle, emitting
from seqrec_plugin.checkpoint import WEIGHTS_FILE, RunFolder
from seqrec_plugin.errors import BadData, Failed, SeqrecError, WrongUsage
from seqrec_plugin.evaluating import load_model
from seqrec_plugin.exporting import export
from seqrec_plugin.history import to_question
from seqrec_plugin.layers import LSTM
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.verifying import verify
from tests.conftest import reseal


def _silent(check):
    pass


@pytest.fixture(scope="module")
def exported(finished_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "bundle"
    checks = []
    export(finished_run, path, report=checks.append)
    return path, checks


def test_the_bundle_recommends_what_the_run_would(exported, finished_run):
    path, _ = exported
    recommender, run = Recommender.load(path), RunFolder.open(finished_run)
    model = load_model(run)
    for history in (row.items.tolist() for row in run.probe()[:20]):
        tokens = [recommender.vocabulary.token(i) for i in history]
        answer = recommender.recommend(tokens, k=5, include_seen=True)
        with torch.no_grad():
            scores = model.score(torch.tensor([history[-8:]]))[0]
        best = [recommender.vocabulary.token(i) for i in torch.topk(scores, 5).indices.tolist()]
        assert [item.item for item in answer.items] == best
        assert answer.items[0].score == pytest.approx(float(scores.max()), abs=1e-4)


def test_each_check_of_the_design_is_told(exported):
    _, checks = exported
    told = " ".join(check.name for check in checks)
    for wanted in ("graph valid", "parity", "order of the top k", "carried state", "golden", "files"):
        assert wanted in told


def test_the_bundle_holds_no_history_of_a_user(exported, finished_run):
    path, _ = exported
    tokens = Recommender.load(path).vocabulary
    golden = json.loads((path / "golden.json").read_text())
    drawn = [q["question"]["history"] for q in golden["questions"]]
    real = {tuple(tokens.token(i) for i in row.items) for row in RunFolder.open(finished_run).probe()}
    assert not {tuple(history) for history in drawn if len(history) > 3} & real
    assert sorted(p.name for p in path.iterdir()) == [
        "README.md",
        "golden.json",
        "items.json",
        "manifest.json",
        "model.onnx",
    ]


def test_the_same_run_gives_the_same_bytes(exported, finished_run, tmp_path):
    path, _ = exported
    export(finished_run, tmp_path / "again", report=_silent)
    for file in path.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


def test_the_graph_keeps_to_the_standard_and_names_no_path(exported):
    path, _ = exported
    model = onnx.load(str(path / "model.onnx"))
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert {node.domain for node in model.graph.node} == {""}
    lstms = [node for node in model.graph.node if node.op_type == "LSTM"]
    assert lstms
    for node in lstms:
        assert "activations" not in {a.name for a in node.attribute}
        assert node.input[4] == ""  # no sequence_lens
        assert node.input[5] and node.input[6] and node.input[5] != node.input[6]
    # The item table, which input and output share, is stored once.
    tables = [w for w in model.graph.initializer if list(w.dims) == [41, 8]]
    assert len(tables) == 1
    assert not [n for n in model.graph.node if n.doc_string]


def test_the_graph_agrees_with_torch_on_all_shapes(exported, finished_run):
    path, _ = exported
    model = load_model(RunFolder.open(finished_run))
    session = onnxruntime.InferenceSession(str(path / "model.onnx"), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    for batch, length in ((1, 1), (1, 5), (3, 7), (64, 50)):
        item_seq = random.integers(1, model.n_items, (batch, length))
        feeds = {"item_seq": item_seq, "exclude": np.zeros((batch, 0), dtype=np.int64)}
        feeds |= {f"state_{i}": np.zeros((batch, s), np.float32) for i, s in enumerate(model.state_sizes)}
        vector = session.run(["user_embedding"], feeds)[0]
        with torch.no_grad():
            expected = model(torch.from_numpy(item_seq))[0][:, -1].numpy()
        np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-5)


def test_the_cards_call_from_bare_onnxruntime_works(exported):
    path, _ = exported
    card = (path / "README.md").read_text(encoding="utf-8")
    code = "\n".join(
        line[4:]
        for line in card.partition("for one user:")[2].partition("## With")[0].splitlines()
        if line.startswith("    ")
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    recommender = Recommender.load(path)
    history = list(recommender.vocabulary.tokens[:3])
    expected = [item.item for item in recommender.recommend(history, k=5, include_seen=False).items]
    assert done.stdout.strip() == repr(expected)


def test_a_wrong_emission_is_found_and_leaves_no_bundle(finished_run, tmp_path, monkeypatch):
    """Gates in torch's order instead of ONNX's: valid ONNX, wrong numbers."""
    right = np.concatenate
    monkeypatch.setattr(np, "concatenate", lambda parts, *a, **k: right(sorted_gates(parts), *a, **k))

    def sorted_gates(parts):
        return [parts[0], parts[2], parts[3], parts[1]] if isinstance(parts, list) and len(parts) == 4 else parts

    with pytest.raises(Failed) as caught:
        export(finished_run, tmp_path / "bundle", report=_silent)
    assert caught.value.code == "check_failed"
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_is_not_carried_is_found(finished_run, tmp_path, monkeypatch):
    emit = LSTM.emit

    def forgetful(self, graph, x, keep, state):
        y, after = emit(self, graph, x, keep, state)
        zero = graph.constant(np.float32(0))
        return y, tuple(graph.op("Mul", s, zero) for s in after)

    monkeypatch.setattr(LSTM, "emit", forgetful)
    with pytest.raises(Failed):
        export(finished_run, tmp_path / "bundle", report=_silent)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_refused(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    weights = run.weights()
    weights["item_table.weight"][3, 2] = float("nan")
    run.save_weights(weights)
    reseal(tmp_path / "run")
    with pytest.raises(Failed, match="NaN"):
        export(tmp_path / "run", tmp_path / "bundle", report=_silent)
    assert not (tmp_path / "bundle").exists()


def test_weights_of_another_shape_are_refused(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    run.save_weights({name: w for name, w in run.weights().items() if name != "item_table.bias"})
    reseal(tmp_path / "run")
    with pytest.raises(BadData, match="do not fit"):
        export(tmp_path / "run", tmp_path / "bundle", report=_silent)


@pytest.mark.parametrize("top_k", [0, -1])
def test_a_top_k_that_cannot_be_is_refused(finished_run, tmp_path, top_k):
    with pytest.raises(WrongUsage, match="top-k"):
        export(finished_run, tmp_path / "bundle", top_k=top_k, report=_silent)


def test_top_k_is_cut_to_the_catalogue(exported):
    assert Recommender.load(exported[0]).manifest.top_k == 40


def test_a_used_output_folder_is_refused_and_force_replaces_a_bundle_only(exported, finished_run, tmp_path):
    shutil.copytree(exported[0], tmp_path / "bundle")
    with pytest.raises(WrongUsage, match="bundle"):
        export(finished_run, tmp_path / "bundle", report=_silent)
    export(finished_run, tmp_path / "bundle", top_k=3, force=True, report=_silent)
    assert Recommender.load(tmp_path / "bundle").manifest.top_k == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(SeqrecError):
        export(finished_run, tmp_path / "mine", force=True, report=_silent)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_a_run_of_recboles_own_model_says_so(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**info, "ours": False, "model": "SASRec"}))
    with pytest.raises(BadData, match="SASRec"):
        export(tmp_path / "run", tmp_path / "bundle", report=_silent)


def test_a_long_graph_stays_near_float64():
    """Over 2,000 steps the graph is within 4 × of torch's own float32 error against float64."""
    from seqrec_plugin.models.lstm4rec import LSTM4Rec, LSTM4RecConfig

    torch.manual_seed(0)
    model = LSTM4Rec(LSTM4RecConfig(embedding_size=16, hidden_size=16), n_items=50).eval()
    content, *_ = emitting.model_bytes(model, 10)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    item_seq = np.random.default_rng(0).integers(1, 50, (2, 2000))
    feeds = {"item_seq": item_seq, "exclude": np.zeros((2, 0), dtype=np.int64)}
    feeds |= {f"state_{i}": np.zeros((2, s), np.float32) for i, s in enumerate(model.state_sizes)}
    found = session.run(["user_embedding"], feeds)[0]
    with torch.no_grad():
        single = model(torch.from_numpy(item_seq))[0][:, -1].numpy()
        double = model.double()(torch.from_numpy(item_seq))[0][:, -1].numpy()
    own_error = max(np.abs(single - double).max(), np.finfo(np.float32).eps)
    assert np.abs(found - double).max() <= 4 * own_error


def test_weights_are_the_best_epochs(finished_run):
    assert (finished_run / WEIGHTS_FILE).is_file()
    saved = torch.load(finished_run / "recbole" / "LSTM4Rec.pth", weights_only=True)
    assert saved["epoch"] == RunFolder.open(finished_run).info.epoch


def test_item_embeddings_give_the_scores_of_the_graph(finished_run, tmp_path):
    checks = []
    export(finished_run, tmp_path / "bundle", embeddings=True, report=checks.append)
    assert any(check.name == "item embeddings" for check in checks)
    table = np.load(tmp_path / "bundle" / "item_embeddings.npy", allow_pickle=False)
    recommender = Recommender.load(tmp_path / "bundle")
    answer = recommender.recommend(["007", "NA"], k=5, include_seen=True)
    user = np.append(
        recommender.run([recommender.encode(to_question({"history": ["007", "NA"]})).row]).user_embedding, 1
    )
    best = np.argsort(-(table @ user))[:5] + 1
    assert [recommender.vocabulary.token(int(i)) for i in best] == [item.item for item in answer.items]


def test_item_embeddings_of_another_model_are_found(finished_run, tmp_path):
    export(finished_run, tmp_path / "bundle", embeddings=True, report=_silent)
    found = bundle.read(tmp_path / "bundle")
    table = np.load(io.BytesIO(found.contents["item_embeddings.npy"]))
    for wrong in (table[:, :-1], table[1:], table.astype(np.float64), -table):
        buffer = io.BytesIO()
        np.save(buffer, wrong)
        with bundle.writing(tmp_path / "other", force=True) as folder:
            bundle.fill(folder, found.manifest, {**found.contents, "item_embeddings.npy": buffer.getvalue()})
        with pytest.raises(BadData) as caught:
            list(verify(tmp_path / "other"))
        assert caught.value.code == "embeddings_invalid"

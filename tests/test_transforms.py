"""Numbers of events: what is declared, what is fitted, and what comes out, against plain numpy."""

import json
import math

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqrec_plugin import transforms
from seqrec_plugin.atomic import AtomicHistories
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.evaluating import load_model
from seqrec_plugin.exporting import export
from seqrec_plugin.graph import Graph
from seqrec_plugin.history import asked_of
from seqrec_plugin.layers import Linear, Numbers
from seqrec_plugin.models.lstmranker import LSTMRanker, LSTMRankerConfig
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.testing import ModelContract
from seqrec_plugin.training import train
from tests.conftest import Silent

# ---- plain numpy, one value at a time ----


def clipped(x, known, how):
    if how == "none":
        return x
    if how == "iqr":
        q1, q3 = np.percentile(known, 25), np.percentile(known, 75)
        low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    elif how == "zscore":
        low, high = np.mean(known) - 3 * np.std(known), np.mean(known) + 3 * np.std(known)
    else:
        middle = np.median(known)
        reach = 3.5 * 1.4826 * np.median(np.abs(known - middle))
        low, high = middle - reach, middle + reach
    return x if low == high else min(max(x, low), high)


def scaled(x, known, how):
    if how == "none":
        return x
    if how == "standard":
        center, spread = np.mean(known), np.std(known)
    elif how == "minmax":
        center, spread = np.min(known), np.max(known) - np.min(known)
    else:
        center, spread = np.median(known), np.percentile(known, 75) - np.percentile(known, 25)
        spread = spread or 1.349 * np.std(known)
    return 0.0 if spread == 0 else (x - center) / spread


def smoothed(values, smooth):
    if not smooth:
        return values
    ((how, by),) = smooth.items()
    out = []
    for t in range(len(values)):
        if how == "exponential":
            weights = [(1 - by) ** (t - i) for i in range(t + 1)]
            out.append(sum(w * v for w, v in zip(weights, values[: t + 1], strict=True)) / sum(weights))
        else:
            newest = values[max(0, t + 1 - int(by)) : t + 1]
            out.append(float(np.mean(newest) if how == "mean" else np.median(newest)))
    return out


def expected(sequence, known, transform):
    known = np.array([x for x in known if not math.isnan(x)])
    middle = float(np.median(known))

    def log(x):
        return math.copysign(math.log1p(abs(x)), x) if transform.log else x

    fitted = np.array([log(clipped(x, known, transform.clip)) for x in known])
    values = [middle if math.isnan(x) else x for x in sequence]
    values = [scaled(log(clipped(x, known, transform.clip)), fitted, transform.scale) for x in values]
    return smoothed(values, transform.smooth)


# ---- the layer ----

VALUES = st.one_of(
    st.just(math.nan), st.integers(-3, 3).map(float), st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
)
SMOOTH = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"exponential": st.sampled_from([0.05, 0.3, 0.9, 1.0])}),
    st.fixed_dictionaries({"mean": st.sampled_from([2, 3, 7])}),
    st.fixed_dictionaries({"median": st.sampled_from([2, 3, 4, 7])}),
)
DECLARED = st.fixed_dictionaries(
    {
        "clip": st.sampled_from(["none", "iqr", "zscore", "mad"]),
        "log": st.booleans(),
        "scale": st.sampled_from(["standard", "minmax", "robust", "none"]),
        "smooth": SMOOTH,
    }
)


def fitted_layer(declared, known):
    layer = Numbers(transforms.read(declared, list(declared)))
    layer.fit(np.array(known, dtype=np.float32))
    return layer


def run(layer, values, keep=None, state=None):
    """float [length, n] → float [length, n] and the state."""
    x = torch.tensor(np.array(values), dtype=torch.float32)[None]
    keep = torch.ones(1, x.shape[1], 1) if keep is None else torch.tensor(keep, dtype=torch.float32).reshape(1, -1, 1)
    y, state = layer(x, keep, layer.zero_state(1, x) if state is None else state)
    return y[0].numpy(), state


@settings(max_examples=200, deadline=None)
@given(
    st.lists(DECLARED, min_size=1, max_size=3),
    st.lists(VALUES, min_size=1, max_size=20).filter(lambda known: not all(map(math.isnan, known))),
    st.lists(VALUES, min_size=1, max_size=12),
    st.integers(0, 12),
    st.integers(0, 3),
)
def test_what_comes_out_is_what_plain_numpy_says_whole_in_pieces_and_beside_padding(
    declared, known, sequence, cut, padding
):
    declared = {f"n{i}": each for i, each in enumerate(declared)}
    layer = fitted_layer(declared, [[x] * len(declared) for x in known])
    rows = [[x] * len(declared) for x in sequence]
    wanted = np.stack([expected(sequence, known, t) for t in layer.transforms.values()], axis=1)
    # float32 keeps seven digits of the largest value that a difference is taken of
    size = np.nanmax(np.abs([*known, *sequence, 1.0])) * float(layer.factor.abs().max())
    allowed = {"rtol": 1e-4, "atol": 1e-6 * max(1.0, size)}
    whole, end = run(layer, rows)
    np.testing.assert_allclose(whole, wanted, **allowed)
    cut = min(cut, len(rows))
    pieces, state = [], None
    for part in (rows[:cut], rows[cut:]):
        if part:
            y, state = run(layer, part, state=state)
            pieces.append(y)
    np.testing.assert_allclose(np.concatenate(pieces), wanted, **allowed)
    longer, after = run(layer, [[5.0] * len(declared)] * padding + rows, [0.0] * padding + [1.0] * len(rows))
    assert (longer[:padding] == 0).all()
    np.testing.assert_allclose(longer[padding:], wanted, **allowed)
    for found, alone in zip(after, end, strict=True):
        torch.testing.assert_close(found, alone)


@pytest.mark.parametrize("window", [2, 3, transforms.LONGEST_WINDOW])
def test_windows_of_every_size_in_the_graph(window):
    """Fewer events than the window, and a state carried in two calls."""
    layer = fitted_layer({"a": {"smooth": {"median": window}}, "b": {"smooth": {"mean": window}}}, [[0, 1], [3, 2]])
    graph = Graph()
    x = graph.input("x", "float32", ["length", "batch", 2])
    keep = graph.input("keep", "float32", ["length", "batch", 1])
    states = tuple(graph.input(f"state_{i}", "float32", ["batch", size]) for i, size in enumerate(layer.state_sizes))
    y, after = layer.emit(graph, x, keep, states)
    graph.output("y", y, "float32", ["length", "batch", 2])
    for i, (name, size) in enumerate(zip(after, layer.state_sizes, strict=True)):
        graph.output(f"next_state_{i}", name, "float32", ["batch", size])
    session = onnxruntime.InferenceSession(graph.build(), providers=["CPUExecutionProvider"])
    values = np.random.default_rng(0).normal(size=(70, 1, 2)).astype(np.float32)
    whole, _ = run(layer, values[:, 0])
    state, found = [np.zeros((1, size), np.float32) for size in layer.state_sizes], []
    for part in (values[:1], values[1:60], values[60:]):
        feed = {"x": part, "keep": np.ones((len(part), 1, 1), np.float32)}
        y, *state = session.run(None, feed | {f"state_{i}": s for i, s in enumerate(state)})
        found.append(y[:, 0])
    np.testing.assert_allclose(np.concatenate(found), whole, atol=1e-6)


def test_a_spread_of_zero_clips_nothing_and_a_constant_is_read_as_zero():
    half = [0.0] * 8 + [1.0, 50.0]
    for how in ("iqr", "mad"):
        layer = fitted_layer({"a": {"clip": how, "scale": "robust"}}, [[x] for x in half])
        assert run(layer, [[50.0]])[0] == pytest.approx(50 / (1.349 * np.std(half)), rel=1e-5)
    for scale in ("standard", "minmax", "robust"):
        assert run(fitted_layer({"a": {"scale": scale}}, [[7.0]] * 3), [[9.0]])[0] == 0


def test_a_number_that_no_training_event_tells_is_refused():
    with pytest.raises(BadData, match="'b'"):
        fitted_layer({"a": {}, "b": {}}, [[1.0, math.nan]] * 3)


# ---- what is declared ----


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"prise": {}}, "prise.*Did you mean 'price'"),
        ({"price": {"clp": "iqr"}}, "'clp'.*Did you mean 'clip'"),
        ({"price": {"clip": "irq"}}, "'irq'.*Did you mean 'iqr'"),
        ({"price": {"clip": None}}, "clip cannot be None"),
        ({"price": {"scale": "min-max"}}, "Did you mean 'minmax'"),
        ({"price": {"log": "yes"}}, "log is 'yes'"),
        ({"price": {"smooth": "mean"}}, "smooth cannot be 'mean'.*{mean: 3}"),
        ({"price": {"smooth": {"medean": 3}}}, "Did you mean 'median'"),
        ({"price": {"smooth": {"mean": 3, "median": 3}}}, "smooth cannot be"),
        ({"price": {"smooth": {"mean": 1}}}, "mean is 1, .* 2 to 50"),
        ({"price": {"smooth": {"mean": 2.5}}}, "mean is 2.5"),
        ({"price": {"smooth": {"median": 51}}}, "carried from event to event"),
        ({"price": {"smooth": {"exponential": 0}}}, r"exponential is 0, .* 0\.001 to 1"),
        ({"price": {"smooth": {"exponential": True}}}, "exponential is True"),
        ({"price": {"smooth": {"exponential": "0.3"}}}, "exponential is '0.3'"),
        ({"price": "standard"}, "must be a mapping"),
        (["price"], "NUMERIC_TRANSFORMS is .* must be a mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(tmp_path, declared, words):
    file = tmp_path / "mine.yaml"
    values = {"model": "LSTMRanker", "dataset": "none", "NUMERIC_FIELDS": ["price", "seconds"]}
    file.write_text(json.dumps(values | {"NUMERIC_TRANSFORMS": declared}))
    with pytest.raises(WrongUsage, match=words):
        resolve(file)


def test_transforms_of_a_model_that_reads_no_numbers_are_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("model: LSTM4Rec\ndataset: ml-100k\nNUMERIC_TRANSFORMS: {rating: {clip: iqr}}\n")
    with pytest.raises(WrongUsage, match="not among NUMERIC_FIELDS"):
        resolve(file)


# ---- models ----

ALL = {
    "price": {"clip": "iqr", "log": True, "smooth": {"exponential": 0.3}},
    "seconds": {"smooth": {"median": 3}},
    "amount": {"scale": "minmax"},
}


class TestRanker(ModelContract):
    def build(self):
        declared = transforms.read(ALL, list(ALL))
        model = LSTMRanker(LSTMRankerConfig(8, 8), 30, features=list(ALL), transforms=declared)
        model.fit_numbers(np.random.default_rng(0).normal(0, 1, (40, 3)).astype(np.float32))
        return model


class Stateless(LSTMRanker):
    """It looks at the last event only, so it carries nothing: smoothing reads the history of each call."""

    def build_encoder(self, config):
        return Linear(config.embedding_size, config.hidden_size)


class TestStateless(TestRanker):
    def build(self):
        declared = transforms.read(ALL, list(ALL))
        model = Stateless(LSTMRankerConfig(8, 8), 30, features=list(ALL), transforms=declared)
        assert model.state_sizes == ()
        return model


# ---- from the file to the answer ----

TRANSFORMS = {"price": {"clip": "mad", "log": True, "scale": "robust", "smooth": {"exponential": 0.4}}}


def _lines(mixed):
    head, *lines = (mixed / "mixed" / "mixed.inter").read_text().splitlines()
    return head, [line.split("\t") for line in lines]


def _train(folder, head, rows, name="run", **options):
    (folder / "mixed").mkdir(parents=True, exist_ok=True)
    text = "\n".join([head, *("\t".join(row) for row in rows)])
    (folder / "mixed" / "mixed.inter").write_text(text + "\n")
    values = {
        **{"model": "LSTMRanker", "dataset": "mixed", "data_path": str(folder), "epochs": 1, "embedding_size": 8},
        **{"hidden_size": 8, "train_batch_size": 256, "MAX_ITEM_LIST_LENGTH": 6, "NUMERIC_FIELDS": ["price"]},
        **{"target_behaviors": ["buy"], "candidate": False, "NUMERIC_TRANSFORMS": TRANSFORMS, **options},
    }
    (folder / "recipe.yaml").write_text(json.dumps(values))
    return train(resolve(folder / "recipe.yaml"), folder / name, Silent())


def _held_out(rows):
    """The places of each user's last two events, which leave-one-out holds out."""
    by_user = {}
    for place in sorted(range(len(rows)), key=lambda place: int(rows[place][2])):
        by_user.setdefault(rows[place][0], []).append(place)
    return {place for places in by_user.values() if len(places) > 3 for place in places[-2:]}


def test_only_the_training_part_is_fitted(mixed, tmp_path):
    """Absurd prices in validation and test, and missing ones, change nothing that is fitted, nor any weight."""
    head, rows = _lines(mixed)
    held_out = _held_out(rows)
    one = _train(tmp_path / "one", head, rows)
    changed = [[*row[:4], ("1e6", "")[n % 2]] if n in held_out else row for n, row in enumerate(rows)]
    other = _train(tmp_path / "other", head, changed)
    for name, weight in one.weights().items():
        assert torch.equal(weight, other.weights()[name]), name
    fitted = transforms.fit(
        np.array([[row[4]] for n, row in enumerate(rows) if n not in held_out], dtype=np.float32),
        transforms.read(TRANSFORMS, ["price"]),
    )
    numbers = load_model(one).numbers
    for name, values in vars(fitted).items():
        np.testing.assert_allclose(getattr(numbers, name).numpy(), values, rtol=1e-6, err_msg=name)


def test_a_missing_number_is_read_alike_in_training_and_in_serving(mixed, tmp_path):
    """As the median of the training events; the bundle says which that is, and looked-up histories use it."""
    head, rows = _lines(mixed)
    rows = [[*row[:4], "" if n % 3 == 0 else row[4]] for n, row in enumerate(rows)]
    run = _train(tmp_path, head, rows)
    manifest = export(tmp_path / "run", tmp_path / "bundle", report=lambda check: None)
    told = manifest.provenance.numbers["price"]
    held_out = _held_out(rows)
    known = [float(row[4]) for n, row in enumerate(rows) if n not in held_out and row[4]]
    assert told.unknown == pytest.approx(np.median(known), rel=1e-6)
    assert "(mad)" in told.treated and "log" in told.treated and "exponential" in told.treated
    for text in (told.treated, f"{told.unknown:.6g}"):
        assert text in (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")

    features = run.split().columns.features
    assert np.isfinite(features).all()
    events = AtomicHistories(tmp_path / "mixed", features=["price"]).history("u7")[-6:]
    assert any(math.isnan(event.features[0]) for event in events)
    question = asked_of(events, manifest)
    answer = Recommender.load(tmp_path / "bundle").score(**question)
    model, vocabulary = load_model(run), run.vocabulary()
    item_seq = torch.tensor([[vocabulary.index(event.item) for event in events]])
    missing = torch.tensor([[event.features for event in events]], dtype=torch.float32)
    with torch.no_grad():
        vector = model(item_seq, None, {"features": missing})[0][:, -1]
        assert answer.probability == pytest.approx(float(model.probabilities(vector, None)), abs=1e-5)


def test_a_number_beyond_float32_is_refused(mixed, tmp_path):
    head, rows = _lines(mixed)
    with pytest.raises(BadData, match="'price' holds 1e\\+39"):
        _train(tmp_path, head, [[*rows[0][:4], "1e39"], *rows[1:]])


def test_a_number_that_no_event_has_is_refused_before_anything_is_made(mixed, tmp_path):
    head, rows = _lines(mixed)
    with pytest.raises(BadData, match="price is empty in every line"):
        _train(tmp_path, head, [[*row[:4], ""] for row in rows])
    assert not (tmp_path / "run").exists()


def test_the_run_holds_what_was_declared(mixed, tmp_path):
    run = _train(tmp_path, *_lines(mixed))
    assert run.info.transforms == transforms.read(TRANSFORMS, ["price"])
    again = resolve(run.path / "config.yaml")
    assert again.values["NUMERIC_TRANSFORMS"] == TRANSFORMS

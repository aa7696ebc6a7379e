"""Is this bundle whole, and does it answer its golden vectors? Clause 8 of `export/SPEC.md`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from seqrec_plugin import bundle as bundles
from seqrec_plugin.bundle import Bundle
from seqrec_plugin.columns import Row, draw
from seqrec_plugin.encoder import Encoder
from seqrec_plugin.errors import BadData, Failed, SeqrecError
from seqrec_plugin.history import to_question
from seqrec_plugin.inference import Output
from seqrec_plugin.manifest import (
    EMBEDDINGS_FILE,
    ENCODER_FILE,
    GOLDEN_FILE,
    INT8_FILE,
    INT8_GOLDEN_FILE,
    MODEL_FILE,
)
from seqrec_plugin.runtime import Answer, Item, Recommender

#: How far one way to compute an answer may be from another, absolute and relative.
TOLERANCE = 1e-5
#: A golden file that allows more than this proves nothing.
MOST_TOLERANCE = 1e-3
#: Rows of a batch that are computed again alone.
_ALONE = 8

Floats = npt.NDArray[np.float32]


class Check(NamedTuple):
    """One thing that holds."""

    name: str
    detail: str


class GoldenAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a right client answers; the items without titles."""

    status: str
    items: tuple[Item, ...]
    unknown: tuple[str, ...]
    truncated: bool
    beyond_max_history: bool
    probability: float | None = None
    unknown_candidates: tuple[str, ...] = ()


class GoldenQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question as JSON has it, its answer, and what the graph gives besides: floats [d] and [size] a state."""

    name: str
    question: dict[str, Any]
    answer: GoldenAnswer
    embedding: tuple[float, ...]
    state: tuple[tuple[float, ...], ...]


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of new events, and which candidates are asked about: as in a question."""

    time: tuple[Any, ...] | None = None
    behavior: tuple[Any, ...] | None = None
    features: dict[str, Any] | None = None
    candidates: tuple[str, ...] | None = None


class GoldenStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """New events of a session, the answer after them, and the state then; `told` is what is known of the events."""

    push: tuple[str, ...]
    answer: GoldenAnswer
    state: tuple[tuple[float, ...], ...]
    told: Told = Told()


class GoldenSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps of one user, each with the state that the one before left."""

    name: str
    steps: tuple[GoldenStep, ...]


class BadQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Any JSON value that is no good question, and the code that must come back."""

    name: str
    question: Any
    status: str


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`golden.json`."""

    tolerance: float
    questions: tuple[GoldenQuestion, ...]
    sessions: tuple[GoldenSession, ...]
    bad_questions: tuple[BadQuestion, ...]


def decode(data: bytes, name: str = GOLDEN_FILE) -> Golden:
    """Read `golden.json`, or `golden_int8.json`.

    Raises:
        BadData: `golden_invalid` where it cannot be read, or proves nothing.
    """
    try:
        golden = msgspec.json.decode(data, type=Golden)
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise BadData("golden_invalid", f"{name} cannot be read: {error}.") from None
    if not 0 < golden.tolerance <= MOST_TOLERANCE:
        raise BadData("golden_invalid", f"{name} allows {golden.tolerance}; at most {MOST_TOLERANCE} is.")
    if not golden.questions:
        raise BadData("golden_invalid", f"{name} holds no questions.")
    return golden


def verify(path: str | Path) -> Iterator[Check]:
    """Check a bundle, one thing after the other.

    Args:
        path: the bundle's folder.

    Yields:
        each check that holds.

    Raises:
        SeqrecError: of the first that does not.
    """
    bundle = bundles.read(path)
    manifest = bundle.manifest
    made = f"{manifest.provenance.model} on {manifest.provenance.dataset}"
    yield Check("manifest", f"format {manifest.format_version}, {made}, {manifest.n_items - 1} items")
    size = sum(file.size for file in manifest.files.values())
    yield Check("files", f"{len(manifest.files)} files, {size / 1e6:.2f} MB, each with its sha256")
    recommender = Recommender(bundle)
    yield Check("graph loads", f"{MODEL_FILE}, its inputs and outputs are the manifest's")
    yield from _check_shapes(recommender)
    yield from _check_golden(recommender, bundle, GOLDEN_FILE)
    if ENCODER_FILE in bundle.contents:
        yield _check_encoder(bundle)
    if INT8_FILE in bundle.contents:
        rounded = Recommender(bundle, int8=True)
        yield from _renamed("int8: ", _check_shapes(rounded))
        yield from _renamed("int8: ", _check_golden(rounded, bundle, INT8_GOLDEN_FILE))
    if EMBEDDINGS_FILE in bundle.contents:
        yield _check_embeddings(recommender, bundle.contents[EMBEDDINGS_FILE])


def _renamed(prefix: str, checks: Iterator[Check]) -> Iterator[Check]:
    return (Check(prefix + check.name, check.detail) for check in checks)


def _check_encoder(bundle: Bundle) -> Check:
    """The encoder's user embedding and state, for each golden question, must be the golden ones."""
    encoder, golden = Encoder(bundle), decode(bundle.contents[GOLDEN_FILE])
    for case in golden.questions:
        output = encoder.run([encoder.encode(to_question(case.question)).row])
        name = f"{case.name}, by {ENCODER_FILE}"
        _check_values(name, "user embedding", output.user_embedding[0], case.embedding, golden.tolerance)
        _check_state(name, output.state, case.state, golden.tolerance)
    return Check("encoder", f"{ENCODER_FILE}: {len(golden.questions)} golden questions within {golden.tolerance}")


def _check_shapes(recommender: Recommender) -> Iterator[Check]:
    """Finite answers for several shapes; alone as in a padded batch, carried as whole."""
    manifest = recommender.manifest
    random = np.random.default_rng(0)
    shapes = [(1, 1), (1, 5), (3, 7), (64, manifest.max_history)]
    apart, cuts = 0.0, 0
    for batch, length in shapes:
        length = min(length, manifest.max_history)
        lengths = [length, *random.integers(1, length + 1, size=batch - 1)]
        sizes = len(manifest.behaviors), len(manifest.features)
        rows = [
            Row(random.integers(1, manifest.n_items, size=n), draw(manifest.columns, n, random, *sizes))
            for n in lengths
        ]
        choices = [[1, 2] for _ in rows] if manifest.takes_candidates else [row.items.tolist() for row in rows]
        output = recommender.run(rows, choices)
        for i, row in enumerate(rows[:_ALONE]):
            where = f"a history of {len(row.items)}"
            alone = recommender.run([row], [choices[i]])
            apart = max(apart, _same(f"{where} alone and in a batch of {batch}", alone, output, i))
            if manifest.state and len(row.items) > 1:
                cut = len(row.items) // 2
                before = recommender.run([row.part(0, cut)], [choices[i]])
                carried = recommender.run([row.part(cut)], [choices[i]], before.state)
                apart = max(apart, _same(f"{where} whole and with the state carried after {cut}", carried, output, i))
                cuts += 1
    told = ", ".join(f"{batch}×{length}" for batch, length in shapes)
    yield Check("alone equals batched", f"{told}: at most {apart:.1e} apart")
    if manifest.state:
        yield Check("carried equals whole", f"{cuts} cuts")


def _check_embeddings(recommender: Recommender, content: bytes) -> Check:
    """A user embedding with 1 appended, times a row, must be the graph's score of that item."""
    manifest, random = recommender.manifest, np.random.default_rng(0)
    expected = (manifest.n_items - 1, manifest.embedding_size + 1)
    try:
        table = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BadData("embeddings_invalid", f"{EMBEDDINGS_FILE} cannot be read: {error}.") from None
    if not isinstance(table, np.ndarray) or table.shape != expected or table.dtype != np.float32:
        found = f"{table.dtype} {list(table.shape)}" if isinstance(table, np.ndarray) else "no array"
        raise BadData("embeddings_invalid", f"{EMBEDDINGS_FILE} is {found}, but must be float32 {list(expected)}.")
    apart, sizes = 0.0, (len(manifest.behaviors), len(manifest.features))
    for _ in range(_ALONE):
        n = int(random.integers(1, manifest.max_history + 1))
        row = Row(random.integers(1, manifest.n_items, n), draw(manifest.columns, n, random, *sizes))
        output = recommender.run([row])
        items = output.items[0][output.items[0] > 0]
        scores = table[items - 1] @ np.append(output.user_embedding[0], np.float32(1))
        difference = _distance(scores, output.scores[0][: len(items)], TOLERANCE)
        if difference is not None:
            raise BadData("embeddings_invalid", f"{EMBEDDINGS_FILE} gives scores {difference:.2g} from the graph's.")
        apart = max(apart, float(np.abs(scores - output.scores[0][: len(items)]).max(initial=0)))
    return Check("item embeddings", f"{expected[0]} × {expected[1]}, scores at most {apart:.1e} from the graph's")


def _same(what: str, one: Output, batch: Output, i: int) -> float:
    """Compare a single row's output with row i of a batch's; returns how far they are apart."""
    apart = 0.0
    finite = np.isfinite(batch.scores[i])
    if (np.isfinite(one.scores[0]) != finite).any():
        raise Failed("check_failed", f"The numbers of items for {what} differ.")
    pairs = [
        ("scores", one.scores[0][finite], batch.scores[i][finite]),
        ("probabilities", one.probabilities[0], batch.probabilities[i]),
        ("user embedding", one.user_embedding[0], batch.user_embedding[i]),
        *(("state", a[0], b[i]) for a, b in zip(one.state, batch.state, strict=True)),
    ]
    for name, found, expected in pairs:
        difference = _distance(found, expected, TOLERANCE)
        if difference is not None:
            raise Failed("check_failed", f"The {name} for {what} differ by {difference:.2g}.")
        apart = max(apart, float(np.abs(found - expected).max(initial=0)))
    return apart


def _distance(found: Any, expected: Any, tolerance: float) -> float | None:
    """The largest difference where one is beyond the tolerance (absolute plus relative), else None."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    difference = np.abs(found - expected)
    if (difference <= tolerance + tolerance * np.abs(expected)).all():
        return None
    return float(difference.max())


def _check_golden(recommender: Recommender, bundle: Bundle, name: str) -> Iterator[Check]:
    golden = decode(bundle.contents[name], name)
    for case in golden.questions:
        _check_question(recommender, case, golden.tolerance)
    yield Check("golden questions", f"{len(golden.questions)} answered within {golden.tolerance}")
    for session in golden.sessions:
        _check_session(recommender, session, golden.tolerance)
    yield Check("golden sessions", f"{len(golden.sessions)} answered within {golden.tolerance}")
    for bad in golden.bad_questions:
        # Back to JSON: a client gets it as a line, and a text must not be taken for one.
        (answer,) = recommender.recommend_batch([msgspec.json.encode(bad.question)])
        if answer.status != bad.status:
            raise _mismatch(bad.name, f"the status is {answer.status!r}, not {bad.status!r}")
    yield Check("golden bad questions", f"{len(golden.bad_questions)} refused with their codes")


def _check_question(recommender: Recommender, case: GoldenQuestion, tolerance: float) -> None:
    (answer,) = recommender.recommend_batch([case.question])
    if answer.failed:
        raise _mismatch(case.name, f"the status is {answer.status!r}: {answer.message}")
    _check_answer(case.name, answer, case.answer, tolerance)
    row = recommender.encode(to_question(case.question)).row
    output = recommender.run([row], [[1]])
    _check_values(case.name, "user embedding", output.user_embedding[0], case.embedding, tolerance)
    _check_state(case.name, output.state, case.state, tolerance)


def _check_session(recommender: Recommender, case: GoldenSession, tolerance: float) -> None:
    session = recommender.session()
    for number, step in enumerate(case.steps, start=1):
        name = f"{case.name}, step {number}"
        try:
            answer = session.push(step.push, **msgspec.structs.asdict(step.told))
        except SeqrecError as error:
            raise _mismatch(name, f"it is refused: {error.message}") from None
        _check_answer(name, answer, step.answer, tolerance)
        _check_state(name, session.state, step.state, tolerance)


def _check_answer(name: str, answer: Answer, expected: GoldenAnswer, tolerance: float) -> None:
    for field in ("status", "unknown", "unknown_candidates", "truncated", "beyond_max_history"):
        found, wanted = getattr(answer, field), getattr(expected, field)
        if found != wanted:
            raise _mismatch(name, f"{field} is {found!r}, not {wanted!r}")
    found_probability, probability = ([] if p is None else [p] for p in (answer.probability, expected.probability))
    _check_values(name, "probability", found_probability, probability, tolerance)
    found_items, wanted_items = [i.item for i in answer.items], [i.item for i in expected.items]
    if found_items != _allowed_order(found_items, expected.items, tolerance):
        raise _mismatch(name, f"the items are {_few(found_items)}, not {_few(wanted_items)}")
    scores = {item.item: item.score for item in expected.items}
    wanted_scores = [scores[item] for item in found_items]
    _check_values(name, "score", [item.score for item in answer.items], wanted_scores, tolerance)


def _allowed_order(found: Sequence[str], expected: Sequence[Item], tolerance: float) -> list[str]:
    """The expected items; two neighbours change places where they did so in `found` and their scores allow it."""
    order = [item.item for item in expected]
    i = 0
    while i + 1 < min(len(order), len(found)):
        close = abs(expected[i].score - expected[i + 1].score) <= tolerance
        if close and found[i] == order[i + 1] and found[i + 1] == order[i]:
            order[i], order[i + 1] = order[i + 1], order[i]
            i += 1
        i += 1
    return order


def _check_state(name: str, found: Sequence[Floats], expected: Sequence[Sequence[float]], tolerance: float) -> None:
    if len(found) != len(expected):
        raise _mismatch(name, f"there are {len(found)} states, not {len(expected)}")
    for number, (tensor, values) in enumerate(zip(found, expected, strict=True)):
        _check_values(name, f"state {number}", tensor[0], values, tolerance)


def _check_values(name: str, what: str, found: Any, expected: Sequence[float], tolerance: float) -> None:
    if len(found) != len(expected):
        raise _mismatch(name, f"the {what} has {len(found)} values, not {len(expected)}")
    difference = _distance(found, expected, tolerance)
    if difference is not None:
        raise _mismatch(name, f"the {what} is {difference:.2g} away, and at most {tolerance} is allowed")


def _mismatch(name: str, how: str) -> Failed:
    return Failed(
        "golden_mismatch",
        f"Golden case {name!r}: {how}.",
        "This runtime or machine does not give what the bundle's maker measured: do not serve it.",
    )


def _few(items: Sequence[str]) -> str:
    return ", ".join(map(repr, items[:5])) + (", …" if len(items) > 5 else "")

"""A bundle's graph in onnxruntime, guarded on both sides. Clauses 3 and 4 of `export/SPEC.md`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.manifest import MODEL_FILE, Manifest, Tensor

if TYPE_CHECKING:
    import onnxruntime

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
State = tuple[Floats, ...]

_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}


class Output(NamedTuple):
    """What the graph gives: items int64 [B, K], scores float32 [B, K], user_embedding float32 [B, d], next state."""

    items: Indices
    scores: Floats
    user_embedding: Floats
    state: State


class GuardedGraph:
    """The onnxruntime session behind its guards: it gets only what cannot hurt, and is not believed blindly."""

    def __init__(self, content: bytes, manifest: Manifest, threads: int) -> None:
        self.manifest = manifest
        self._session = _open(content, threads)
        _check_graph(self._session, manifest)

    def run(self, item_seq: Indices, exclude: Indices, state: Sequence[Floats] | None) -> Output:
        """See `Recommender.run`."""
        item_seq, exclude = self._indices(item_seq, "item_seq"), self._indices(exclude, "exclude")
        batch = len(item_seq)
        if item_seq.shape[1] < 1 or len(exclude) != batch:
            raise BadData(
                "bad_index",
                f"item_seq is {list(item_seq.shape)} and exclude {list(exclude.shape)}, "
                "but must be [batch, at least 1] and [batch, any].",
            )
        if ((item_seq[:, :-1] != 0) & (item_seq[:, 1:] == 0)).any():
            raise BadData("bad_index", "item_seq holds 0 after an item; padding stands on the left only.")
        given = self._state(state, item_seq)
        if batch == 0:  # onnxruntime would abort the process
            return self._empty()
        feeds: dict[str, npt.NDArray[Any]] = {"item_seq": item_seq, "exclude": exclude}
        feeds.update({spec.input: tensor for spec, tensor in zip(self.manifest.state, given, strict=True)})
        names = ["items", "scores", "user_embedding", *(spec.output for spec in self.manifest.state)]
        try:
            items, scores, user_embedding, *after = self._session.run(names, feeds)
        except Exception as error:  # onnxruntime's exceptions have no common class of their own
            raise BadData("graph_invalid", f"{MODEL_FILE} failed on {list(item_seq.shape)}: {_line(error)}") from None
        output = Output(items, scores, user_embedding, tuple(after))
        self._check(output, batch)
        return output

    def _indices(self, array: Indices, name: str) -> Indices:
        array = np.asarray(array)
        if array.ndim != 2 or (array.size and not np.issubdtype(array.dtype, np.integer)):
            raise BadData("bad_index", f"{name} is {array.dtype} {list(array.shape)}, but must be int64 [batch, any].")
        if array.size and (array.min() < 0 or array.max() >= self.manifest.n_items):
            wrong = array[(array < 0) | (array >= self.manifest.n_items)][0]
            raise BadData(
                "bad_index", f"{name} holds the index {wrong}; valid ones are 0 to {self.manifest.n_items - 1}."
            )
        return np.ascontiguousarray(array, dtype=np.int64)

    def _state(self, state: Sequence[Floats] | None, item_seq: Indices) -> State:
        batch = len(item_seq)
        if state is None:
            return tuple(np.zeros((batch, spec.size), dtype=np.float32) for spec in self.manifest.state)
        if len(state) != len(self.manifest.state):
            raise BadData("bad_state", f"There are {len(state)} states; this model has {len(self.manifest.state)}.")
        carried = np.zeros(batch, dtype=bool)
        for spec, tensor in zip(self.manifest.state, state, strict=True):
            expected = (batch, spec.size)
            if not isinstance(tensor, np.ndarray) or tensor.shape != expected or tensor.dtype != np.float32:
                found = f"{tensor.dtype} {list(tensor.shape)}" if isinstance(tensor, np.ndarray) else type(tensor)
                raise BadData("bad_state", f"{spec.input} is {found}, but must be float32 {list(expected)}.")
            if not np.isfinite(tensor).all():
                raise BadData("bad_state", f"{spec.input} holds NaN or infinity.")
            carried |= tensor.any(axis=1)
        padded = carried & (item_seq == 0).any(axis=1)
        if padded.any():
            raise BadData(
                "bad_state",
                f"Row {padded.argmax()} carries a state, but holds padding.",
                "Run rows with different numbers of new events apart.",
            )
        return tuple(state)

    def _empty(self) -> Output:
        def no_rows(size: int) -> Floats:
            return np.zeros((0, size), dtype=np.float32)

        top_k, sizes = self.manifest.top_k, [spec.size for spec in self.manifest.state]
        items = np.zeros((0, top_k), dtype=np.int64)
        return Output(items, no_rows(top_k), no_rows(self.manifest.embedding_size), tuple(map(no_rows, sizes)))

    def _check(self, output: Output, batch: int) -> None:
        """What a graph from elsewhere gives is not believed either."""
        top_k, sizes = self.manifest.top_k, [spec.size for spec in self.manifest.state]
        tensors: list[npt.NDArray[Any]] = [output.items, output.scores, output.user_embedding, *output.state]
        for tensor, size in zip(tensors, (top_k, top_k, self.manifest.embedding_size, *sizes), strict=True):
            if tensor.shape != (batch, size):
                raise BadData("graph_invalid", f"{MODEL_FILE} gives {list(tensor.shape)} for {[batch, size]}.")
        infinite = np.isnan(output.scores).any() or np.isposinf(output.scores).any()
        if infinite or not all(np.isfinite(tensor).all() for tensor in tensors[2:]):
            raise BadData("not_finite", "The model gives NaN or infinity for this history.", "Its weights are damaged.")
        if output.items.min() < 0 or output.items.max() >= self.manifest.n_items:
            raise BadData("graph_invalid", f"{MODEL_FILE} gives an item outside the catalogue.")
        if (np.isneginf(output.scores) != (output.items == 0)).any():
            raise BadData("graph_invalid", f"{MODEL_FILE} gives an item without a score, or a score without an item.")


def _open(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    """An onnxruntime session of the very bytes that were hashed."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise WrongUsage("bad_value", f"threads is {threads!r}, but must be an integer of at least 1.")
    try:
        import onnxruntime
    except ImportError as error:
        raise WrongUsage(
            "missing_extra",
            f"The package 'onnxruntime' cannot be imported: {_line(error)}.",
            "Install it with: pip install onnxruntime",
        ) from None
    if b"location" in content:  # the key by which a graph names a file outside, which onnxruntime would read
        raise BadData("graph_invalid", f"{MODEL_FILE} names an external file.", "A bundle's graph holds its weights.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(threads, _cores())
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_mem_pattern = False  # it would keep a plan for each shape ever met
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common class of their own
        raise BadData("graph_invalid", f"{MODEL_FILE} cannot be loaded: {_line(error)}") from None


def _cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


Signature = dict[str, tuple[str, tuple[int | None, ...]]]


def _signature(tensors: Iterable[Tensor]) -> Signature:
    """Name → dtype and shape, None for an axis that moves."""
    return {t.name: (t.dtype, tuple(n if isinstance(n, int) else None for n in t.shape)) for t in tensors}


def _check_graph(session: onnxruntime.InferenceSession, manifest: Manifest) -> None:
    """The graph must be as the manifest says, and the manifest as clause 4 says."""
    states = [(spec.input, spec.output, ("float32", (None, spec.size))) for spec in manifest.state]
    best = (None, manifest.top_k)
    expected: tuple[Signature, Signature] = (
        {"item_seq": ("int64", (None, None)), "exclude": ("int64", (None, None)), **{s[0]: s[2] for s in states}},
        {
            "items": ("int64", best),
            "scores": ("float32", best),
            "user_embedding": ("float32", (None, manifest.embedding_size)),
            **{s[1]: s[2] for s in states},
        },
    )
    said = (_signature(manifest.inputs), _signature(manifest.outputs))
    actual: tuple[Signature, ...] = tuple(
        {
            node.name: (
                _DTYPES.get(node.type, node.type),
                tuple(n if isinstance(n, int) else None for n in node.shape),
            )
            for node in nodes
        }
        for nodes in (session.get_inputs(), session.get_outputs())
    )
    for kind, wanted, by_manifest, by_graph in zip(("input", "output"), expected, said, actual, strict=True):
        _compare(kind, wanted, by_manifest, "manifest_invalid", "The manifest")
        _compare(kind, by_manifest, by_graph, "graph_invalid", MODEL_FILE)


def _compare(kind: str, wanted: Signature, found: Signature, code: str, who: str) -> None:
    for name in (*wanted, *found):
        if wanted.get(name) != found.get(name):
            raise BadData(
                code, f"{who} has the {kind} {name!r} as {_words(found.get(name))}, not as {_words(wanted.get(name))}."
            )


def _words(tensor: tuple[str, tuple[int | None, ...]] | None) -> str:
    if tensor is None:
        return "none"
    dtype, shape = tensor
    return f"{dtype} [{', '.join('any' if n is None else str(n) for n in shape)}]"


def _line(error: BaseException) -> str:
    """The first line of an error's text."""
    return next(iter(str(error).splitlines()), type(error).__name__)

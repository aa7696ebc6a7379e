"""A bundle's graph in onnxruntime, guarded on both sides. Clauses 3 and 4 of `export/SPEC.md`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqrec_plugin import columns as cols
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.manifest import (
    CANDIDATES,
    EXCLUDE,
    INT8_FILE,
    MODEL_FILE,
    PROBABILITIES,
    WEIGHTS_FILE,
    Manifest,
    Tensor,
    tensors,
)

if TYPE_CHECKING:
    import onnxruntime

#: Rows of a batch that go through the graph together.
MOST_ROWS = 64
#: Bytes of a graph above which the item table is most of it.
LARGE = 2**26

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
State = tuple[Floats, ...]

_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}


class Output(NamedTuple):
    """What the graph gives; of `items` and `scores`, or `probabilities`, those of the bundle's task.

    Attributes:
        user_embedding: float32 [B, d].
        state: float32 [B, size] each.
        items: int64 [B, K], best first, 0 where fewer remain.
        scores: float32 [B, K], −inf where the item is 0.
        probabilities: float32 [B, C], or [B, 1] without candidates.
    """

    user_embedding: Floats
    state: State
    items: Indices
    scores: Floats
    probabilities: Floats


class GuardedGraph:
    """The onnxruntime session behind its guards: it gets only what cannot hurt, and is not believed blindly."""

    def __init__(
        self, content: bytes, manifest: Manifest, threads: int, *, folder: Path | None = None, name: str = MODEL_FILE
    ) -> None:
        self.manifest, self.name = manifest, name
        self._session = _open(content, threads, folder if WEIGHTS_FILE in manifest.files else None, name)
        _check_graph(self._session, manifest, name)

    def run(
        self,
        item_seq: Indices,
        columns: Mapping[str, npt.NDArray[Any]],
        choice: Indices | None,
        state: Sequence[Floats] | None,
    ) -> Output:
        """Run the graph.

        Args:
            item_seq: int64 [B, T ≥ 1], oldest first, 0 on the left is padding.
            columns: for each of the manifest's, [B, T], [B, T, features], or [B] for the next event's.
            choice: what must not be recommended, int64 [B, E ≥ 0], 0 is filling; or the candidates whose probabilities
                are wanted, int64 [B, C ≥ 1]; None for neither.
            state: float32 [B, size] for each of the manifest's states, or None for zeros.

        Raises:
            BadData: `bad_index`, `bad_state`, `bad_column`, `not_finite`, or `graph_invalid` where the graph fails.
        """
        manifest = self.manifest
        item_seq = self._indices(item_seq, "item_seq")
        batch, length = item_seq.shape
        if length < 1:
            raise BadData("bad_index", f"item_seq is {[batch, length]}, but must be [batch, at least 1].")
        if ((item_seq[:, :-1] != 0) & (item_seq[:, 1:] == 0)).any():
            raise BadData("bad_index", "item_seq holds 0 after an item; padding stands on the left only.")
        feeds: dict[str, npt.NDArray[Any]] = {"item_seq": item_seq}
        wants_choice = EXCLUDE if manifest.task == "next_item" else CANDIDATES if manifest.takes_candidates else None
        if wants_choice is not None:
            feeds[wants_choice] = self._choice(choice, wants_choice, batch)
        for name in manifest.columns:
            feeds[name] = self._column(name, columns.get(name), batch, length)
        given = self._state(state, item_seq)
        if batch == 0:  # onnxruntime would abort the process
            return self._empty()
        feeds.update({spec.input: tensor for spec, tensor in zip(manifest.state, given, strict=True)})
        names = [tensor.name for tensor in manifest.outputs]
        try:
            found = dict(zip(names, self._session.run(names, feeds), strict=True))
        except Exception as error:  # onnxruntime's exceptions have no common class of their own
            raise BadData("graph_invalid", f"{self.name} failed on {list(item_seq.shape)}: {_line(error)}") from None
        output = Output(
            found["user_embedding"],
            tuple(found[spec.output] for spec in manifest.state),
            found.get("items", np.zeros((batch, 0), dtype=np.int64)),
            found.get("scores", np.zeros((batch, 0), dtype=np.float32)),
            found.get(PROBABILITIES, np.zeros((batch, 0), dtype=np.float32)),
        )
        self._check(output, batch, feeds[CANDIDATES].shape[1] if CANDIDATES in feeds else 1)
        return output

    def _choice(self, choice: Indices | None, name: str, batch: int) -> Indices:
        """Exclusions or candidates."""
        if choice is None:
            choice = np.zeros((batch, 0), dtype=np.int64)
        choice = self._indices(choice, name)
        least = 1 if name == CANDIDATES else 0
        if len(choice) != batch or choice.shape[1] < least:
            raise BadData("bad_index", f"{name} is {list(choice.shape)}, but must be [{batch}, {f'at least {least}'}].")
        if name == CANDIDATES and (choice == 0).any():
            raise BadData("bad_index", f"{name} holds 0, which is no item.")
        return choice

    def _column(self, name: str, column: Any, batch: int, length: int) -> npt.NDArray[Any]:
        """One column of the events, as the graph takes it."""
        shape: tuple[int, ...] = (batch,) if name in cols.NEXT else (batch, length)
        shape += (len(self.manifest.features),) if name == cols.FEATURES else ()
        dtype = np.dtype(cols.DTYPES[name])
        if not isinstance(column, np.ndarray) or column.shape != shape or column.dtype != dtype:
            found = f"{column.dtype} {list(column.shape)}" if isinstance(column, np.ndarray) else "missing"
            raise BadData("bad_column", f"{name} is {found}, but must be {dtype} {list(shape)}.")
        if not np.isfinite(column).all():
            raise BadData("bad_column", f"{name} holds NaN or infinity.")
        most = len(self.manifest.behaviors)
        if dtype == np.int64 and column.size and not 0 <= column.min() <= column.max() <= most:
            raise BadData("bad_column", f"{name} holds an index that is not 0 to {most}.")
        return np.ascontiguousarray(column)

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
        embedding = no_rows(self.manifest.embedding_size)
        return Output(embedding, tuple(map(no_rows, sizes)), items, no_rows(top_k), no_rows(0))

    def _check(self, output: Output, batch: int, candidates: int) -> None:
        """What a graph from elsewhere gives is not believed either."""
        top_k, sizes = self.manifest.top_k, [spec.size for spec in self.manifest.state]
        if self.manifest.task != "probability":
            candidates = 0
        finite: list[Floats] = [output.user_embedding, *output.state, output.probabilities]
        tensors: list[npt.NDArray[Any]] = [*finite, output.items, output.scores]
        expected = (self.manifest.embedding_size, *sizes, candidates, top_k, top_k)
        for tensor, size in zip(tensors, expected, strict=True):
            if tensor.shape != (batch, size):
                raise BadData("graph_invalid", f"{self.name} gives {list(tensor.shape)} for {[batch, size]}.")
        infinite = np.isnan(output.scores).any() or np.isposinf(output.scores).any()
        if infinite or not all(np.isfinite(tensor).all() for tensor in finite):
            raise BadData("not_finite", "The model gives NaN or infinity for this history.", "Its weights are damaged.")
        if (output.probabilities < 0).any() or (output.probabilities > 1).any():
            raise BadData("graph_invalid", f"{self.name} gives a probability outside 0 to 1.")
        if self.manifest.task != "next_item":
            return
        if output.items.min() < 0 or output.items.max() >= self.manifest.n_items:
            raise BadData("graph_invalid", f"{self.name} gives an item outside the catalogue.")
        if (np.isneginf(output.scores) != (output.items == 0)).any():
            raise BadData("graph_invalid", f"{self.name} gives an item without a score, or a score without an item.")


#: How a graph's bytes name `weights.bin` as the file that a weight lies in: the whole protobuf field.
_OUTSIDE = b"j\x17\n\x08location\x12\x0b" + WEIGHTS_FILE.encode()


def _open(content: bytes, threads: int, folder: Path | None, name: str) -> onnxruntime.InferenceSession:
    """An onnxruntime session of the very bytes that were hashed; `folder` is where `weights.bin` lies, if it may."""
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
    # The key by which a graph names a file outside, which onnxruntime would read.
    if content.count(b"location") != (content.count(_OUTSIDE) if folder else 0):
        hint = f"A bundle's weights are in the graph's file, or in {WEIGHTS_FILE} where the manifest lists it."
        raise BadData("graph_invalid", f"{name} names an external file.", hint)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(threads, _cores())
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_mem_pattern = False  # it would keep a plan for each shape ever met
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if (folder or len(content) > LARGE) and name != INT8_FILE:
        # onnxruntime would keep a second copy of the item table, in an order that makes no answer quicker; that of
        # an int8 table makes it twice as quick.
        options.add_session_config_entry("session.disable_prepacking", "1")
    if folder:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common class of their own
        raise BadData("graph_invalid", f"{name} cannot be loaded: {_line(error)}") from None


def _cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


Signature = dict[str, tuple[str, tuple[int | None, ...]]]


def _signature(tensors: Iterable[Tensor]) -> Signature:
    """Name → dtype and shape, None for an axis that moves."""
    return {t.name: (t.dtype, tuple(n if isinstance(n, int) else None for n in t.shape)) for t in tensors}


def _check_graph(session: onnxruntime.InferenceSession, manifest: Manifest, name: str) -> None:
    """The graph must be as the manifest says, and the manifest as clause 4 says."""
    expected = tuple(
        map(
            _signature,
            tensors(
                manifest.task,
                manifest.columns,
                manifest.state,
                features=len(manifest.features),
                top_k=manifest.top_k,
                embedding_size=manifest.embedding_size,
                candidates=manifest.takes_candidates,
            ),
        )
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
        _compare(kind, by_manifest, by_graph, "graph_invalid", name)


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

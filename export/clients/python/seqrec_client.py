"""A recommendation bundle, answered: one file to copy, numpy and onnxruntime only. Written from `export/SPEC.md` alone.

    bundle = load("bundle")
    print(bundle.recommend({"history": ["50", "172", "181"]})["items"])

Numbers in brackets are the specification's clauses. One `Bundle` serves many threads; a `Session` is one user's and
serves one thread at a time. The first call of a process is slower: ask `{"history": []}` once before you take traffic.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Answer = dict[str, Any]
#: Tensor name → dtype and shape; None is an axis that moves.
Signature = dict[str, tuple[str, tuple[int | None, ...]]]

MIB, GIB = 2**20, 2**30
LIMITS = {"manifest.json": MIB, "item_embeddings.npy": 64 * GIB, "weights.bin": 64 * GIB}
LIMITS |= dict.fromkeys(("model.onnx", "model_int8.onnx", "encoder.onnx"), 2 * GIB)
#: How a graph's bytes name weights.bin as the file that a weight lies in (3.2).
OUTSIDE = b"j\x17\n\x08location\x12\x0bweights.bin"
NEEDED = ("model.onnx", "items.json", "golden.json")
LARGEST = float(np.finfo(np.float32).max)
COUNTS = ("format_version", "n_items", "max_history", "top_k", "embedding_size", "opset", "ir_version")
LISTS = ("behaviors", "target_behaviors", "features", "inputs", "outputs", "state")
KEYS = {*COUNTS, *LISTS, "task", "unknown_items", "exclude_seen", "files", "provenance", "parity", "int8"}
#: The columns of clause 4.6, in their order: dtype, and what stands at padding or where nothing was said.
COLUMNS: dict[str, tuple[str, float]] = {
    "time_gap": ("float32", -1),
    "behavior": ("int64", 0),
    "features": ("float32", 0),
    "next_time_gap": ("float32", -1),
    "next_behavior": ("int64", 0),
}
NEXT = ("next_time_gap", "next_behavior")
QUESTION = {"id", "history", "time", "behavior", "features", "exclude", "k", "candidates"}


class SeqrecError(Exception):
    """Something is wrong: `code` is one of clause 9, the text says what."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Runtime(Protocol):
    """What computes the graph. `run` may be called by many threads at once."""

    #: Its name and version.
    name: str
    inputs: Signature
    outputs: Signature

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Every output by its name."""


class OnnxRuntime:
    """onnxruntime on the CPU, one thread a call, no spinning (10.1)."""

    def __init__(self, model: bytes, folder: str, threads: int = 1) -> None:
        import onnxruntime

        self.name = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_mem_pattern = False  # it would keep a plan for each shape ever met
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if len(model) > 64 * MIB and b"MatMulInteger" not in model:  # it would keep a second copy of the table (10.1)
            options.add_session_config_entry("session.disable_prepacking", "1")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        dtypes = {"tensor(int64)": "int64", "tensor(float)": "float32"}
        self.inputs, self.outputs = (
            {
                n.name: (dtypes.get(n.type, n.type), tuple(a if isinstance(a, int) else None for a in n.shape))
                for n in nodes
            }
            for nodes in (self._session.get_inputs(), self._session.get_outputs())
        )

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runtime`."""
        names = list(self.outputs)
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))


@dataclass(frozen=True)
class _Asked:
    """A good question in the graph's terms: known events as indices, and their columns."""

    id: str | None
    items: Array
    columns: dict[str, Array]
    known: list[int]
    unknown: list[str]
    truncated: bool
    time: float | None
    k: int
    excluded: list[int]
    candidates: list[int]
    unknown_candidates: list[str]


class Bundle:
    """A bundle that answers; make it with `load`, once a process.

    Attributes:
        id: what every answer names (1.3).
        manifest: `manifest.json`, checked.
        items: item ids by index; `items[0]` is None.
        titles: titles by index; None where there are none.
        runtime: what computes the graph.
    """

    def __init__(self, manifest: dict[str, Any], identity: str, items: bytes, name: str, runtime: Any) -> None:
        self.manifest, self.id = manifest, identity
        self.items, self.titles = _catalogue(items, manifest["n_items"])
        self._index = {item: index for index, item in enumerate(self.items) if index}
        self.columns = [t["name"] for t in manifest["inputs"] if t["name"] in COLUMNS]
        self.ranks = manifest["task"] == "next_item"
        self.choice = {"exclude", "candidates"} & {t["name"] for t in manifest["inputs"]}
        try:
            self.runtime: Runtime = runtime()
        except ImportError:
            raise
        except Exception as error:
            raise SeqrecError("graph_invalid", f"{name} cannot be loaded: {error}") from None
        for which, found in (("inputs", self.runtime.inputs), ("outputs", self.runtime.outputs)):
            if found != _signature(manifest[which]):
                raise SeqrecError("graph_invalid", f"the {which} of {name} are {found}, not the manifest's")

    def recommend(self, question: Any, *, include_seen: bool | None = None, tensors: bool = False) -> Answer:
        """The next items for one question (5, 6); a bad question is an answer with its code.

        Args:
            question: a mapping such as `{"history": ["50"], "k": 5}`.
            include_seen: whether the history's own items may come; by default as the bundle says (5.3).
            tensors: whether `embedding` and `state` stand in the answer.

        Raises:
            SeqrecError: `bad_value` where the bundle gives probabilities.
        """
        if not self.ranks:
            raise SeqrecError("bad_value", "this bundle gives probabilities: call score")
        return self._whole(question, include_seen, tensors)

    def score(self, question: Any, *, tensors: bool = False) -> Answer:
        """Probabilities for one question (4.7, 5.6); see `recommend`."""
        if self.ranks:
            raise SeqrecError("bad_value", "this bundle gives items: call recommend")
        return self._whole(question, None, tensors)

    def session(self, *, include_seen: bool | None = None) -> Session:
        """A user whose events come one by one (7).

        Raises:
            SeqrecError: `bad_value` where the model carries no state.
        """
        if not self.manifest["state"]:
            raise SeqrecError("bad_value", "this model carries no state: call recommend with the whole history")
        return Session(self, include_seen)

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """The graph itself, guarded (3.4): any runtime behind it is safe.

        Args:
            feeds: each input by its name; `exclude` and states may be left out.

        Raises:
            SeqrecError: `bad_index`, `bad_column`, `bad_state`, `not_finite`, `graph_invalid`.
        """
        ready = self._guarded(feeds)
        m, batch = self.manifest, len(ready["item_seq"])
        width = ready["candidates"].shape[1] if "candidates" in ready else 1
        shapes = {
            t["name"]: (batch, *(width if isinstance(a, str) else a for a in t["shape"][1:])) for t in m["outputs"]
        }
        if not batch:
            return {t["name"]: np.zeros(shapes[t["name"]], dtype=t["dtype"]) for t in m["outputs"]}
        try:
            found = self.runtime.run(ready)
        except Exception as error:
            raise SeqrecError("graph_invalid", f"the graph failed: {error}") from None
        for name, shape in shapes.items():
            values = found[name]
            if values.shape != shape:
                raise SeqrecError("graph_invalid", f"{name} is {list(values.shape)}, not {list(shape)}")
            if (
                values.dtype == np.float32
                and not (np.isfinite(values) | (np.isneginf(values) & (name == "scores"))).all()
            ):
                raise SeqrecError("not_finite", f"the model gives NaN or infinity in {name}")
        if self.ranks:
            items = found["items"]
            if items.min() < 0 or items.max() >= m["n_items"] or (np.isneginf(found["scores"]) != (items == 0)).any():
                raise SeqrecError("graph_invalid", "the graph gives an item outside the catalogue, or without a score")
        elif ((found["probabilities"] < 0) | (found["probabilities"] > 1)).any():
            raise SeqrecError("graph_invalid", "the graph gives a probability outside 0 to 1")
        return found

    def _guarded(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        m = self.manifest
        seq = self._indices(feeds.get("item_seq"), "item_seq", 0)
        batch, length = seq.shape
        if (batch and not length) or ((seq[:, :-1] != 0) & (seq[:, 1:] == 0)).any():
            raise SeqrecError("bad_index", "item_seq is empty, or holds 0 after an item: padding stands on the left")
        ready = {"item_seq": seq}
        for name in self.choice:
            given = feeds.get(name, np.zeros((batch, 0), dtype=np.int64) if name == "exclude" else None)
            ready[name] = self._indices(given, name, 0 if name == "exclude" else 1)
            if len(ready[name]) != batch or (batch and name == "candidates" and not ready[name].shape[1]):
                raise SeqrecError("bad_index", f"{name} is {list(ready[name].shape)} for a batch of {batch}")
        for name in self.columns:
            ready[name] = self._column(name, feeds.get(name), batch, length)
        given = {t["input"]: feeds[t["input"]] for t in m["state"] if t["input"] in feeds}
        if {name for name in feeds if name.startswith("state_")} - given.keys() or (
            given and len(given) < len(m["state"])
        ):
            raise SeqrecError("bad_state", f"this model carries {len(m['state'])} states")
        padded = (seq == 0).any(axis=1)
        for t in m["state"]:
            name, shape = t["input"], (batch, t["size"])
            values = ready[name] = _array(
                given.get(name, np.zeros(shape, dtype=np.float32)), "float32", "bad_state", name
            )
            if values.shape != shape and (batch or values.size):
                raise SeqrecError("bad_state", f"{name} is {list(values.shape)}, not {list(shape)}")
            if not np.isfinite(values).all():
                raise SeqrecError("bad_state", f"{name} holds NaN or infinity")
            if batch and (padded & values.any(axis=1)).any():
                raise SeqrecError("bad_state", "a row that carries a state holds padding")
        return ready

    def _indices(self, given: Any, name: str, least: int) -> Array:
        values = _array(given, "int64", "bad_index", name)
        if values.ndim == 1 and not values.size:
            values = values.reshape(0, 0)
        if values.ndim != 2:
            raise SeqrecError("bad_index", f"{name} is {list(values.shape)}, but has two axes")
        if values.size and not least <= values.min() <= values.max() < self.manifest["n_items"]:
            raise SeqrecError("bad_index", f"{name} holds an index outside {least} to {self.manifest['n_items'] - 1}")
        return values

    def _column(self, name: str, given: Any, batch: int, length: int) -> Array:
        dtype, n = COLUMNS[name][0], len(self.manifest["features"])
        shape = (batch,) if name in NEXT else (batch, length, n) if name == "features" else (batch, length)
        values = _array(given, dtype, "bad_column", name)
        if values.shape != shape and (batch or values.size):
            raise SeqrecError("bad_column", f"{name} is {list(values.shape)}, not {list(shape)}")
        most = len(self.manifest["behaviors"])
        if dtype == "int64" and values.size and not 0 <= values.min() <= values.max() <= most:
            raise SeqrecError("bad_column", f"{name} holds an index outside 0 to {most}")
        if not np.isfinite(values).all():
            raise SeqrecError("bad_column", f"{name} holds NaN or infinity")
        return values

    def _whole(self, question: Any, include_seen: bool | None, tensors: bool) -> Answer:
        try:
            asked = self._read(question, None, True)
            found = self._step(asked, asked.columns, asked.known, None, include_seen)
        except SeqrecError as error:
            return self._failure(question, error)
        return self._answer(asked, found, bool(asked.known), asked.truncated, False, tensors)

    def _step(
        self, asked: _Asked, columns: Mapping[str, Array], known: Sequence[int], state: Any, include_seen: bool | None
    ) -> dict[str, Array]:
        """One row through the graph: the events of `asked`, and what may come after `known`."""
        feeds: dict[str, Any] = {
            "item_seq": asked.items[None] if len(asked.items) else np.zeros((1, 1), dtype=np.int64)
        }
        for name in self.columns:
            filled = (
                columns[name] if name in NEXT or len(asked.items) else _filling(name, len(self.manifest["features"]))
            )
            feeds[name] = filled[None]
        if "exclude" in self.choice:
            seen = not self.manifest["exclude_seen"] if include_seen is None else include_seen
            feeds["exclude"] = np.array(
                [list(dict.fromkeys([*([] if seen else known), *asked.excluded]))], dtype=np.int64
            )
        if "candidates" in self.choice:  # where none is known, some item stands in
            feeds["candidates"] = np.array([asked.candidates or [1]], dtype=np.int64)
        if state is not None:
            feeds.update(state)
        return self.run(feeds)

    def _answer(
        self, asked: _Asked, found: dict[str, Array], known: bool, truncated: bool, beyond: bool, tensors: bool
    ) -> Answer:
        answer: Answer = {} if asked.id is None else {"id": asked.id}
        answer["status"] = "ok" if known else "newcomer"
        if self.ranks:
            pairs = zip(found["items"][0, : asked.k].tolist(), found["scores"][0, : asked.k].tolist(), strict=True)
        else:
            pairs = zip(asked.candidates, found["probabilities"][0].tolist(), strict=False)
        answer["items"] = [self._item(index, score) for index, score in pairs if index]
        if not self.ranks and not self.choice:
            answer["probability"] = float(found["probabilities"][0, 0])
        if asked.unknown_candidates:
            answer["unknown_candidates"] = asked.unknown_candidates
        answer |= {"unknown": asked.unknown, "truncated": truncated, "beyond_max_history": beyond, "bundle": self.id}
        if tensors:
            answer["embedding"] = found["user_embedding"][0].tolist()
            answer["state"] = [found[t["output"]][0].tolist() for t in self.manifest["state"]]
        return answer

    def _item(self, index: int, score: float) -> dict[str, Any]:
        item = {"item": self.items[index], "score": score}
        title = None if self.titles is None else self.titles[index]
        return item if title is None else {**item, "title": title}

    def _failure(self, question: Any, error: SeqrecError) -> Answer:
        answer: Answer = {"status": error.code, "message": str(error), "items": [], "unknown": []}
        answer |= {"truncated": False, "beyond_max_history": False, "bundle": self.id}
        given = question.get("id") if isinstance(question, Mapping) else None
        return {"id": _text(given, "id"), **answer} if type(given) in (str, int) else answer

    def _read(self, question: Any, since: float | None, cut: bool) -> _Asked:
        """A question → the graph's terms (5). `since` is the time of the last event of a session."""
        q = _checked(question)
        m, history = self.manifest, q["history"]
        top_k, k = m["top_k"], q.get("k")
        if self.ranks and k is not None and not 1 <= k <= top_k:
            raise SeqrecError("bad_k", f"k is {k}, but must be 1 to {top_k}")
        indices = [self._index.get(item) for item in history]
        places = [place for place, index in enumerate(indices) if index is not None]
        known = [index for index in indices if index is not None]
        kept = places[-m["max_history"] :] if cut else places
        columns, newest = self._columns(q, places, kept, since)
        asks = not self.ranks and "candidates" in self.choice
        if (asks and not q.get("candidates")) or (not self.ranks and not asks and "candidates" in q):
            raise SeqrecError("bad_question", "candidates are missing" if asks else "this bundle takes no candidates")
        wanted = q["candidates"] if asks else []
        return _Asked(
            id=q.get("id"),
            items=np.array(known[len(known) - len(kept) :], dtype=np.int64),
            columns=columns,
            known=known,
            unknown=[item for item, index in zip(history, indices, strict=True) if index is None],
            truncated=len(kept) < len(places),
            time=newest,
            k=min(10, top_k) if k is None else k,
            excluded=[self._index[item] for item in q.get("exclude", ()) if item in self._index],
            candidates=[self._index[item] for item in wanted if item in self._index],
            unknown_candidates=[item for item in wanted if item not in self._index],
        )

    def _columns(
        self, q: dict[str, Any], places: list[int], kept: list[int], since: float | None
    ) -> tuple[dict[str, Array], float | None]:
        """The columns of the kept events (5.5), and the time of the newest known one."""
        n, columns, newest = len(q["history"]), dict[str, Any](), since
        if {"time_gap", "next_time_gap"} & set(self.columns):
            times = _aligned(q, "time", n)
            if not all(_is_number(t) and abs(t) < 1e11 for t in times):  # beyond that it is milliseconds
                raise SeqrecError("bad_question", "time holds what is no number of seconds")
            times = [float(t) for t in times]
            ordered = times if since is None else [since, *times]
            if any(b < a for a, b in itertools.pairwise(ordered)):
                raise SeqrecError("bad_question", "time runs backwards: a history is oldest first")
            before = [since, *(times[p] for p in places)]
            gaps = [-1.0 if a is None else times[p] - a for a, p in zip(before, places, strict=False)]
            gaps = gaps[len(gaps) - len(kept) :]
            if len(kept) < len(places):
                gaps[0] = -1.0
            newest = before[-1]
            ahead = times[n] - newest if len(times) > n and newest is not None else -1.0
            if any(gap > LARGEST for gap in [*gaps, ahead]):
                raise SeqrecError("bad_question", "time holds a gap that is too long")
            columns |= {"time_gap": gaps, "next_time_gap": ahead}
        if {"behavior", "next_behavior"} & set(self.columns):
            names = [_text(name, "behavior") for name in _aligned(q, "behavior", n)]
            if not set(names) <= set(self.manifest["behaviors"]):
                raise SeqrecError("bad_question", f"the behaviours are {self.manifest['behaviors']}")
            index = [self.manifest["behaviors"].index(name) + 1 for name in names]
            columns |= {"behavior": [index[p] for p in kept], "next_behavior": index[n] if len(index) > n else 0}
        if "features" in self.columns:
            given, wanted = q.get("features", {}), self.manifest["features"]
            values = [given.get(name, None if n else []) for name in wanted]
            if set(given) - set(wanted) or not all(type(v) is list and len(v) == n for v in values):
                raise SeqrecError(
                    "bad_question", f"features needs a list of {n} numbers for each of {wanted}, and no other"
                )
            if not all(_is_number(value) for column in values for value in column):
                raise SeqrecError("bad_question", "features holds what is no number")
            columns["features"] = np.array(values, dtype=np.float32).reshape(len(wanted), n).T[kept]
        return {name: np.array(columns[name], dtype=COLUMNS[name][0]) for name in self.columns}, newest


class Session:
    """One user's carried state (7). Not for two threads at once."""

    def __init__(self, bundle: Bundle, include_seen: bool | None) -> None:
        self._bundle, self._include_seen = bundle, include_seen
        states = bundle.manifest["state"]
        #: The state after the last event; a service may keep it (7.6).
        self.state = {t["input"]: np.zeros((1, t["size"]), dtype=np.float32) for t in states}
        self._before = self.state
        self._known: list[int] = []
        self._last = np.zeros(0, dtype=np.int64), dict[str, Array]()
        self._events, self._truncated = 0, False
        self._time: float | None = None

    def push(self, question: Any, *, tensors: bool = False) -> Answer:
        """New events, and the answer after them; after an error nothing has changed.

        Args:
            question: as in `Bundle.recommend`; `history` holds the new events only, and may be empty to ask again.
            tensors: whether `embedding` and `state` stand in the answer.
        """
        bundle = self._bundle
        try:
            asked = bundle._read(question, self._time, self._events == 0)
            known, count, before = self._known + asked.known, len(asked.items), self.state
            if count > 1:  # all but the last, so that the last can be asked again
                head = {n: c if n in NEXT else c[:-1] for n, c in asked.columns.items()}
                before = self._carried(bundle._step(_events(asked, asked.items[:-1]), head, known, before, None))
            if count:
                last = asked.items[-1:], {n: c if n in NEXT else c[-1:] for n, c in asked.columns.items()}
            else:  # nothing new: the last event again, with what is asked now
                before = self._before
                last = self._last[0], self._last[1] | {n: asked.columns[n] for n in NEXT if n in asked.columns}
            found = bundle._step(_events(asked, last[0]), last[1], known, before, self._include_seen)
        except SeqrecError as error:
            return bundle._failure(question, error)
        if count:
            self._truncated = asked.truncated if not self._events else self._truncated
            self.state, self._before, self._last = self._carried(found), before, last
            self._known, self._time, self._events = known, asked.time, self._events + count
        beyond = self._events > bundle.manifest["max_history"]
        answer = bundle._answer(asked, found, bool(self._known), self._truncated, beyond, tensors)
        if tensors:
            answer["state"] = [values[0].tolist() for values in self.state.values()]
        return answer

    def _carried(self, found: dict[str, Array]) -> dict[str, Array]:
        return {t["input"]: found[t["output"]] for t in self._bundle.manifest["state"]}


def load(path: str | os.PathLike[str], runtime: Any = OnnxRuntime, *, int8: bool = False) -> Bundle:
    """Read a bundle with every check of clause 3.

    Args:
        path: its folder.
        runtime: makes a `Runtime` of the graph's bytes and the bundle's folder, where weights.bin may lie.
        int8: take the graph with the int8 item table, where the bundle has it.

    Raises:
        SeqrecError: a code of bundles.
    """
    names = set()
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise SeqrecError("file_escapes", f"{entry.name!r} is a link")
                if not entry.is_file(follow_symlinks=False):
                    raise SeqrecError("file_unexpected", f"{entry.name!r} is not a file")
                names.add(entry.name)
    except OSError as error:
        raise SeqrecError("bundle_missing", f"there is no bundle at {path}: {error.strerror}") from None
    if "manifest.json" not in names:
        raise SeqrecError("bundle_missing", f"{path} has no manifest.json")
    head = _bytes(path, "manifest.json", None)
    manifest = _manifest(head)
    for name in manifest["files"]:
        if name in ("", ".", "..") or any(c in "/\\:\0" for c in name):
            raise SeqrecError("file_escapes", f"{name!r} is no plain file name")
    if stray := sorted(names - manifest["files"].keys() - {"manifest.json"}):
        raise SeqrecError("file_unexpected", f"{stray[0]!r} is not listed in manifest.json")
    if missing := sorted({*NEEDED, *manifest["files"]} - names):
        raise SeqrecError("file_missing", f"{missing[0]!r} is missing")
    contents = {name: _bytes(path, name, listed) for name, listed in manifest["files"].items()}
    identity, name = hashlib.sha256(head).hexdigest()[:16], "model_int8.onnx" if int8 else "model.onnx"
    if name not in contents:
        raise SeqrecError("bad_value", f"this bundle has no {name}")
    model = contents[name]
    # The key by which a graph names a file outside (3.2).
    if model.count(b"location") != (model.count(OUTSIDE) if "weights.bin" in manifest["files"] else 0):
        raise SeqrecError("graph_invalid", f"{name} names an external file")
    return Bundle(manifest, identity, contents["items.json"], name, lambda: runtime(model, os.fspath(path)))


def _bytes(path: str | os.PathLike[str], name: str, listed: dict[str, Any] | None) -> bytes:
    try:
        with open(os.path.join(path, name), "rb") as stream:
            size, limit = os.fstat(stream.fileno()).st_size, LIMITS.get(name, GIB)
            if size > limit:
                raise SeqrecError("too_large", f"{name} has {size} bytes; a reader takes {limit}")
            if listed is not None and size != listed["size"]:
                raise SeqrecError("file_changed", f"{name} has {size} bytes, not {listed['size']}")
            if name == "weights.bin":  # hashed, and left on disk
                data, digest = b"", hashlib.sha256()
                while block := stream.read(16 * MIB):
                    digest.update(block)
            else:
                data = stream.read(size)
                digest = hashlib.sha256(data)
    except OSError as error:
        raise SeqrecError("file_missing", f"{name} cannot be read: {error.strerror}") from None
    if listed is not None and digest.hexdigest() != listed["sha256"]:
        raise SeqrecError("file_changed", f"{name} does not have the sha256 of manifest.json")
    return data


def _json(data: bytes, code: str, name: str) -> Any:
    def refuse(text: str) -> None:
        raise ValueError(f"{text} is no number of JSON")

    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise SeqrecError(code, f"{name} cannot be read: {error}") from None


def _manifest(data: bytes) -> dict[str, Any]:
    """`manifest.json` (2): its version first, then every key, then its sense."""
    m = _json(data, "manifest_invalid", "manifest.json")
    if type(m) is not dict or type(m.get("format_version")) is not int:
        raise SeqrecError("manifest_invalid", "manifest.json is no object with a format_version")
    if m["format_version"] != 0:
        raise SeqrecError("format_unknown", f"this client reads format 0, not {m['format_version']}")
    wrong = KEYS ^ m.keys() or {
        *(key for key in COUNTS if type(m[key]) is not int),
        *(key for key in LISTS if type(m[key]) is not list),
        *(key for key in LISTS[:3] if type(m[key]) is list and not all(type(value) is str for value in m[key])),
        *(key for key in ("provenance", "parity", "files") if type(m[key]) is not dict),
        *(["exclude_seen"] if type(m["exclude_seen"]) is not bool else []),
        *(["unknown_items"] if m["unknown_items"] != "dropped" else []),
        *(["int8"] if m["int8"] is not None and type(m["int8"]) is not dict else []),
        *(["task"] if m["task"] not in ("next_item", "probability") else []),
    }
    tensor: dict[str, type] = {"name": str, "dtype": str, "shape": list}
    state: dict[str, type] = {"input": str, "output": str, "size": int}
    for key, fields in (("inputs", tensor), ("outputs", tensor), ("state", state)):
        if not wrong and not all(_is_record(entry, fields) for entry in m[key]):
            wrong = {key}
    if not wrong and not all(_is_record(file, {"size": int, "sha256": str}) for file in m["files"].values()):
        wrong = {"files"}
    if not wrong:
        wrong = _senseless(m)
    if wrong:
        raise SeqrecError("manifest_invalid", f"manifest.json is wrong in {', '.join(sorted(wrong))}")
    return m


def _senseless(m: dict[str, Any]) -> set[str]:
    """Keys of a typed manifest that break clauses 2.3 or 4."""
    names = [t["name"] for t in m["inputs"]]
    columns, ranks = [name for name in COLUMNS if name in names], m["task"] == "next_item"
    states = [{"input": f"state_{i}", "output": f"next_state_{i}", "size": t["size"]} for i, t in enumerate(m["state"])]
    choice = "exclude" if ranks else "candidates"
    inputs: Signature = {"item_seq": ("int64", (None, None))}
    if ranks or choice in names:
        inputs[choice] = ("int64", (None, None))
    for name in columns:
        shape = (None,) if name in NEXT else (None, None, len(m["features"])) if name == "features" else (None, None)
        inputs[name] = (COLUMNS[name][0], shape)
    inputs |= {t["input"]: ("float32", (None, t["size"])) for t in states}
    k = m["top_k"]
    outputs: Signature = {"items": ("int64", (None, k)), "scores": ("float32", (None, k))}
    if not ranks:
        outputs = {"probabilities": ("float32", (None, None if choice in names else 1))}
    outputs["user_embedding"] = ("float32", (None, m["embedding_size"]))
    outputs |= {t["output"]: ("float32", (None, t["size"])) for t in states}
    reads_behaviors = {"behavior", "next_behavior"} & set(columns)
    checks = {
        "int8": {name in m["files"] for name in ("model_int8.onnx", "golden_int8.json")} == {m["int8"] is not None},
        "n_items": m["n_items"] >= 2,
        "max_history": m["max_history"] >= 1,
        "top_k": 1 <= k <= m["n_items"] - 1 if ranks else k == 0,
        "behaviors": len(set(m["behaviors"])) == len(m["behaviors"]) and bool(m["behaviors"] or not reads_behaviors),
        "features": len(set(m["features"])) == len(m["features"]) and bool(m["features"]) == ("features" in columns),
        "state": m["state"] == states and all(t["size"] >= 1 for t in states),
        "inputs": len(set(names)) == len(names) and _signature(m["inputs"]) == inputs,
        "outputs": _signature(m["outputs"]) == outputs,
    }
    return {key for key, holds in checks.items() if not holds}


def _signature(tensors: list[dict[str, Any]]) -> Signature:
    return {t["name"]: (t["dtype"], tuple(a if type(a) is int else None for a in t["shape"])) for t in tensors}


def _is_record(value: Any, fields: Mapping[str, type]) -> bool:
    """Whether a value is an object of exactly these keys and types."""
    return type(value) is dict and value.keys() == fields.keys() and all(type(value[k]) is t for k, t in fields.items())


def _catalogue(data: bytes, n_items: int) -> tuple[list[Any], list[Any] | None]:
    """`items.json` (1.1): ids and titles by index."""
    file = _json(data, "items_invalid", "items.json")
    if type(file) is not dict or not {"items"} <= file.keys() <= {"items", "titles"}:
        raise SeqrecError("items_invalid", "items.json is no object of items and titles")
    items, titles = file["items"], file.get("titles")
    if type(items) is not list or len(items) != n_items or items[0] is not None:
        raise SeqrecError("items_invalid", f"items.json does not hold null and {n_items - 1} items")
    if not all(type(item) is str for item in items[1:]) or len(set(items)) != n_items:
        raise SeqrecError("items_invalid", "items.json holds an item that is no text, or one twice")
    if titles is None:
        return items, None
    if type(titles) is not list or len(titles) != n_items or not all(t is None or type(t) is str for t in titles):
        raise SeqrecError("items_invalid", "the titles of items.json are not one text or null an item")
    return items, titles


def _checked(question: Any) -> dict[str, Any]:
    """A question whose keys and types are right (5.1), its ids as text."""
    if not isinstance(question, Mapping) or "history" not in question:
        raise SeqrecError("bad_question", "a question is an object with a history")
    q = dict(question)
    if strange := q.keys() - QUESTION:
        raise SeqrecError("bad_question", f"a question has no key {sorted(map(str, strange))[0]!r}")
    for key, value in q.items():
        inner = value.values() if isinstance(value, Mapping) else [value]
        if any(v is None or (isinstance(v, (list, tuple)) and None in v) for v in inner):
            raise SeqrecError("bad_question", f"{key} holds a null: leave it out instead")
        if key in ("history", "exclude", "candidates", "time", "behavior") and not isinstance(value, (list, tuple)):
            raise SeqrecError("bad_question", f"{key} is no list")
    for key in ("history", "exclude", "candidates"):
        if key in q:
            q[key] = [_text(value, key) for value in q[key]]
    if "id" in q:
        q["id"] = _text(q["id"], "id")
    if "features" in q and not isinstance(q["features"], Mapping):
        raise SeqrecError("bad_question", "features is no object")
    if "k" in q and type(q["k"]) is not int:
        raise SeqrecError("bad_question", "k is no integer")
    return q


def _text(value: Any, name: str) -> str:
    """An id: a text, or an integer as its decimal text."""
    if type(value) not in (str, int):
        raise SeqrecError("bad_question", f"{name} holds {value!r}, which is neither a text nor an integer")
    return str(value)


def _aligned(q: dict[str, Any], key: str, n: int) -> list[Any]:
    """One entry an item, and perhaps one more."""
    given = q.get(key)
    if (given is None and n) or (given is not None and len(given) not in (n, n + 1)):
        raise SeqrecError("bad_question", f"{key} needs one entry for each of the {n} items, and perhaps one more")
    return list(given or [])


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and bool(-LARGEST <= value <= LARGEST)


def _filling(name: str, features: int) -> Array:
    """The column of an empty history: one position of padding."""
    return np.full((1, features) if name == "features" else (1,), COLUMNS[name][1], dtype=COLUMNS[name][0])


def _events(asked: _Asked, items: Array) -> _Asked:
    """The same question about other events."""
    return _Asked(**{**vars(asked), "items": items})


def _array(given: Any, dtype: str, code: str, name: str) -> Array:
    """Nested lists or an array → an array of exactly this dtype."""
    try:
        values = np.asarray(given)
    except ValueError:  # rows of unequal length
        raise SeqrecError(code, f"{name} has rows of unequal length") from None
    kinds = "iu" if dtype == "int64" else "iuf"
    if (values.size and values.dtype.kind not in kinds) or given is None:
        raise SeqrecError(code, f"{name} is missing, or holds what is no {dtype}")
    return np.ascontiguousarray(values, dtype=dtype)

"""A model whose layers cannot emit → nodes, by torch's exporter, in a process of its own.

torch's exporter leaves a process changed and prints; it writes source lines, module names and paths into a graph. So a
child process traces, and `Graph.inline` copies the nodes under names of ours. The traced part is the model up to the
user embedding; scores, exclusions and top k are ours, as for every model.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from seqrec_plugin.errors import Failed
from seqrec_plugin.graph import OPSET, Graph
from seqrec_plugin.models.base import SequenceModel

#: How far the traced graph may be from torch, absolute and relative; the export's own check is the same.
TOLERANCE = 1e-5
#: Batches and lengths that a traced graph is tried with; it was traced with another.
SHAPES = ((1, 1), (1, 5), (3, 7), (5, 2))
#: Seconds for the child.
LIMIT = 900

_CHILD = "import sys; sys.path[:] = {path!r}; from seqrec_plugin import tracing; tracing.child({folder!r})"


@dataclasses.dataclass(frozen=True)
class Traced:
    """What torch's exporter made of a model: item_seq (and states) → user embedding (and next states)."""

    graph: onnx.GraphProto
    state_sizes: tuple[int, ...]

    def emit(
        self, model: SequenceModel, graph: Graph, item_seq: str, state: tuple[str, ...]
    ) -> tuple[str, str, tuple[str, ...]]:
        """See `SequenceModel.emit`; `state` has the names of one tensor for each of `state_sizes`."""
        vector, after = self.emit_vector(graph, item_seq, state)
        _, table = model.item_table.emit(graph, item_seq)
        return vector, model.item_table.emit_scores(graph, vector, table), after

    def emit_vector(self, graph: Graph, item_seq: str, state: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """As `emit`, up to the user embedding."""
        vector, *after = graph.inline(self.graph, [item_seq, *state])
        return vector, tuple(after)


def trace(model: SequenceModel) -> Traced:
    """Trace a model, with its state if that holds.

    The graph is tried with other lengths and batches than it was traced with, and its state is carried over cuts.

    Raises:
        Failed: `check_failed` where torch's exporter cannot write the model, or what it wrote is not the model.
    """
    name = type(model).__name__
    if model.columns or model.task != "next_item":
        raise Failed(
            "check_failed",
            f"{name} has a layer without `emit`, and torch's exporter is asked only for models that read items and "
            "rank them.",
            "Give its layers an `emit`.",
        )
    reason = ""
    for carried in (True, False) if model.state_sizes else (False,):
        traced, reason = _trace(model, carried)
        if traced is not None:
            return traced
    raise Failed("check_failed", f"torch's exporter cannot write {name}: {reason}.", "Give its layers an `emit`.")


def _trace(model: SequenceModel, carried: bool) -> tuple[Traced | None, str]:
    """One attempt; without a result there is a reason."""
    from safetensors.torch import save_file

    kind = type(model)
    order = {
        "model": [kind.__module__, kind.__qualname__],
        "config": dataclasses.asdict(model.config),
        "n_items": model.n_items,
        "carried": carried,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "order.json").write_text(json.dumps(order))
        weights = {name: w.detach().cpu().contiguous().clone() for name, w in model.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        code = _CHILD.format(path=sys.path, folder=str(folder))
        try:
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return None, f"it took more than {LIMIT} s"
        if not (folder / "model.onnx").is_file():
            lines = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
            return None, lines[-1].strip().rstrip(".")
        written = onnx.load(folder / "model.onnx")
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in written.graph.node if node.domain})
    if foreign:
        return None, f"it wrote the operator {foreign[0]}, which is not in ONNX's standard domain"
    traced = Traced(written.graph, model.state_sizes if carried else ())
    wrong = _differs(model, traced)
    return (None, wrong) if wrong else (traced, "")


def _differs(model: SequenceModel, traced: Traced) -> str:
    """Where the traced graph is not the model, or does not carry its state; empty where it is and does."""
    import onnxruntime

    graph = Graph()
    inputs = [graph.input("item_seq", "int64", ["batch", "length"])]
    inputs += [graph.input(f"state_{i}", "float32", ["batch", size]) for i, size in enumerate(traced.state_sizes)]
    for i, name in enumerate(graph.inline(traced.graph, inputs)):
        size = traced.state_sizes[i - 1] if i else model.vector_size
        graph.output(f"output_{i}", name, "float32", ["batch", size])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4

    def run(item_seq: Tensor, state: list[Any] | None = None) -> list[Any]:
        zero = [np.zeros((len(item_seq), size), np.float32) for size in traced.state_sizes]
        feeds = {f"state_{i}": tensor for i, tensor in enumerate(state or zero)}
        return list(session.run(None, {"item_seq": item_seq.numpy(), **feeds}))

    try:
        session = onnxruntime.InferenceSession(graph.build(), options, providers=["CPUExecutionProvider"])
        for item_seq in _questions(model.n_items):
            what = f"a batch of {item_seq.shape[0]} histories of {item_seq.shape[1]}"
            with torch.no_grad():
                expected = model.last(item_seq)[0].numpy()
            whole = run(item_seq)
            if not np.allclose(whole[0], expected, TOLERANCE, TOLERANCE):
                return f"its graph gives something else than torch for {what}"
            for cut in range(1, item_seq.shape[1]) if traced.state_sizes else ():
                resumed = run(item_seq[:, cut:], run(item_seq[:, :cut])[1:])
                if not all(np.allclose(a, b, TOLERANCE, TOLERANCE) for a, b in zip(resumed, whole, strict=True)):
                    return f"its graph does not carry the state of {what}"
    except Exception as error:  # onnx and onnxruntime raise errors of many kinds, some of them bare Exceptions
        return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
    return ""


def _questions(n_items: int) -> list[Tensor]:
    """Histories of several shapes: full, padded, and empty."""
    generator = torch.Generator().manual_seed(0)
    found = [torch.zeros(2, 3, dtype=torch.int64)]
    for batch, length in SHAPES:
        item_seq = torch.randint(1, n_items, (batch, length), generator=generator)
        padded = item_seq.clone()
        padded[0, : length // 2] = 0
        found += [item_seq, padded]
    return found


class _Last(nn.Module):
    """What is traced: the vector after the last position, and the next state."""

    def __init__(self, model: SequenceModel, carried: bool) -> None:
        super().__init__()
        self.model, self.carried = model, carried

    def forward(self, item_seq: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """int64 [batch, length], float [batch, size] each → float [batch, embedding_size], and the states."""
        vector, after = self.model.last(item_seq, state if self.carried else None)
        return (vector, *after) if self.carried else (vector,)


def child(place: str) -> None:
    """In the process of its own: trace what `order.json` and the weights in the folder say into `model.onnx`."""
    folder = Path(place)
    order = json.loads((folder / "order.json").read_text())
    try:
        _write(folder, **order)
    except Exception as error:  # whatever torch or a stranger's model raises, the parent tells it in one sentence
        lines = f"{type(error).__name__}: {error}".strip().splitlines()
        print(lines[0], file=sys.stderr)
        raise SystemExit(1) from None


def _write(folder: Path, model: list[str], config: dict[str, Any], n_items: int, carried: bool) -> None:
    import importlib

    from safetensors.torch import load_file

    from seqrec_plugin.models import options

    module, name = model
    kind: Any = importlib.import_module(module)
    for part in name.split("."):
        kind = getattr(kind, part)
    torch.set_num_threads(1)
    made: SequenceModel = kind(options.build(kind.Config, config), n_items)
    made.load_state_dict(load_file(folder / "weights.safetensors"))
    whole = _Last(made.eval(), carried)
    sizes = made.state_sizes if carried else ()
    item_seq = torch.randint(1, n_items, (2, 4), generator=torch.Generator().manual_seed(1))
    item_seq[0, 0] = 0
    inputs = ["item_seq", *(f"state_{i}" for i in range(len(sizes)))]
    outputs = ["vector", *(f"next_state_{i}" for i in range(len(sizes)))]
    axes = {name: {0: "batch"} for name in [*inputs, *outputs]}
    axes["item_seq"][1] = "length"
    # Without gradients, as it is served: what learns may have steps of its own, which are no operators.
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The tracing exporter: it writes recurrences as operators for any length, and needs no further package.
        torch.onnx.export(
            whole,
            (item_seq, *(torch.zeros(2, size) for size in sizes)),
            str(folder / "model.onnx"),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )

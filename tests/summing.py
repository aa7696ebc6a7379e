"""Bundles made by hand, small enough to know every answer: a user's vector is the sum of their items' rows."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from seqrec_plugin import bundle
from seqrec_plugin.manifest import Manifest, Parity, Provenance, StateTensor, Tensor
from seqrec_plugin.vocabulary import Vocabulary

TOKENS = ("a", "b", "c", "d", "e")
MAX_HISTORY, TOP_K = 4, 3
TENSORS = {
    "item_seq": ("int64", ("batch", "length")),
    "exclude": ("int64", ("batch", "excluded")),
    "state_0": ("float32", ("batch", 2)),
    "items": ("int64", ("batch", TOP_K)),
    "scores": ("float32", ("batch", TOP_K)),
    "user_embedding": ("float32", ("batch", 2)),
    "next_state_0": ("float32", ("batch", 2)),
}
INPUTS, OUTPUTS = list(TENSORS)[:3], list(TENSORS)[3:]


def table() -> np.ndarray:
    """Row 0 adds nothing: neither padding nor being carried changes a sum."""
    angles = np.arange(6) * 0.9
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rows[0] = 0
    return rows


def graph(
    rows: np.ndarray | None = None, growth: float = 1.0, item_seq_dtype: int = TensorProto.INT64, score: str = "scores"
) -> bytes:
    """The model.

    Args:
        rows: float32 [6, 2], the items.
        growth: the next state is the vector times this; anything but 1 makes carried unlike whole.
        item_seq_dtype: what the graph takes.
        score: name of the output of the scores.
    """
    rows = table() if rows is None else rows
    bias = np.zeros(6, dtype=np.float32)
    bias[0] = -np.inf
    weights = {
        "table": rows,
        "bias": bias,
        "one": np.array([1], dtype=np.int64),
        "never": np.float32(-np.inf),
        "growth": np.float32(growth),
        "k": np.array([TOP_K], dtype=np.int64),
        "zero": np.int64(0),
    }
    nodes = [
        ("Gather", ["table", "item_seq"], ["rows"], {}),
        ("ReduceSum", ["rows", "one"], ["sum"], {"keepdims": 0}),
        ("Add", ["sum", "state_0"], ["user_embedding"], {}),
        ("Mul", ["user_embedding", "growth"], ["next_state_0"], {}),
        ("Gemm", ["user_embedding", "table", "bias"], ["all"], {"transB": 1}),
        ("Shape", ["exclude"], ["shape"], {}),
        ("Expand", ["never", "shape"], ["nevers"], {}),
        ("ScatterElements", ["all", "exclude", "nevers"], ["left"], {"axis": 1}),
        ("TopK", ["left", "k"], [score, "best"], {"axis": 1}),
        ("Equal", [score, "never"], ["gone"], {}),
        ("Where", ["gone", "zero", "best"], ["items"], {}),
    ]
    kinds = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}
    infos = {
        name: helper.make_tensor_value_info(
            score if name == "scores" else name,
            item_seq_dtype if name == "item_seq" else kinds[dtype],
            shape,
        )
        for name, (dtype, shape) in TENSORS.items()
    }
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(kind, ins, outs, **attributes) for kind, ins, outs, attributes in nodes],
            "sum",
            [infos[name] for name in INPUTS],
            [infos[name] for name in OUTPUTS],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
        ),
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def manifest(**changes: object) -> Manifest:
    """What the model's bundle says of itself."""
    tensors = {name: Tensor(name, dtype, shape) for name, (dtype, shape) in TENSORS.items()}
    return Manifest(
        **{
            "format_version": 0,
            "task": "next_item",
            "n_items": 6,
            "max_history": MAX_HISTORY,
            "top_k": TOP_K,
            "embedding_size": 2,
            "unknown_items": "dropped",
            "exclude_seen": True,
            "behaviors": (),
            "target_behaviors": (),
            "features": (),
            "inputs": tuple(tensors[name] for name in INPUTS),
            "outputs": tuple(tensors[name] for name in OUTPUTS),
            "state": (StateTensor("state_0", "next_state_0", 2),),
            "opset": 17,
            "ir_version": 8,
            "int8": None,
            "files": {},
            "provenance": Provenance("Sum", {}, "none", "0" * 64, 0, 0, {}, {}),
            "parity": Parity(0, 0.0, 0.0, 1e-5),
            **changes,
        }
    )


def write(path: Path, content: bytes | None = None, golden: bytes = b"{}", **changes: object) -> Path:
    """Write a bundle of the model; returns its path."""
    contents = {"model.onnx": graph() if content is None else content, "items.json": Vocabulary(TOKENS).encode()}
    contents["golden.json"] = golden
    with bundle.writing(path) as folder:
        bundle.fill(folder, manifest(**changes), contents)
    return path

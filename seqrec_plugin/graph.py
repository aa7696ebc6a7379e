"""An ONNX graph under construction: opset, declared inputs, outputs and moving axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
Names = tuple[str, ...]
Step = Callable[["Graph", Names, Names], tuple[Names, Names]]

_DTYPES = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}


class Graph:
    """Collects nodes, weights, inputs and outputs; `build` checks the whole and gives the file's bytes.

    Only the standard domain, every weight inside the file, names made here: two exports of the same weights are
    the same bytes.
    """

    def __init__(self, outer: Graph | None = None, prefix: str = "") -> None:
        self._outer, self._prefix = outer, prefix
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """Declare an input; a text in `shape` names an axis that moves."""
        self._inputs.append(helper.make_tensor_value_info(name, _DTYPES[dtype], list(shape)))
        return name

    def output(self, name: str, source: str, dtype: str, shape: Sequence[int | str]) -> None:
        """Declare an output that gives the value named `source`."""
        self._nodes.append(helper.make_node("Identity", [source], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, _DTYPES[dtype], list(shape)))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> tuple[str, ...]:
        """Add a node with several outputs and return their names."""
        number = len(self._nodes)
        names = tuple(f"{self._prefix}{kind}_{number}_{i}" for i in range(outputs))
        self._nodes.append(helper.make_node(kind, inputs, names, name=f"{self._prefix}{kind}_{number}", **attributes))
        return names

    def scan(self, step: Step, state: Sequence[str], sequences: Sequence[str]) -> tuple[Names, Names]:
        """Run `step` along the first axis of `sequences`: see `layers.Emitter.scan`.

        The body is a graph of its own, whose names are unlike the outer ones; its weights stay outside and are stored
        once.
        """
        prefix = f"{self._prefix}body_{len(self._nodes)}_"
        body = Graph(self._outer or self, prefix)

        def declared(names: Sequence[str]) -> list[onnx.ValueInfoProto]:
            return [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]

        inside = [f"{prefix}state_{i}" for i in range(len(state))]
        slices = [f"{prefix}slice_{i}" for i in range(len(sequences))]
        after, outputs = step(body, tuple(inside), tuple(slices))
        ends = [body.op("Identity", name) for name in (*after, *outputs)]
        graph = helper.make_graph(body._nodes, f"{prefix}step", declared([*inside, *slices]), declared(ends))
        found = self.ops("Scan", *state, *sequences, outputs=len(ends), body=graph, num_scan_inputs=len(sequences))
        return found[: len(state)], found[len(state) :]

    def constant(self, value: npt.NDArray[Any] | np.generic | Sequence[int]) -> str:
        """Add an initializer (a list of integers becomes int64 [n]) and return its name; equal ones are stored once."""
        if self._outer is not None:
            return self._outer.constant(value)
        array = np.asarray(value, dtype=np.int64) if isinstance(value, (list, tuple)) else np.ascontiguousarray(value)
        if isinstance(value, np.generic):
            array = array.reshape(())
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._known:
            name = f"weight_{len(self._weights)}"
            self._weights.append(numpy_helper.from_array(array, name))
            self._known[key] = name
        return self._known[key]

    def build(self) -> bytes:
        """The bytes of the model.

        Raises:
            onnx.checker.ValidationError, onnx.shape_inference.InferenceError: a layer emitted something that is not
                valid ONNX.
        """
        graph = helper.make_graph(self._nodes, "recommender", self._inputs, self._outputs, self._weights)
        model = helper.make_model(
            graph,
            producer_name="seqrec-plugin",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        return bytes(model.SerializeToString(deterministic=True))

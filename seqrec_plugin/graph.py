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

    def inline(self, graph: onnx.GraphProto, inputs: Sequence[str]) -> Names:
        """Add the nodes and weights of a foreign graph, under names made here and without its doc strings.

        Args:
            graph: of opset 17, the standard domain, weights inside.
            inputs: the values that take the place of its inputs, in order.

        Returns:
            the names of its outputs.
        """
        known = dict(zip((value.name for value in graph.input), inputs, strict=True))
        self._copy(graph, known)
        return tuple(known[value.name] for value in graph.output)

    def _copy(self, graph: onnx.GraphProto, known: dict[str, str]) -> None:
        """Copy nodes to the end of this graph; `known` maps their names to ours, and is completed."""
        known[""] = ""  # what a node leaves out
        for weight in graph.initializer:
            known[weight.name] = self._weight(weight)
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                known[node.output[0]] = self._weight(node.attribute[0].t)
                continue
            inputs = [known[name] for name in node.input]
            attributes = [self._attribute(attribute, known) for attribute in node.attribute]
            found = self.ops(node.op_type, *inputs, outputs=len(node.output))
            known |= {name: ours for name, ours in zip(node.output, found, strict=True) if name}
            copied = self._nodes[-1]
            copied.domain = node.domain
            copied.output[:] = [known[name] for name in node.output]
            copied.attribute.extend(attributes)

    def _attribute(self, attribute: onnx.AttributeProto, known: dict[str, str]) -> onnx.AttributeProto:
        copied = onnx.AttributeProto()
        copied.CopyFrom(attribute)
        copied.ClearField("doc_string")
        if attribute.type == onnx.AttributeProto.GRAPH:
            prefix = f"{self._prefix}{attribute.name}_{len(self._nodes)}_"
            body, inside = Graph(self._outer or self, prefix), dict(known)
            inputs = [_renamed(value, f"{prefix}input_{i}") for i, value in enumerate(attribute.g.input)]
            inside |= {value.name: ours.name for value, ours in zip(attribute.g.input, inputs, strict=True)}
            body._copy(attribute.g, inside)
            ends = [body.op("Identity", inside[value.name]) for value in attribute.g.output]
            outputs = [_renamed(value, end) for value, end in zip(attribute.g.output, ends, strict=True)]
            copied.g.CopyFrom(helper.make_graph(body._nodes, f"{prefix}body", inputs, outputs))
        return copied

    def _weight(self, tensor: onnx.TensorProto) -> str:
        value = numpy_helper.to_array(tensor)
        return self.constant(value if value.ndim else value[()])

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


def _renamed(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copied = onnx.ValueInfoProto(name=name)
    copied.type.CopyFrom(value.type)
    return copied

"""An ONNX graph under construction: opset, declared inputs, outputs and moving axes."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
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


class Weights:
    """Weights that lie in a second file, since one protobuf file holds less than 2 GiB; several graphs may share it.

    Args:
        name: of the file, beside the graphs'.
    """

    #: Smaller weights stay in the graph's own file: shape inference reads some of them.
    LEAST = 512
    _ALIGNMENT = 64

    def __init__(self, name: str) -> None:
        self.name = name
        self._content = bytearray()
        self._known: dict[bytes, int] = {}

    def add(self, array: npt.NDArray[Any], name: str) -> onnx.TensorProto:
        """Place a weight in the file, equal ones once; what stands in the graph for it."""
        data = np.ascontiguousarray(array).tobytes()
        key = hashlib.sha256(data).digest()
        if key not in self._known:
            self._content += bytes(-len(self._content) % self._ALIGNMENT)
            self._known[key] = len(self._content)
            self._content += data
        tensor = onnx.TensorProto(name=name, dims=array.shape, data_location=TensorProto.EXTERNAL)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        for entry in (("location", self.name), ("offset", str(self._known[key])), ("length", str(len(data)))):
            tensor.external_data.add(key=entry[0], value=entry[1])
        return tensor

    def content(self) -> bytes:
        """The file's bytes."""
        return bytes(self._content)

    def __len__(self) -> int:
        return len(self._content)


class Graph:
    """Collects nodes, weights, inputs and outputs; `build` checks the whole and gives the file's bytes.

    Only the standard domain, names made here: two exports of the same weights are the same bytes.

    Args:
        weights: where the larger weights go; None keeps every weight inside the file.
    """

    def __init__(self, weights: Weights | None = None, *, outer: Graph | None = None, prefix: str = "") -> None:
        self._outer, self._prefix, self._apart = outer, prefix, weights
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
        body = Graph(outer=self._outer or self, prefix=prefix)

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
            body, inside = Graph(outer=self._outer or self, prefix=prefix), dict(known)
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
        key = (str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._known:
            name = f"weight_{len(self._weights)}"
            if self._apart is not None and array.nbytes >= Weights.LEAST:
                self._weights.append(self._apart.add(array, name))
            else:
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
        content = bytes(model.SerializeToString(deterministic=True))
        if self._apart is None:
            onnx.checker.check_model(model, full_check=True)
        else:  # the checker looks whether the second file is there, and not into it
            with tempfile.TemporaryDirectory() as folder:
                with (Path(folder) / self._apart.name).open("wb") as stream:
                    stream.truncate(len(self._apart))
                path = Path(folder) / "graph.onnx"
                path.write_bytes(content)
                onnx.checker.check_model(str(path), full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        return content


def _renamed(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copied = onnx.ValueInfoProto(name=name)
    copied.type.CopyFrom(value.type)
    return copied

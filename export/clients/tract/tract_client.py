"""A bundle answered by tract, the inference engine in Rust: the Python client's file, with another runtime under it.

bundle = load("bundle", TractRuntime)
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "python"))  # not needed where both files lie together

from seqrec_client import Array, Signature, load

__all__ = ["TractRuntime", "load"]

DTYPES = {"i64": "int64", "f32": "float32"}


class TractRuntime:
    """tract on the CPU, one thread a call. An index outside the table ends the process: the guards stand before it."""

    def __init__(self, model: bytes, bundle: str) -> None:
        import tract

        self.name = f"tract {tract.version()}"
        self.inputs: Signature
        self.outputs: Signature
        with tempfile.TemporaryDirectory() as folder:  # it reads files only; these are the bytes that were hashed
            path = os.path.join(folder, "model.onnx")
            Path(path).write_bytes(model)
            weights = Path(bundle, "weights.bin")
            if weights.exists():
                _beside(weights, Path(folder, weights.name))
            graph = tract.onnx().load(path)
            names = (
                [graph.input_name(i) for i in range(graph.input_count())],
                [graph.output_name(i) for i in range(graph.output_count())],
            )
            ready = graph.into_model()
        self.inputs = {name: _signature(str(ready.input_fact(i))) for i, name in enumerate(names[0])}
        self.outputs = {name: _signature(str(ready.output_fact(i))) for i, name in enumerate(names[1])}
        self._inputs, self._outputs = names
        self._graph = ready.into_runnable()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `seqrec_client.Runtime`."""
        found = self._graph.run([feeds[name] for name in self._inputs])
        return {name: tensor.to_numpy() for name, tensor in zip(self._outputs, found, strict=True)}


def _beside(file: Path, place: Path) -> None:
    """Put a file in another place: a second name where the disk allows it, as it may be large; tract takes no link."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)


def _signature(fact: str) -> tuple[str, tuple[int | None, ...]]:
    """tract's words for a tensor, such as `batch,6,f32`."""
    *shape, dtype = fact.split(",")
    return DTYPES.get(dtype, dtype), tuple(int(axis) if axis.isdigit() else None for axis in shape)


if __name__ == "__main__":
    from conformance import serve

    sys.exit(serve("tract", TractRuntime, "pip install tract numpy"))

"""`seqrec inspect`."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from seqrec_plugin.bundle import Bundle
    from seqrec_plugin.manifest import Number, Tensor


@click.command("inspect")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the bundle's id and its manifest.")
def command(bundle: Path, as_json: bool) -> None:
    """Show what a bundle says of itself: model, data, quality, sizes, inputs and outputs.

    Its files are checked against their sha256; `seqrec verify` checks its answers too.

    \b
    Examples:
      seqrec inspect bundles/demo
      seqrec inspect bundles/demo --json
    """
    from seqrec_plugin import bundle as bundles
    from seqrec_plugin.cli.asking import printable

    found = bundles.read(bundle)
    if as_json:
        import msgspec

        told = {"bundle": found.id, "manifest": found.manifest}
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
        return
    columns = max(40, shutil.get_terminal_size((100, 24)).columns - 16)
    for name, value in _facts(found):
        first, *rest = textwrap.wrap(printable(value), columns, break_long_words=False) or [""]
        click.echo(f"{printable(name):<16}{first}".rstrip())
        for line in rest:
            click.echo(" " * 16 + line)


def _facts(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Lines of a name and a value; a further line of the same fact has no name."""
    manifest, made = bundle.manifest, bundle.manifest.provenance
    yield "bundle", f"{bundle.id}, format {manifest.format_version}"
    yield "model", made.model
    yield "trained", made.trained
    parts = made.config.get("parts")
    if isinstance(parts, list):
        yield from _named("parts", [_part(part) for part in parts if isinstance(part, dict)])
    else:
        yield from _named("config", [f"{key}: {value}" for key, value in made.config.items()])
    yield "data", f"{made.dataset}, sha256 {made.data_sha256}"
    yield from _named("quality", list(_metrics(made.metrics)) or ["not measured"])
    yield "task", manifest.task
    yield "catalogue", f"{manifest.n_items - 1} items; unknown ones are {manifest.unknown_items}"
    yield "history", f"the newest {manifest.max_history} events are read"
    if manifest.task == "next_item":
        seen = "left out" if manifest.exclude_seen else "kept"
        yield "answer", f"at most {manifest.top_k} items; seen ones are {seen}"
    else:
        yield "answer", manifest.meaning
    if manifest.behaviors:
        yield "behaviours", ", ".join(manifest.behaviors)
    numbers = [f"{name}: {_treated(made.numbers.get(name))}" for name in manifest.features]
    yield from _named("features", numbers)
    if made.newcomer:
        yield "newcomer", f"not learned: {made.newcomer}"
    yield "embedding", f"{manifest.embedding_size} numbers a user"
    yield from _named("inputs", [_tensor(tensor) for tensor in manifest.inputs])
    yield from _named("outputs", [_tensor(tensor) for tensor in manifest.outputs])
    states = [f"{state.output} → {state.input}, {state.size} numbers a user" for state in manifest.state]
    yield from _named("state", states or ["none is carried"])
    writer = "the model's layers" if made.exporter == "layers" else "torch's exporter"
    yield "onnx", f"opset {manifest.opset}, IR {manifest.ir_version}, written by {writer}"
    yield from _named("files", [f"{name}: {file.size:,} bytes" for name, file in manifest.files.items()])
    parity = manifest.parity
    yield "parity", f"at most {parity.max_absolute:.1e} from torch, over {parity.histories} histories"
    yield from _named("made with", [f"{package} {version}" for package, version in made.versions.items()])


def _part(part: dict[str, Any]) -> str:
    """One of the runs that were combined, and its options."""
    config = part.get("config")
    options = ", ".join(f"{key} {value}" for key, value in config.items()) if isinstance(config, dict) else ""
    return f"{part.get('model')}: {options}"


def _named(name: str, values: list[str]) -> Iterator[tuple[str, str]]:
    for i, value in enumerate(values):
        yield ("" if i else name), value


def _metrics(metrics: dict[str, Any]) -> Iterator[str]:
    """One line for each innermost table: `test, masked: NDCG@10 0.1234, …`."""
    numbers = {key: value for key, value in metrics.items() if not isinstance(value, dict)}
    if numbers:
        if isinstance(numbers.get("epoch"), int):
            numbers["epoch"] += 1  # counted from 1 wherever people read it
        yield ", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items())
    for key, value in metrics.items():
        if isinstance(value, dict):
            for line in _metrics(value):
                yield f"{key}{',' if ': ' in line else ':'} {line}"


def _treated(number: Number | None) -> str:
    """How a number is treated; a bundle of an earlier release does not tell."""
    return f"{number.treated}; where it is not known, give {number.unknown:.6g}" if number else "as the graph has it"


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.name}: {tensor.dtype} [{', '.join(map(str, tensor.shape))}]"

"""`seqrec models`."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from seqrec_plugin.registry import Entry


@click.command("models")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the models: name, one line, paper, and the package that brings it; or one model with its options.

    \b
    Examples:
      seqrec models
      seqrec models LSTM4Rec
    """
    # A third party's module may print when it is imported; our stdout is data.
    with contextlib.redirect_stdout(sys.stderr):
        text = _list(as_json) if name is None else _one(name, as_json)
    click.echo(text)


def _list(as_json: bool) -> str:
    from seqrec_plugin import registry

    entries = registry.entries(check=True)
    if as_json:
        return json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False)
    return "\n".join(_entry(entry) for entry in entries)


def _entry(entry: Entry) -> str:
    """A model: name and package, summary, paper; and what is wrong with it."""
    from seqrec_plugin.cli.tables import wrapped

    lines = [f"{entry.name}  ({entry.package})"]
    told = [entry.summary, entry.paper and f"Paper: {entry.paper}"]
    told += [f"Cannot be used: {entry.problem}"] if entry.problem else []
    lines += [wrapped(line, "    ") for line in told if line]
    return "\n".join(lines)


def _one(name: str, as_json: bool) -> str:
    from seqrec_plugin import registry
    from seqrec_plugin.cli.tables import options_table
    from seqrec_plugin.models.options import describe
    from seqrec_plugin.recbole_bridge import keys

    options, training = describe(registry.load(name).Config), keys.ours()
    entry = next(entry for entry in registry.entries() if entry.name == name)
    if as_json:
        found = {"options": [asdict(o) for o in options], "training": [asdict(o) for o in training]}
        return json.dumps(asdict(entry) | found, indent=2, ensure_ascii=False)
    return "\n\n".join(
        [
            _entry(entry),
            options_table("option", options),
            options_table("training", training),
            f"RecBole's own keys (epochs, learning_rate, …) too: seqrec init config --model {name}",
        ]
    )

"""`seqrec models`."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict
from typing import Any

import click


@click.command("models")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the models: name, one line, paper, and the package that brings it; or the options of one.

    \b
    Examples:
      seqrec models
      seqrec models LSTM4Rec
    """
    from seqrec_plugin import registry

    if name is not None:
        _show_options(registry.load(name).Config, as_json)
        return
    # A third party's module may print when it is imported; our stdout is data.
    with contextlib.redirect_stdout(sys.stderr):
        entries = registry.entries(check=True)
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    for entry in entries:
        click.echo(f"{entry.name}  ({entry.package})")
        for line in (entry.summary, entry.paper and f"Paper: {entry.paper}"):
            if line:
                click.echo(f"    {line}")
        if entry.problem:
            click.echo(f"    Cannot be used: {entry.problem}")


def _show_options(config: type[Any], as_json: bool) -> None:
    from seqrec_plugin.models.options import describe

    options = describe(config)
    if as_json:
        click.echo(json.dumps([asdict(option) for option in options], indent=2, ensure_ascii=False))
        return
    rows = [("option", "type", "default", "range", "meaning")]
    rows += [(o.name, o.type, str(o.default), o.range, o.meaning) for o in options]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())

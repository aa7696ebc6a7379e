"""`seqrec models`."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict

import click


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the models: name, one line, paper, and the package that brings it.

    \b
    Example:
      seqrec models
    """
    from seqrec_plugin import registry

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

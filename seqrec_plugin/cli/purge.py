"""`seqrec purge`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as JSON.")
def command(run: Path, yes: bool, as_json: bool) -> None:
    """Remove what a run folder holds of users: events, histories, ranks, logs, RecBole's checkpoint.

    What is left can be exported (with the parity check on random histories only), refitted and begun from, but not
    evaluated: its metrics stay in metrics.json. This cannot be undone. Copies elsewhere are not touched.

    \b
    Examples:
      seqrec purge runs/demo --yes
    """
    from seqrec_plugin import purging
    from seqrec_plugin.checkpoint import RunFolder

    folder = RunFolder.open(run)
    held, left = purging.held(folder), purging.strangers(folder)
    if held and not yes:
        for found in held:
            click.echo(f"  {found.name}  {found.size:,} bytes: {found.what}", err=True)
        click.confirm(f"Remove these from {run} for good (--yes does not ask)?", abort=True, err=True)
    gone = purging.purge(folder) if held or not folder.info.purged else []
    if as_json:
        told = {"removed": [{"name": g.name, "bytes": g.size, "what": g.what} for g in gone], "left": left}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for found in gone:
            click.echo(f"removed  {found.name}  {found.size:,} bytes: {found.what}")
        if not gone:
            click.echo(f"{run} holds nothing of users since {folder.info.purged}.")
    if left:
        click.echo(f"Left as they are, since no training wrote them: {', '.join(left)}.", err=True)

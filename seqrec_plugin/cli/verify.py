"""`seqrec verify`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON lines.")
def command(bundle: Path, as_json: bool) -> None:
    """Check that a bundle is whole and answers its golden vectors.

    Each check is printed as it holds. At the first that does not, the exit code is 1 where the answers are wrong,
    3 where the bundle itself is.

    \b
    Examples:
      seqrec verify bundles/demo
      seqrec verify bundles/demo --json
    """
    from seqrec_plugin.cli.tables import show_check
    from seqrec_plugin.errors import SeqrecError
    from seqrec_plugin.verifying import verify

    try:
        for check in verify(bundle):
            show_check(check, as_json)
    except SeqrecError as error:
        if as_json:
            click.echo(json.dumps({"check": None, "ok": False, "code": error.code, "detail": str(error)}))
        raise

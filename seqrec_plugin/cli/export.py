"""`seqrec export`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle's folder to make.")
@click.option("--top-k", type=int, default=100, show_default=True, help="Most items that one answer can hold.")
@click.option("--embeddings", is_flag=True, help="Write item_embeddings.npy too, for a vector database.")
@click.option("--force", is_flag=True, help="Replace a bundle that is in the output folder already.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON lines.")
def command(run: Path, output: Path, top_k: int, embeddings: bool, force: bool, as_json: bool) -> None:
    """Turn a run into a bundle: one ONNX file with its state, its catalogue, and vectors that prove a port right.

    Each check is printed as it holds; if one fails there is no bundle, and the exit code is 1.

    \b
    Examples:
      seqrec export runs/demo -o bundles/demo
      seqrec export runs/demo -o bundles/demo --top-k 500 --force
    """
    from seqrec_plugin import bundle as bundles
    from seqrec_plugin import card
    from seqrec_plugin.cli.tables import show_check
    from seqrec_plugin.exporting import export
    from seqrec_plugin.manifest import ITEMS_FILE
    from seqrec_plugin.vocabulary import Vocabulary

    export(
        run, output, top_k=top_k, embeddings=embeddings, force=force, report=lambda check: show_check(check, as_json)
    )
    found = bundles.read(output)
    example = card.command(found.manifest, Vocabulary.decode(found.contents[ITEMS_FILE]), shlex.quote(str(output)))
    click.echo(f"The bundle is in {output}. Try:\n  seqrec {example}", err=True)

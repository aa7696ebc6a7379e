"""`seqrec export`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The bundle's folder to make.")
@click.option("--top-k", type=int, default=100, show_default=True, help="Most items that one answer can hold.")
@click.option("--embeddings", is_flag=True, help="Write item_embeddings.npy too, for a vector database.")
@click.option("--encoder", is_flag=True, help="Write encoder.onnx too: the model without scores and items.")
@click.option("--int8", is_flag=True, help="Write model_int8.onnx too: the item table in a quarter of the bytes.")
@click.option(
    "--int8-max-drop",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="The share of validation NDCG@10 that int8 may cost.",
)
@click.option("--titles", type=click.Path(path_type=Path), metavar="FILE", help="Titles of items: .item, .csv or .tsv.")
@click.option("--web", type=click.Path(path_type=Path), metavar="PAGE", help="Also make a folder with a web page.")
@click.option("--force", is_flag=True, help="Replace what is in the output folders already: a bundle, a page.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON lines.")
def command(
    run: Path,
    output: Path | None,
    top_k: int,
    embeddings: bool,
    encoder: bool,
    int8: bool,
    int8_max_drop: float,
    titles: Path | None,
    web: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Turn a run into a bundle: one ONNX file with its state, its catalogue, and vectors that prove a port right.

    Each check is printed as it holds; if one fails there is no bundle, and the exit code is 1.

    --titles FILE brings new titles without a new training: its first line names the columns, such as item_id and title.
    An item that it does not name keeps the title that the data set gave it.

    With --web PAGE a page is written beside it that recommends in the browser, with no program on a server; any server
    of files can serve it. For a bundle that is there already: `seqrec export BUNDLE --web PAGE`.

    \b
    Examples:
      seqrec export runs/demo -o bundles/demo
      seqrec export runs/demo -o bundles/demo --top-k 500 --force
      seqrec export runs/demo -o bundles/small --int8 --encoder --embeddings
      seqrec export runs/demo -o bundles/titled --titles titles.csv
    """
    if output is None and web is None:
        raise click.UsageError("Say where the bundle shall be: -o BUNDLE.")
    if output is None and titles is not None:
        raise click.UsageError("Titles are the bundle's: give -o BUNDLE too.")
    if web is not None:
        from seqrec_plugin.web import check_built, write_page

        check_built()  # before a bundle is made
    bundle = run
    if output is not None:
        more = {
            "embeddings": embeddings,
            "encoder": encoder,
            "int8": int8,
            "most_drop": int8_max_drop,
            "titles": titles,
        }
        _export(run, output, as_json, top_k=top_k, force=force, **more)
        bundle = output
    if web is not None:
        write_page(bundle, web, force=force)
        click.echo(f"The page is in {web}: serve it with `python -m http.server --bind 127.0.0.1 -d {web}`.", err=True)


def _export(run: Path, output: Path, as_json: bool, **options: Any) -> None:
    from seqrec_plugin import bundle as bundles
    from seqrec_plugin import card
    from seqrec_plugin.cli.tables import show_check
    from seqrec_plugin.exporting import export
    from seqrec_plugin.manifest import ITEMS_FILE
    from seqrec_plugin.vocabulary import Vocabulary

    export(run, output, report=lambda check: show_check(check, as_json), **options)
    found = bundles.read(output)
    example = card.command(found.manifest, Vocabulary.decode(found.contents[ITEMS_FILE]), shlex.quote(str(output)))
    click.echo(f"The bundle is in {output}. Try:\n  seqrec {example}", err=True)

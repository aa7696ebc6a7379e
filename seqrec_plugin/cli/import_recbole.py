"""`seqrec import-recbole`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("import-recbole")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The run folder to make.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one option; may be repeated.")
@click.option("--force", is_flag=True, help="Replace a run that is in the output folder already.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def command(checkpoint: Path, output: Path, overrides: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Turn a RecBole checkpoint (GRU4Rec, NARM, SASRec) into a run folder, for `evaluate` and `export`.

    CHECKPOINT is a file that RecBole saved. It is a pickle, but nothing of it is run. The data that it was trained
    on must be at hand: items and split are made from them as RecBole does, and on them the model must reach the
    validation score that the checkpoint names. Checkpoints of our own models can be imported too.

    \b
    Examples:
      seqrec import-recbole saved/GRU4Rec.pth -o runs/imported
      seqrec import-recbole saved/GRU4Rec.pth -o runs/imported --set data_path=data --force
    """
    click.echo("Loading RecBole and the data …", err=True)
    from seqrec_plugin import imported
    from seqrec_plugin.cli.tables import show_metrics
    from seqrec_plugin.importing import import_recbole

    run = import_recbole(checkpoint, output, overrides=overrides, force=force)
    info = run.info
    click.echo(f"{info.model} on {info.dataset}: epoch {info.epoch + 1}, in {output}", err=True)
    if info.imported:
        newcomer = imported.load(info.model).newcomer
        click.echo(f"It never learned what a newcomer wants; an empty history gets {newcomer}.", err=True)
    show_metrics(run.metrics(), as_json)

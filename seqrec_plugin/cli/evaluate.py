"""`seqrec evaluate`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def command(run: Path, as_json: bool) -> None:
    """Evaluate a run again from its weights and its split: valid and test, masked and unmasked.

    It needs torch, not RecBole. For a model that only RecBole can run it shows the metrics that training wrote. A
    refit, which learned from all events, cannot be evaluated.

    \b
    Examples:
      seqrec evaluate runs/demo
      seqrec evaluate runs/demo --json
    """
    from seqrec_plugin.checkpoint import RunFolder
    from seqrec_plugin.cli.tables import show_metrics
    from seqrec_plugin.evaluating import check_measurable, evaluate_run, set_threads

    folder = RunFolder.open(run)
    check_measurable(folder)
    if folder.info.portable:
        set_threads(folder.info.threads)
        metrics = evaluate_run(folder)
    else:
        metrics = folder.metrics()
        click.echo(f"{folder.info.model} is RecBole's own: these are the metrics that its training wrote.", err=True)
    if folder.info.told_target_time:
        click.echo("The model was told the time of each target itself (time_to_ask).", err=True)
    show_metrics(metrics, as_json)

"""`seqrec combine`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The run folder to make.")
@click.option("--force", is_flag=True, help="Replace a run that is in the output folder already.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def command(runs: tuple[Path, ...], output: Path, force: bool, as_json: bool) -> None:
    """Combine finished runs into one, whose scores are the mean of theirs.

    RUNS are trained on the same data and split, with the same or other models and seeds; only models that read
    nothing but items go together. The new run evaluates and exports like any other: one graph, one state. It is
    better than each of its parts, as a rule, and costs what they cost together.

    \b
    Examples:
      seqrec combine runs/demo runs/small -o runs/both
      seqrec combine runs/demo runs/small -o runs/both --force --json
    """
    from seqrec_plugin.checkpoint import RunFolder
    from seqrec_plugin.cli.tables import show_metrics
    from seqrec_plugin.combining import combine

    found = [RunFolder.open(path) for path in runs]
    click.echo("Loading the runs, to rank the validation and test parts …", err=True)
    run = combine(found, output, force)
    click.echo(f"{run.info.model} on {run.info.dataset}: in {output}", err=True)
    show_metrics(run.metrics(), as_json)

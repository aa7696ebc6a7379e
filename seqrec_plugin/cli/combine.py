"""`seqrec combine`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from seqrec_plugin.checkpoint import RunFolder


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The run folder to make.")
@click.option(
    "--refit-of",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="RUNS are the refits of what RUN was combined of.",
)
@click.option("--force", is_flag=True, help="Replace a run that is in the output folder already.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def command(runs: tuple[Path, ...], output: Path, refit_of: Path | None, force: bool, as_json: bool) -> None:
    """Combine finished runs into one, whose scores are the mean of theirs.

    RUNS are trained on the same data and split, with the same or other models and seeds; all but those that read
    numbers or give probabilities go together. The new run evaluates and exports like any other: one graph, one state.
    It is better than each of its parts, as a rule, which it checks on validation, and costs what they cost together.

    To put it to use, refit each part on all events (`seqrec train --refit`), and combine the refits with --refit-of.

    \b
    Examples:
      seqrec combine runs/demo runs/small -o runs/both
      seqrec combine runs/demo runs/small -o runs/both --force --json
      seqrec train --refit runs/small -o runs/small_all
      seqrec combine runs/demo_all runs/small_all -o runs/both_all --refit-of runs/both
    """
    from seqrec_plugin.checkpoint import RunFolder
    from seqrec_plugin.cli.tables import show_metrics
    from seqrec_plugin.combining import combine

    found, refit = [RunFolder.open(path) for path in runs], None if refit_of is None else RunFolder.open(refit_of)
    if refit is None:
        click.echo("Loading the runs, to rank the validation and test parts …", err=True)
    run = combine(found, output, force, refit)
    click.echo(f"{run.info.model} on {run.info.dataset}: in {output}", err=True)
    metrics = run.metrics()
    if refit is not None and not as_json:
        click.echo(f"The metrics are those of {refit.path}: nothing is held out of a refit.", err=True)
        metrics = metrics["before_refit"]
    elif "valid" in metrics:
        click.echo(_beside_its_parts(run, found), err=True)
    show_metrics(metrics, as_json)


def _beside_its_parts(run: RunFolder, parts: Sequence[RunFolder]) -> str:
    """Whether it was worth it, on validation."""

    def score(of: RunFolder) -> float:
        value: float = of.metrics()["valid"]["masked"]["NDCG@10"]
        return value

    best = max(parts, key=score)
    each = ", ".join(f"{part.path} {score(part):.4f}" for part in parts)
    found = f"NDCG@10 on validation, masked: {score(run):.4f}, of {each}."
    return found if score(run) > score(best) else f"{found} It is no better than {best.path} alone."

"""`seqrec benchmark`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click


@click.command()
@click.argument("config")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder of all runs; else runs/NAME.")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FOLDER", help="The data set's own folder, such as data/shop."
)
@click.option("--only", multiple=True, metavar="LABEL", help="Run this model only; may be repeated.")
@click.option("--against", metavar="LABEL", help="Test the others against this model; else against the first.")
@click.option("--metric", "metrics", multiple=True, help="A metric to show, the first is tested; else NDCG@10, HR@10.")
@click.option("--force", is_flag=True, help="Make runs anew whose configuration or data have changed.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    config: str,
    output: Path | None,
    data: Path | None,
    only: tuple[str, ...],
    against: str | None,
    metrics: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Train several models on one split, one process a run, and compare them.

    CONFIG is a YAML file with a list of models, or the name of one that ships with seqrec (see `seqrec init --list`).
    Given again, the same command goes on where it was: what is done is not run again. The output folder holds
    benchmark.json and benchmark.md, written after each run, and the run folders.

    \b
    Examples:
      seqrec benchmark benchmark_ml100k
      seqrec benchmark benchmark_ml100k -o runs/few --only LSTM4Rec --json
      seqrec benchmark benchmark_ml100k -o runs/films --data data/films
    """
    from seqrec_plugin.cli import shipped

    file = shipped.find(config)
    output = output or Path("runs") / file.stem
    typed = ["seqrec", "benchmark", config, "-o", str(output)]
    typed += ["--data", str(data)] if data is not None else []
    typed += [part for label in only for part in ("--only", label)]
    typed += ["--against", against] if against is not None else []
    typed += [part for metric in metrics for part in ("--metric", metric)]

    from seqrec_plugin import tabulating
    from seqrec_plugin.benchmarking import Benchmark
    from seqrec_plugin.errors import Failed
    from seqrec_plugin.planning import plan

    benchmark = Benchmark(
        plan(file, shipped.find, data),
        output,
        command=shlex.join(typed),
        shown=metrics or ("NDCG@10", "HR@10"),
        against=against,
        only=only,
        force=force,
    )

    def show() -> None:
        if as_json:
            click.echo(json.dumps(benchmark.result, indent=2, ensure_ascii=False))
        else:
            click.echo(tabulating.to_text(benchmark.result))

    try:
        benchmark.run(lambda line: click.echo(line, err=True))
    except KeyboardInterrupt:
        show()
        click.echo("\nNothing done is lost: the same command goes on from here.", err=True)
        raise
    show()
    click.echo(f"All of it is in {output}: benchmark.md, benchmark.json and the runs.", err=True)
    if benchmark.failures:
        raise Failed(
            "training_failed",
            f"{len(benchmark.failures)} run(s) did not finish: {', '.join(benchmark.failures)}.",
            "The table says why; the same command tries them again.",
        )

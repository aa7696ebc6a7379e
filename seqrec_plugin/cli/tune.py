"""`seqrec tune`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click


@click.command()
@click.argument("config")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder of the search; else tuning/NAME.")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FOLDER", help="The data set's own folder, such as data/shop."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one option; may be repeated.")
@click.option(
    "--trials", type=click.IntRange(1), default=30, show_default=True, help="Trials in all, earlier ones counted."
)
@click.option(
    "--timeout", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="End after so long; 0: never."
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Trials at a time, a process each.")
@click.option("--no-pruning", is_flag=True, help="Let every trial run to its end.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    config: str,
    output: Path | None,
    data: Path | None,
    overrides: tuple[str, ...],
    trials: int,
    timeout: float,
    jobs: int,
    no_pruning: bool,
    as_json: bool,
) -> None:
    """Search for options on the validation part; the test part is not looked at.

    CONFIG is a recipe with a mapping `tune` of what may be tried: a list of values, or a range. It serves RecBole's
    models too. Trials that lag behind are ended early. Given again, the same command goes on where it was. The output
    folder holds best.yaml, a recipe that runs as it is, tune.md and tune.json, written after each trial.

    \b
    tune:
      learning_rate: {low: 0.0005, high: 0.01, log: true}
      dropout_prob: {low: 0.1, high: 0.6, step: 0.1}
      hidden_size: [64, 128]

    \b
    Examples:
      seqrec tune lstm_ml100k --trials 2
      seqrec tune lstm_ml100k --trials 3 --timeout 600 --jobs 2
      seqrec train tuning/lstm_ml100k/best.yaml -o runs/tuned
    """
    from seqrec_plugin.cli import shipped

    file = shipped.find(config)
    output = output or Path("tuning") / file.stem
    typed = ["seqrec", "tune", config, "-o", str(output), "--trials", str(trials)]
    typed += ["--data", str(data)] if data is not None else []
    typed += [part for override in overrides for part in ("--set", override)]
    typed += ["--timeout", f"{timeout:g}"] if timeout else []
    typed += ["--jobs", str(jobs)] if jobs > 1 else []
    typed += ["--no-pruning"] if no_pruning else []

    from seqrec_plugin.errors import missing_extra
    from seqrec_plugin.recbole_bridge.reading import read_yaml
    from seqrec_plugin.recbole_bridge.settings import TUNE, resolve

    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        raise missing_extra("optuna", "tune") from None
    from seqrec_plugin.tuning import report, space
    from seqrec_plugin.tuning.search import BEST_FILE, Search

    resolved = resolve(file, overrides, data)
    if resolved.left_out:
        click.echo(f"Without what {resolved.model} has no option for: {', '.join(resolved.left_out)}", err=True)
    searched = space.read(read_yaml(file).get(TUNE), resolved, file.name)
    with Search(searched, output, command=shlex.join(typed), prune=not no_pruning) as search:

        def show() -> None:
            if as_json:
                click.echo(json.dumps(search.result, indent=2, ensure_ascii=False))
            elif search.result["trials"]:
                click.echo(report.to_text(search.result))

        try:
            search.run(trials, timeout, jobs, lambda line: click.echo(line, err=True))
        except KeyboardInterrupt:
            show()
            click.echo("\nNothing done is lost: the same command goes on from here.", err=True)
            raise
    show()
    if search.result["best"] is not None:
        click.echo(f"The best is in {output / BEST_FILE}; try it with other seeds before you believe it.", err=True)

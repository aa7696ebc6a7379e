"""`seqrec train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from seqrec_plugin.checkpoint import RunFolder


@click.command()
@click.argument("config")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The run folder to make.")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FOLDER", help="The data set's own folder, such as data/shop."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one option; may be repeated.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run in the output folder.")
@click.option("--force", is_flag=True, help="Replace a run that is in the output folder already.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    config: str,
    output: Path,
    data: Path | None,
    overrides: tuple[str, ...],
    resume: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Train a model of ours, or a sequential model of RecBole's, and evaluate its best epoch.

    CONFIG is a YAML file, or the name of one that ships with seqrec (see `seqrec init --list`). --data FOLDER sets
    data_path and dataset. What the data set says of itself, in FOLDER/NAME.yaml, are defaults below CONFIG.

    \b
    Examples:
      seqrec train lstm_ml100k -o runs/demo
      seqrec train lstm_ml100k -o runs/small --set hidden_size=32 --set epochs=5
      seqrec train lstm_ml100k -o runs/gru --set model=GRU4Rec
      seqrec train lstm_ml100k -o runs/films --data data/films
    """
    from seqrec_plugin.cli import shipped
    from seqrec_plugin.recbole_bridge.settings import resolve

    if resume and force:
        raise click.UsageError("--resume goes on with a run and --force replaces it: give one of them.")
    resolved = resolve(shipped.find(config), overrides, data)
    from seqrec_plugin.checkpoint import LAST_FILE, RunFolder

    RunFolder.check_output(output, force, resume)
    _show(resolved)

    click.echo("Loading RecBole and the data …", err=True)
    from seqrec_plugin.cli.progress import reporter
    from seqrec_plugin.cli.tables import show_metrics
    from seqrec_plugin.training import train

    try:
        with reporter(int(resolved.values["epochs"])) as progress:
            run = train(resolved, output, progress, resume=resume, force=force)
    except KeyboardInterrupt:
        if (output / LAST_FILE).exists():
            click.echo("\nNothing trained is lost: give the same command with --resume to go on.", err=True)
        raise
    info, metrics = run.info, run.metrics()
    if not as_json:
        click.echo(
            f"{info.model} on {info.dataset}: best epoch {info.epoch + 1}, {info.seconds:.0f} s "
            f"on {info.threads} thread(s), in {output}" + (_cut(run) if info.cut else ""),
            err=True,
        )
    if info.told_target_time:
        click.echo("The model was told the time of each target itself (time_to_ask).", err=True)
    show_metrics(metrics, as_json)


def _cut(run: RunFolder) -> str:
    last = run.curve()[-1]
    return f"; cut by time_limit at {last['elapsed_seconds']:.0f} s, epoch {last['epoch'] + 1}"


def _show(resolved: object) -> None:
    """The effective configuration on stderr: what the user and seqrec chose, with its source."""
    from seqrec_plugin.recbole_bridge.reading import yaml_text
    from seqrec_plugin.recbole_bridge.settings import Resolved

    assert isinstance(resolved, Resolved)
    shown = {key: s for key, s in resolved.settings.items() if s.source not in ("RecBole", resolved.model)}
    click.echo(f"{resolved.model} on {resolved.dataset}", err=True)
    width = max(map(len, shown))
    for key, setting in shown.items():
        click.echo(f"  {key:<{width}}  {yaml_text(setting.value):<12}  {setting.source}", err=True)
    rest = len(resolved.settings) - len(shown)
    click.echo(f"  and {rest} defaults of {resolved.model} and RecBole (all in the run's config.yaml)", err=True)

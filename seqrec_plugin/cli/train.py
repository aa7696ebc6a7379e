"""`seqrec train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqrec_plugin import distributed

if TYPE_CHECKING:
    from seqrec_plugin.checkpoint import RunFolder
    from seqrec_plugin.recbole_bridge.settings import Resolved
    from seqrec_plugin.starting import Start


@click.command()
@click.argument("config", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The run folder to make.")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FOLDER", help="The data set's own folder, such as data/shop."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one option; may be repeated.")
@click.option("--refit", type=click.Path(path_type=Path), metavar="RUN", help="Train RUN again, on all events.")
@click.option("--init-from", type=click.Path(path_type=Path), metavar="RUN", help="Begin with RUN's weights and items.")
@click.option("--estimate", is_flag=True, help="Only tell how long it would take, and how much memory.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run in the output folder.")
@click.option("--force", is_flag=True, help="Replace a run that is in the output folder already.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    config: str | None,
    output: Path | None,
    data: Path | None,
    overrides: tuple[str, ...],
    refit: Path | None,
    init_from: Path | None,
    estimate: bool,
    resume: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Train a model of ours, or a sequential model of RecBole's, and evaluate its best epoch.

    CONFIG is a YAML file, or the name of one that ships with seqrec (see `seqrec init --list`). --data FOLDER sets
    data_path and dataset. What the data set says of itself, in FOLDER/NAME.yaml, are defaults below CONFIG.

    --refit RUN trains as RUN was trained, for as many epochs as its validation chose, but on all events: the run to
    export for production. --init-from RUN begins with RUN's weights, on newer data: items keep their index, new ones
    come after, and those without an event any more are never recommended. With either, CONFIG is RUN's if left out.

    \b
    Examples:
      seqrec train lstm_ml100k -o runs/demo
      seqrec train lstm_ml100k -o runs/small --set hidden_size=32 --set epochs=5
      seqrec train lstm_ml100k -o runs/gru --set model=GRU4Rec
      seqrec train lstm_ml100k -o runs/films --data data/films
      seqrec train lstm_ml100k --estimate
      seqrec train --refit runs/demo -o runs/demo_all
      seqrec train --init-from runs/demo -o runs/demo_newer --set epochs=2
    """
    if resume and force:
        raise click.UsageError("--resume goes on with a run and --force replaces it: give one of them.")
    if config is None and refit is None and init_from is None:
        raise click.UsageError("Name a configuration (see `seqrec init --list`), or a run: --refit, --init-from.")
    if output is None and not estimate:
        raise click.UsageError("Say where the run shall be: -o RUN.")
    if estimate and distributed.launched():
        raise click.UsageError("--estimate is for one process: leave out torchrun.")
    from seqrec_plugin.cli.progress import one_voice

    with one_voice():
        resolved, start = _what(config, overrides, data, refit, init_from)
        if estimate:
            _estimate(resolved, start, as_json)
            return
        assert output is not None
        if distributed.first():
            from seqrec_plugin.checkpoint import RunFolder

            RunFolder.check_output(output, force, resume)
        _show(resolved, quiet=config is None)
        run = _train(resolved, start, output, resume, force)
        if distributed.first():
            _result(run, start, as_json)


def _train(resolved: Resolved, start: Start, output: Path, resume: bool, force: bool) -> RunFolder:
    click.echo("Loading RecBole and the data …", err=True)
    from seqrec_plugin.checkpoint import LAST_FILE
    from seqrec_plugin.cli.progress import reporter
    from seqrec_plugin.training import train

    try:
        with reporter(int(resolved.values["epochs"]), validated=start.refit is None) as progress:
            return train(resolved, output, progress, resume=resume, force=force, start=start)
    except KeyboardInterrupt:
        if (output / LAST_FILE).exists():
            click.echo("\nNothing trained is lost: give the same command with --resume to go on.", err=True)
        raise


def _result(run: RunFolder, start: Start, as_json: bool) -> None:
    """What came of it: in a few words on stderr, and the metrics."""
    from seqrec_plugin.cli.tables import show_metrics

    info, metrics = run.info, run.metrics()
    if not as_json:
        epochs = f"best epoch {info.epoch + 1}" if start.refit is None else f"all events, {info.epoch + 1} epochs"
        each = f" in each of {info.processes} processes" if info.processes > 1 else ""
        click.echo(
            f"{info.model} on {info.dataset}: {epochs}, {info.seconds:.0f} s "
            f"on {info.threads} thread(s){each}, in {run.path}" + (_cut(run) if info.cut else ""),
            err=True,
        )
        if start.initial is not None:
            known, new = info.n_items - 1, metrics["began_from"]["new_items"]
            click.echo(f"Items: {known} known, {new} of them new, {len(info.retired)} never recommended.", err=True)
            from seqrec_plugin.starting import changed_behaviors

            appeared, gone = changed_behaviors(start.initial, run)
            told = [
                f"{', '.join(names)} {what}" for names, what in ((appeared, "new"), (gone, "no longer seen")) if names
            ]
            if told:
                click.echo(f"Behaviours: {'; '.join(told)}.", err=True)
    if info.told_target_time:
        click.echo("The model was told the time of each target itself (time_to_ask).", err=True)
    if start.refit is not None and not as_json:
        click.echo(f"The metrics are those of {start.refit.path}: nothing is held out of a refit.", err=True)
        metrics = metrics["before_refit"]
    show_metrics(metrics, as_json)


def _estimate(resolved: Resolved, start: Start, as_json: bool) -> None:
    _show_left_out(resolved)
    click.echo("Loading RecBole and the data, and trying a few steps …", err=True)
    import dataclasses

    from seqrec_plugin import training

    found = training.estimate(resolved, start)
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(found), "bytes": found.bytes, "seconds": found.seconds}, indent=2))
    else:
        click.echo(f"{found.sizes}\n{found.times}")


def _what(
    config: str | None, overrides: tuple[str, ...], data: Path | None, refit: Path | None, init_from: Path | None
) -> tuple[Resolved, Start]:
    """The effective configuration, and what training starts from."""
    from seqrec_plugin.cli import shipped
    from seqrec_plugin.recbole_bridge.settings import resolve

    file = None if config is None else shipped.find(config)
    if refit is None and init_from is None:
        from seqrec_plugin.starting import Start

        assert file is not None
        return resolve(file, overrides, data), Start()
    from seqrec_plugin.checkpoint import CONFIG_FILE, RunFolder
    from seqrec_plugin.starting import Start, configuration

    start = Start(*(None if path is None else RunFolder.open(path) for path in (refit, init_from)))
    start.check_runs()
    if start.refit is not None:
        return configuration(start.refit, file, overrides, data), start
    assert start.initial is not None
    return resolve(file or start.initial.path / CONFIG_FILE, overrides, data), start


def _cut(run: RunFolder) -> str:
    last = run.curve()[-1]
    return f"; cut by time_limit at {last['elapsed_seconds']:.0f} s, epoch {last['epoch'] + 1}"


def _show(resolved: object, quiet: bool) -> None:
    """The effective configuration on stderr: what the user and seqrec chose, with its source.

    Args:
        resolved: the configuration.
        quiet: it is another run's, which is not listed again.
    """
    from seqrec_plugin.checkpoint import CONFIG_FILE
    from seqrec_plugin.recbole_bridge.reading import yaml_text
    from seqrec_plugin.recbole_bridge.settings import Resolved

    assert isinstance(resolved, Resolved)
    hidden = {"RecBole", resolved.model} | ({CONFIG_FILE} if quiet else set())
    shown = {key: s for key, s in resolved.settings.items() if s.source not in hidden}
    click.echo(f"{resolved.model} on {resolved.dataset}", err=True)
    width = max(map(len, shown), default=0)
    for key, setting in shown.items():
        click.echo(f"  {key:<{width}}  {yaml_text(setting.value):<12}  {setting.source}", err=True)
    rest = len(resolved.settings) - len(shown)
    others = "values of that run" if quiet else f"defaults of {resolved.model} and RecBole"
    click.echo(f"  and {rest} {others} (all in the run's config.yaml)", err=True)
    _show_left_out(resolved)


def _show_left_out(resolved: Resolved) -> None:
    if resolved.left_out:
        click.echo(f"  without what {resolved.model} has no option for: {', '.join(resolved.left_out)}", err=True)

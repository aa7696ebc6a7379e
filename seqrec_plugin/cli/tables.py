"""Results on stdout: a table for people, JSON with --json."""

from __future__ import annotations

import json
from typing import Any

import click


def show_metrics(metrics: dict[str, Any], as_json: bool) -> None:
    """Print masked and unmasked metrics of valid and test."""
    if as_json:
        click.echo(json.dumps(metrics, indent=2))
        return
    parts = [part for part in ("valid", "test") if part in metrics]
    if "probability" in metrics[parts[0]]:
        click.echo(f"{'':<12}" + "".join(f"{part:>10}" for part in parts))
        for name in metrics[parts[0]]["probability"]:
            click.echo(f"{name:<12}" + "".join(f"{metrics[part]['probability'][name]:>10.4f}" for part in parts))
        click.echo("Calibration: mean distance of probability and share, over ten bins; 0 is perfect.", err=True)
        return
    columns = [(part, kind) for part in parts for kind in ("masked", "unmasked")]
    names = list(metrics[parts[0]]["masked"])
    click.echo(f"{'':<8}" + "".join(f"{part + ' ' + kind:>16}" for part, kind in columns))
    for name in names:
        click.echo(f"{name:<8}" + "".join(f"{metrics[part][kind][name]:>16.4f}" for part, kind in columns))
    click.echo("masked: a user's own history cannot be ranked; unmasked: it can, as in RecBole.", err=True)


def show_check(check: Any, as_json: bool) -> None:
    """Print one check that holds."""
    if as_json:
        click.echo(json.dumps({"check": check.name, "ok": True, "detail": check.detail}))
    else:
        click.echo(f"ok  {check.name}" + (f": {check.detail}" if check.detail else ""))

"""Results on stdout: a table for people, JSON with --json."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from seqrec_plugin.models.options import Described

#: The least width of a column in which a sentence reads well.
_SENTENCE = 28


def wrapped(text: str, indent: str = "") -> str:
    """A sentence as wide as the terminal."""
    columns = shutil.get_terminal_size((100, 24)).columns
    return "\n".join(
        textwrap.wrap(text, max(columns, 40), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    )


def show_metrics(metrics: dict[str, Any], as_json: bool) -> None:
    """Print masked and unmasked metrics of valid and test."""
    if as_json:
        click.echo(json.dumps(metrics, indent=2))
        return
    parts = [part for part in ("valid", "test") if part in metrics]
    if all("targets" in metrics[part] for part in parts):
        click.echo("Targets: " + ", ".join(f"{metrics[part]['targets']:,} of {part}" for part in parts) + ".", err=True)
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


def options_table(title: str, options: Sequence[Described]) -> str:
    """Options with type, default, range and meaning, as wide as the terminal.

    The meaning wraps in its column, or stands below where the terminal leaves it no column.
    """
    from seqrec_plugin.recbole_bridge.reading import yaml_text

    rows = [(title, "type", "default", "range", "meaning")]
    rows += [(o.name, o.type, yaml_text(o.default), o.range, o.meaning) for o in options]
    *widths, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    left = sum(widths) + 2 * len(widths)
    room = shutil.get_terminal_size((100, 24)).columns - left
    lines = []
    for *cells, meaning in rows:
        start = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        if room >= _SENTENCE:
            first, *rest = textwrap.wrap(meaning, room)
            lines += [f"{start}  {first}", *(" " * left + line for line in rest)]
        else:
            below = textwrap.wrap(meaning, max(left + room - 4, 20)) if meaning != "meaning" else []
            lines += [start.rstrip(), *(f"    {line}" for line in below)]
    return "\n".join(lines)

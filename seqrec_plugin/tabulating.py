"""What a benchmark found → tables, for a terminal and as Markdown."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

Table = list[list[str]]

_NONE = "–"


def to_text(result: dict[str, Any]) -> str:
    """The tables for a terminal, with where and how they were made above them."""
    parts = [*_head(result), ""]
    for table in (_quality(result), _cost(result)):
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row in table:
            first, *rest = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
            parts.append("  ".join([f"{first.strip():<{widths[0]}}", *rest]).rstrip())
        parts.append("")
    wide = shutil.get_terminal_size((100, 24)).columns
    told = [line for text in (*_notes(result), _explained(result)) for line in textwrap.wrap(text, max(wide, 40))]
    return "\n".join([*parts, *told])


def to_markdown(result: dict[str, Any]) -> str:
    """The same as Markdown."""
    parts = [f"# {result['name']}", "", *(f"- {line}" for line in _head(result)), ""]
    for table in (_quality(result), _cost(result)):
        head, *rows = ([cell.replace("|", "\\|") for cell in row] for row in table)
        rule = ["---", *["---:"] * (len(head) - 1)]
        parts += [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
        parts.append("")
    notes = _notes(result)
    parts += [*(f"- {note}" for note in notes), *([""] if notes else []), _explained(result)]
    return "\n".join(parts) + "\n"


def _head(result: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {' and '.join(found)}" for name, found in result["versions"].items())
    threads = " and ".join(map(str, result["threads"])) or _NONE
    return [
        f"command: {result['command']}",
        f"machine: {'; '.join(result['machine'])} · threads {threads} · {' to '.join(result['date'])}",
        f"versions: {versions or _NONE}",
        f"data: {result['dataset'] or _NONE} · {result['order'] or _NONE} · {result['test_rows']} test rows"
        f" · seeds {', '.join(map(str, result['seeds']))}",
    ]


def _quality(result: dict[str, Any]) -> Table:
    names, test = result["metrics"], result["test"]
    rows = [
        ["model", *names, *(f"unmasked {n}" for n in names), f"{test['metric']} against {test['against']}", "seeds"]
    ]
    for model in result["models"]:
        values = [_spread(model[kind][name]) for kind in ("masked", "unmasked") for name in names]
        rows.append([model["label"], *values, _difference(model["difference"]), str(len(model["seeds"]) or _NONE)])
    return rows


def _cost(result: dict[str, Any]) -> Table:
    rows = [["model", "parameters", "s/epoch", "validation", "time to best", "peak memory", "best of epochs", "cut"]]
    for model in result["models"]:
        done = [run for run in model["runs"] if run["state"] == "finished"]
        cut = [run for run in done if run["cut"]]
        rows.append(
            [
                model["label"],
                _NONE if model["parameters"] is None else f"{model['parameters']:,}",
                _seconds(model["seconds_per_epoch"]),
                _seconds(model["validation_seconds"]),
                _seconds(model["seconds_to_best"]),
                _NONE if model["peak_memory"] is None else f"{model['peak_memory'] / 2**20:,.0f} MiB",
                ", ".join(f"{run['best_epoch']}/{run['epochs']}" for run in done) or _NONE,
                "; ".join(f"cut at {_seconds(run['seconds'])}, epoch {run['epochs']}" for run in cut)
                or ("no" if done else _NONE),
            ]
        )
    return rows


def _notes(result: dict[str, Any]) -> list[str]:
    """Which runs the table lacks, and why; and which models were told more than the others."""
    missing = [
        f"{model['label']}, seed {run['seed']}: {run['reason']}"
        for model in result["models"]
        for run in model["runs"]
        if run["state"] != "finished"
    ]
    told = [
        f"{model['label']} was told the time of the target itself (time_to_ask)"
        for model in result["models"]
        if any(run.get("told_target_time") for run in model["runs"])
    ]
    return told + missing


def _explained(result: dict[str, Any]) -> str:
    test = result["test"]
    return (
        "Mean ± standard deviation over seeds. Masked: a user's own history cannot be ranked; unmasked: it can, as in "
        f"RecBole. Best epoch by {result['valid_metric']}, masked, on validation. Against {test['against']}: the mean "
        f"difference over test rows with its {test['level']:.0%} interval ({test['resamples']:,} resamples of the "
        "rows, paired, over the seeds that both have); * where that excludes 0. Seconds an epoch are of training "
        "alone; the time to best counts training and validation."
    )


def _spread(value: dict[str, float | None]) -> str:
    mean, std = value["mean"], value["std"]
    if mean is None:
        return _NONE
    return f"{mean:.4f}" + (f" ± {std:.4f}" if std is not None else "")


def _difference(found: dict[str, Any] | None) -> str:
    if found is None:
        return _NONE
    mark = " *" if found["excludes_zero"] else ""
    return f"{found['mean']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]{mark}"


def _seconds(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"

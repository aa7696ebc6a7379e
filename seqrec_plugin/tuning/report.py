"""What a search found → the table of its trials, each option's importance, and the best as a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqrec_plugin.recbole_bridge.reading import yaml_text
from seqrec_plugin.recbole_bridge.settings import Setting

_NONE = "–"


def to_text(result: dict[str, Any], most: int = 10) -> str:
    """The best trials, the importance of the options, and how many trials there were."""
    table = _trials(result, most)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    parts = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join([*parts, "", *_notes(result)])


def to_markdown(result: dict[str, Any]) -> str:
    """All trials, best first, with where and how they were made."""
    head, *rows = ([cell.replace("|", "\\|") for cell in row] for row in _trials(result))
    parts = [
        f"# {result['model']} on {result['dataset']}: {result['metric']} on validation",
        "",
        f"- command: {result['command']}",
        f"- machine: {result['machine']} · threads {result['threads']} · {result['date']} · seed {result['seed']}",
        "",
        *(f"| {' | '.join(row)} |" for row in (head, ["---:"] * len(head), *rows)),
        "",
        *(f"- {note}" for note in _notes(result)),
    ]
    return "\n".join(parts) + "\n"


def _trials(result: dict[str, Any], most: int | None = None) -> list[list[str]]:
    sign = 1 if result["smaller_is_better"] else -1
    places = {"finished": 0, "pruned": 1, "failed": 2}
    trials = sorted(result["trials"], key=lambda t: (places[t["state"]], sign * (t["score"] or 0.0), t["trial"]))
    names = list(result["space"])
    rows = [["trial", result["metric"], "epoch", "seconds", *names]]
    for trial in trials[:most]:
        score = _NONE if trial["score"] is None else f"{trial['score']:.4f}"
        epoch = _NONE if trial["epochs"] is None else f"{trial['best_epoch']}/{trial['epochs']}"
        seconds = _NONE if trial["seconds"] is None else f"{trial['seconds']:.0f}"
        state = "" if trial["state"] == "finished" else f" {trial['state']}"
        rows.append(
            [str(trial["trial"]), score + state, epoch, seconds, *(value(trial["options"].get(n)) for n in names)]
        )
    return rows


def _notes(result: dict[str, Any]) -> list[str]:
    states = [trial["state"] for trial in result["trials"]]
    counts = ", ".join(f"{states.count(s)} {s}" for s in ("finished", "pruned", "failed") if s in states) or "none"
    of = f" on a sample of {result['valid_sample']} rows (valid_sample)" if result["valid_sample"] else ""
    notes = [f"Trials: {counts}. Scored on validation only{of}: the test part was not looked at."]
    if result["best"] is not None:
        notes.append(f"The best is trial {result['best']}, of one seed: with other seeds it may give less.")
    if result["importance"]:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in result["importance"].items())
        notes.append(f"Importance (fANOVA; a pruned trial counts with what it had): {shares}.")
    else:
        notes.append("Importance: too few trials to say.")
    notes += [f"Trial {t['trial']} failed: {t['reason']}" for t in result["trials"] if "reason" in t]
    return notes


def value(found: Any) -> str:
    """An option's value in a line for people."""
    return f"{found:.4g}" if isinstance(found, float) else str(found)


def recipe(given: Mapping[str, Setting], tuned: Mapping[str, Any] | None = None) -> str:
    """A configuration as a file that gives it.

    Args:
        given: what somebody chose.
        tuned: option → the range in which it was found, for its comment.
    """
    lines = []
    for key, setting in given.items():
        found_in = f"  # found in {yaml_text(tuned[key])}" if tuned and key in tuned else ""
        lines.append(f"{key}: {yaml_text(setting.value)}{found_in}\n")
    return "".join(lines)


def best_recipe(result: dict[str, Any], given: Mapping[str, Setting], file: Path) -> str:
    """The best trial as a recipe that runs as it is, and says where it comes from."""
    (best,) = (trial for trial in result["trials"] if trial["trial"] == result["best"])
    where = f"at epoch {best['best_epoch']} of {best['epochs']}, seed {result['seed']}, {result['date']}"
    head = [
        f"seqrec train {file} -o runs/tuned",
        f"The best of {len(result['trials'])} trials (trial {best['trial']}) on {result['dataset']}: "
        f"{result['metric']} {best['score']:.4f} on validation, {where}.",
        "It is the best of many trials with one seed: others may give less.",
    ]
    if result["valid_sample"]:
        head.append(f"That score is of {result['valid_sample']} rows (valid_sample); a run reports all of them.")
    if "data_path" in given and not Path(str(given["data_path"].value)).is_absolute():
        head.append("data_path is as seen from the folder in which the search was started.")
    return "".join(f"# {line}\n" for line in head) + "\n" + recipe(given, result["space"])

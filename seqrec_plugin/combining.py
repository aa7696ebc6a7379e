"""Finished runs over one split → one run, whose scores are the mean of theirs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from seqrec_plugin import checkpoint, evaluating, machine
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.columns import EventColumns
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.combined import Combined, combinable
from seqrec_plugin.run_info import FORMAT_VERSION, Origins, RunInfo
from seqrec_plugin.split import Split

#: What runs of the same events must have alike: key of `run.json` → what it is called.
_ALIKE = {
    "order": "the order of events",
    "max_history": "MAX_ITEM_LIST_LENGTH",
    "target_behaviors": "target_behaviors",
    "retired": "the list of items that are never recommended",
}
_EVENTS = ("items", "offsets", "train", "valid", "test")


def combine(runs: Sequence[RunFolder], output: Path, force: bool = False, refit: RunFolder | None = None) -> RunFolder:
    """Make one run of several; it evaluates, exports and answers like a trained one.

    Args:
        runs: two or more, of models that give every item a score, trained on one data set and split.
        output: the run folder, made here.
        force: replace a run that is in `output` already.
        refit: a combined run; `runs` are the refits of its parts, and so the new run is a refit of it.

    Raises:
        WrongUsage: `bad_value` where the runs do not go together, or `output` is taken.
        BadData: `run_invalid` where one of them is none, is damaged or was purged.
    """
    started = time.monotonic()
    if len(runs) < 2:
        raise WrongUsage("bad_value", "One run alone is nothing to combine.", "Give two runs or more.")
    for run in runs:
        run.check_not_purged()
    if output.resolve() in [run.path.resolve() for run in (*runs, *filter(None, [refit]))]:
        raise WrongUsage("bad_value", f"{output} is one of the runs named.", "Choose another output folder.")
    _check_different(runs)
    if refit is None:
        _check_measured(runs)
    else:
        _check_refits(runs, refit)
    RunFolder.check_output(output, force)
    models = [_model(run) for run in runs]
    split = runs[0].split()
    for other in runs[1:]:
        split = _joined(runs[0], other, split)
    run = RunFolder.create(output, force)
    try:
        _write(run, Combined(models).eval(), runs, split, refit, started)
    except BaseException:
        run.abandon()
        raise
    run.settle()
    return run


def _write(
    run: RunFolder,
    model: SequenceModel,
    runs: Sequence[RunFolder],
    split: Split,
    refit: RunFolder | None,
    started: float,
) -> None:
    """Measure the combined model, where something is held out, and write all that its run holds."""
    from seqrec_plugin.training import before_refit, probe_of

    info = runs[0].info
    if refit is None:
        ranks = evaluating.rank_parts(model, split, info.max_history)
        run.save_ranks(ranks)
        results = evaluating.summarise_parts(ranks)
    else:
        results = before_refit(refit)
    run.write(checkpoint.CONFIG_FILE, _listed(runs).encode())
    run.save_weights(model.state_dict())
    run.write(checkpoint.VOCABULARY_FILE, runs[0].vocabulary().encode())
    run.save_split(split)
    run.save_probe(probe_of(split, model.columns, info.seed))
    run.save_json(checkpoint.METRICS_FILE, {"order": info.order, **results})
    run.save_lines(checkpoint.CURVE_FILE, [])
    run.finish(_info(runs, model, refit, time.monotonic() - started))


def _check_different(runs: Sequence[RunFolder]) -> None:
    """The mean of a model with itself is that model, at twice the cost."""
    seen: dict[str, RunFolder] = {}
    for run in runs:
        other = seen.setdefault(run.origin.weights, run)
        if other is not run:
            same = f"{run.path} is given twice" if other.path == run.path else f"{run.path} is a copy of {other.path}"
            raise WrongUsage("bad_value", f"{same}.", "Give each run once.")


def _check_measured(runs: Sequence[RunFolder]) -> None:
    """Of what learned from all events nothing could be measured."""
    for run in runs:
        if (of := run.info.origins.refit_of) is not None:
            raise WrongUsage(
                "bad_value",
                f"{run.path} is a refit, which learned from all events: nothing could measure what it is part of.",
                f"Combine the runs before their refit ({of.run} here), and then the refits with --refit-of.",
            )


def _check_refits(runs: Sequence[RunFolder], refit: RunFolder) -> None:
    """Refits make the refit of a combined run, if they are those of its parts, in its order."""
    if not refit.info.combined or refit.info.origins.refit_of is not None:
        wrong = f"{refit.path} is not what `seqrec combine` made of measured runs"
        raise WrongUsage(
            "bad_value", f"{wrong}.", "--refit-of names what the runs before their refit were combined to."
        )
    parts = refit.info.origins.parts
    hint = f"{refit.path} was combined of {', '.join(part.run for part in parts)}: give a refit of each, in this order."
    if len(runs) != len(parts):
        raise WrongUsage("bad_value", f"{refit.path} has {len(parts)} parts, but {len(runs)} runs are given.", hint)
    for run, part in zip(runs, parts, strict=True):
        of = run.info.origins.refit_of
        if of is None:
            raise WrongUsage("bad_value", f"{run.path} is no refit.", f"Make one: seqrec train --refit {run.path} -o …")
        if of.weights != part.weights:
            wrong = f"{run.path} is a refit of {of.run}, in the place of one of {part.run}"
            if of.run == part.run:
                wrong = f"{run.path} is a refit of another {of.run} than that which {refit.path} was combined of"
                hint = "Where that run was trained anew, combine anew, too."
            raise WrongUsage("bad_value", f"{wrong}.", hint)


def _model(run: RunFolder) -> SequenceModel:
    info = run.info
    if info.combined:
        raise WrongUsage("bad_value", f"{run.path} was combined itself.", "Give the runs that it was combined of.")
    model = evaluating.load_model(run) if info.ours else None
    if model is None or not combinable(model):
        raise WrongUsage(
            "bad_value",
            f"{run.path} holds a {info.model}, which cannot be combined.",
            "Models that `seqrec models` lists can, but for those that give probabilities or read numbers.",
        )
    return model


def _joined(first: RunFolder, other: RunFolder, split: Split) -> Split:
    """The split with what the other run knows of its events besides.

    Scores have a mean only where they are of the same items, and a measure only where the split is the same.
    """
    theirs = other.split()
    if wrong := _difference(first, other, split, theirs):
        raise WrongUsage(
            "bad_value",
            f"{first.path} and {other.path} cannot be combined: {wrong}.",
            "Train both on the same data, with the same options of what is read and held out.",
        )
    columns = {name: value for found in (theirs, split) for name, value in _known(found).items()}
    return dataclasses.replace(split, columns=EventColumns(**columns))


def _difference(first: RunFolder, other: RunFolder, split: Split, theirs: Split) -> str:
    """What keeps two runs apart; empty, if nothing does."""
    one, two = first.info, other.info
    if one.data_sha256 != two.data_sha256:
        return f"their files of events differ ({one.dataset}, {two.dataset})"
    for key, name in _ALIKE.items():
        mine, its = getattr(one, key), getattr(two, key)
        if mine != its:
            return f"{name} is {_told(mine)} in one, and {_told(its)} in the other"
    if first.vocabulary().tokens != other.vocabulary().tokens:
        return "their items are numbered otherwise, as after --init-from"
    if not all(np.array_equal(getattr(split, name), getattr(theirs, name)) for name in _EVENTS):
        return "what they hold out is not the same"
    mine, its = _known(split), _known(theirs)
    unlike = [name for name in mine if name in its and not np.array_equal(mine[name], its[name])]
    return f"they read another {unlike[0]} of the events" if unlike else ""


def _known(split: Split) -> dict[str, Any]:
    """What a run knows of its events beside their items, by name."""
    return {name: value for name, value in vars(split.columns).items() if value is not None}


def _told(value: Any) -> str:
    return (", ".join(map(str, value)) or "empty") if isinstance(value, tuple) else str(value)


def _info(runs: Sequence[RunFolder], model: SequenceModel, refit: RunFolder | None, seconds: float) -> RunInfo:
    """What the new run says of itself."""
    from seqrec_plugin.training import versions

    infos = [run.info for run in runs]
    return msgspec.structs.replace(
        infos[0],  # what the runs have alike, and the first one's seed and threads
        format_version=FORMAT_VERSION,
        model=" + ".join(info.model for info in infos),
        ours=False,
        model_config={
            "parts": [
                {"model": info.model, "epoch": info.epoch, "seed": info.seed, "config": info.model_config}
                for info in infos
            ]
        },
        exclude_seen=all(info.exclude_seen for info in infos),
        columns=model.columns,
        behaviors=model.behaviors,
        epoch=max(info.epoch for info in infos),
        seconds=round(seconds, 2),
        versions=versions(),
        files={},
        parameters=sum(p.numel() for p in model.parameters()),
        peak_memory=0,
        cut=any(info.cut for info in infos),
        machine=machine.processor(),
        date=machine.today(),
        origins=Origins(None if refit is None else refit.origin, parts=tuple(run.origin for run in runs)),
        processes=1,
    )


def _listed(runs: Sequence[RunFolder]) -> str:
    """`config.yaml`: there is nothing to train again."""
    names = "".join(f"#   {run.path.resolve().name}: {run.info.model}, seed {run.info.seed}\n" for run in runs)
    return f"# This run was not trained: `seqrec combine` made it of these.\n{names}"

"""Finished runs over one split → one run, whose scores are the mean of theirs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

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

#: What runs must have alike, beside items and split: key of `run.json` → what it is called.
_ALIKE = {
    "data_sha256": "file of events",
    "order": "order of events",
    "max_history": "MAX_ITEM_LIST_LENGTH",
    "target_behaviors": "choice of target_behaviors",
    "retired": "list of retired items",
}


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
    places = [run.path.resolve() for run in runs]
    if twice := [str(run.path) for run, place in zip(runs, places, strict=True) if places.count(place) > 1]:
        raise WrongUsage("bad_value", f"{twice[0]} is given twice.", "Give each run once.")
    if output.resolve() in places:
        raise WrongUsage("bad_value", f"{output} is one of the runs to combine.", "Choose another output folder.")
    _check_measured(runs, refit)
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


def _check_measured(runs: Sequence[RunFolder], refit: RunFolder | None) -> None:
    """Runs that are measured make one that is; refits make the refit of one that is made of what they are refits of."""
    if refit is None:
        for run in runs:
            if run.info.origins.refit_of is not None:
                raise WrongUsage(
                    "bad_value",
                    f"{run.path} is a refit, which learned from all events: nothing could measure what it is part of.",
                    "Combine the runs before their refit, and give that run with --refit-of to combine the refits.",
                )
            evaluating.check_measurable(run)
        return
    if not refit.info.combined or refit.info.origins.refit_of is not None:
        raise WrongUsage(
            "bad_value", f"{refit.path} is not what `seqrec combine` made of measured runs.", "Combine those first."
        )
    parts = refit.info.origins.parts
    if [run.info.origins.refit_of for run in runs] != list(parts):
        raise WrongUsage(
            "bad_value",
            f"The runs are not the refits of what {refit.path} was combined of.",
            f"Give those of {', '.join(part.run for part in parts)}, in this order.",
        )


def _model(run: RunFolder) -> SequenceModel:
    info = run.info
    if info.combined:
        raise WrongUsage("bad_value", f"{run.path} was combined itself.", "Give the runs that it was combined of.")
    model = evaluating.load_model(run)
    if not info.ours or not combinable(model):
        raise WrongUsage(
            "bad_value",
            f"{run.path} holds a {info.model}, which cannot be combined: only models of `seqrec models` that score the "
            "next item can, and read no numbers.",
        )
    return model


def _joined(first: RunFolder, other: RunFolder, split: Split) -> Split:
    """The split with what the other run knows of its events besides.

    Scores have a mean only where they are of the same items, and a measure only where the split is the same.
    """
    theirs = other.split()
    known, more = ({n: v for n, v in vars(s.columns).items() if v is not None} for s in (split, theirs))
    different = [name for key, name in _ALIKE.items() if getattr(first.info, key) != getattr(other.info, key)]
    if not different:
        arrays = ("items", "offsets", "train", "valid", "test")
        if not all(np.array_equal(getattr(split, name), getattr(theirs, name)) for name in arrays):
            different = ["split"]
        elif first.vocabulary().tokens != other.vocabulary().tokens:
            different = ["list of items"]
        else:
            both = [name for name in known if name in more]
            different = [f"{name} of the events" for name in both if not np.array_equal(known[name], more[name])]
    if different:
        raise WrongUsage(
            "bad_value",
            f"{first.path} and {other.path} cannot be combined: the {different[0]} is not the same.",
            "Train both on the same data, with the same keys of data and evaluation.",
        )
    return dataclasses.replace(split, columns=EventColumns(**known | more), wanted=split.wanted or theirs.wanted)


def _info(runs: Sequence[RunFolder], model: SequenceModel, refit: RunFolder | None, seconds: float) -> RunInfo:
    """What the new run says of itself."""
    from seqrec_plugin.training import versions

    infos = [run.info for run in runs]
    return msgspec.structs.replace(
        infos[0],  # what the runs have alike, and the first one's seed and threads
        format_version=FORMAT_VERSION,
        model=" + ".join(info.model for info in infos),
        ours=False,
        model_config={"parts": [{"model": info.model, "config": info.model_config} for info in infos]},
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

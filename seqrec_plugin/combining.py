"""Finished runs over one split → one run, whose scores are the mean of theirs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from seqrec_plugin import checkpoint, evaluating, machine
from seqrec_plugin.checkpoint import RunFolder
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


def combine(runs: Sequence[RunFolder], output: Path, force: bool = False) -> RunFolder:
    """Make one run of several; it evaluates, exports and answers like a trained one.

    Args:
        runs: two or more, of models that read nothing but items, trained on one data set and split.
        output: the run folder, made here.
        force: replace a run that is in `output` already.

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
    models = [_model(run) for run in runs]
    first, split = runs[0], runs[0].split()
    for other in runs[1:]:
        _check_alike(first, other, split)
    run = RunFolder.create(output, force)
    try:
        model = Combined(models).eval()
        ranks = evaluating.rank_parts(model, split, first.info.max_history)
        run.write(checkpoint.CONFIG_FILE, _listed(runs).encode())
        run.save_weights(model.state_dict())
        run.write(checkpoint.VOCABULARY_FILE, first.vocabulary().encode())
        run.save_split(split)
        run.save_probe(first.probe())
        run.save_ranks(ranks)
        info = _info(runs, model, time.monotonic() - started)
        results = evaluating.summarise_parts(ranks)
        run.save_json(checkpoint.METRICS_FILE, {"order": info.order, **results})
        run.save_lines(checkpoint.CURVE_FILE, [])
        run.finish(info)
    except BaseException:
        run.abandon()
        raise
    run.settle()
    return run


def _model(run: RunFolder) -> SequenceModel:
    evaluating.check_measurable(run)
    info = run.info
    if info.combined:
        raise WrongUsage("bad_value", f"{run.path} was combined itself.", "Give the runs that it was combined of.")
    model = evaluating.load_model(run)
    if not info.ours or not combinable(model):
        raise WrongUsage(
            "bad_value",
            f"{run.path} holds a {info.model}, which cannot be combined: only models of `seqrec models` that read "
            "nothing but items can.",
        )
    return model


def _check_alike(first: RunFolder, other: RunFolder, split: Split) -> None:
    """Scores have a mean only where they are of the same items, and a measure only where the split is the same."""
    different = [name for key, name in _ALIKE.items() if getattr(first.info, key) != getattr(other.info, key)]
    if not different:
        theirs = other.split()
        arrays = ("items", "offsets", "train", "valid", "test")
        if not all(np.array_equal(getattr(split, name), getattr(theirs, name)) for name in arrays):
            different = ["split"]
        elif first.vocabulary().tokens != other.vocabulary().tokens:
            different = ["list of items"]
    if different:
        raise WrongUsage(
            "bad_value",
            f"{first.path} and {other.path} cannot be combined: the {different[0]} is not the same.",
            "Train both on the same data, with the same keys of data and evaluation.",
        )


def _info(runs: Sequence[RunFolder], model: SequenceModel, seconds: float) -> RunInfo:
    """What the new run says of itself."""
    from seqrec_plugin.training import versions

    infos = [run.info for run in runs]
    return msgspec.structs.replace(
        infos[0],  # what the runs have alike, and the first one's seed and threads
        format_version=FORMAT_VERSION,
        model=" + ".join(info.model for info in infos),
        ours=False,
        model_config={"parts": [{"model": info.model, "config": info.model_config} for info in infos]},
        epoch=max(info.epoch for info in infos),
        seconds=round(seconds, 2),
        versions=versions(),
        files={},
        parameters=sum(p.numel() for p in model.parameters()),
        peak_memory=0,
        cut=any(info.cut for info in infos),
        machine=machine.processor(),
        date=machine.today(),
        origins=Origins(parts=tuple(run.origin for run in runs)),
        processes=1,
    )


def _listed(runs: Sequence[RunFolder]) -> str:
    """`config.yaml`: there is nothing to train again."""
    names = "".join(f"#   {run.path.resolve().name}: {run.info.model}, seed {run.info.seed}\n" for run in runs)
    return f"# This run was not trained: `seqrec combine` made it of these.\n{names}"

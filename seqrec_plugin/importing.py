"""A RecBole checkpoint → a run folder that can be evaluated and exported.

A checkpoint has neither the items' names nor the split: RecBole makes both from the data, by the configuration that the
checkpoint holds. So does this; and since nothing else would tell a changed file, the model must reach the checkpoint's
own validation score on it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqrec_plugin import building, checkpoint, imported, metrics, registry, training
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.errors import BadData, Failed, SeqrecError, WrongUsage
from seqrec_plugin.evaluating import set_threads
from seqrec_plugin.models import options
from seqrec_plugin.recbole_bridge import data_files
from seqrec_plugin.recbole_bridge.importing import first_scores, rebuild, resolve_stored
from seqrec_plugin.recbole_bridge.settings import Resolved
from seqrec_plugin.run_info import FORMAT_VERSION, RunInfo
from seqrec_plugin.unpickling import Checkpoint, Inert, StoredTensor, plain

#: How far the portable model's scores may be from RecBole's, absolute and relative.
TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What a RecBole checkpoint says."""

    model: str
    dataset: str
    given: dict[str, Any]
    final: dict[str, Any]
    weights: dict[str, Tensor]
    epoch: int
    score: float


def import_recbole(file: Path, output: Path, *, overrides: Iterable[str] = (), force: bool = False) -> RunFolder:
    """Turn a checkpoint of RecBole's GRU4Rec, NARM or SASRec, or of one of our models, into a run folder.

    Args:
        file: what RecBole's trainer saved, `saved/….pth`. It is read without running anything of it.
        output: the run folder, made here, only if all of it holds.
        overrides: `key=value` texts over the checkpoint's configuration, such as `data_path=…`.
        force: replace a run that is in `output` already.

    Raises:
        WrongUsage: `unknown_model` for another model, or an override is wrong.
        BadData: `checkpoint_invalid`, or the data are not there or cannot be read.
        Failed: `check_failed` where the data are not those that the model was trained on.
    """
    started = time.monotonic()
    stored = _read(file)
    resolved = resolve_stored(stored.model, stored.dataset, stored.given, stored.final, overrides)
    data_file = data_files.data_file(resolved)
    titles = data_files.titles_of(resolved)
    threads = set_threads(resolved.values["threads"])
    try:
        run = RunFolder.create(output, force)
    except WrongUsage as error:
        hint = "Choose another folder; --force replaces a run."
        raise WrongUsage(error.code, error.message, hint) from None
    try:
        with building.contained(run):
            run.write(checkpoint.CONFIG_FILE, resolved.to_yaml().encode())
            trainer, dataset, parts = _rebuild(file, stored, resolved, run)
            results = {"valid": building.evaluate(trainer, parts[1], False)}
            _check_score(stored, resolved, results["valid"], trainer.ranks["masked"], data_file)
            results["test"] = building.evaluate(trainer, parts[2], False)
            config, weights = _portable(resolved, stored, trainer, parts[1])
        split = building.split_of(trainer, dataset, parts)
        run.save_weights(weights)
        run.write(checkpoint.VOCABULARY_FILE, building.vocabulary_of(dataset, titles).encode())
        run.save_split(split)
        exact = resolved.values["exact_time"]
        info = RunInfo(
            format_version=FORMAT_VERSION,
            model=resolved.model,
            ours=resolved.ours,
            imported=not resolved.ours,
            model_config=config,
            dataset=resolved.dataset,
            data_sha256=data_files.sha256(data_file),
            n_items=int(dataset.item_num),
            max_history=int(trainer.config["MAX_ITEM_LIST_LENGTH"]),
            exclude_seen=training.share_of_repeats(split) < training.RARE_REPEATS,
            seed=int(trainer.config["seed"]),
            epoch=stored.epoch,
            order="exact time, ties in file order" if exact else "RecBole's (time as float32)",
            threads=threads,
            seconds=round(time.monotonic() - started, 2),
            versions=training.versions(),
        )
        run.save_probe(training.probe_of(split, (), info.seed))
        run.save_json(checkpoint.METRICS_FILE, {"order": info.order, **results})
        run.save_lines(checkpoint.CURVE_FILE, [])
        run.finish(info)
    except BaseException:
        run.abandon()
        raise
    run.settle()
    return run


def _read(file: Path) -> _Stored:
    """What the checkpoint says, each part of the kind that it must be."""
    found = Checkpoint(file)
    try:
        content = found.content
        config = content["config"].state if isinstance(content["config"], Inert) else None
        if not isinstance(config, dict):
            raise ValueError("its config is none of RecBole's")
        model, dataset = config["model"], config["dataset"]
        epoch, score, state = content["epoch"], content["best_valid_score"], content["state_dict"]
        kinds = (isinstance(model, str), isinstance(dataset, str), type(epoch) is int, isinstance(score, (int, float)))
        if not all(kinds) or not all(isinstance(w, StoredTensor) for w in state.values()):
            raise ValueError("its parts are not of RecBole's kinds")
        if not (imported.MODELS.keys() | set(registry.names())) & {model}:
            raise WrongUsage(
                "unknown_model",
                f"{file} holds a {model}, which cannot be imported.",
                f"What can: RecBole's {', '.join(imported.MODELS)}, and the models of `seqrec models`.",
            )
        if epoch < 0 or not math.isfinite(score):
            raise Failed(
                "check_failed",
                f"{file} has no validation score, so nothing would tell whether the data are the right ones.",
                "Train with validation, as `run_recbole` does.",
            )
        given, final = plain(config["external_config_dict"]), {}
        for key, value in config["final_config_dict"].items():
            try:
                final[key] = plain(value)
            except ValueError:  # a device or the like, which is made anew
                continue
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        hint = "Give what RecBole's trainer saved, such as saved/GRU4Rec-….pth."
        raise BadData("checkpoint_invalid", f"{file} is no RecBole checkpoint: {reason}.", hint) from None
    weights = {name: found.tensor(weight) for name, weight in state.items()}
    return _Stored(model, dataset, given, final, weights, epoch, float(score))


def _rebuild(file: Path, stored: _Stored, resolved: Resolved, run: RunFolder) -> tuple[Any, Any, Any]:
    """RecBole's trainer, data set and parts, with the checkpoint's weights in the model."""
    try:
        trainer, dataset, parts = rebuild(resolved, run.path / checkpoint.RECBOLE_FOLDER)
    except SeqrecError:
        raise
    except building.RECBOLES as error:
        raise BadData(
            "dataset_invalid",
            f"RecBole cannot rebuild {resolved.model} and {resolved.dataset!r} from {file}: {building.words(error)}.",
            "Are the data those that it was trained on?",
        ) from error
    expected = {name: list(w.shape) for name, w in trainer.model.state_dict().items()}
    table = next((name for name in expected if name.endswith(("item_embedding.weight", "item_table.weight"))), "")
    if table in stored.weights and len(stored.weights[table]) != dataset.item_num:
        raise Failed(
            "check_failed",
            f"The model knows {len(stored.weights[table]) - 1} items, but {resolved.dataset!r} has "
            f"{dataset.item_num - 1} under its settings: these are not the data that it was trained on.",
            "Bring the very file, and give --set data_path=… with its place.",
        )
    for name in [*expected, *stored.weights]:
        if name not in stored.weights or expected.get(name) != list(stored.weights[name].shape):
            raise BadData("checkpoint_invalid", f"The weight {name} of {file} does not fit {resolved.model}.")
    trainer.model.load_state_dict(stored.weights)
    return trainer, dataset, parts


def _check_score(stored: _Stored, resolved: Resolved, valid: dict[str, Any], masked: Any, data_file: Path) -> None:
    """The model must be as good on the validation rows as when it was saved: RecBole's number, as RecBole rounds it."""
    metric = str(resolved.values["valid_metric"])
    if metric.lower() not in valid["recbole"]:
        raise WrongUsage("bad_value", f"The checkpoint's valid_metric {metric} is not among its metrics and topk.")
    found = [valid["recbole"][metric.lower()]]
    if "threads" in stored.final:  # `seqrec train` wrote it, which chooses by the masked number
        found.append(float(metrics.per_row(metric, masked).mean()))
    # A near tie may be broken the other way on another machine, so one unit in the last place is given.
    places = stored.final.get("metric_decimal_place")
    allowed = 1.01 * 10.0 ** -(places if isinstance(places, int) else 4) + 1e-4 * abs(stored.score)
    if min(abs(score - stored.score) for score in found) > allowed:
        raise Failed(
            "check_failed",
            f"With {data_file} the model's {metric} on the validation rows is {found[0]:.4f}, but the checkpoint says "
            f"{stored.score:.4f}: these are not the data that it was trained on.",
            "Bring the very file (order of lines included), and give --set data_path=… with its place.",
        )


def _portable(
    resolved: Resolved, stored: _Stored, trainer: Any, valid: Any
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The options and weights of the model without RecBole; it must score as RecBole's does."""
    if resolved.ours:
        network = trainer.model.network
        return dataclasses.asdict(network.config), network.state_dict()
    kind = imported.load(resolved.model)
    config = options.build(kind.Config, kind.options_from(trainer.config.final_config_dict))
    model = kind(config, len(stored.weights["item_embedding.weight"]))
    model.load_state_dict(kind.weights_from(stored.weights))
    item_seq, expected = first_scores(trainer, valid)
    scores = model.eval().score(torch.from_numpy(item_seq)).numpy()
    if not np.allclose(scores[:, 1:], expected[:, 1:], TOLERANCE, TOLERANCE):
        apart = np.abs(scores[:, 1:] - expected[:, 1:]).max()
        raise Failed("check_failed", f"The portable {resolved.model} scores {apart:.2g} away from RecBole's.")
    return dataclasses.asdict(config), model.state_dict()

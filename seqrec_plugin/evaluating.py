"""A run over its split → each row's ranks; needs torch, not RecBole."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqrec_plugin import checkpoint, imported, metrics, ranking, registry
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.columns import NEXT, Row, negatives, padded
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.models import options
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.combined import Combined
from seqrec_plugin.run_info import RunInfo
from seqrec_plugin.split import Split

#: (item_seq, columns) → scores
Scorer = Callable[[npt.NDArray[np.int64], Mapping[str, npt.NDArray[Any]]], npt.NDArray[np.float32]]


def load_model(run: RunFolder) -> SequenceModel:
    """The trained model of a run, in evaluation mode.

    Raises:
        BadData: `run_invalid` where weights and configuration do not fit, or the model is RecBole's own.
    """
    info = run.info
    if not info.portable or (info.imported and info.model not in imported.MODELS):
        hint = ""
        if info.model in imported.MODELS:
            hint = f"Make a portable run of it: seqrec import-recbole {run.path}/recbole/{info.model}.pth -o …"
        raise BadData("run_invalid", f"{run.path} holds RecBole's own {info.model}, which only RecBole can run.", hint)
    model = _combined(info) if info.combined else _built(info.model, info.model_config, info)
    try:
        model.load_state_dict(run.weights())
    except RuntimeError as error:
        raise BadData("run_invalid", f"The weights in {run.path} do not fit {info.model}: {error}.") from None
    model.item_table.retire(info.retired)
    return model.eval()


def _combined(info: RunInfo) -> SequenceModel:
    try:
        return Combined([_built(part["model"], part["config"], info) for part in info.model_config["parts"]])
    except (KeyError, TypeError) as error:
        raise BadData("run_invalid", f"The run does not say what it was combined of: {error!r}.") from None


def _built(name: str, values: Mapping[str, Any], info: RunInfo) -> SequenceModel:
    """An untrained model of a run."""
    model_class: type[Any] = imported.load(name) if info.imported else registry.load(name)
    known: dict[str, Any] = {"behaviors": info.behaviors, "features": info.features}
    if info.transforms:
        known["transforms"] = info.transforms
    config = options.build(model_class.Config, values)
    model: SequenceModel = model_class(config, info.n_items, **(known if model_class.reads(config) else {}))
    return model


def run_torch(model: SequenceModel, rows: Sequence[Row], state: Any = None) -> tuple[Any, Any]:
    """The vector after each history, float [batch, vector_size], and the state."""
    import torch

    item_seq, columns = padded(rows, model.columns)
    given = {
        name: torch.from_numpy(values).unsqueeze(1) if name in NEXT else torch.from_numpy(values)
        for name, values in columns.items()
    }
    with torch.no_grad():
        vectors, after = model(torch.from_numpy(item_seq), state, given)
    return vectors[:, -1], after


def set_threads(wanted: int) -> int:
    """Set torch's threads, never more than the cores this process may use; 0 means all of these.

    Numbers repeat to the last digit with the same number of threads only, so a run records its own.

    One is the default: on two shared cores a second thread made an epoch of small models slower, not faster.
    """
    import torch

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(wanted or allowed, allowed)
    torch.set_num_threads(threads)
    return threads


def rank_targets(
    score: Scorer,
    split: Split,
    rows: npt.NDArray[np.int64],
    max_history: int,
    columns: Sequence[str] = (),
) -> dict[str, npt.NDArray[np.int64]]:
    """The rank of each row's target among all items.

    Args:
        score: histories int64 [batch, length], padded with 0 on the left, and their columns → float32 [batch, n_items].
        split: the events.
        rows: int64 [n], the numbers of the target events.
        max_history: the model sees the newest so many items; the mask covers all of the history.
        columns: what it reads beside the items.

    Returns:
        int64 [n] each: `row`, `masked` (the history cannot be ranked, the target always can) and `unmasked`.
    """
    masked, unmasked = [], []
    batch = ranking.rows_at_once(512, 1 + int(split.items.max()))
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        histories = [split.history(int(row)) for row in part]
        item_seq, read = split.inputs(part, max_history)
        targets = split.items[part]
        scores = score(item_seq, split.columns.read(columns, read, part[:, None], split.wanted))
        owner = np.repeat(np.arange(len(part)), [len(history) for history in histories])
        unmasked.append(ranking.ranks(scores, targets))
        masked.append(ranking.masked_ranks(scores, unmasked[-1], owner, np.concatenate(histories), targets))
    return {"row": rows, "masked": np.concatenate(masked), "unmasked": np.concatenate(unmasked)}


def check_measurable(run: RunFolder) -> None:
    """Whether a run has events that it did not learn from.

    Raises:
        WrongUsage: `bad_value` for a refit.
        BadData: `run_invalid` where the run was purged.
    """
    run.check_not_purged()
    if (refitted := run.info.origins.refit_of) is not None:
        raise WrongUsage(
            "bad_value",
            f"{run.path} learned from all events, so that none is left to measure it on.",
            f"What is known of its quality was measured on the run before the refit ('{refitted.run}'), and stands in "
            f"{run.path / checkpoint.METRICS_FILE}.",
        )


def evaluate_run(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Metrics of the valid and test parts: `{"valid": {"targets": n, "masked": {…}, "unmasked": {…}}, "test": …}`.

    Raises:
        WrongUsage: `bad_value` for a refit, which has nothing held out.
    """
    check_measurable(run)
    return summarise_parts(rank_parts(load_model(run), run.split(), run.info.max_history))


def rank_parts(model: SequenceModel, split: Split, max_history: int) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """What is found of the targets of `valid` and `test`, where there are any: see `rank_targets`, `judge_targets`."""
    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for part, rows in (("valid", split.valid), ("test", split.test)):
        if not len(rows):
            continue
        if model.task == "probability":
            found[part] = judge_targets(model, split, rows, max_history)
        else:
            found[part] = rank_targets(_scorer(model), split, rows, max_history, model.columns)
    return found


def rank_validation(model: SequenceModel, split: Split, max_history: int) -> tuple[float, int]:
    """NDCG@10 of the validation part, history masked, and its number of targets.

    Where nothing was held out, as in a refit, each user's last event stands in: good enough to compare two ways of
    computing one model, and nothing else.
    """
    last = split.offsets[1:] - 1
    rows = split.valid if len(split.valid) else last[np.isin(last, split.train)]
    found = rank_targets(_scorer(model), split, rows, max_history, model.columns)
    return metrics.summarise(found["masked"])["NDCG@10"], len(rows)


def _scorer(model: SequenceModel) -> Scorer:
    import torch

    def score(item_seq: npt.NDArray[np.int64], columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        given = {name: torch.from_numpy(values) for name, values in columns.items()}
        return model.score(torch.from_numpy(item_seq), given).numpy()

    return score


def judge_targets(
    model: SequenceModel, split: Split, rows: npt.NDArray[np.int64], max_history: int, batch: int = 512
) -> dict[str, npt.NDArray[Any]]:
    """The probability of each row's event, and its label.

    Args:
        model: one of probabilities.
        split: the events; where it has no labels, each event is positive, and is followed by a negative row of an item
            that it was not about.
        rows: int64 [n], the numbers of the target events.
        max_history: the model sees the newest so many items.
        batch: rows judged at once.

    Returns:
        `row`, `label` and `probability`, [n] or [2n].
    """
    import torch

    others, labelled = negatives(split.items, model.n_items), split.columns.label is not None
    found: list[npt.NDArray[Any]] = []
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        item_seq, read = split.inputs(part, max_history)
        given = split.columns.read(model.columns, read, part[:, None])
        columns = {name: torch.from_numpy(values) for name, values in given.items()}
        own = [split.items[part]] if labelled else [split.items[part], others[part]]
        candidates = torch.from_numpy(np.stack(own, axis=1)) if model.takes_candidates else None
        with torch.no_grad():
            vectors, _ = model(torch.from_numpy(item_seq), None, columns)
            found.append(model.probabilities(vectors[:, -1], candidates).numpy())
    probability = np.concatenate(found)
    if split.columns.label is not None:
        return {"row": rows, "label": split.columns.label[rows], "probability": probability[:, 0]}
    label = np.tile(np.array([1, 0], dtype=np.float32), len(rows))
    return {"row": np.repeat(rows, 2), "label": label, "probability": probability.ravel()}


def summarise_parts(found: Mapping[str, Mapping[str, npt.NDArray[Any]]]) -> dict[str, dict[str, Any]]:
    """The metrics of each part, and its number of targets; of `rank_parts`."""
    return {part: {"targets": len(np.unique(r["row"])), **summarise_ranks(r)} for part, r in found.items()}


def summarise_ranks(ranks: Mapping[str, npt.NDArray[Any]]) -> dict[str, dict[str, float]]:
    """The masked and unmasked means of each row's ranks; or, of probabilities, what is said of these."""
    if "probability" in ranks:
        return {"probability": metrics.summarise_probabilities(ranks["label"], ranks["probability"])}
    return {kind: metrics.summarise(ranks[kind]) for kind in ("masked", "unmasked")}

"""A run over its split → each row's ranks; needs torch, not RecBole."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from seqrec_plugin import imported, metrics, ranking, registry
from seqrec_plugin.checkpoint import RunFolder, Split
from seqrec_plugin.errors import BadData
from seqrec_plugin.models import options
from seqrec_plugin.models.base import SequenceModel

Scorer = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]


def load_model(run: RunFolder) -> SequenceModel:
    """The trained model of a run, in evaluation mode.

    Raises:
        BadData: `run_invalid` where weights and configuration do not fit, or the model is RecBole's own.
    """
    info = run.info
    if not info.portable or (info.imported and info.model not in imported.MODELS):
        raise BadData("run_invalid", f"{run.path} holds RecBole's own {info.model}, which only RecBole can run.")
    model_class: type[Any] = imported.load(info.model) if info.imported else registry.load(info.model)
    model: SequenceModel = model_class(options.build(model_class.Config, info.model_config), info.n_items)
    try:
        model.load_state_dict(run.weights())
    except RuntimeError as error:
        raise BadData("run_invalid", f"The weights in {run.path} do not fit {info.model}: {error}.") from None
    return model.eval()


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
    score: Scorer, split: Split, rows: npt.NDArray[np.int64], max_history: int, batch: int = 512
) -> dict[str, npt.NDArray[np.int64]]:
    """The rank of each row's target among all items.

    Args:
        score: int64 [batch, length] histories, padded with 0 on the left → float32 [batch, n_items].
        split: the events.
        rows: int64 [n], the numbers of the target events.
        max_history: the model sees the newest so many items; the mask covers all of the history.
        batch: rows scored at once.

    Returns:
        int64 [n] each: `row`, `masked` (the history cannot be ranked, the target always can) and `unmasked`.
    """
    masked, unmasked = [], []
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        histories = [split.history(int(row)) for row in part]
        longest = max(1, min(max_history, max(map(len, histories))))
        item_seq = np.zeros((len(part), longest), dtype=np.int64)
        for seq, history in zip(item_seq, histories, strict=True):
            newest = history[-longest:]
            seq[longest - len(newest) :] = newest
        scores, targets = score(item_seq), split.items[part]
        owner = np.repeat(np.arange(len(part)), [len(history) for history in histories])
        hidden = ranking.mask_histories(scores, owner, np.concatenate(histories), targets)
        masked.append(ranking.ranks(hidden, targets))
        unmasked.append(ranking.ranks(scores, targets))
    return {"row": rows, "masked": np.concatenate(masked), "unmasked": np.concatenate(unmasked)}


def evaluate_run(run: RunFolder) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics of the valid and test parts: `{"valid": {"masked": {…}, "unmasked": {…}}, "test": …}`."""
    import torch

    model, split = load_model(run), run.split()

    def score(item_seq: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return model.score(torch.from_numpy(item_seq)).numpy()

    results = {}
    for part in ("valid", "test"):
        rows: npt.NDArray[np.int64] = getattr(split, part)
        if len(rows):
            results[part] = summarise_ranks(rank_targets(score, split, rows, run.info.max_history))
    return results


def summarise_ranks(ranks: dict[str, npt.NDArray[np.int64]]) -> dict[str, dict[str, float]]:
    """The masked and unmasked means of each row's ranks."""
    return {kind: metrics.summarise(ranks[kind]) for kind in ("masked", "unmasked")}

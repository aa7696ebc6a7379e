"""Ranks → metrics, for rows with one target each; numpy.

The formulas are those of RecBole's evaluator (and of its tests here) for one relevant item: with rank r of the
target, Hit@k = Recall@k = [r ≤ k], NDCG@k = [r ≤ k]/log2(r + 1), MRR@k = [r ≤ k]/r, Precision@k = [r ≤ k]/k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from seqrec_plugin.errors import WrongUsage, nearest

Ranks = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

_FORMULAS: dict[str, Callable[[Ranks, int], Values]] = {
    "hit": lambda r, k: (r <= k).astype(np.float64),
    "recall": lambda r, k: (r <= k).astype(np.float64),
    "ndcg": lambda r, k: np.where(r <= k, 1 / np.log2(r + 1), 0.0),
    "mrr": lambda r, k: np.where(r <= k, 1 / r, 0.0),
    "precision": lambda r, k: (r <= k) / k,
}


def per_row(name: str, ranks: Ranks) -> Values:
    """A metric such as `NDCG@10` for each row.

    Args:
        name: metric and cut-off; the case does not matter.
        ranks: int64 [rows], 1 for the best.

    Raises:
        WrongUsage: `bad_value` for a name that is not known here.
    """
    metric, k = check(name)
    return _FORMULAS[metric](ranks, k)


def check(name: str) -> tuple[str, int]:
    """The metric and the cut-off of a name such as `NDCG@10`.

    Raises:
        WrongUsage: `bad_value` for a name that is not known here.
    """
    metric, _, k = name.lower().partition("@")
    if metric not in _FORMULAS or not k.isdecimal() or int(k) < 1:
        hint = nearest(f"{metric}@10", [f"{m.upper()}@10" for m in _FORMULAS])
        raise WrongUsage("bad_value", f"There is no metric {name!r}.", hint)
    return metric, int(k)


def summarise(ranks: Ranks, cutoffs: Iterable[int] = (5, 10, 20)) -> dict[str, float]:
    """The means that tables print: HR, NDCG and MRR at each cut-off.

    Args:
        ranks: int64 [rows ≥ 1].
        cutoffs: the values of k.
    """
    names = {"HR": "hit", "NDCG": "ndcg", "MRR": "mrr"}
    return {f"{shown}@{k}": float(per_row(f"{m}@{k}", ranks).mean()) for k in cutoffs for shown, m in names.items()}


def summarise_probabilities(labels: Values, probabilities: Values) -> dict[str, float]:
    """What tables print of predicted probabilities.

    Args:
        labels: float [rows ≥ 1], 0 or 1.
        probabilities: float [rows], each 0 to 1.

    Returns:
        `AUC` (NaN where all labels are alike), `LogLoss`, `Accuracy` at a threshold of ½, `Calibration` (the expected
        calibration error over ten equal bins: Guo et al., On Calibration of Modern Neural Networks, ICML 2017), and
        besides `Positives`, the share of 1 among the labels.
    """
    labels, found = labels.astype(np.float64), probabilities.astype(np.float64)
    clipped = np.clip(found, 1e-7, 1 - 1e-7)
    bins = np.minimum((found * 10).astype(np.int64), 9)
    apart = np.abs(np.bincount(bins, labels - found, minlength=10)).sum() / len(labels)
    return {
        "AUC": _auc(labels, found),
        "LogLoss": float(-np.mean(labels * np.log(clipped) + (1 - labels) * np.log(1 - clipped))),
        "Accuracy": float(np.mean((found >= 0.5) == (labels > 0.5))),
        "Calibration": float(apart),
        "Positives": float(labels.mean()),
    }


def _auc(labels: Values, found: Values) -> float:
    """The share of pairs (a positive, a negative) in which the positive has more; ties count half."""
    positives = float(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(found, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[labels > 0.5].sum() - positives * (positives + 1) / 2) / (positives * negatives))

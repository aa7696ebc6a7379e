"""Finished runs over one split → what a benchmark says of their models: means, spread, cost, and a paired test."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from seqrec_plugin import metrics
from seqrec_plugin.checkpoint import SPLIT_FILE, Ranks, RunFolder
from seqrec_plugin.errors import BadData
from seqrec_plugin.split import Split

#: The entry that needs no training: every user gets the items that most training events have.
POPULARITY = "popularity"

RESAMPLES = 10_000
BOOTSTRAP_SEED = 0
#: Stands for every seed where there is nothing random.
_ANY_SEED = -1
#: Numbers held at once while resampling.
_CHUNK = 4_000_000

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean difference with its 95% bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Outcome:
    """What became of one run: `run` where it is finished, else `reason`. `path` is relative to the benchmark's."""

    seed: int
    path: str
    run: RunFolder | None
    reason: str = ""


@dataclass(frozen=True)
class Candidate:
    """One model of a benchmark with its runs; `POPULARITY` has none."""

    label: str
    model: str
    outcomes: tuple[Outcome, ...]

    @property
    def finished(self) -> list[RunFolder]:
        """The runs that came to their end."""
        return [outcome.run for outcome in self.outcomes if outcome.run is not None]


def paired_interval(
    first: Values, second: Values, resamples: int = RESAMPLES, seed: int = BOOTSTRAP_SEED, level: float = 0.95
) -> Interval:
    """The mean of `first - second` with a percentile bootstrap interval over rows (Efron & Tibshirani, 1993, ch. 13).

    A resample draws rows with replacement. All that counts of it is how many rows it takes of each distinct
    difference, and these counts are multinomial: so they are drawn at once, whatever the number of rows.

    Args:
        first, second: float64 [rows], a metric of the same users in the same order.
        resamples: how often to resample.
        seed: of the resampling.
        level: of the interval.
    """
    values, counts = np.unique(first - second, return_counts=True)
    random = np.random.default_rng(seed)
    step = max(1, _CHUNK // len(values))
    means = np.concatenate(
        [
            random.multinomial(counts.sum(), counts / counts.sum(), size=min(step, resamples - begin)) @ values
            for begin in range(0, resamples, step)
        ]
    )
    low, high = np.quantile(means / counts.sum(), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float((first - second).mean()), float(low), float(high))


def check_one_split(candidates: Sequence[Candidate]) -> None:
    """All runs must be over the same events, in the same order, with the same parts.

    Raises:
        BadData: `splits_differ`, with the two runs and what differs.
    """
    first: tuple[RunFolder, Split] | None = None
    for run in (run for candidate in candidates for run in candidate.finished):
        if first is None:
            first = run, run.split()
            continue
        ours, theirs = first[0].info, run.info
        differs = [name for name in ("data_sha256", "order", "n_items") if getattr(ours, name) != getattr(theirs, name)]
        if ours.files[SPLIT_FILE] != theirs.files[SPLIT_FILE]:
            split = run.split()
            # What a model reads of an event besides its item is the model's affair.
            names = ("items", "offsets", "train", "valid", "test")
            differs += [n for n in names if not np.array_equal(getattr(first[1], n), getattr(split, n))]
        if differs:
            raise BadData(
                "splits_differ",
                f"{first[0].path} and {run.path} cannot stand in one table: they differ in {', '.join(differs)}.",
                "Give all models the same data and split, and make these runs anew.",
            )


def compare(candidates: Sequence[Candidate], shown: Sequence[str], against: str) -> dict[str, Any]:
    """Everything that `benchmark.json` says of the models.

    Args:
        candidates: the models, in the order of the table.
        shown: metrics such as `NDCG@10`; the first is the one that is tested.
        against: the label of the model that each of the others is tested against.

    Raises:
        BadData: `splits_differ`, or `run_invalid`.
    """
    check_one_split(candidates)
    some_run = next((run for candidate in candidates for run in candidate.finished), None)
    ranks = {candidate.label: _ranks(candidate, some_run) for candidate in candidates}
    first = some_run.info if some_run is not None else None
    return {
        "dataset": first.dataset if first else "",
        "data_sha256": first.data_sha256 if first else "",
        "order": first.order if first else "",
        "test_rows": next((len(r["row"]) for of_seed in ranks.values() for r in of_seed.values()), 0),
        "metrics": list(shown),
        "test": {"metric": shown[0], "against": against, "level": 0.95, "resamples": RESAMPLES, "seed": BOOTSTRAP_SEED},
        "models": [_model(candidate, ranks, shown, against) for candidate in candidates],
    }


def _model(
    candidate: Candidate, ranks: dict[str, dict[int, Ranks]], shown: Sequence[str], against: str
) -> dict[str, Any]:
    own, other = ranks[candidate.label], ranks[against]
    runs = [_run(outcome) for outcome in candidate.outcomes]
    done = [run for run in runs if run["state"] == "finished"]
    row: dict[str, Any] = {
        "label": candidate.label,
        "model": candidate.model,
        "seeds": sorted(own) if candidate.model != POPULARITY else [],
        "masked": {name: _spread([_per_user(name, r["masked"]).mean() for r in own.values()]) for name in shown},
        "unmasked": {name: _spread([_per_user(name, r["unmasked"]).mean() for r in own.values()]) for name in shown},
        "parameters": done[0]["parameters"] if done else None,
        "seconds_per_epoch": _median([run["seconds_per_epoch"] for run in done]),
        "validation_seconds": _median([run["validation_seconds"] for run in done]),
        "seconds_to_best": _mean([run["seconds_to_best"] for run in done]),
        "peak_memory": max((run["peak_memory"] for run in done), default=None),
        "difference": None,
        "runs": runs,
    }
    seeds = _common(own, other)
    if candidate.label != against and seeds:
        name = shown[0]
        mine, theirs = (
            np.mean([_per_user(name, (of_seed.get(seed) or of_seed[_ANY_SEED])["masked"]) for seed in seeds], axis=0)
            for of_seed in (own, other)
        )
        interval = paired_interval(mine, theirs)
        row["difference"] = {
            **vars(interval),
            "excludes_zero": interval.excludes_zero,
            "seeds": [seed for seed in seeds if seed >= 0],
        }
    return row


def _run(outcome: Outcome) -> dict[str, Any]:
    """One run's line in `benchmark.json`."""
    line: dict[str, Any] = {"seed": outcome.seed, "path": outcome.path, "state": "finished"}
    if outcome.run is None:
        return line | {"state": "not finished", "reason": outcome.reason}
    info, curve = outcome.run.info, outcome.run.curve()
    best = next((record for record in curve if record["epoch"] == info.epoch), {})
    last = curve[-1] if curve else {}
    return line | {
        "best_epoch": info.epoch + 1,
        "epochs": last.get("epoch", info.epoch) + 1,
        "cut": info.cut,
        "told_target_time": info.told_target_time,
        "seconds": last.get("elapsed_seconds"),
        "seconds_per_epoch": _median([record.get("training_seconds") for record in curve]),
        "validation_seconds": _median([record.get("validation_seconds") for record in curve]),
        "seconds_to_best": best.get("elapsed_seconds"),
        "parameters": info.parameters or None,
        "peak_memory": info.peak_memory or None,
        "threads": info.threads,
        "machine": info.machine,
        "date": info.date,
        "versions": info.versions,
        "metrics": {part: msgspec.to_builtins(outcome.run.metrics()[part]) for part in ("valid", "test")},
    }


def _ranks(candidate: Candidate, some_run: RunFolder | None) -> dict[int, Ranks]:
    """Seed → the ranks of the test rows; popularity has the same for any seed."""
    if candidate.model == POPULARITY:
        return {} if some_run is None else {_ANY_SEED: popularity(some_run)}
    return {o.seed: o.run.ranks()["test"] for o in candidate.outcomes if o.run is not None}


def popularity(run: RunFolder) -> Ranks:
    """The ranks of a run's test rows when every user gets the items that most training events have."""
    from seqrec_plugin.evaluating import rank_targets

    split = run.split()
    held_out = np.concatenate([split.valid, split.test])
    counts = np.bincount(np.delete(split.items, held_out), minlength=run.info.n_items).astype(np.float32)

    def score(item_seq: npt.NDArray[np.int64], columns: Any) -> npt.NDArray[np.float32]:
        return np.repeat(counts[None], len(item_seq), axis=0)

    return rank_targets(score, split, split.test, max_history=1)


def _common(own: dict[int, Ranks], other: dict[int, Ranks]) -> list[int]:
    """The seeds to average over: those that both have; popularity stands beside each."""
    if not own or not other:
        return []
    if _ANY_SEED in own or _ANY_SEED in other:
        return sorted({*own, *other} - {_ANY_SEED}) or [_ANY_SEED]
    return sorted(set(own) & set(other))


def check(name: str) -> None:
    """Whether a table can show a metric, such as `NDCG@10` or `HR@10`.

    Raises:
        WrongUsage: `bad_value`.
    """
    metrics.check(_of_rows(name))


def _of_rows(name: str) -> str:
    return name.replace("HR@", "hit@")


def _per_user(name: str, ranks: npt.NDArray[np.int64]) -> Values:
    return metrics.per_row(_of_rows(name), ranks)


def _spread(values: list[Any]) -> dict[str, float | None]:
    """Mean and standard deviation (n − 1) over the seeds."""
    if not values:
        return {"mean": None, "std": None}
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def _known(values: list[Any]) -> list[float]:
    return [value for value in values if value is not None]


def _median(values: list[Any]) -> float | None:
    return round(statistics.median(_known(values)), 3) if _known(values) else None


def _mean(values: list[Any]) -> float | None:
    return round(statistics.mean(_known(values)), 3) if _known(values) else None

"""Optuna's study in a file of its own: what was tried, what it came to, and what must be tried again."""

from __future__ import annotations

import itertools
import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.tuning.space import Space

STUDY_FILE = "study.jsonl"
_NAME, _SEARCH, _LEFT_OUT = "seqrec", "search", "left_out"

#: Trials that are drawn at random, before the sampler has an opinion.
_STARTING_TRIALS = 8
#: Trials that must have ended before another is judged by them.
JUDGES = 4
#: A trial is not judged in the first of so many parts of its epochs.
_UNJUDGED = 5
#: Above so many combinations of values none is likely to be drawn twice.
_FEW = 10_000

#: Differences of two searches that are named.
_NAMED = 6

#: Where a trial keeps the record of its best epoch, and why it failed.
BEST, REASON = "best", "reason"


class Study:
    """The trials of one search.

    Args:
        space: what may be tried.
        folder: where the study lies, or is begun; nobody else may be at work in it.
        asked: what makes two searches the same, as plain JSON; `options` among it is a mapping.
        prune: whether a trial whose score lies below the median of the others at the same epoch is to be ended.

    Raises:
        WrongUsage: `bad_value` where the folder holds another search.
        BadData: `run_invalid` where its study cannot be read.
    """

    def __init__(self, space: Space, folder: Path, asked: dict[str, Any], prune: bool) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        base = space.base.values
        self.metric = str(base["valid_metric"])
        self.smaller_is_better = self.metric.lower() == "logloss"
        self._options, self._changing = space.options, threading.Lock()
        file = folder / STUDY_FILE
        _mend(file)
        median = optuna.pruners.MedianPruner(JUDGES, max(1, base["epochs"] // _UNJUDGED))
        try:
            storage = JournalStorage(JournalFileBackend(str(file)))
            if not storage.get_all_studies():
                direction = StudyDirection.MINIMIZE if self.smaller_is_better else StudyDirection.MAXIMIZE
                optuna.create_study(storage=storage, study_name=_NAME, direction=direction)
            self._study = optuna.load_study(storage=storage, study_name=_NAME)
            trials, before = self._study.get_trials(deepcopy=False), self._study.user_attrs.get(_SEARCH)
        except (ValueError, KeyError, TypeError, AssertionError, OSError) as error:
            raise BadData("run_invalid", f"{file} cannot be read: {error}.", "Choose another folder.") from None
        self._study.pruner = median if prune else optuna.pruners.NopPruner()
        # A search that goes on must not draw again what it drew at its start.
        seed = (int(base["seed"]) + len(trials)) % 2**32
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTING_TRIALS)
        self._random = np.random.default_rng(seed)
        self._grid = _combinations(space.options)
        if before is None:
            self._study.set_user_attr(_SEARCH, asked)
            first = space.as_it_stands()
            if first is not None:
                self._study.enqueue_trial(first)
        elif before != asked:
            raise WrongUsage(
                "bad_value",
                f"{folder} holds a search with another {', '.join(_different(before, asked))}.",
                "Choose another folder: scores of two searches cannot be compared.",
            )
        for trial in trials:
            if trial.state == TrialState.RUNNING:  # its process has gone with the one that began it
                self.interrupted(trial.number, trial.params)

    def ask(self) -> optuna.Trial | None:
        """The next trial, its values drawn; None where every combination of values was tried.

        The seed is one, so a second trial of the same values would come to the same score: other values take its place.
        """
        if self._grid is None:
            return self._study.ask(self._options)
        tried = {_key(trial.params) for trial in (*self.counted, *self._in(TrialState.RUNNING))}
        untried = [values for values in self._grid if _key(values) not in tried]
        if not untried:
            return None
        trial = self._study.ask(self._options)
        if _key(trial.params) not in tried:
            return trial
        self._leave_out(trial.number)
        self._study.enqueue_trial(untried[self._random.integers(len(untried))])
        return self._study.ask(self._options)

    def finished(self, trial: optuna.Trial, best: dict[str, Any]) -> None:
        """A trial came to its end; `best` is of its best epoch, `score` among it."""
        trial.set_user_attr(BEST, best)
        self._study.tell(trial, best["score"])

    def pruned(self, trial: optuna.Trial, best: dict[str, Any]) -> None:
        """A trial was ended, for it lagged behind."""
        trial.set_user_attr(BEST, best)
        self._study.tell(trial, state=TrialState.PRUNED)

    def failed(self, trial: optuna.Trial, reason: str) -> None:
        """A trial could not be made, or broke off."""
        trial.set_user_attr(REASON, reason)
        self._study.tell(trial, state=TrialState.FAIL)

    def interrupted(self, number: int, values: dict[str, Any]) -> None:
        """A trial was not let to its end; it does not count, and its values are tried again."""
        self._leave_out(number)
        self._study.enqueue_trial(values)

    def _leave_out(self, number: int) -> None:
        with self._changing:
            before = self._study.user_attrs.get(_LEFT_OUT, [])
            self._study.set_user_attr(_LEFT_OUT, [*before, number])
        self._study.tell(number, state=TrialState.FAIL)

    def _in(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states)

    def label(self, trial: optuna.Trial | FrozenTrial) -> int:
        """A trial's number for people: from 1, without gaps."""
        left_out: list[int] = self._study.user_attrs.get(_LEFT_OUT, [])
        return trial.number + 1 - sum(number < trial.number for number in left_out)

    @property
    def counted(self) -> list[FrozenTrial]:
        """The trials that came to an end of their own: finished, pruned or failed."""
        left_out = self._study.user_attrs.get(_LEFT_OUT, [])
        found = self._in(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        return [trial for trial in found if trial.number not in left_out]

    @property
    def complete(self) -> list[FrozenTrial]:
        """The trials that were trained to their end."""
        return [trial for trial in self.counted if trial.state == TrialState.COMPLETE]

    @property
    def best(self) -> FrozenTrial | None:
        """The first of the finished trials with the best score."""
        sign = -1 if self.smaller_is_better else 1
        return max(self.complete, key=lambda trial: (sign * (trial.value or 0.0), -trial.number), default=None)

    def better(self, score: float, than: float | None) -> bool:
        """Whether a score is better than another, if there is one."""
        if than is None:
            return True
        return score < than if self.smaller_is_better else score > than

    def importance(self) -> dict[str, float]:
        """Option → its share of what makes the trials' scores differ; empty where the trials are too few to say.

        A pruned trial counts with the score that it had, for it is the bad values that are pruned; an option of which
        all have the same value is left out.

        fANOVA: Hutter, Hoos & Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014.
        """
        scored = [trial for trial in self.counted if BEST in trial.user_attrs and trial.state != TrialState.FAIL]
        varied = {n: d for n, d in self._options.items() if len({trial.params[n] for trial in scored}) > 1}
        if len(scored) < 2 * len(self._options) + 1 or len({trial.user_attrs[BEST]["score"] for trial in scored}) < 2:
            return {}
        study = optuna.create_study(direction=self._study.direction)
        for trial in scored:
            values = {name: trial.params[name] for name in varied}
            study.add_trial(
                optuna.create_trial(params=values, distributions=varied, value=trial.user_attrs[BEST]["score"])
            )
        fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=fanova)
        return {name: round(float(share), 4) for name, share in shares.items()}


def _mend(file: Path) -> None:
    """Drop a last line that is not whole: the machine stopped while it was written. Its trial is begun again."""
    if not file.is_file():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with file.open("r+b") as opened:
            opened.truncate(whole)


def _combinations(options: dict[str, BaseDistribution]) -> list[dict[str, Any]] | None:
    """Every combination of values of a space; None where they are many."""
    each: list[list[Any]] = []
    for distribution in options.values():
        if isinstance(distribution, CategoricalDistribution):
            each.append(list(distribution.choices))
        elif isinstance(distribution, IntDistribution):
            each.append([*range(distribution.low, distribution.high + 1, distribution.step)])
        elif isinstance(distribution, FloatDistribution) and distribution.step is not None:
            steps = range(round((distribution.high - distribution.low) / distribution.step) + 1)
            each.append([min(distribution.low + n * distribution.step, distribution.high) for n in steps])
        else:
            return None
        if math.prod(map(len, each)) > _FEW:
            return None
    return [dict(zip(options, values, strict=True)) for values in itertools.product(*each)]


def _key(values: dict[str, Any]) -> tuple[str, ...]:
    """The same for the same values, however the last digit of a float came out."""
    return tuple(
        f"{name} {value:.12g}" if isinstance(value, float) else repr((name, value))
        for name, value in sorted(values.items())
    )


def _different(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What two searches do not have in common, an option by its name; of many the first."""
    one, two = ({**asked, **asked["options"], "options": None} for asked in (before, now))
    missing = object()
    found = [key for key in dict.fromkeys([*one, *two]) if one.get(key, missing) != two.get(key, missing)]
    return found if len(found) <= _NAMED else [*found[: _NAMED - 1], "more"]


def plain(asked: dict[str, Any]) -> dict[str, Any]:
    """The same as it comes back from a file of JSON."""
    return dict(json.loads(json.dumps(asked, default=str)))

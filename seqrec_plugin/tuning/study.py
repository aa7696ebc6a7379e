"""Optuna's study in a file of its own: what was tried, what it came to, and what must be tried again."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.tuning.space import Space

STUDY_FILE = "study.jsonl"
_NAME, _SEARCH, _INTERRUPTED = "seqrec", "search", "interrupted"

#: Trials that are drawn at random, before the sampler has an opinion.
_STARTING_TRIALS = 8
#: Trials that must have ended before another is judged by them.
JUDGES = 4
#: A trial is not judged in the first of so many parts of its epochs.
_UNJUDGED = 5
#: The least number of finished trials that say anything of an option's importance.
_TRIALS_OF_IMPORTANCE = 4

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

    def ask(self) -> optuna.Trial:
        """The next trial, its values drawn."""
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
        with self._changing:
            before = self._study.user_attrs.get(_INTERRUPTED, [])
            self._study.set_user_attr(_INTERRUPTED, [*before, number])
        self._study.tell(number, state=TrialState.FAIL)
        self._study.enqueue_trial(values)

    @property
    def counted(self) -> list[FrozenTrial]:
        """The trials that came to an end of their own: finished, pruned or failed."""
        interrupted = self._study.user_attrs.get(_INTERRUPTED, [])
        ends = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        found = self._study.get_trials(deepcopy=False, states=ends)
        return [trial for trial in found if trial.number not in interrupted]

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
        """Option → its share of what makes the scores of finished trials differ; empty where these are too few.

        fANOVA: Hutter, Hoos & Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014.
        """
        done = self.complete
        if len(done) < _TRIALS_OF_IMPORTANCE or len({trial.value for trial in done}) < 2:
            return {}
        fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(self._study, evaluator=fanova)
        return {name: round(float(share), 4) for name, share in shares.items()}


def _different(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What two searches do not have in common, an option by its name."""
    one, two = ({**asked, **asked["options"], "options": None} for asked in (before, now))
    missing = object()
    return [key for key in dict.fromkeys([*one, *two]) if one.get(key, missing) != two.get(key, missing)]


def plain(asked: dict[str, Any]) -> dict[str, Any]:
    """The same as it comes back from a file of JSON."""
    return dict(json.loads(json.dumps(asked, default=str)))

"""A search at work in its folder: one process a trial, and after each the tables and the best recipe so far."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from seqrec_plugin import machine
from seqrec_plugin.errors import BadData, Failed, SeqrecError, WrongUsage
from seqrec_plugin.processes import child, ended
from seqrec_plugin.recbole_bridge import data_files
from seqrec_plugin.replacing import replace
from seqrec_plugin.tuning import report
from seqrec_plugin.tuning.space import Space
from seqrec_plugin.tuning.study import BEST, REASON, STUDY_FILE, Study, plain

BEST_FILE, JSON_FILE, MARKDOWN_FILE = "best.yaml", "tune.json", "tune.md"
FORMAT_VERSION = 0

#: Trials that may fail one after the other, with none finished, before the search is given up.
_HOPELESS = 3

Tell = Callable[[str], None]


class Search:
    """A study at work; a context manager, for nobody else may be at work in its folder meanwhile.

    Args:
        space: what may be tried.
        output: the folder, made here.
        command: what the user typed, for the table's head.
        prune: end a trial whose score lies below the median of the others at the same epoch.

    Raises:
        WrongUsage: `bad_value` where the folder holds another search, or one that is at work.
        BadData: `dataset_missing`; `run_invalid` where its study cannot be read; `output_unwritable`.
    """

    def __init__(self, space: Space, output: Path, *, command: str, prune: bool = True) -> None:
        self.space, self.output, self._command = space, output, command
        asked = self._asked()  # reads the data: where there are none, nothing is made
        try:
            output.mkdir(parents=True, exist_ok=True)
            self._check_empty()
            self._lock = _Lock(output)
        except OSError as error:
            raise BadData("output_unwritable", f"{output} cannot be written: {error.strerror}.") from None
        self._stop, self._writing = threading.Event(), threading.Lock()
        self._at_work: dict[int, subprocess.Popen[str]] = {}
        try:
            self.study = Study(space, output, asked, prune)
            self.result = self._write()
        except BaseException:
            self._lock.release()
            raise

    def _check_empty(self) -> None:
        """What is in the folder must be a search's."""
        others = [entry.name for entry in self.output.iterdir() if not entry.name.startswith(".")]
        if others and STUDY_FILE not in others:
            raise WrongUsage(
                "bad_value", f"{self.output} holds {sorted(others)[0]}, and no search.", "Choose another folder."
            )

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _asked(self) -> dict[str, Any]:
        """What makes two searches the same."""
        base = self.space.base
        fixed = {key: value for key, value in base.values.items() if key not in {*self.space.options, "data_path"}}
        data = data_files.sha256(data_files.data_file(base))
        return plain({"model": base.model, "data": data, "tune": self.space.described(), "options": fixed})

    def run(self, trials: int, timeout: float, jobs: int, tell: Tell) -> None:
        """Try until the study has so many trials, or the time is up.

        Args:
            trials: finished, pruned and failed ones of the whole study.
            timeout: seconds of this call; 0 for any. What is at work then is begun again by the next call.
            jobs: trials at a time.
            tell: gets each line of progress.

        Raises:
            Failed: `training_failed` where the first trials fail one after the other.
            KeyboardInterrupt: after the trials at work have ended.
        """
        began, before = time.monotonic(), len(self.study.counted)
        what = f"{self.study.metric} of {self.space.base.model} on validation"
        tell(f"{what}: {before} trials done, {max(0, trials - before)} to do")
        running: set[Future[None]] = set()
        pool = ThreadPoolExecutor(jobs)
        try:
            while True:
                left = timeout - (time.monotonic() - began) if timeout else None
                in_time = left is None or left > 0
                self._check_hope()
                while in_time and len(running) < jobs and len(self.study.counted) + len(running) < trials:
                    trial = self.study.ask()
                    if trial is None:
                        break
                    running.add(pool.submit(self._try, trial, tell))
                if not in_time and running:
                    tell("The time is up: what is at work now is begun again by the same command.")
                if not in_time:
                    return
                if not running:
                    if len(self.study.counted) < trials:
                        tell("Every combination of the values was tried.")
                    self._check_any()
                    return
                done, running = wait(running, left, FIRST_COMPLETED)
                for future in done:
                    future.result()
                if done:
                    self._tell_time(began, before, trials, tell)
        finally:
            self._stop.set()
            for process in list(self._at_work.values()):
                process.kill()  # what it leaves behind lies in a folder of ours
            pool.shutdown(wait=True)
            self._stop.clear()
            self.result = self._write()

    def _tell_time(self, began: float, before: int, trials: int, tell: Tell) -> None:
        done = len(self.study.counted)
        left = (time.monotonic() - began) / max(1, done - before) * (trials - done)
        if left >= 60:
            tell(f"  {done} of {trials} done, some {left / 60:.0f} min to go")

    def _check_hope(self) -> None:
        counted = self.study.counted
        if len(counted) >= _HOPELESS and all(trial.state == TrialState.FAIL for trial in counted):
            reason = str(counted[-1].user_attrs.get(REASON, "")).rstrip(".")
            raise Failed("training_failed", f"The first {len(counted)} trials failed, the last by: {reason}.")

    def _check_any(self) -> None:
        if self.study.best is None:
            hint = f"The reasons stand in {self.output / MARKDOWN_FILE}: try other values."
            raise Failed("training_failed", f"No trial came to a good end, so there is no {BEST_FILE}.", hint)

    def _try(self, trial: optuna.Trial, tell: Tell) -> None:
        """Run one trial to its end, and write what it came to."""
        name, study = f"trial {self.study.label(trial)}", self.study
        tell(f"{name}: {', '.join(f'{key} {report.value(found)}' for key, found in trial.params.items())}")
        best, pruned, reason = self._train(trial)
        if reason and self._stop.is_set():  # what came to its end in time is kept
            study.interrupted(trial.number, trial.params)
            return
        if best is not None and pruned:
            study.pruned(trial, best)
            tell(f"  {name} pruned at epoch {best['epochs']}: {study.metric} {best['score']:.4f}")
        elif best is None or reason:
            reason = reason or "it ended without a validation"
            study.failed(trial, reason)
            tell(f"  {name} failed: {reason}")
        else:
            before = study.best
            study.finished(trial, best)
            mark = "  best so far" if study.better(best["score"], before.value if before else None) else ""
            at = f"at epoch {best['epoch'] + 1} of {best['epochs']}, {best['seconds']:.0f} s"
            tell(f"  {name}: {study.metric} {best['score']:.4f} {at}{mark}")
        with self._writing:
            self.result = self._write()

    def _train(self, trial: optuna.Trial) -> tuple[dict[str, Any] | None, bool, str]:
        """The best epoch of a trial, whether it was pruned, and why it failed."""
        try:
            resolved = self.space.resolve(trial.params)
        except SeqrecError as error:  # values that do not go together
            return None, False, str(error)
        best: dict[str, Any] | None = None
        with tempfile.TemporaryDirectory(prefix="seqrec-") as folder, open(Path(folder) / "errors", "w+") as errors:
            file = Path(folder) / "trial.yaml"
            file.write_text(report.recipe(resolved.given), encoding="utf-8")
            command = [sys.executable, "-m", "seqrec_plugin.tuning.trial", str(file)]
            try:
                with child(command, subprocess.PIPE, errors, patience=0, environment={"TMPDIR": folder}) as process:
                    self._at_work[trial.number] = process
                    if self._stop.is_set():  # before it could be found there
                        process.kill()
                    assert process.stdout is not None
                    for line in process.stdout:
                        record = json.loads(line)
                        if best is None or self.study.better(record["score"], best["score"]):
                            best = {"score": record["score"], "epoch": record["epoch"]}
                        best |= {"epochs": record["epoch"] + 1, "seconds": record["elapsed_seconds"]}
                        trial.report(record["score"], record["epoch"])
                        if trial.should_prune():
                            raise _Pruned
            except _Pruned:
                return best, True, ""
            finally:
                self._at_work.pop(trial.number, None)
            errors.seek(0)
            return best, False, ended(process, "".join(errors.readlines()[-1:]))

    def _write(self) -> dict[str, Any]:
        """Leave what was found so far, for people and programs."""
        base, best = self.space.base, self.study.best
        result = {
            "format_version": FORMAT_VERSION,
            "command": self._command,
            "machine": machine.processor(),
            "threads": base.values["threads"],
            "date": machine.today(),
            "model": base.model,
            "dataset": base.dataset,
            "seed": base.values["seed"],
            "metric": self.study.metric,
            "valid_sample": base.values["valid_sample"],
            "smaller_is_better": self.study.smaller_is_better,
            "space": self.space.described(),
            "best": None if best is None else self.study.label(best),
            "importance": self.study.importance(),
            "trials": [_line(trial, self.study.label(trial)) for trial in self.study.counted],
        }
        replace(self.output / JSON_FILE, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        replace(self.output / MARKDOWN_FILE, report.to_markdown(result))
        if best is not None:
            resolved = self.space.resolve(best.params)
            replace(self.output / BEST_FILE, report.best_recipe(result, resolved.given, self.output / BEST_FILE))
        return result


class _Pruned(Exception):
    """The way out of a trial's process."""


class _Lock:
    """Held while a search is at work, so that another does not take its trials for dead ones."""

    def __init__(self, output: Path) -> None:
        import fcntl  # training is for Linux and macOS

        self._file = open(output / ".lock", "w")  # noqa: SIM115  # held until the process ends
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            hint = "Wait for it, or choose another folder."
            raise WrongUsage("bad_value", f"Another search is at work in {output}.", hint) from None

    def release(self) -> None:
        self._file.close()


def _line(trial: FrozenTrial, label: int) -> dict[str, Any]:
    """One trial in `tune.json`."""
    best = trial.user_attrs.get(BEST, {})
    states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return {
        "trial": label,
        "state": states[trial.state],
        "score": best.get("score"),
        "best_epoch": best["epoch"] + 1 if best else None,
        "epochs": best.get("epochs"),
        "seconds": best.get("seconds"),
        "options": trial.params,
        **({"reason": trial.user_attrs[REASON]} if REASON in trial.user_attrs else {}),
    }

"""The training curve: a record an epoch, in `curve.jsonl`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from seqrec_plugin import checkpoint
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.estimating import Watch
from seqrec_plugin.evaluating import summarise_ranks

if TYPE_CHECKING:
    from seqrec_plugin.recbole_bridge.trainer import BaselineTrainer, Reporter


class Enough(BaseException):
    """No more than an estimate was asked for; RecBole's loops have no other way out."""


class Curve:
    """Writes `curve.jsonl` as the epochs go by, and passes the progress on.

    Args:
        run: where it is written.
        trainer: whose epochs they are.
        reporter: gets the progress.
        resume: whether the epochs before are in `run` already.
        watch: times the first steps.
        only_estimate: end the training, by `Enough`, when they are timed.
    """

    def __init__(
        self,
        run: RunFolder,
        trainer: BaselineTrainer,
        reporter: Reporter,
        resume: bool,
        watch: Watch,
        only_estimate: bool = False,
    ) -> None:
        self._run, self._trainer, self._reporter = run, trainer, reporter
        self._records = run.curve() if resume else []
        self._began = 0.0
        self._watch, self._only_estimate = watch, only_estimate

    @property
    def best_epoch(self) -> int:
        """The epoch (from 0) whose weights are kept: the best, of equal ones the latest, as RecBole's early stopping
        has it; the last one where nothing was validated."""
        sign = 1 if self._trainer.valid_metric_bigger else -1
        best: int = max(self._records, key=lambda record: (sign * record.get("score", 0), record["epoch"]))["epoch"]
        return best

    def epoch_begins(self, epoch: int, batches: int) -> None:
        """See `Reporter`."""
        self._records = [record for record in self._records if record["epoch"] < epoch]
        self._began = time.monotonic()
        self._watch.begin()
        self._reporter.epoch_begins(epoch, batches)

    def batch_ends(self) -> None:
        """See `Reporter`."""
        self._reporter.batch_ends()
        if self._watch.step():
            self._reporter.says(self._watch.estimate.times)
            if self._only_estimate:
                raise Enough

    def says(self, text: str) -> None:
        """See `Reporter`."""
        self._reporter.says(text)

    def epoch_ends(self, record: dict[str, Any]) -> None:
        """See `Reporter`."""
        self._reporter.epoch_ends(record)

    def validated(self, epoch: int, score: float) -> None:
        """RecBole calls this after each validation."""
        found = {
            "score": float(score),
            "metric": self._trainer.config["valid_metric"],
            "valid": summarise_ranks(self._trainer.ranks),
            "validation_seconds": round(self._trainer.validation_seconds, 3),
        }
        self._add(epoch, float(self._trainer.train_loss_dict[epoch]), found)

    def trained(self, epoch: int, loss: float) -> None:
        """The trainer calls this after each epoch that is not validated."""
        self._add(epoch, loss, {})

    def _add(self, epoch: int, loss: float, validation: dict[str, Any]) -> None:
        record = {
            "epoch": epoch,
            "loss": loss,
            **validation,
            "seconds": round(time.monotonic() - self._began, 3),
            "training_seconds": round(self._trainer.training_seconds, 3),
            "elapsed_seconds": round(self._trainer.elapsed, 3),
        }
        if self._trainer.cut:
            record["cut"] = True
        self._records.append(record)
        self._run.save_lines(checkpoint.CURVE_FILE, self._records)
        self.epoch_ends(record)

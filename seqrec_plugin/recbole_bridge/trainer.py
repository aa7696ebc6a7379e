"""RecBole's trainer with checkpoints that load safely, masked ranks beside RecBole's metrics, and exact resumption."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from recbole.trainer import Trainer
from recbole.utils import EvaluatorType

from seqrec_plugin import distributed, metrics, ranking
from seqrec_plugin.errors import BadData, Failed
from seqrec_plugin.precision import multiplying
from seqrec_plugin.recbole_bridge.saving import get_random, save, set_random
from seqrec_plugin.recbole_bridge.sequences import ROW, Sequences
from seqrec_plugin.recbole_bridge.several import Share, SharedCollector, joined, own_random


class Reporter(Protocol):
    """Who is told how the training goes."""

    def epoch_begins(self, epoch: int, batches: int) -> None:
        """Epoch `epoch` (from 0) begins and will have so many batches."""

    def batch_ends(self) -> None:
        """One more batch is done."""

    def epoch_ends(self, record: dict[str, Any]) -> None:
        """An epoch was trained and validated; the record is its line of `curve.jsonl`."""

    def says(self, text: str) -> None:
        """Something about the training as a whole, for people."""


class BaselineTrainer(Trainer):  # type: ignore[misc]
    """For RecBole's own models, and the base of ours.

    `seqrec` sets the attributes below after construction; in a plain `run_recbole` they stay as they are.

    Attributes:
        select_masked: choose the best epoch by the masked `valid_metric` instead of RecBole's unmasked one.
        last_file: where everything is saved at the start of each epoch, for `resume`; None for nowhere.
        matmul_precision: torch's precision of matrix products while training; None for what the process has.
        reporter: told of the progress; None for nobody.
        ranks: what the last `evaluate` found of each row: `row` (event number), `masked` and `unmasked` rank of its
            target; or `label` and `probability`, where the model gives these.
        training_seconds, validation_seconds: what the last epoch's training and its validation took.
        elapsed: seconds of training and validation so far, those before a `resume` included.
        cut: whether `time_limit` has ended the training.
        warm: whether the model came with the weights of an earlier run, whose vectors and scaling of numbers stay.
        negatives: that a step's softmax samples; 0 where it sums over all items.
        averages: whether a mean of the weights is kept.
    """

    select_masked = False
    matmul_precision: str | None = None
    last_file: Path | None = None
    reporter: Reporter | None = None
    warm = False
    negatives = 0
    averages = False
    item_tensor: Any  # RecBole's

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.eval_collector = SharedCollector(config)
        self.ranks: dict[str, npt.NDArray[Any]] = {}
        self._collected: list[tuple[npt.NDArray[Any], ...]] = []
        self._sequences: Sequences | None = None
        self._random: dict[str, Any] | None = None
        self.time_limit = float(config["time_limit"] or 0)
        self.training_seconds = self.validation_seconds = self.elapsed = 0.0
        self.cut = False
        self._trained: Callable[[int, float], None] | None = None

    @property
    def ranking(self) -> bool:
        """Whether the model ranks items, and does not give probabilities."""
        return bool(self.config["eval_type"] == EvaluatorType.RANKING)

    # Evaluation: RecBole's own, and the ranks of each target with and without the history.

    def evaluate(
        self, eval_data: Any, load_best_model: bool = True, model_file: Any = None, show_progress: bool = False
    ) -> Any:
        """See RecBole; afterwards `ranks` holds each row's."""
        self._sequences = getattr(eval_data.dataset, "sequences", None) if eval_data else None
        self._collected = []
        if eval_data and distributed.processes() > 1:
            eval_data = Share(eval_data)
            if load_best_model:
                self._share_best(model_file)
                load_best_model = False
        result = super().evaluate(eval_data, load_best_model, model_file, show_progress)
        if found := joined(self._collected):
            names = ("row", "masked", "unmasked") if self.ranking else ("row", "label", "probability")
            self.ranks = dict(zip(names, found, strict=True))
        return result

    def _share_best(self, file: Any) -> None:
        """The first process has the file of the best weights, and all need them."""
        if distributed.first():
            best = torch.load(file or self.saved_model_file, map_location=self.device, weights_only=True)
            self.model.load_state_dict(best["state_dict"])
        distributed.share_weights(self.model)

    def _full_sort_batch_eval(self, batched_data: Any) -> Any:
        interaction, scores, positive_u, positive_i = super()._full_sort_batch_eval(batched_data)
        if self._sequences is not None and ROW in interaction:
            rows = interaction[ROW].numpy()
            targets = positive_i.cpu().numpy()
            found = scores.float().cpu().numpy()
            start = self._sequences.start_of(rows)
            count = rows - start
            owner = np.repeat(np.arange(len(rows)), count)
            event = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + start[owner]
            unmasked = ranking.ranks(found, targets)
            masked = ranking.masked_ranks(found, unmasked, owner, self._sequences.items[event], targets)
            self._collected.append((rows, masked, unmasked))
        return interaction, scores, positive_u, positive_i

    def _neg_sample_batch_eval(self, batched_data: Any) -> Any:
        interaction, scores, *rest = super()._neg_sample_batch_eval(batched_data)
        label = self.config["LABEL_FIELD"]
        if self._sequences is not None and label in interaction:
            found = (interaction[ROW].numpy(), interaction[label].numpy(), scores.float().cpu().numpy())
            self._collected.append(found)
        return interaction, scores, *rest

    @torch.no_grad()
    def time_validation(self, eval_data: Any, rows: int) -> float:
        """The seconds that scoring all rows of a part would take, by some of them; nothing changes by it.

        It is a process's share of them, where there are several.
        """
        with torch.random.fork_rng(devices=[]):
            interaction, index, _, items = next(iter(eval_data))
        some = interaction[: min(rows, len(interaction))]
        self.model.eval()
        self.tot_item_num = eval_data._dataset.item_num
        self._sequences = getattr(eval_data.dataset, "sequences", None)
        if self.ranking and self.item_tensor is None:
            self.item_tensor = eval_data._dataset.get_item_feature().to(self.device)
        seconds = 0.0
        for _ in range(2):  # the first takes memory
            began = time.monotonic()
            if self.ranking:
                self._full_sort_batch_eval((some, None, torch.arange(len(some)), items[: len(some)]))
            else:
                self._neg_sample_batch_eval((some, index, None, items))
            seconds = time.monotonic() - began
        self._collected = []
        of_all: int = eval_data.sample_size
        return seconds / len(some) * of_all / distributed.processes()

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, Any]:
        began = time.monotonic()
        score, result = super()._valid_epoch(valid_data, show_progress=show_progress)
        self.validation_seconds = time.monotonic() - began
        self.elapsed += self.validation_seconds
        if self.select_masked and self.ranking:
            score = float(metrics.per_row(self.config["valid_metric"], self.ranks["masked"]).mean())
        # What ends a training is decided by the first process: the clocks of several differ.
        score, self.elapsed = distributed.share((float(score), self.elapsed))
        return score, result

    # Checkpoints that torch's safe loader reads.

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """RecBole's content in pickle protocol 2, without classes and numpy scalars, written beside and renamed.

        RecBole writes protocol 4, which torch's safe loader refuses, so that `evaluate`, `resume_checkpoint` and
        `load_data_and_model` fail on its own files with torch ≥ 2.6.
        """
        if not distributed.first() or (not self.config["single_spec"] and self.config["local_rank"] != 0):
            return
        file = kwargs.pop("saved_model_file", self.saved_model_file)
        config = copy.copy(self.config)
        config.__dict__.pop("model_class", None)
        config.__dict__.pop("yaml_loader", None)
        config.__dict__.pop("followed", None)
        save(
            Path(file),
            {
                "config": config,
                "epoch": epoch,
                "cur_step": self.cur_step,
                "best_valid_score": float(self.best_valid_score),
                "state_dict": self.model.state_dict(),
                "other_parameter": self.model.other_parameter(),
                "optimizer": self.optimizer.state_dict(),
            },
        )
        if verbose:
            self.logger.info(f"Saving current: {file}")

    # Resumption, to the bit: everything that training depends on is saved at the start of each epoch.

    def resume(self, file: Path) -> None:
        """Continue from a `last_file`, as if there had been no interruption. Call it before `fit`.

        Raises:
            BadData: `run_invalid` where the file cannot be read, or holds more than plain values.
            WrongUsage: `bad_value` where another number of processes began the run.
            Failed: `training_failed` where it does not fit this model.
        """
        try:
            last = torch.load(file, map_location=self.device, weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
            reason = str(error).partition("\n")[0]
            hint = "Start the run anew with --force."
            raise BadData("run_invalid", f"{file} cannot be read: {reason}", hint) from None
        try:
            self.model.load_state_dict(last["model"])
            self.optimizer.load_state_dict(last["optimizer"])
            self._set_extra(last)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise Failed("training_failed", f"{file.name} does not fit this model: {error}.") from None
        self.model.load_other_parameter(last["other_parameter"])
        self.start_epoch, self.cur_step = last["epoch"], last["cur_step"]
        self.best_valid_score, self.best_valid_result = last["best_valid_score"], last["best_valid_result"]
        self.train_loss_dict = last["train_loss_dict"]
        self._random = own_random(last)
        self.elapsed = last.get("elapsed", 0.0)

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> Any:
        """See RecBole; besides, `time_limit` ends it after the validation before which the limit was passed.

        An epoch is never cut short: half of one would have no validation score, and no place to resume at. Without
        `valid_data` every epoch is trained, and `callback_fn` gets each one's loss.
        """
        self._trained = callback_fn if valid_data is None else None

        def validated(epoch: int, score: float) -> None:
            """RecBole calls this after each validation, when the best epoch's checkpoint is written."""
            ends_anyway = epoch + 1 >= self.epochs or self.cur_step > self.stopping_step
            self.cut = bool(self.time_limit) and self.elapsed >= self.time_limit and not ends_anyway
            if callback_fn is not None:
                callback_fn(epoch, score)
            if self.cut:
                raise _TimeIsUp

        if self._random is not None:
            set_random(self._random, train_data.generator)
        elif not distributed.first():  # windows of its own, and so noise of its own
            drawn = np.random.SeedSequence([self.config["seed"], distributed.rank()]).generate_state(1)
            torch.manual_seed(int(drawn[0]))
        try:
            return super().fit(train_data, valid_data, verbose, saved, show_progress, validated)
        except _TimeIsUp:
            self.logger.info(f"time_limit: training ends after {self.elapsed:.1f} s")
            return self.best_valid_score, self.best_valid_result

    def _train_epoch(self, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        distributed.share_weights(self.model)
        self._save_last(train_data, epoch_idx)
        watched = train_data
        if self.reporter is not None:
            self.reporter.epoch_begins(epoch_idx, self._batches_of(train_data))
            watched = _Watched(train_data, self.reporter)
        began = time.monotonic()
        # RecBole's SINE turns this on for the whole process when it is imported: each gradient is searched for NaN.
        with torch.autograd.set_detect_anomaly(False), multiplying(self.matmul_precision):
            loss = self._learn(watched, epoch_idx, *args, **kwargs)
        self.training_seconds = time.monotonic() - began
        self.elapsed += self.training_seconds
        if self._trained is not None:
            self._trained(epoch_idx, float(sum(loss) if isinstance(loss, tuple) else loss))
        return loss

    def _learn(self, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        return super()._train_epoch(train_data, epoch_idx, *args, **kwargs)

    def _check_nan(self, loss: Any) -> None:
        if not torch.isfinite(loss):
            raise Failed(
                "training_failed",
                f"The training loss became {loss.item()}.",
                "Lower learning_rate, or set clip_grad_norm: {max_norm: 1.0}.",
            )

    def _batches_of(self, train_data: Any) -> int:
        return len(train_data)

    def work(self, train_data: Any) -> tuple[int, int]:
        """How many targets an epoch learns from, and in how many steps."""
        return len(train_data.dataset), self._batches_of(train_data)

    def _save_last(self, train_data: Any, epoch: int) -> None:
        if self.last_file is None:
            return
        state, *others = distributed.gather(get_random(train_data.generator))
        if not distributed.first():
            return
        result = self.best_valid_result
        save(
            self.last_file,
            {
                "epoch": epoch,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "other_parameter": self.model.other_parameter(),
                "cur_step": self.cur_step,
                "best_valid_score": float(self.best_valid_score),
                "best_valid_result": None if result is None else {k: float(v) for k, v in result.items()},
                "train_loss_dict": {k: float(v) for k, v in self.train_loss_dict.items()},
                "random": state,
                "random_of_others": others,
                "elapsed": self.elapsed,
                **self._extra(),
            },
        )

    def _extra(self) -> dict[str, Any]:
        """What else a resumed training depends on, as plain values and tensors."""
        return {}

    def _set_extra(self, extra: dict[str, Any]) -> None:
        """Take back what `_extra` gave; KeyError or ValueError where it does not fit."""


class _TimeIsUp(Exception):
    """RecBole's loop over the epochs has no other way out."""


class _Watched:
    """A data loader that reports each batch; everything else is the loader's own."""

    def __init__(self, loader: Any, reporter: Reporter) -> None:
        self._loader, self._reporter = loader, reporter

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Any:
        for batch in self._loader:
            yield batch
            self._reporter.batch_ends()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

"""RecBole's trainer with checkpoints that load safely, masked ranks beside RecBole's metrics, and exact resumption."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from recbole.trainer import Trainer
from recbole.utils import EvaluatorType
from torch import Tensor

from seqrec_plugin import metrics, ranking
from seqrec_plugin.averaging import WeightAverage, step_size
from seqrec_plugin.columns import LABEL
from seqrec_plugin.errors import BadData, Failed, WrongUsage
from seqrec_plugin.neighbours import item_vectors
from seqrec_plugin.recbole_bridge.dataset import ROW, Sequences
from seqrec_plugin.recbole_bridge.options import training_options
from seqrec_plugin.rows import RowAdamW, Together
from seqrec_plugin.sampling import NegativeSampler, how_many, rowwise
from seqrec_plugin.windows import batches, fill, windows


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
        reporter: told of the progress; None for nobody.
        ranks: what the last `evaluate` found of each row: `row` (event number), `masked` and `unmasked` rank of its
            target; or `label` and `probability`, where the model gives these.
        training_seconds, validation_seconds: what the last epoch's training and its validation took.
        elapsed: seconds of training and validation so far, those before a `resume` included.
        cut: whether `time_limit` has ended the training.
        warm: whether the model came with the weights of an earlier run, whose vectors and scaling of numbers stay.
    """

    select_masked = False
    last_file: Path | None = None
    reporter: Reporter | None = None
    warm = False
    item_tensor: Any  # RecBole's

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
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

    def evaluate(self, eval_data: Any, *args: Any, **kwargs: Any) -> Any:
        """See RecBole; afterwards `ranks` holds each row's."""
        self._sequences = getattr(eval_data.dataset, "sequences", None) if eval_data else None
        self._collected = []
        result = super().evaluate(eval_data, *args, **kwargs)
        if self._collected:
            found = [np.concatenate(part) for part in zip(*self._collected, strict=True)]
            names = ("row", "masked", "unmasked") if self.ranking else ("row", "label", "probability")
            self.ranks = dict(zip(names, found, strict=True))
        return result

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
            masked = ranking.mask_histories(found, owner, self._sequences.items[event], targets)
            self._collected.append((rows, ranking.ranks(masked, targets), ranking.ranks(found, targets)))
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
        """The seconds that scoring all rows of a part would take, by some of them; nothing changes by it."""
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
        return seconds / len(some) * len(eval_data.dataset)

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, Any]:
        began = time.monotonic()
        score, result = super()._valid_epoch(valid_data, show_progress=show_progress)
        self.validation_seconds = time.monotonic() - began
        self.elapsed += self.validation_seconds
        if self.select_masked and self.ranking:
            score = float(metrics.per_row(self.config["valid_metric"], self.ranks["masked"]).mean())
        return score, result

    # Checkpoints that torch's safe loader reads.

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """RecBole's content in pickle protocol 2, without classes and numpy scalars, written beside and renamed.

        RecBole writes protocol 4, which torch's safe loader refuses, so that `evaluate`, `resume_checkpoint` and
        `load_data_and_model` fail on its own files with torch ≥ 2.6.
        """
        if not self.config["single_spec"] and self.config["local_rank"] != 0:
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
        except (KeyError, RuntimeError, ValueError) as error:
            raise Failed("training_failed", f"{file.name} does not fit this model: {error}.") from None
        self.model.load_other_parameter(last["other_parameter"])
        self.start_epoch, self.cur_step = last["epoch"], last["cur_step"]
        self.best_valid_score, self.best_valid_result = last["best_valid_score"], last["best_valid_result"]
        self.train_loss_dict = last["train_loss_dict"]
        self._random = last["random"]
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
            _set_random(self._random, train_data.generator)
        try:
            return super().fit(train_data, valid_data, verbose, saved, show_progress, validated)
        except _TimeIsUp:
            self.logger.info(f"time_limit: training ends after {self.elapsed:.1f} s")
            return self.best_valid_score, self.best_valid_result

    def _train_epoch(self, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        self._save_last(train_data, epoch_idx)
        watched = train_data
        if self.reporter is not None:
            self.reporter.epoch_begins(epoch_idx, self._batches_of(train_data))
            watched = _Watched(train_data, self.reporter)
        began = time.monotonic()
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
                "random": _get_random(train_data.generator),
                "elapsed": self.elapsed,
                **self._extra(),
            },
        )

    def _extra(self) -> dict[str, Any]:
        """What else a resumed training depends on, as plain values and tensors."""
        return {}

    def _set_extra(self, extra: dict[str, Any]) -> None:
        """Take back what `_extra` gave; KeyError or ValueError where it does not fit."""


class SequenceTrainer(BaselineTrainer):
    """For our models: every position of every window learns, in batches of like lengths.

    `train_batch_size` counts positions here (RecBole's rows are one position each).

    Attributes:
        negatives: that a step's softmax samples; 0 where it sums over all items.
        averages: whether a mean of the weights is kept.
    """

    def __init__(self, config: Any, model: Any) -> None:
        if not config["single_spec"]:  # each process would train by itself, and nobody would notice
            raise WrongUsage(
                "bad_value", f"{config['model']} does not train in several processes yet.", "Use nproc: 1."
            )
        self._options = training_options(config.final_config_dict)
        network = model.network
        samples = "negatives" in inspect.signature(network.loss).parameters  # a loss of a model's own may not
        self.negatives = how_many(self._options.negatives, network.n_items) if samples else 0
        network.item_table.sparse = rowwise(self.negatives, config["train_batch_size"], network.n_items)
        #: Weights of which a step changes only some rows, and the others.
        self._tables = [*network.item_table.parameters()] if network.item_table.sparse else []
        self._dense = [p for p in model.parameters() if not any(p is table for table in self._tables)]
        super().__init__(config, model)
        self._windows: Any = None
        self._sampler: NegativeSampler | None = None
        decay = self._options.weight_average
        self.averages = decay > 0
        self._average = WeightAverage(self._dense, decay, self._tables) if decay else None
        self._averaged = False  # whether the model has the mean at present, and the mean the weights

    def _build_optimizer(self, **kwargs: Any) -> Any:
        """RecBole's choice; Adam and AdamW in one pass over the weights, which takes a fifth of the time on a CPU."""
        optimizer = super()._build_optimizer(params=self._dense, **kwargs)
        if isinstance(optimizer, torch.optim.Adam):  # AdamW is one too
            for group in optimizer.param_groups:
                group.update(fused=True, foreach=False)
        if not self._tables:
            return optimizer
        return Together(optimizer, RowAdamW(self._tables, self.learning_rate, weight_decay=self.weight_decay))

    def fit(self, train_data: Any, *args: Any, **kwargs: Any) -> Any:
        """See `BaselineTrainer.fit`."""
        fresh = self._random is None and not self.warm
        if fresh and self._options.item_vectors == "neighbours":
            self._begin_with_neighbours(train_data)
        return super().fit(train_data, *args, **kwargs)

    @torch.no_grad()
    def _begin_with_neighbours(self, train_data: Any) -> None:
        """Set the item vectors from the events that training may see."""
        self._cut(train_data)
        _, items, is_target = self._windows
        table = self.model.network.item_table.weight
        offsets = train_data.dataset.sequences.offsets
        vectors = item_vectors(items, offsets, is_target, len(table), table.shape[1], self.config["seed"])
        table.copy_(torch.from_numpy(vectors))

    def _train_epoch(self, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        """Between two epochs, where the model is validated and saved, it has the mean of its weights."""
        self._exchange(averaged=False)
        loss = super()._train_epoch(train_data, epoch_idx, *args, **kwargs)
        self._exchange(averaged=True)
        return loss

    def _exchange(self, averaged: bool) -> None:
        if self._average is not None and self._averaged is not averaged:
            self._average.swap()
            self._averaged = averaged

    def _extra(self) -> dict[str, Any]:
        if self._average is None:
            return {}
        steps, mean = self._average.state()
        return {"average": {"steps": steps, "mean": mean}}

    def _set_extra(self, extra: dict[str, Any]) -> None:
        if self._average is not None:
            self._average.load(extra["average"]["steps"], extra["average"]["mean"])

    def _batches_of(self, train_data: Any) -> int:
        self._cut(train_data)
        lengths = self._windows[0].lengths
        return len(batches(lengths, self.config["train_batch_size"], np.random.default_rng(0)))

    def work(self, train_data: Any) -> tuple[int, int]:
        """See `BaselineTrainer.work`; a user's first item is a target too."""
        steps = self._batches_of(train_data)
        return int(self._windows[2].sum()), steps

    def _cut(self, train_data: Any) -> None:
        """Make the windows of the training events, once."""
        if self._windows is not None:
            return
        dataset = train_data.dataset
        sequences = dataset.sequences
        is_target = np.zeros(len(sequences.items), dtype=bool)
        is_target[dataset.inter_feat[ROW].numpy()] = True
        # The newcomer's target: the first event of each user who has training rows, and of those who have nothing else.
        starts, ends = sequences.offsets[:-1], sequences.offsets[1:]
        seconds = np.minimum(starts + 1, len(is_target) - 1)
        is_target[starts] = is_target[seconds] | (ends - starts == 1)
        length = self.config["MAX_ITEM_LIST_LENGTH"]
        stride = self._options.window_stride or length
        features = sequences.columns.features
        if features is not None and not self.warm:
            self.model.network.fit_numbers(features[is_target])
        self._windows = windows(sequences.offsets, is_target, length, stride), sequences.items, is_target
        if self.negatives:
            table = self.model.network.item_table
            counts = np.bincount(sequences.items[is_target], minlength=len(table.never))
            self._sampler = NegativeSampler(counts, table.never.cpu().numpy())

    def _learn(self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False) -> float:
        """One pass over all windows; returns the mean loss of a target."""
        self.model.train()
        self._cut(train_data)
        cut, items, is_target = self._windows
        network, sequences = self.model.network, train_data.dataset.sequences
        learned = network.columns if sequences.columns.label is None else (*network.columns, LABEL)
        seed = int(torch.randint(2**62, (), generator=train_data.generator))
        random = np.random.default_rng((seed, 1))
        total, count = 0.0, 0
        steps = batches(cut.lengths, self.config["train_batch_size"], np.random.default_rng(seed))
        for step, chosen in enumerate(steps, start=epoch_idx * len(steps)):
            self._pace(step, len(steps))
            filled = fill(cut[chosen], items, is_target)
            found = sequences.columns.read(learned, filled.read, filled.following)
            item_seq, targets, *values = (
                torch.from_numpy(a).to(self.device) for a in (filled.item_seq, filled.targets, *found.values())
            )
            extra = () if self._sampler is None else (self._sampler.draw(self.negatives, random, self.device),)
            self.optimizer.zero_grad(set_to_none=True)
            # RecBole's SINE turns this on for the whole process when it is imported: each gradient is searched for NaN.
            with torch.autograd.set_detect_anomaly(False):
                loss = network.loss(item_seq, targets, dict(zip(found, values, strict=True)), *extra)
                self._check_nan(loss)
                loss.backward()
            self._update()
            n = int((targets > 0).sum())
            total, count = total + loss.item() * n, count + n
            if self.reporter is not None:
                self.reporter.batch_ends()
        if isinstance(self.optimizer, Together):
            self.optimizer.settle()
        return total / max(1, count)

    def _update(self) -> None:
        """One step of the optimizer, of the gradients that are there."""
        rows = []
        for table in self._tables:
            table.grad = table.grad.coalesce()
            rows.append(table.grad.indices()[0])
        if self.clip_grad_norm:
            _clip([p.grad for p in self.model.parameters() if p.grad is not None], **self.clip_grad_norm)
        if self._average is None:
            self.optimizer.step()
            return
        self._average.catch_up(rows)
        self.optimizer.step()
        self._average.update(rows)

    def _pace(self, step: int, steps_of_epoch: int) -> None:
        """Set the learning rate of a step."""
        options = self._options
        steps = (options.schedule_epochs or self.epochs) * steps_of_epoch
        share = step_size(options.schedule, step, steps, options.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * share


def _clip(gradients: list[Tensor], max_norm: float, **options: Any) -> None:
    """torch's `clip_grad_norm_`, which does not know sparse gradients; these are coalesced."""
    values = [gradient.values() if gradient.is_sparse else gradient for gradient in gradients]
    norm = torch.nn.utils.get_total_norm(values, **options)
    share = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
    for value in values:
        value.mul_(share)


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


def save(file: Path, content: dict[str, Any]) -> None:
    """`torch.save` in the one pickle protocol that the safe loader reads, written beside and renamed."""
    beside = file.with_name(f".{file.name}.part")
    torch.save(content, beside, pickle_protocol=2)
    os.replace(beside, file)


def _get_random(generator: torch.Generator) -> dict[str, Any]:
    """The state of every random generator, as plain values and tensors."""
    name, keys, position, has_gauss, gauss = cast(tuple[str, Any, int, int, float], np.random.get_state())
    version, words, next_gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "python": [version, list(words), next_gauss],
        "loader": generator.get_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _set_random(state: dict[str, Any], generator: torch.Generator) -> None:
    torch.set_rng_state(state["torch"].cpu())
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    version, words, next_gauss = state["python"]
    random.setstate((version, tuple(words), next_gauss))
    generator.set_state(state["loader"].cpu())
    if "cuda" in state:
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])

"""The trainer of our models: windows in which every position learns, in batches of like lengths."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqrec_plugin import distributed, gradients
from seqrec_plugin.averaging import WeightAverage
from seqrec_plugin.columns import LABEL
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.neighbours import item_vectors
from seqrec_plugin.optimizers import RowAdamW, Together, step_size
from seqrec_plugin.recbole_bridge.options import training_options
from seqrec_plugin.recbole_bridge.sequences import ROW
from seqrec_plugin.recbole_bridge.trainer import BaselineTrainer
from seqrec_plugin.sampling import NegativeSampler, how_many, rowwise
from seqrec_plugin.windows import Windows, batches, fill, rounded, share, windows


class SequenceTrainer(BaselineTrainer):
    """For our models: every position of every window learns, in batches of like lengths.

    `train_batch_size` counts positions here (RecBole's rows are one position each).
    """

    def __init__(self, config: Any, model: Any) -> None:
        if not config["single_spec"]:  # each process would train by itself, and nobody would notice
            raise WrongUsage(
                "bad_value",
                f"{config['model']} does not train in the several processes that RecBole's nproc starts.",
                f"Use nproc: 1, or: {distributed.torchrun()}",
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
        self._events: tuple[Any, Any, Any] | None = None
        self._fixed: Windows | None = None
        self._sampler: NegativeSampler | None = None
        decay = self._options.weight_average
        self.averages = decay > 0
        self._average = WeightAverage(self._dense, decay, self._tables) if decay else None
        self._averaged = False  # whether the model has the mean at present, and the mean the weights

    def _build_optimizer(self, **kwargs: Any) -> Any:
        """RecBole's choice; Adam and AdamW fused, in one pass over the weights."""
        optimizer = super()._build_optimizer(params=self._dense, **kwargs)
        if isinstance(optimizer, torch.optim.Adam):  # AdamW is one too
            for group in optimizer.param_groups:
                group.update(fused=True, foreach=False)
        if not self._tables:
            return optimizer
        return Together(optimizer, RowAdamW(self._tables, self.learning_rate, weight_decay=self.weight_decay))

    def fit(self, train_data: Any, *args: Any, **kwargs: Any) -> Any:
        """See `BaselineTrainer.fit`."""
        if self.start_epoch == 0 and not self.warm and self._options.item_vectors == "neighbours":
            self._begin_with_neighbours(train_data)
        return super().fit(train_data, *args, **kwargs)

    @torch.no_grad()
    def _begin_with_neighbours(self, train_data: Any) -> None:
        """Set the item vectors from the events that training may see."""
        offsets, items, is_target = self._read(train_data)
        table = self.model.network.item_table.weight
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
        random = np.random.default_rng(0)
        lengths = rounded(self._cut(train_data, random).lengths)
        return len(batches(lengths, self.config["train_batch_size"], random))

    def work(self, train_data: Any) -> tuple[int, int]:
        """See `BaselineTrainer.work`; a user's first item is a target too. Random windows are about as many."""
        return int(self._read(train_data)[2].sum()), self._batches_of(train_data)

    def _read(self, train_data: Any) -> tuple[Any, Any, Any]:
        """Offsets, items and whether each is a target, of the training events."""
        if self._events is None:
            self._events = self._prepare(train_data)
        return self._events

    def _prepare(self, train_data: Any) -> tuple[Any, Any, Any]:
        """What `_read` says; and set up what else is made from the training events, once."""
        dataset = train_data.dataset
        sequences = dataset.sequences
        is_target = np.zeros(len(sequences.items), dtype=bool)
        is_target[dataset.inter_feat[ROW].numpy()] = True
        # The newcomer's target: the first event of each user who has training rows, and of those who have nothing else.
        starts, ends = sequences.offsets[:-1], sequences.offsets[1:]
        seconds = np.minimum(starts + 1, len(is_target) - 1)
        is_target[starts] = is_target[seconds] | (ends - starts == 1)
        features = sequences.columns.features
        if features is not None and not self.warm:
            self.model.network.fit_numbers(features[is_target])
        if self.negatives:
            table = self.model.network.item_table
            counts = np.bincount(sequences.items[is_target], minlength=len(table.never))
            self._sampler = NegativeSampler(counts, table.never.cpu().numpy())
        return sequences.offsets, sequences.items, is_target

    def _cut(self, train_data: Any, random: np.random.Generator) -> Windows:
        """The windows of the training events: of an epoch, where it draws them, else always the same."""
        offsets, _, is_target = self._read(train_data)
        length = self.config["MAX_ITEM_LIST_LENGTH"]
        stride = self._options.window_stride or length
        if self._options.window_start == "random":
            return windows(offsets, is_target, length, stride, random.integers(stride, size=len(offsets) - 1))
        if self._fixed is None:
            self._fixed = windows(offsets, is_target, length, stride)
        return self._fixed

    def _learn(self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False) -> float:
        """One pass over all windows; returns the mean loss of a target."""
        self.model.train()
        _, items, is_target = self._read(train_data)
        network, sequences = self.model.network, train_data.dataset.sequences
        learned = network.columns if sequences.columns.label is None else (*network.columns, LABEL)
        seed = distributed.share(int(torch.randint(2**62, (), generator=train_data.generator)))
        random = np.random.default_rng((seed, 1))
        total, count = 0.0, 0
        cut = self._cut(train_data, np.random.default_rng((seed, 2)))
        lengths = rounded(cut.lengths)
        steps = batches(lengths, self.config["train_batch_size"], np.random.default_rng(seed))
        for step, chosen in enumerate(steps, start=epoch_idx * len(steps)):
            self._pace(step, len(steps))
            chosen, own = share(chosen, cut.lengths, distributed.rank(), distributed.processes())
            filled = fill(cut[chosen], items, is_target, lengths[chosen].max())
            found = sequences.columns.read(learned, filled.read, filled.following)
            item_seq, targets, *values = (
                torch.from_numpy(a).to(self.device) for a in (filled.item_seq, filled.targets, *found.values())
            )
            extra = () if self._sampler is None else (self._sampler.draw(self.negatives, random, self.device),)
            self.optimizer.zero_grad(set_to_none=True)
            loss = network.loss(item_seq, targets, dict(zip(found, values, strict=True)), *extra)
            self._check_nan(loss)
            loss.backward()
            n = int((targets > 0).sum()) if own else 0
            gradients.average(self.model.parameters(), n)
            self._update()
            total, count = total + loss.item() * n, count + n
            if self.reporter is not None:
                self.reporter.batch_ends()
        if self._tables:
            self.optimizer.settle()
        total, count = map(sum, zip(*distributed.gather((total, count)), strict=True))
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
        else:
            self._average.take(self.optimizer.step, rows)

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

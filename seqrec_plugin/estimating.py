"""How much memory a training takes and how long: from shapes before it begins, and from its first steps."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from seqrec_plugin import distributed, machine, sampling
from seqrec_plugin.losses import CHUNK

if TYPE_CHECKING:
    from seqrec_plugin.recbole_bridge.trainer import BaselineTrainer

#: Steps that are not timed, since memory is taken in them; then at least so many, and for so many seconds.
_FIRST, _STEPS, _SECONDS = 1, 5, 1.0
#: Validation rows that are scored to time it.
ROWS = 1024
#: Numbers that an optimizer keeps of each weight.
_MOMENTS = {"adam": 2, "adamw": 2, "sparse_adam": 2, "adagrad": 1, "rmsprop": 1, "sgd": 0}


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a training will take.

    Attributes:
        targets: an epoch learns from.
        steps: of an epoch.
        epochs: at most, those before a `--resume` left out.
        parameters: numbers that are trained.
        memory: what holds it → bytes, in this process. Validation counts beside a step, of which the heap keeps much.
            On a GPU the program's is left out, for it is elsewhere.
        peak: the bytes that were held at once before, as the data were read.
        seconds_training, seconds_validation: of an epoch; 0 until they are known.
    """

    targets: int
    steps: int
    epochs: int
    parameters: int
    memory: dict[str, int]
    peak: int = 0
    seconds_training: float = 0.0
    seconds_validation: float = 0.0

    @property
    def bytes(self) -> int:
        """The most memory at any time."""
        return max(self.peak, sum(self.memory.values()))

    @property
    def seconds(self) -> float:
        """All epochs, where none is spared by early stopping."""
        return self.epochs * (self.seconds_training + self.seconds_validation)

    @property
    def sizes(self) -> str:
        """The work and the memory, for people."""
        parts = ", ".join(f"{name} {_bytes(size)}" for name, size in self.memory.items())
        work = f"{_many(self.targets, 'target')} in {_many(self.steps, 'step')}; at most {_many(self.epochs, 'epoch')}"
        each = " in each process" if distributed.processes() > 1 else ""
        return f"An epoch: {work}.\nMemory{each}: some {_bytes(self.bytes)} ({parts})."

    @property
    def times(self) -> str:
        """How long it will take, for people."""
        validation = f", of it {_span(self.seconds_validation)} validation" if self.seconds_validation else ""
        each = self.seconds_training + self.seconds_validation
        return f"Time: some {_span(each)} an epoch{validation}; at most {_span(self.seconds)}."


def before(trainer: BaselineTrainer, train_data: Any, valid_data: Any) -> Estimate:
    """What can be told before the first step, the time of validation among it.

    Args:
        trainer: with its model.
        train_data, valid_data: RecBole's loaders; None where nothing is validated.
    """
    targets, steps = trainer.work(train_data)
    # First, for the program grows as torch takes up its work.
    seconds = 0.0 if valid_data is None else trainer.time_validation(valid_data, ROWS)
    config, parameters = trainer.config, [p for p in trainer.model.parameters() if p.requires_grad]
    trained, moments = sum(p.numel() for p in parameters), _MOMENTS.get(str(config["learner"]).lower(), 2)
    here = trainer.device.type == "cpu"
    memory = {"the program with its data": machine.memory()} if here else {}
    travelling = distributed.processes() > 1  # gradients, on their way between processes
    memory["gradients and optimizer"] = 4 * trained * (1 + moments + trainer.averages + travelling)
    rows = 0 if valid_data is None else min(int(config["eval_batch_size"]), valid_data.sample_size)
    memory["a step"], memory["validation"] = _moving(trainer, [tuple(p.shape) for p in parameters], rows)
    epochs = trainer.epochs - trainer.start_epoch
    return Estimate(targets, steps, epochs, trained, memory, machine.peak_memory() if here else 0, 0.0, seconds)


def _moving(trainer: BaselineTrainer, shapes: list[tuple[int, ...]], rows: int) -> tuple[int, int]:
    """The bytes of one step's activations, and of one batch of validation.

    A map makes as many numbers at a position as it has rows. In training they are kept for the gradient and stand once
    more in it, and what lies between the maps is about as much again; in validation half of them stand at a time. A
    table has as many rows as there are items: it is read, not multiplied.
    """
    config, items = trainer.config, int(trainer.model.n_items)
    positions = int(config["train_batch_size"]) // distributed.processes()
    length = int(config["MAX_ITEM_LIST_LENGTH"])
    widths = sum(shape[0] for shape in shapes if len(shape) > 1 and shape[0] != items)
    ours = hasattr(trainer.model, "network")
    encoded = min(rows, trainer.model.ROWS) if ours else rows  # rows that are encoded at once
    # The scores, those of the batch before, RecBole's marks of the targets, and three comparisons of one byte each.
    validation = encoded * 2 * widths * length + rows * (15 * items if trainer.ranking else 0)
    if not ours:  # RecBole's own: a row is a whole sequence, and has all logits
        return 4 * positions * 3 * (widths * length + items), validation
    tables = sum(shape[0] * shape[1] for shape in shapes if len(shape) > 1 and shape[0] == items)
    # The table's gradient comes from the input, from the output, and from the output scaled.
    rows, logits = items, CHUNK * items
    if drawn := trainer.negatives:
        rows, logits = min(items, drawn + 2 * positions), sampling.CHUNK * drawn
    return 4 * (3 * positions * widths + 3 * tables * rows // items + logits), validation


class Watch:
    """Times the first steps of a training.

    Args:
        estimate: what is known before.
    """

    def __init__(self, estimate: Estimate) -> None:
        self.estimate = estimate
        self.done = False
        self._steps, self._began = 0, 0.0
        self._first = _FIRST if estimate.steps > _FIRST else 0

    def begin(self) -> None:
        """An epoch begins."""
        if not self._steps:
            self._began = time.monotonic()

    def step(self) -> bool:
        """One more step has ended; returns whether this one made the estimate, in the first epoch at the latest."""
        self._steps += 1
        timed, now = self._steps - self._first, time.monotonic()
        if self.done:
            return False
        if timed == 0:
            self._began = now
        seconds = now - self._began
        last = self._steps == self.estimate.steps
        if timed < 1 or not (last or (timed >= _STEPS and seconds >= _SECONDS)):
            return False
        self.estimate = dataclasses.replace(self.estimate, seconds_training=seconds / timed * self.estimate.steps)
        self.done = True
        return True


def _bytes(size: int) -> str:
    for unit, many in (("GB", 10**9), ("MB", 10**6)):
        if size >= many:
            return f"{size / many:.3g} {unit}"
    return f"{size / 1000:.0f} kB"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("s" if number != 1 else "")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

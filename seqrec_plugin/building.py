"""RecBole's data, model and trainer for a configuration, made by its own functions; and what they hold, as ours."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrec_plugin import checkpoint, starting
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.columns import LABEL, NEXT_BEHAVIOR
from seqrec_plugin.errors import BadData, SeqrecError, WrongUsage
from seqrec_plugin.ranking import rows_at_once
from seqrec_plugin.recbole_bridge.settings import Resolved
from seqrec_plugin.split import Split
from seqrec_plugin.starting import FRESH, Start
from seqrec_plugin.vocabulary import Vocabulary

if TYPE_CHECKING:
    from seqrec_plugin.recbole_bridge.trainer import BaselineTrainer

#: What RecBole raises for what it does not like.
RECBOLES = (ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, RuntimeError)


@contextlib.contextmanager
def contained(run: RunFolder) -> Iterator[None]:
    """Keep RecBole's log and tensorboard in the run's folder, and the process's arguments out of RecBole."""
    import recbole.trainer.trainer as recbole_trainer
    from torch.utils.tensorboard import SummaryWriter

    board = SummaryWriter(str(run.path / checkpoint.RECBOLE_FOLDER / "log_tensorboard"))
    handler = logging.FileHandler(run.path / checkpoint.LOG_FILE, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root, own_board = logging.getLogger(), recbole_trainer.get_tensorboard
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    recbole_trainer.get_tensorboard = lambda logger: board
    try:
        with warnings.catch_warnings():
            # RecBole's use of pandas is RecBole's affair; the versions that it works with are pinned.
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"recbole\.")
            yield
    finally:
        recbole_trainer.get_tensorboard = own_board
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
        board.close()


def build(resolved: Resolved, run: RunFolder, start: Start = FRESH) -> tuple[BaselineTrainer, Any, Any]:
    """RecBole's config, data, model and trainer, made by its own functions."""
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import EvaluatorType, get_model, get_trainer, init_seed

    from seqrec_plugin.recbole_bridge.config import recbole_config
    from seqrec_plugin.recbole_bridge.sequences import Followed

    try:
        config = recbole_config(resolved, run.path / checkpoint.RECBOLE_FOLDER)
    except SeqrecError:
        raise
    except RECBOLES as error:
        raise WrongUsage("bad_value", f"RecBole does not accept this configuration: {words(error)}.") from error
    if start.initial is not None:
        config.followed = Followed(start.initial.vocabulary().tokens, start.initial.info.behaviors)
    init_seed(config["seed"], config["reproducibility"])
    try:
        dataset = create_dataset(config)
        dataset.train_on_all = start.refit is not None
        logging.getLogger().info(dataset)
        config["eval_batch_size"] = rows_at_once(config["eval_batch_size"], dataset.item_num)
        parts = data_preparation(config, dataset)
    except SeqrecError:
        raise
    except RECBOLES as error:
        hint = "" if config["exact_time"] else "RecBole's own reader takes some ids for missing: set exact_time: true."
        raise BadData("dataset_invalid", f"RecBole cannot use {resolved.dataset!r}: {words(error)}.", hint) from error
    if len(parts[1].dataset) == 0 or len(parts[2].dataset) == 0:
        raise BadData(
            "dataset_too_short",
            f"No user of {resolved.dataset!r} has enough events for validation and test "
            f"({dataset.inter_num} training rows).",
            "Leave-one-out needs users with four events or more.",
        )
    longest = max(config["topk"])
    if config["eval_type"] == EvaluatorType.RANKING and longest >= dataset.item_num:
        raise WrongUsage(
            "bad_value",
            f"topk asks for {longest} items, but {resolved.dataset!r} has only {dataset.item_num - 1}.",
            "Set topk: [1] and valid_metric: MRR@1, or bring more items.",
        )
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, dataset).to(config["device"])
    logging.getLogger().info(model)
    if start.refit is not None:
        starting.check_same_items(start.refit, _tokens(dataset))
    if start.initial is not None:
        starting.begin(model.network, start.initial)
        model.network.item_table.retire(retired(dataset, start.initial))
    trainer: BaselineTrainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.saved_model_file = str(run.path / checkpoint.RECBOLE_FOLDER / f"{resolved.model}.pth")
    trainer.select_masked = True
    trainer.matmul_precision = resolved.values["matmul_precision"]
    trainer.warm = start.initial is not None
    trainer.last_file = run.path / checkpoint.LAST_FILE
    return trainer, dataset, parts


def retired(dataset: Any, initial: RunFolder | None) -> tuple[int, ...]:
    """The indices of a warm start's items that no event of the data is about any more."""
    return () if initial is None else starting.vanished(initial, dataset.sequences.items)


def words(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")


def evaluate(trainer: BaselineTrainer, data: Any, load_best: bool) -> dict[str, Any]:
    """Our masked and unmasked numbers, and RecBole's own."""
    from seqrec_plugin.evaluating import summarise_ranks

    result = trainer.evaluate(data, load_best_model=load_best, show_progress=False)
    return {
        "targets": len(np.unique(trainer.ranks["row"])),
        **summarise_ranks(trainer.ranks),
        "recbole": {name: float(value) for name, value in result.items()},
    }


def split_of(trainer: BaselineTrainer, dataset: Any, parts: Any) -> Split:
    """The events and parts of a data set of ours, for the run folder."""
    from seqrec_plugin.recbole_bridge.sequences import ROW

    sequences = dataset.sequences
    # Sorted, and each once: a row of probabilities may have one of another item beside it.
    train, valid, test = (np.unique(part.dataset.inter_feat[ROW].numpy()) for part in parts)
    if dataset.train_on_all:
        valid = test = train[:0]
    names = (*trainer.model.network.columns, LABEL) if hasattr(trainer.model, "network") else ()
    wanted = dataset.wanted if NEXT_BEHAVIOR in names else 0
    columns = sequences.columns.only(names)
    if columns.features is not None:
        columns = dataclasses.replace(columns, features=trainer.model.network.numbers.filled(columns.features))
    return Split(sequences.items, sequences.offsets, train, valid, test, columns, wanted)


def vocabulary_of(dataset: Any, titles: dict[str, str]) -> Vocabulary:
    """RecBole's item ids, in its order."""
    tokens = _tokens(dataset)
    return Vocabulary(tokens, [titles.get(token) for token in tokens] if titles else None)


def _tokens(dataset: Any) -> list[str]:
    return [str(token) for token in dataset.field2id_token[dataset.iid_field][1:]]

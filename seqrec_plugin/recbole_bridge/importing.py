"""A RecBole checkpoint's configuration → RecBole's model, data and trainer, as they were when it was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seqrec_plugin.errors import WrongUsage, nearest
from seqrec_plugin.recbole_bridge.options import columns_read
from seqrec_plugin.recbole_bridge.settings import (
    MANAGED,
    UNLISTED,
    Resolved,
    Setting,
    check_kind,
    defaults_of,
    overridden,
)

if TYPE_CHECKING:
    from torch import Tensor

    from seqrec_plugin.recbole_bridge.trainer import BaselineTrainer

#: What shaped the training's process, and nothing of the model or the data.
_PROCESS = {
    *("gpu_id", "use_gpu", "device", "log_wandb", "wandb_project", "show_progress", "state", "worker", "threads"),
    *("nproc", "local_rank", "world_size", "offset", "ip", "port", "single_spec", "config_file", "config_files"),
}
#: Where the user set none of these, RecBole's value holds, and not the one that `seqrec` gives.
_AS_IT_WAS = ("valid_metric", "train_neg_sample_args", "load_col")


def resolve_stored(
    model: str, dataset: str, given: Mapping[str, Any], final: Mapping[str, Any], overrides: Iterable[str]
) -> Resolved:
    """The configuration of a checkpoint, with RecBole's own order and ids where it was trained so.

    Args:
        model, dataset: names.
        given: what the user had set, plain values.
        final: what RecBole made of it.
        overrides: `key=value` texts.

    Raises:
        WrongUsage: an override is wrong, or the checkpoint was evaluated in a way that cannot be repeated here.
    """
    changed = overridden(overrides)
    dataset = str(changed.pop("dataset").value) if "dataset" in changed else dataset
    settings = defaults_of(model, dataset)
    for key, setting in changed.items():
        if key in MANAGED or key in _AS_IT_WAS:
            raise WrongUsage("bad_value", f"--set: {key!r} is the checkpoint's, or seqrec's own.", "Leave it out.")
        if key not in settings and key not in UNLISTED:
            raise WrongUsage("unknown_key", f"--set: there is no option {key!r}.", nearest(key, settings))
        check_kind(key, setting, settings.get(key))
    stored = {key: final[key] for key in _AS_IT_WAS if key in final} | dict(given)
    stored["exact_time"] = bool(final.get("exact_time"))
    known = (settings.keys() | UNLISTED) - MANAGED.keys() - _PROCESS
    settings |= {key: Setting(value, "checkpoint") for key, value in stored.items() if key in known}
    settings |= {"use_gpu": Setting(False, "seqrec"), **changed}
    values = {key: setting.value for key, setting in settings.items()}
    mode = values["eval_args"].get("mode", "full") if isinstance(values["eval_args"], Mapping) else values["eval_args"]
    if any(part != "full" for part in (mode.values() if isinstance(mode, Mapping) else [mode])):
        raise WrongUsage(
            "bad_value",
            f"The checkpoint's score is one over sampled items (eval_args mode: {mode}), which cannot be checked.",
            "Only a model that was validated over all items (mode: full) can be imported.",
        )
    read = columns_read(model, values)
    if read:
        raise WrongUsage(
            "bad_value",
            f"{model} reads {', '.join(read)} beside the items, which a checkpoint of RecBole's does not describe.",
            "Train it by seqrec train, whose runs export as they are.",
        )
    if values.get("benchmark_filename"):
        raise WrongUsage(
            "bad_value", "The checkpoint was trained with benchmark_filename, so no user's whole sequence is at hand."
        )
    return Resolved(model, dataset, settings)


def rebuild(resolved: Resolved, folder: Path) -> tuple[BaselineTrainer, Any, Any]:
    """RecBole's trainer with a new model, the data set, and its parts (train, valid, test), by RecBole's own code.

    Args:
        resolved: as `resolve_stored` gives it.
        folder: where RecBole may look for files of its own; none of ours is in it.

    Raises:
        What RecBole raises.
    """
    from recbole.data import data_preparation
    from recbole.utils import get_model, init_seed

    from seqrec_plugin.recbole_bridge.config import recbole_config
    from seqrec_plugin.recbole_bridge.dataset import ExactSequentialDataset, SequenceDataset
    from seqrec_plugin.recbole_bridge.trainer import BaselineTrainer

    config = recbole_config(resolved, folder)
    init_seed(config["seed"], config["reproducibility"])
    # They order and read as RecBole does where `exact_time` is off; besides, they keep each user's sequence.
    dataset = (SequenceDataset if resolved.ours else ExactSequentialDataset)(config)
    parts = data_preparation(config, dataset)
    model = get_model(resolved.model)(config, dataset).to(config["device"])
    trainer = BaselineTrainer(config, model)
    trainer.eval_collector.data_collect(parts[0])
    return trainer, dataset, parts


def first_scores(trainer: BaselineTrainer, data: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """A part's first histories, int64 [batch, length] padded on the left, and RecBole's scores of all items."""
    import torch

    from seqrec_plugin.recbole_bridge.recommender import pad_left

    model = trainer.model.eval()
    interaction = next(iter(data))[0]
    with torch.no_grad():
        scores: Tensor = model.full_sort_predict(interaction).view(len(interaction), -1)
    item_seq = pad_left(interaction[model.ITEM_SEQ], interaction[model.ITEM_SEQ_LEN])
    return item_seq.numpy(), scores.numpy()

"""RecBole's `Config`: completed with our models' defaults, and made from a resolved configuration without `eval`."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

from seqrec_plugin import distributed
from seqrec_plugin.errors import WrongUsage, nearest
from seqrec_plugin.recbole_bridge.options import SeqrecOptions, check_ours, load_fields, our_defaults
from seqrec_plugin.recbole_bridge.settings import UNLISTED, Resolved, all_recbole_keys


def recbole_config(resolved: Resolved, folder: Path) -> Any:
    """RecBole's `Config` for a resolved configuration, with checkpoints in `folder`.

    Nothing is read from `sys.argv`, no value is evaluated, and RecBole's pickle caches point at a path that cannot
    exist, so that no file in the folder is ever unpickled. Of several processes each gets a GPU of its own.
    """
    from recbole.config import Config

    from seqrec_plugin.recbole_bridge import hooks

    class TypedConfig(Config):  # type: ignore[misc]
        def _convert_config_dict(self, config_dict: dict[str, Any]) -> dict[str, Any]:
            return config_dict

        def _load_cmd_line(self) -> dict[str, Any]:
            return {}

    nowhere = os.path.join(os.devnull, "none")
    values = {key: copy.deepcopy(s.value) for key, s in resolved.settings.items() if s.source != "RecBole"}
    values |= {"checkpoint_dir": str(folder), "dataset_save_path": nowhere, "dataloaders_save_path": nowhere}
    if distributed.processes() > 1:
        values |= _among_others(resolved)
    config = TypedConfig(model=resolved.model, dataset=resolved.dataset, config_dict=values)
    if distributed.processes() > 1 and config["device"].type == "cuda":
        config["device"] = _own_gpu()
    config.__class__ = Config  # so that the checkpoint names RecBole's own class
    hooks.offer_ours(resolved.model)
    return config


def _among_others(resolved: Resolved) -> dict[str, Any]:
    """What is otherwise in one of several processes: all GPUs of the machine stay visible, and one process logs."""
    chosen, default = resolved.values["gpu_id"], "0"
    if str(chosen) not in (default, ""):
        raise WrongUsage(
            "bad_value",
            f"gpu_id is {chosen!r}, but of several processes each takes a GPU of its own.",
            "Leave gpu_id out, and choose GPUs by the environment's CUDA_VISIBLE_DEVICES.",
        )
    everyone = ",".join(map(str, range(distributed.local_processes())))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", everyone) if str(chosen) else ""
    return {"gpu_id": visible} | ({} if distributed.first() else {"log_wandb": False})


def _own_gpu() -> Any:
    """The GPU of this process, by its number on the machine."""
    import torch

    gpus, wanted = torch.cuda.device_count(), distributed.local_processes()
    if gpus < wanted:
        raise WrongUsage(
            "bad_value",
            f"There are {wanted} processes on this machine, but {gpus} GPU(s) for them.",
            "Start as many as there are GPUs, or train on the CPU with --set gpu_id=''.",
        )
    device = torch.device("cuda", distributed.local_rank())
    torch.cuda.set_device(device)
    return device


def complete(config_class: Any) -> None:
    """Give RecBole's `Config` our models' defaults and checks, in memory, after its module was loaded.

    For RecBole's own models nothing changes but that a Config remembers `exact_time`, and that one which was loaded
    from a checkpoint sets numpy's old names, as a new one does.
    """
    import torch
    from recbole.utils import EvaluatorType, InputType, ModelType

    from seqrec_plugin.recbole_bridge import hooks

    load_defaults, initialise = config_class._load_internal_config_dict, config_class.__init__

    @functools.wraps(load_defaults)
    def load_internal_config_dict(self: Any, model: str, model_class: Any, dataset: str) -> None:
        load_defaults(self, model, model_class, dataset)
        if hasattr(model_class, "seqrec_model"):
            self.internal_config_dict.update(our_defaults(model_class.seqrec_model))
            if "load_col" not in self.external_config_dict:
                values = {**self.internal_config_dict, **self.external_config_dict}
                self.internal_config_dict["load_col"] = load_fields(model_class.seqrec_model, values)

    @functools.wraps(initialise)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        if hasattr(self.model_class, "seqrec_model"):
            known = {*self.internal_config_dict, *UNLISTED, *all_recbole_keys(), *dataclasses.asdict(SeqrecOptions())}
            for key in self.external_config_dict:
                if key not in known:
                    raise WrongUsage(
                        "unknown_key", f"There is no option {key!r} for {self.model}.", nearest(key, known)
                    )
            check_ours(self.model_class.seqrec_model, self.final_config_dict)
        hooks.note_config(self)

    def set_state(self: Any, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        config_class.compatibility_settings(self)
        hooks.note_config(self)

    config_class._load_internal_config_dict = load_internal_config_dict
    config_class.__init__ = init
    config_class.__setstate__ = set_state
    # These four are all that a safe checkpoint of ours names; their state is set, and no code of the file runs.
    torch.serialization.add_safe_globals([config_class, ModelType, InputType, EvaluatorType])

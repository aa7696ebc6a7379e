"""Our models' options and our training's, as they stand beside RecBole's keys: defaults and checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqrec_plugin import registry
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.models import options
from seqrec_plugin.models.options import option


@dataclass(frozen=True)
class TrainingOptions:
    """Our own keys of training and evaluation, beside RecBole's."""

    exact_time: bool = option(False, "Order events by exact integers, ties in file order, and keep ids byte for byte.")
    window_stride: int = option(
        0, "Events between the starts of two training windows; 0 is MAX_ITEM_LIST_LENGTH.", low=0
    )


@dataclass(frozen=True)
class SeqrecOptions:
    """Our own keys that only `seqrec` minds, for RecBole's models too."""

    threads: int = option(1, "CPU threads that train; 0 is all that this process may use.", low=0)


def check_ours(model: str, values: Mapping[str, Any]) -> None:
    """Check the options of one of our models.

    Raises:
        WrongUsage: an option of the model, or of its training, is out of range or not available.
    """
    model_config(model, values)
    training_options(values)
    if values.get("enable_amp"):
        raise WrongUsage("bad_value", f"enable_amp is not available for {model} yet.", "Set enable_amp: false.")
    if values.get("loss_type", "CE") != "CE":
        raise WrongUsage(
            "bad_value", f"loss_type is {values['loss_type']!r}, but {model} learns by CE.", "Leave it out."
        )
    if _negatives(values.get("train_neg_sample_args")):
        raise WrongUsage(
            "bad_value",
            f"train_neg_sample_args is not available for {model}, which learns from all items at every position.",
            "Leave it out.",
        )
    if values.get("benchmark_filename"):
        raise WrongUsage(
            "bad_value",
            f"benchmark_filename is not available for {model}: it needs each user's whole sequence.",
            "Give one .inter file and let eval_args split it.",
        )


def model_config(model: str, values: Mapping[str, Any]) -> Any:
    """The frozen config of one of our models, from a mapping that may hold other keys too."""
    config = registry.load(model).Config
    return options.build(config, {f.name: values[f.name] for f in dataclasses.fields(config) if f.name in values})


def training_options(values: Mapping[str, Any]) -> TrainingOptions:
    """Our training options, from a mapping that may hold other keys too."""
    names = [f.name for f in dataclasses.fields(TrainingOptions)]
    chosen = options.build(TrainingOptions, {name: values[name] for name in names if name in values})
    longest = values.get("MAX_ITEM_LIST_LENGTH")
    if longest is not None and chosen.window_stride > longest:
        raise WrongUsage(
            "bad_value", f"window_stride is {chosen.window_stride}, but MAX_ITEM_LIST_LENGTH is only {longest}."
        )
    return chosen


def our_defaults(model: str) -> dict[str, Any]:
    """Defaults of one of our models, as they stand beside RecBole's."""
    of_model = {f.name: f.default for f in dataclasses.fields(registry.load(model).Config)}
    of_training = {f.name: f.default for f in dataclasses.fields(TrainingOptions)}
    return {**of_model, **of_training, "train_neg_sample_args": None, "loss_type": "CE"}


def _negatives(value: Any) -> bool:
    """Whether RecBole's `train_neg_sample_args` asks for negatives, before or after RecBole has filled it in."""
    if isinstance(value, Mapping):
        return value.get("distribution") not in (None, "none", "None")
    return value not in (None, "None")

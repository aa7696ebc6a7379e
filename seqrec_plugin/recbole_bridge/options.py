"""Our models' options and our training's, as they stand beside RecBole's keys: defaults and checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqrec_plugin import registry, times, transforms
from seqrec_plugin.columns import BEHAVIOR, FEATURES, NEXT_BEHAVIOR, NEXT_TIME_GAP, TIME_GAP
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.models import options
from seqrec_plugin.models.options import option
from seqrec_plugin.transforms import Transform


@dataclass(frozen=True)
class DataOptions:
    """Our own keys that say how events are read, beside RecBole's; a data set's own file may set them."""

    exact_time: bool = option(False, "Order events by exact integers, ties in file order, and keep ids byte for byte.")
    time_unit: str = option(
        "auto",
        "Unit of TIME_FIELD, or of TIMESTAMP_FIELD; auto finds it by the numbers' size.",
        choices=("auto", *times.UNITS),
    )
    TIMESTAMP_FIELD: str = option(
        "", "Field that gaps between events are read from; empty is TIME_FIELD, which gives their order either way."
    )
    BEHAVIOR_FIELD: str = option("behavior", "Field that says what a user did: view, cart, buy …")
    NUMERIC_FIELDS: tuple = option((), "Fields of numbers that a model may read beside the items.")  # type: ignore[type-arg]
    NUMERIC_TRANSFORMS: Mapping = option(  # type: ignore[type-arg]
        (),
        "Field → {clip: none|iqr|zscore|mad, log: false|true, scale: standard|minmax|robust|none, smooth: none or "
        "{exponential: share}, {mean: events}, {median: events}}, of NUMERIC_FIELDS; fitted on the training part and "
        "written into the graph.",
    )
    target_behaviors: tuple = option(  # type: ignore[type-arg]
        (), "Behaviours that count: only such events are targets of validation and test. Empty for all."
    )


@dataclass(frozen=True)
class TrainingOptions(DataOptions):
    """Our own keys of training and evaluation, beside RecBole's."""

    window_stride: int = option(
        0, "Events between the starts of two training windows; 0 is MAX_ITEM_LIST_LENGTH.", low=0
    )
    window_start: str = option(
        "fixed",
        "Where histories longer than a window are cut: fixed, at the same events in every epoch; or random, elsewhere "
        "in each, so that a target is learned from with another context each time.",
        choices=("fixed", "random"),
    )
    item_vectors: str = option(
        "random",
        "What item vectors begin as: random, or neighbours, a factorisation of which items stand near each other in "
        "the training events.",
        choices=("random", "neighbours"),
    )
    negatives: int = option(
        -1,
        "Items that a step's softmax samples beside the targets; 0: it sums over all items; -1: over all up to 20,000 "
        "of them, over 4,096 above.",
        low=-1,
    )
    schedule: str = option(
        "constant",
        "How the learning rate goes: constant, or falling to 0 as a cosine over schedule_epochs.",
        choices=("constant", "cosine"),
    )
    schedule_epochs: int = option(0, "Epochs in which the cosine falls; 0 is `epochs`.", low=0)
    warmup_steps: int = option(0, "Steps in which the learning rate rises linearly to its value at the start.", low=0)
    weight_average: float = option(
        0.0,
        "Decay, a step, of a running mean of the weights, which is validated and saved in their place; 0: none.",
        low=0.0,
        high=0.99999,
    )
    time_limit: float = option(
        0.0, "Seconds of training and validation after which training ends, with the epoch it is in; 0: none.", low=0
    )


#: Those of them that change what RecBole's own models are measured on.
SHARED_WITH_BASELINES = ("exact_time", "BEHAVIOR_FIELD", "target_behaviors")


@dataclass(frozen=True)
class SeqrecOptions:
    """Our own keys that only `seqrec` minds, for RecBole's models too."""

    threads: int = option(1, "CPU threads that train; 0 is all that this process may use.", low=0)
    matmul_precision: str = option(
        "highest",
        "torch's precision of float32 matrix products in training: highest; high (TF32) and medium (bfloat16) are "
        "quicker where the processor has them, and as highest elsewhere. All but training is highest.",
        choices=("highest", "high", "medium"),
    )
    valid_sample: int = option(
        0,
        "Rows of the validation part, drawn by seed, that choose the best epoch; 0: all. What a run reports is of all.",
        low=0,
    )


def check_ours(model: str, values: Mapping[str, Any]) -> None:
    """Check the options of one of our models.

    Raises:
        WrongUsage: an option of the model, or of its training, is out of range or not available.
    """
    chosen = model_config(model, values)
    training = training_options(values)
    _check_columns(model, registry.load(model), chosen, training)
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
    found = registry.load(model)
    of_model = {f.name: f.default for f in dataclasses.fields(found.Config)}
    ours = {**of_model, **training_defaults(), "train_neg_sample_args": None, "loss_type": "CE", **found.defaults}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in ours.items()}


def training_defaults() -> dict[str, Any]:
    """Our training options' defaults, as YAML has them."""
    return {o.name: o.default for o in options.describe(TrainingOptions)}


def numeric_transforms(values: Mapping[str, Any]) -> dict[str, Transform]:
    """How each of NUMERIC_FIELDS is treated, where NUMERIC_TRANSFORMS says so.

    Raises:
        WrongUsage: see `transforms.read`.
    """
    training = training_options(values)
    return transforms.read(training.NUMERIC_TRANSFORMS, training.NUMERIC_FIELDS)


def columns_read(model: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that a model reads beside the items; none for RecBole's own models."""
    if model not in registry.names():
        return ()
    names: tuple[str, ...] = registry.load(model).reads(model_config(model, values))
    return tuple(name for name in names if name != FEATURES or training_options(values).NUMERIC_FIELDS)


def fields_read(model: str, values: Mapping[str, Any]) -> list[str]:
    """The fields of the .inter file that a model, or the choice of targets, needs beside user, item and time."""
    options, names = training_options(values), columns_read(model, values)
    found = []
    if options.target_behaviors or BEHAVIOR in names or NEXT_BEHAVIOR in names:
        found.append(options.BEHAVIOR_FIELD)
    clock = options.TIMESTAMP_FIELD
    if clock and clock != values.get("TIME_FIELD") and (TIME_GAP in names or NEXT_TIME_GAP in names):
        found.append(clock)
    return found + (list(options.NUMERIC_FIELDS) if FEATURES in names else [])


def load_fields(model: str, values: Mapping[str, Any], by_user: bool = False) -> Any:
    """RecBole's `load_col` with what the model needs.

    RecBole loads user and item only off ml-100k, and a sequential model then dies without its time field.

    Args:
        model: its name.
        values: every key, `load_col` among them.
        by_user: whether the user chose `load_col`: then only what the model reads besides is added.
    """
    load_col = values.get("load_col")
    if not isinstance(load_col, Mapping) or "inter" not in load_col:
        return load_col
    fields, more = list(load_col["inter"]), fields_read(model, values)
    if not by_user:
        named = [values[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")]
        fields, more = (named if fields == ["user_id", "item_id"] else fields), [*named, *more]
    return {**load_col, "inter": fields + [field for field in more if field not in fields]}


def _check_columns(model: str, model_class: Any, chosen: Any, training: TrainingOptions) -> None:
    """What a model reads must be named, and what it does not read must not be expected of it."""
    names = model_class.reads(chosen)
    if FEATURES not in names and training.NUMERIC_FIELDS:
        raise WrongUsage(
            "bad_value", f"NUMERIC_FIELDS names {', '.join(training.NUMERIC_FIELDS)}, but {model} reads no numbers."
        )
    if model_class.task == "probability" and not training.target_behaviors and not getattr(chosen, "candidate", True):
        raise WrongUsage(
            "bad_value",
            f"{model} with candidate: false gives the probability of a behaviour, but target_behaviors names none.",
            "Set target_behaviors: [buy], or whatever BEHAVIOR_FIELD calls it.",
        )
    if len(set(training.NUMERIC_FIELDS)) < len(training.NUMERIC_FIELDS):
        raise WrongUsage("bad_value", "NUMERIC_FIELDS names a field twice.")
    transforms.read(training.NUMERIC_TRANSFORMS, training.NUMERIC_FIELDS)


def _negatives(value: Any) -> bool:
    """Whether RecBole's `train_neg_sample_args` asks for negatives, before or after RecBole has filled it in."""
    if isinstance(value, Mapping):
        return value.get("distribution") not in (None, "none", "None")
    return value not in (None, "None")

"""What RecBole's keys of data, training and evaluation mean; for `seqrec init config` and the docs.

Only the keys that people set. Their defaults stand in RecBole's files and in `settings`, and are read there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from seqrec_plugin.models.options import Described, describe
from seqrec_plugin.recbole_bridge.options import SHARED_WITH_BASELINES, SeqrecOptions, TrainingOptions
from seqrec_plugin.recbole_bridge.settings import LEARNERS, SEQREC_DEFAULTS


@dataclass(frozen=True)
class Key:
    """A key of RecBole's; `type` is given where the default, being nothing, does not tell it."""

    name: str
    meaning: str
    range: str = ""
    type: str = ""


DATA = (
    Key("data_path", "Folder that holds the data set's folder; ml-100k comes with RecBole and needs none."),
    Key("USER_ID_FIELD", "Column of the user."),
    Key("ITEM_ID_FIELD", "Column of the item."),
    Key("TIME_FIELD", "Column of the time, which orders a user's events."),
    Key("load_col", "Columns to read of each file, those above among them."),
    Key("field_separator", "What stands between two columns of a file."),
    Key("user_inter_num_interval", "Keep users whose number of events is in here, such as '[5,inf)'.", type="str"),
    Key("item_inter_num_interval", "Keep items whose number of events is in here, such as '[5,inf)'.", type="str"),
    Key("MAX_ITEM_LIST_LENGTH", "Longest history that the model sees.", "at least 1"),
)

TRAINING = (
    Key("epochs", "Most epochs.", "at least 1"),
    Key("stopping_step", "Validations without a better score before training stops.", "at least 0"),
    Key("train_batch_size", "Targets in one step: positions for our models, rows for RecBole's.", "at least 1"),
    Key("learner", "Optimizer.", ", ".join(LEARNERS)),
    Key("learning_rate", "Step size of the optimizer.", "above 0"),
    Key("weight_decay", "Decay of the weights: decoupled with adamw, else an L2 penalty.", "at least 0"),
    Key("clip_grad_norm", "Bound of the gradient's norm, such as {max_norm: 1.0}; null is none.", type="dict"),
    Key("seed", "Seed of every random choice.", "0 to 4294967295"),
    Key("use_gpu", "Whether to train on a GPU where there is one."),
    Key("gpu_id", "Which GPU."),
)

EVALUATION = (
    Key("eval_args", "The split: LS: valid_and_test is each user's last event for test, the one before for valid."),
    Key("metrics", "Metrics that RecBole computes."),
    Key("topk", "Lengths of the ranked list that they look at."),
    Key(
        "valid_metric",
        "What chooses the best epoch, on valid; seqrec masks own histories where items are ranked.",
    ),
    Key("eval_step", "Epochs from one validation to the next.", "at least 1"),
    Key("eval_batch_size", "Histories ranked at once.", "at least 1"),
)


def described(keys: Iterable[Key], defaults: Mapping[str, Any]) -> list[Described]:
    """RecBole's keys as options, with these defaults."""
    found = []
    for key in keys:
        default = defaults[key.name]
        found.append(Described(key.name, key.type or type(default).__name__, default, key.range, key.meaning))
    return found


def ours(values: Mapping[str, Any] = SEQREC_DEFAULTS, baseline: bool = False) -> list[Described]:
    """Our own keys of training, with the defaults that they have under `seqrec`.

    Args:
        values: key → value, such as the data set's, in place of an option's own default.
        baseline: only those that count for RecBole's own models too.
    """
    options = [*describe(TrainingOptions), *describe(SeqrecOptions)]
    return [
        Described(o.name, o.type, values.get(o.name, o.default), o.range, o.meaning)
        for o in options
        if not baseline or o.name in SEQREC_DEFAULTS or o.name in SHARED_WITH_BASELINES
    ]

"""A configuration file of one model that says what each line means, and runs as it stands."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seqrec_plugin import registry
from seqrec_plugin.models.options import Described, describe
from seqrec_plugin.recbole_bridge import keys
from seqrec_plugin.recbole_bridge.reading import recbole_folder, yaml_text
from seqrec_plugin.recbole_bridge.settings import TUNE, defaults_with_data

_WIDTH = 120
_COMMENT = 32  # the column of the comments
_SPACE = (
    "# What `seqrec tune` may try, on validation: ranges or lists of values. Training leaves it alone.",
    f"# {TUNE}:",
    "#   learning_rate: {low: 0.0005, high: 0.01, log: true}",
)


def template(model: str, file: Path, dataset: str = "ml-100k", data_path: str | None = None) -> str:
    """The text of a configuration with every option at its default, each with its type, meaning and range.

    Args:
        model: one of our registry, third parties' too, or a sequential model of RecBole's own.
        file: where the text will lie; its first line is the command that trains from there.
        dataset: the data set's name.
        data_path: the folder that holds the data set's folder; RecBole's default if None.

    Raises:
        WrongUsage: `unknown_model`, `name_clash`, `model_broken`, `missing_extra`.
    """
    values = {key: setting.value for key, setting in defaults_with_data(model, dataset, data_path).items()}
    if data_path is not None:
        values["data_path"] = data_path
    is_ours = model in registry.names()
    options = describe(registry.load(model).Config) if is_ours else _recboles(model, values)
    sections = {
        "The model.": options,
        "The data.": keys.described(keys.DATA, values),
        "Training.": [*keys.described(keys.TRAINING, values), *keys.ours(values, baseline=not is_ours)],
        "Evaluation.": keys.described(keys.EVALUATION, values),
    }
    lines = [
        f"# seqrec train {shlex.quote(str(file))} -o {shlex.quote('runs/' + file.stem)}",
        *_about(model),
        "#",
        "# Each option stands here at its default, or as the data set has it, with (type), meaning and range. Change",
        "# what you like; what you leave out keeps its default. RecBole's other keys may be added: a run's config.yaml",
        "# shows them all.",
        "",
        f"model: {yaml_text(model)}",
        f"dataset: {yaml_text(dataset)}",
    ]
    for title, options in sections.items():
        lines += ["", f"# {title}", *(line for option in options for line in _lines(option))]
    lines += ["", *_SPACE]
    return "\n".join(lines) + "\n"


def _about(model: str) -> list[str]:
    """The model in a comment: package, one line, paper."""
    entry = next((e for e in registry.entries() if e.name == model), None)
    if entry is None:
        return [f"# {model}, a model of RecBole's own."]
    parts = [f"{model} ({entry.package}): {entry.summary}" if entry.summary else f"{model} ({entry.package})."]
    parts += [f"Paper: {entry.paper}"] if entry.paper else []
    return [line for part in parts for line in _wrapped(part, "# ")]


def _lines(option: Described) -> Iterable[str]:
    """`key: value  # (type) Meaning. Range …`, the comment above where the value leaves it no room."""
    setting = f"{option.name}: {yaml_text(option.default)}"
    comment = f"({option.type}) {option.meaning}" + (f" Range: {option.range}." if option.range else "")
    if len(setting) >= _COMMENT:
        return [*_wrapped(comment, "# "), setting]
    first, *rest = _wrapped(comment, " " * _COMMENT + "# ")
    return [setting + first[len(setting) :], *rest]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _recboles(model: str, values: dict[str, Any]) -> list[Described]:
    """The options of a model of RecBole's own, with the types and meanings that its file of defaults tells."""
    text = (recbole_folder() / "properties" / "model" / f"{model}.yaml").read_text(encoding="utf-8")
    found = re.findall(r"^(\w+):[^#\n]*(?:#\s*(?:\(([^)]*)\))?[ \t]*(.*))?$", text, re.MULTILINE)
    return [
        Described(name, kind or type(values[name]).__name__, values[name], "", " ".join(meaning.split()))
        for name, kind, meaning in found
        if name in values and name not in {key.name for key in (*keys.DATA, *keys.TRAINING, *keys.EVALUATION)}
    ]

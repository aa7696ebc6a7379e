"""Files of settings: YAML with each key once, `1e-3` a number, no tags; and where RecBole keeps its own."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from seqrec_plugin.errors import BadData, WrongUsage, missing_extra


def yaml_text(value: Any) -> str:
    """A value as it stands in a line of YAML."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a configuration file: a mapping, each key once, `1e-3` a number, no tags."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadData("dataset_invalid", f"{file} is no text in UTF-8.", "Is it a configuration?") from None
    except OSError as error:
        raise BadData("dataset_missing", f"The configuration {file} cannot be read: {error.strerror}.") from None
    values = parse(text, str(file))
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise WrongUsage("bad_value", f"{file} must be a YAML mapping of option names to values.")
    return values


def recbole_folder() -> Path:
    """Where RecBole is installed, without importing it (which takes seconds)."""
    spec = importlib.util.find_spec("recbole")
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra("recbole", "train")
    return Path(next(iter(spec.submodule_search_locations)))


class _Loader(yaml.SafeLoader):
    """YAML with numbers as people write them, and each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads back."""


# YAML 1.1 takes 1e-3 for a text.
_NUMBER = ("tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(*_NUMBER)
_Dumper.add_implicit_resolver(*_NUMBER)


def parse(text: str, where: str) -> Any:
    """The value of a text of YAML.

    Raises:
        WrongUsage: `bad_value` where it is none.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise WrongUsage("bad_value", f"{where} is not valid YAML: {problem}.") from None

"""Files of settings: YAML with each key once, `1e-3` a number, no tags; and where RecBole keeps its own."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import yaml

from seqrec_plugin import strict_yaml
from seqrec_plugin.errors import WrongUsage, missing_extra


def yaml_text(value: Any) -> str:
    """A value as it stands in a line of YAML."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a configuration file: a mapping, each key once, `1e-3` a number, no tags."""
    values = parse(strict_yaml.read(file, "configuration"), str(file))
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise WrongUsage("bad_value", f"{file} must be a YAML mapping of option names to values.")
    return values


def recbole_folder() -> Path:
    """Where RecBole is installed, without importing it (which takes seconds)."""
    spec = importlib.util.find_spec("recbole")
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra("recbole", "train")
    return Path(next(iter(spec.submodule_search_locations)))


class _Loader(strict_yaml.Loader):
    """YAML with numbers as people write them."""


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
    return strict_yaml.load(text, where, _Loader)

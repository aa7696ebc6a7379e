"""YAML that people write: no tags, each key once, and an error in one sentence."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from seqrec_plugin.errors import BadData, WrongUsage


class Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would quietly keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """See PyYAML."""
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read(file: Path, what: str) -> str:
    """The text of a file; `what` it should be is said where it cannot be read.

    Raises:
        BadData: `dataset_missing`, `dataset_invalid`.
    """
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadData("dataset_invalid", f"{file} is no text in UTF-8.", f"Is it a {what}?") from None
    except OSError as error:
        raise BadData("dataset_missing", f"The {what} {file} cannot be read: {error.strerror}.") from None


def load(text: str, where: str, loader: type[Loader] = Loader) -> Any:
    """The value of a text of YAML.

    Raises:
        WrongUsage: `bad_value` where it is none.
    """
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise WrongUsage("bad_value", f"{where} is not valid YAML: {problem}.") from None

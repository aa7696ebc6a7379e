"""A data set's folder, and what the data set says of itself there: `<data_path>/<dataset>/<dataset>.yaml`.

`seqrec prepare` writes that file: which fields order and date the events, which tell behaviours and numbers. Its values
are defaults below a user's own file, so that one recipe serves many data sets.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.recbole_bridge.options import DataOptions
from seqrec_plugin.recbole_bridge.reading import parse, read_yaml, recbole_folder

#: The one of RecBole's that is of the model, though it stands among those of a data set.
_OF_MODEL = {"MAX_ITEM_LIST_LENGTH"}


def folder(dataset: str, data_path: Any) -> Path:
    """Where a data set lies; ml-100k is the one in RecBole's wheel."""
    if dataset == "ml-100k":
        return recbole_folder() / "dataset_example" / dataset
    return Path(str(data_path)) / dataset


def at(place: Path) -> tuple[str, str]:
    """RecBole's `data_path` and `dataset` for a data set's own folder.

    Raises:
        BadData: `dataset_missing` where no `.inter` file of the folder's name is in it.
        WrongUsage: `bad_value` for a folder that RecBole would pass by.
    """
    whole = place if place.name and place.name != ".." else place.resolve()
    if not (whole / f"{whole.name}.inter").is_file():
        there = f"there is no folder {place}"
        if whole.is_dir():
            found = sorted(path.name for path in whole.glob("*.inter"))
            there = f"it holds {', '.join(found)}" if found else "it holds none"
        raise BadData(
            "dataset_missing",
            f"--data takes a data set's own folder, with the file {whole.name}.inter in it, but {there}.",
            "For instance data/shop, with data/shop/shop.inter.",
        )
    if whole.name == "ml-100k":
        hint = "Rename the folder and its files; for RecBole's own, leave out --data."
        raise WrongUsage("bad_value", "RecBole takes ml-100k from its own wheel, wherever another lies.", hint)
    return str(whole.parent), whole.name


def read(file: Path) -> dict[str, Any]:
    """What a data set says of itself.

    Only keys that tell of data may stand there: RecBole's of a data set, and ours.

    Raises:
        WrongUsage: `unknown_key`; `bad_value` where it is no YAML mapping.
        BadData: `dataset_invalid`, `dataset_missing` where it cannot be read.
    """
    ours = {field.name for field in dataclasses.fields(DataOptions)}
    listed = (recbole_folder() / "properties" / "dataset" / "sample.yaml").read_text(encoding="utf-8")
    allowed = {*parse(listed, "sample.yaml"), *ours, "encoding"} - _OF_MODEL
    values = read_yaml(file)
    for key in values:
        if key not in allowed:
            hint = nearest(key, allowed)
            if not hint.startswith("Did"):
                hint = "What a model or its training needs stands in a recipe, under another name."
            raise WrongUsage("unknown_key", f"{file} says what a data set is, and {key!r} is no part of that.", hint)
    return values

"""The files that a configuration names: where they are, and whether they can be trained on.

They are read before anything is made, so that a mistake costs no training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqrec_plugin import atomic
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.recbole_bridge import data_set
from seqrec_plugin.recbole_bridge.options import fields_read, training_options
from seqrec_plugin.recbole_bridge.settings import Resolved


def data_file(resolved: Resolved) -> Path:
    """The `.inter` file of a configuration; ml-100k is the one in RecBole's wheel.

    Raises:
        BadData: `dataset_missing`.
    """
    file = data_set.folder(resolved.dataset, resolved.values["data_path"]) / f"{resolved.dataset}.inter"
    if not file.is_file():
        raise BadData(
            "dataset_missing",
            f"The data set {resolved.dataset!r} has no file {file}.",
            "Give the data set's own folder (--data …), or as data_path the folder that holds it.",
        )
    return file


def check_data(resolved: Resolved) -> str:
    """Read the events once before anything is made, so that a mistake in them costs nothing; returns the sha256."""
    file = data_file(resolved)
    values = resolved.values
    fields = {key: values[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")}
    table = atomic.read(
        file,
        separator=values["field_separator"],
        encoding=values.get("encoding") or "utf-8",
        ids=[fields["USER_ID_FIELD"], fields["ITEM_ID_FIELD"]] if values["exact_time"] else [],
    )
    columns = values["load_col"]
    loaded = columns.get("inter", ()) if isinstance(columns, Mapping) else table.names
    own = training_options(values)
    needed = fields_read(resolved.model, values)
    for field in needed:
        number = field in own.NUMERIC_FIELDS or field == own.TIMESTAMP_FIELD
        key = "NUMERIC_FIELDS" if field in own.NUMERIC_FIELDS else "TIMESTAMP_FIELD" if number else "BEHAVIOR_FIELD"
        fitting = [
            name
            for name, kind in table.types.items()
            if name not in fields.values() and kind in (("float",) if number else ("float", "token"))
        ]
        hint = f"Set {key} to one of {', '.join(fitting)}." if fitting else f"No field of the file will do for {key}."
        if field not in table.names:
            raise BadData("dataset_invalid", f"{file} has no field {field!r}, which {resolved.model} reads.", hint)
        if field not in fitting:
            what = f"{field!r} is of type {table.types[field]}, which does not do for {key}"
            raise BadData("dataset_invalid", f"{file}: {what}.", "Numbers are declared as name:float in the header.")
        if number and field != own.BEHAVIOR_FIELD:
            if not any(table.column(field)):
                raise BadData("dataset_invalid", f"{file}: {field} is empty in every line.", f"Leave it out of {key}.")
            continue  # one that is missing is read as the training events' median
        if "" in table.column(field):
            line = table.column(field).index("") + 2
            raise BadData("dataset_invalid", f"{file}, line {line}: {field} is empty.", "Each event needs a value.")
    for key, field in fields.items():
        if field not in table.names:
            hint = f"Set {key} to one of {', '.join(table.names)}."
            raise BadData("dataset_invalid", f"{file} has no field {field!r}.", hint)
        if field not in loaded:
            raise WrongUsage("bad_value", f"load_col leaves out {field!r}, which {key} names.", "Add it to load_col.")
    if values["exact_time"]:
        order = table.exact_times(fields["TIME_FIELD"])
        if own.TIMESTAMP_FIELD in needed:
            _check_clock(table, fields["USER_ID_FIELD"], order, own.TIMESTAMP_FIELD)
    else:
        for key in ("USER_ID_FIELD", "ITEM_ID_FIELD"):
            _check_for_recboles_reader(table, fields[key])
    return sha256(file)


def _check_clock(table: atomic.Table, user_field: str, order: npt.NDArray[np.int64], field: str) -> None:
    """Times that gaps are read from must be of one unit, and never go back in the order of a user's events."""
    times = table.exact_times(field)
    number: dict[str, int] = {}
    user = np.array([number.setdefault(name, len(number)) for name in table.column(user_field)])
    rows = np.lexsort((order, user))  # stable: ties in file order
    back = np.flatnonzero((user[rows[1:]] == user[rows[:-1]]) & (times[rows[1:]] < times[rows[:-1]]))
    if len(back):
        row = int(rows[back[0] + 1])
        raise BadData(
            "dataset_invalid",
            f"{table.path}, line {row + 2}: {field} is {table.column(field)[row]}, which is before that of the user's "
            "event before it.",
            "TIME_FIELD and TIMESTAMP_FIELD must tell one order.",
        )


def sha256(file: Path) -> str:
    """The fingerprint of a data set's file, as runs hold it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


#: What pandas, and so RecBole's reader, takes for a missing value; RecBole then drops the event.
_MISSING = frozenset(
    [
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
        "",
    ]
)


def _check_for_recboles_reader(table: atomic.Table, field: str) -> None:
    """Without `exact_time` RecBole reads the file its own way: no event may be lost in silence."""
    for line, value in enumerate(table.column(field), start=2):
        if value in _MISSING or value.startswith('"'):
            raise BadData(
                "dataset_invalid",
                f"{table.path}, line {line}: RecBole's own reader loses the {field} {value!r}.",
                "Set exact_time: true, which reads ids byte for byte.",
            )


def titles_of(resolved: Resolved) -> dict[str, str]:
    """Item → title from the `.item` file, if there is one; read before the training, so that a mistake costs none."""
    values = resolved.values
    return atomic.titles(
        data_file(resolved).with_suffix(".item"),
        values["ITEM_ID_FIELD"],
        separator=values["field_separator"],
        encoding=values.get("encoding") or "utf-8",
    )

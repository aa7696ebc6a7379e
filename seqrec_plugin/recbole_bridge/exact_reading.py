"""RecBole reads its files with pandas, which takes some ids for missing and times for floats; here exactly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import recbole.data.dataset.dataset as recbole_dataset

from seqrec_plugin import atomic
from seqrec_plugin.errors import BadData


class ExactReader:
    """Stands in for pandas' `read_csv` while RecBole loads a file.

    Args:
        config: RecBole's Config.
        time_field: the field to order the rows by, or None for files without events.
    """

    def __init__(self, config: Any, time_field: str | None) -> None:
        self.config, self.time_field = config, time_field

    def __call__(self, filepath: str, *, usecols: list[str], dtype: dict[str, Any], **_: Any) -> pd.DataFrame:
        """What `read_csv` gives: ids byte for byte, rows in exact order of time, ties in file order."""
        config = self.config
        table = atomic.read(
            filepath,
            separator=config["field_separator"],
            encoding=config["encoding"],
            ids=[config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]],
        )
        names = [name for name, _, _ in (column.partition(":") for column in usecols)]
        frame = pd.DataFrame({f: table.columns[n] for f, n in zip(usecols, names, strict=True)}, dtype=object)
        order = None
        if self.time_field in names:
            order = np.argsort(table.exact_times(self.time_field), kind="stable")
        for name, column in zip(names, usecols, strict=True):
            if dtype[column] is np.float64:
                frame[column] = _floats(table, name)
        if order is not None:
            frame = frame.take(order).reset_index(drop=True)
        return frame


def _floats(table: atomic.Table, name: str) -> npt.NDArray[np.float64]:
    """A column of numbers; an empty value is missing, as RecBole has it."""
    values = table.column(name)
    try:
        return np.array([value or "nan" for value in values], dtype=np.float64)
    except ValueError:
        pass
    for line, value in enumerate(values, start=2):
        try:
            float(value or "nan")
        except ValueError:
            raise BadData("dataset_invalid", f"{table.path}, line {line}: {name} is {value!r}, not a number.") from None
    raise AssertionError("unreachable: numpy and float() agree on what a number is")


@contextlib.contextmanager
def reading_by(reader: ExactReader) -> Iterator[None]:
    """Let RecBole's loader read with `reader`; only its own name for pandas changes, and only meanwhile."""
    own = recbole_dataset.pd
    recbole_dataset.pd = SimpleNamespace(**{**vars(own), "read_csv": reader})
    try:
        yield
    finally:
        recbole_dataset.pd = own

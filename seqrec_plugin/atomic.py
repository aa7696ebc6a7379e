"""RecBole's atomic files (`.inter`, `.item`, `.user`): ids byte for byte, times as exact integers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.history import Event
from seqrec_plugin.times import check_one_unit, exact_times, unit_seconds

TYPES = ("token", "token_seq", "float", "float_seq")
#: The fields whose values are ids: neither empty nor RecBole's own name for padding.
ID_FIELDS = ("user_id", "item_id")
PADDING_TOKEN = "[PAD]"
#: Where an item's title is looked for, the likeliest first.
TITLE_FIELDS = ("movie_title", "title", "name", "product_title")


@dataclass(frozen=True)
class Table:
    """An atomic file.

    Attributes:
        path: where it was read.
        names: of the fields, as they stand in the header.
        types: field → `token`, `token_seq`, `float` or `float_seq`.
        columns: field → its values as text, one a row.
    """

    path: Path
    names: tuple[str, ...]
    types: dict[str, str]
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.columns[self.names[0]])

    def column(self, field: str) -> list[str]:
        """The values of a field.

        Raises:
            BadData: `dataset_invalid` where there is none of this name.
        """
        if field not in self.columns:
            raise BadData("dataset_invalid", f"{self.path} has no field {field!r}.", nearest(field, self.names))
        return self.columns[field]

    def exact_times(self, field: str) -> npt.NDArray[np.int64]:
        """The order keys of a field's values: see `times.exact_times`.

        Raises:
            BadData: `dataset_invalid` besides where seconds, milliseconds and the like are mixed.
        """
        where = f"field {field!r} of {self.path}"
        keys = exact_times(self.column(field), where)
        check_one_unit(keys, self.column(field), where)
        return keys


def read(path: str | Path, *, separator: str = "\t", encoding: str = "utf-8", ids: Sequence[str] = ID_FIELDS) -> Table:
    """Read an atomic file as it stands: no value is quoted, guessed, missing or dropped.

    Args:
        path: the file; its lines may end in CRLF, and it may begin with a byte order mark.
        separator: between fields.
        encoding: of the text.
        ids: fields, where the file has them, that hold ids.

    Raises:
        BadData: `dataset_missing`, `dataset_empty` or `dataset_invalid`.
        WrongUsage: `bad_value` for an encoding or separator that is none.
    """
    path = Path(path)
    if not separator or "\n" in separator:
        raise WrongUsage("bad_value", f"The field separator {separator!r} is none.", "Use a tab.")
    lines = _lines(path, encoding)
    names, types = _header(path, lines[0], separator)
    rows = lines[1:]
    if not rows:
        raise BadData("dataset_empty", f"{path} has a header, but no rows.")
    expected = len(names) - 1
    counts = list(map(str.count, rows, repeat(separator)))
    if counts.count(expected) != len(counts):
        row = next(i for i, count in enumerate(counts) if count != expected)
        raise BadData(
            "dataset_invalid",
            f"{path}, line {row + 2}: {counts[row] + 1} fields, but the header names {len(names)}.",
            f"Fields are separated by {separator!r}.",
        )
    values = separator.join(rows).split(separator)
    columns = {name: values[i :: len(names)] for i, name in enumerate(names)}
    for name in ids:
        _check_ids(path, name, columns.get(name, []))
    return Table(path, names, types, columns)


def dataset_file(folder: str | Path, name: str | None = None, suffix: str = ".inter") -> Path:
    """The file of a data set.

    Args:
        folder: RecBole's `data_path`, or the data set's own folder.
        name: of the data set; without it the folder must hold one only.
        suffix: `.inter`, `.item` or `.user`.

    Raises:
        BadData: `dataset_missing`.
    """
    folder = Path(folder)
    if name is not None:
        candidates = [folder / name / f"{name}{suffix}", folder / f"{name}{suffix}"]
        found = [path for path in candidates if path.is_file()]
        if not found:
            raise BadData("dataset_missing", f"There is neither {candidates[0]} nor {candidates[1]}.")
        return found[0]
    found = sorted(path for path in folder.glob(f"*{suffix}") if path.is_file())
    if len(found) != 1:
        there = f"{len(found)} files" if found else "no file"
        raise BadData(
            "dataset_missing",
            f"{folder} holds {there} *{suffix}.",
            "Name the data set (--dataset), or the file's own folder.",
        )
    return found[0]


def titles(
    path: str | Path,
    item_field: str = "item_id",
    title_field: str | None = None,
    *,
    separator: str = "\t",
    encoding: str = "utf-8",
) -> dict[str, str]:
    """Item → title, from an `.item` file.

    Args:
        path: the file.
        item_field: the field of the ids.
        title_field: the field of the titles; by default the first of `TITLE_FIELDS` that the file has.
        separator: between fields.
        encoding: of the text.

    Returns:
        the items that have a title; none where no field was named and there is no such file or field.

    Raises:
        BadData: see `read`, and `dataset_invalid` where the named field is not there.
    """
    if title_field is None and not Path(path).is_file():
        return {}
    table = read(path, separator=separator, encoding=encoding, ids=[item_field])
    if title_field is None:
        title_field = next((name for name in TITLE_FIELDS if name in table.columns), None)
        if title_field is None or item_field not in table.columns:
            return {}
    pairs = zip(table.column(item_field), table.column(title_field), strict=True)
    return {item: title for item, title in pairs if title}


class AtomicHistories:
    """Histories by user from an `.inter` file, in exact time order, ties in file order: a `HistorySource`.

    Args:
        path: the file, or the data set's folder.
        user_field: the field of the users.
        item_field: the field of the items.
        time_field: the field to order by; `Event.time` is in seconds, whatever its unit.
        behavior_field: the field of the behaviours, for models that read them.
        features: the fields of the numbers, for models that read them.

    Raises:
        BadData: see `read`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        user_field: str = "user_id",
        item_field: str = "item_id",
        time_field: str = "timestamp",
        behavior_field: str | None = None,
        features: Sequence[str] = (),
    ) -> None:
        self.path = dataset_file(path) if Path(path).is_dir() else Path(path)
        table = read(self.path, ids=(user_field, item_field))
        users, self._items = table.column(user_field), table.column(item_field)
        keys = table.exact_times(time_field)
        self._times = self._seconds(table.column(time_field))
        self._behaviors = None if behavior_field is None else _names(table, behavior_field)
        self._features = [self._numbers(table, name) for name in features]
        self._rows: defaultdict[str, list[int]] = defaultdict(list)
        for row in np.argsort(keys, kind="stable").tolist():
            self._rows[users[row]].append(row)

    def _seconds(self, values: Sequence[str]) -> npt.NDArray[np.float64]:
        times = np.array(values, dtype=np.float64)
        return times * unit_seconds(times)

    def _numbers(self, table: Table, name: str) -> list[float]:
        try:
            return [float(value or "nan") for value in table.column(name)]
        except ValueError:
            raise BadData("dataset_invalid", f"{table.path}: {name} holds what is no number.") from None

    def history(self, user_id: str) -> list[Event]:
        """All events of a user, oldest first.

        Raises:
            BadData: `unknown_user`.
        """
        if user_id not in self._rows:
            raise BadData(
                "unknown_user",
                f"The user {user_id!r} is not in {self.path}, which has {len(self._rows)} users.",
                "For somebody new, give the history itself; it may be empty.",
            )
        return [
            Event(
                self._items[row],
                float(self._times[row]),
                None if self._behaviors is None else self._behaviors[row],
                tuple(column[row] for column in self._features),
            )
            for row in self._rows[user_id]
        ]


def _names(table: Table, field: str) -> list[str]:
    """The values of a field as names; those of a field of numbers (stars, say) as training names them."""
    values = table.column(field)
    return [f"{float(value):g}" for value in values] if table.types[field] == "float" else values


def text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file, without a byte order mark.

    Raises:
        BadData: `dataset_missing`, `dataset_invalid`, `dataset_empty`.
        WrongUsage: `bad_value` for an encoding that is none.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadData("dataset_missing", f"There is no file {path}.") from None
    except OSError as error:
        raise BadData("dataset_missing", f"{path} cannot be read: {error.strerror}.") from None
    try:
        found = data.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise WrongUsage("bad_value", f"There is no encoding {encoding!r}.", "Use utf-8.") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadData(
            "dataset_invalid",
            f"{path}, line {line}: not text in {encoding}.",
            "Convert the file to UTF-8, or name its encoding.",
        ) from None
    if not found.strip("\r\n"):
        raise BadData("dataset_empty", f"{path} is empty.")
    return found


def _lines(path: Path, encoding: str) -> list[str]:
    """The lines of an atomic file, the header first; blank lines at its end do not count."""
    whole = text(path, encoding).replace("\r\n", "\n").rstrip("\n")
    if "\0" in whole:
        line = whole.count("\n", 0, whole.index("\0")) + 1
        raise BadData("dataset_invalid", f"{path}, line {line}: a NUL character, which RecBole's reader cuts at.")
    return whole.split("\n")


def _header(path: Path, line: str, separator: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names and types of a header such as `user_id:token item_id:token timestamp:float`."""
    types: dict[str, str] = {}
    for column in line.split(separator):
        name, colon, kind = column.partition(":")
        wrong = None
        if not colon or not name:
            wrong = "not name:type"
        elif kind not in TYPES:
            wrong = f"of an unknown type; types are {', '.join(TYPES)}"
        elif name in types:
            wrong = "there twice"
        if wrong:
            raise BadData(
                "dataset_invalid",
                f"{path}, line 1: the field {column!r} of the header is {wrong}.",
                f"An atomic file begins like user_id:token{separator}item_id:token{separator}timestamp:float, "
                f"separated by {separator!r}.",
            )
        types[name] = kind
    return tuple(types), types


def _check_ids(path: Path, name: str, column: list[str]) -> None:
    """Refuse what RecBole would take for a missing value or for its own padding."""
    for bad, why in (("", "is empty"), (PADDING_TOKEN, "is RecBole's own name for padding")):
        if bad in column:
            raise BadData("dataset_invalid", f"{path}, line {column.index(bad) + 2}: {name} {bad!r} {why}.")

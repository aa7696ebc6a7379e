"""Titles of items from a file of one's own: an `.item` file, CSV or TSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

from seqrec_plugin import atomic
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.vocabulary import Vocabulary

#: Where an item's id is looked for, the likeliest first; titles as in an `.item` file (`atomic.TITLE_FIELDS`).
ID_FIELDS = ("item_id", "item", "id", "itemid", "item id", "product_id", "sku")
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}


@dataclasses.dataclass(frozen=True)
class Matched:
    """New titles on a catalogue.

    Attributes:
        vocabulary: the catalogue, with the titles.
        titled: how many of its items the file names.
        strange: how many items of the file the model does not know.
    """

    vocabulary: Vocabulary
    titled: int
    strange: int


def read(path: Path, item_field: str = "item_id") -> dict[str, str]:
    """Item → title.

    Args:
        path: an atomic `.item` file; or a text in UTF-8 whose first line names the columns, comma-separated and quoted
            as CSV has it (`.csv`), or tab-separated and never quoted (`.tsv`, `.txt`).
        item_field: the column of the ids, where it has a name that is in no list.

    Returns:
        the items that have a title.

    Raises:
        BadData: `dataset_missing`, `dataset_empty` or `dataset_invalid`.
        WrongUsage: `bad_value` for a file of another kind.
    """
    if path.suffix == ".item":
        if not path.is_file():
            raise BadData("dataset_missing", f"There is no file {path}.")
        table = atomic.read(path, ids=[item_field])
        ids, names = _columns(path, table.names, item_field)
        return _paired(path, list(zip(table.column(ids), table.column(names), strict=True)))
    if path.suffix.lower() not in _SEPARATORS:
        raise WrongUsage("bad_value", f"{path} must be an .item, .csv, .tsv or .txt file.", "Rename it to what it is.")
    quoted = path.suffix.lower() == ".csv"
    reader = csv.reader(
        io.StringIO(atomic.text(path), newline=""),
        delimiter=_SEPARATORS[path.suffix.lower()],
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    try:
        header = next(reader)
        ids, names = _columns(path, header, item_field)
        places, pairs = (header.index(ids), header.index(names)), []
        for row in reader:
            if len(row) != len(header) and row:
                fields = f"{len(row)} fields, but its first line names {len(header)}"
                raise BadData("dataset_invalid", f"{path}, line {reader.line_num}: {fields}.")
            if row:
                pairs.append((row[places[0]], row[places[1]]))
    except csv.Error as error:
        raise BadData("dataset_invalid", f"{path}, line {reader.line_num}: {error}.") from None
    return _paired(path, pairs)


def match(vocabulary: Vocabulary, titles: dict[str, str], path: Path) -> Matched:
    """New titles over those that a catalogue has; an item that the file does not name keeps its own.

    Args:
        vocabulary: the catalogue.
        titles: item → title.
        path: where they were read, for the error.

    Raises:
        BadData: `dataset_invalid` where the file names no item of the catalogue.
    """
    known = [title for token, title in titles.items() if vocabulary.index(token) is not None]
    if not known:
        mine, theirs = vocabulary.tokens[0], next(iter(titles), "")
        raise BadData(
            "dataset_invalid",
            f"{path} names none of the {vocabulary.n_items - 1} items that the model knows.",
            f"Ids must be the same text: the model's are like {mine!r}, the file's like {theirs!r}.",
        )
    own = [vocabulary.title(index) for index in range(1, vocabulary.n_items)]
    both = [titles.get(token, title) for token, title in zip(vocabulary.tokens, own, strict=True)]
    return Matched(Vocabulary(vocabulary.tokens, both), len(known), len(titles) - len(known))


def _columns(path: Path, header: Sequence[str], item_field: str) -> tuple[str, str]:
    """The columns of ids and titles: by their names, or, where there are two of which one is known, the other."""
    by_name = {name.strip().lower(): name for name in reversed(header)}
    found = []
    for wanted in ((item_field.lower(), *ID_FIELDS), atomic.TITLE_FIELDS):
        found.append(next((by_name[name] for name in wanted if name in by_name), None))
    ids, titles = found
    if len(header) == 2 and (ids is None) != (titles is None):
        ids = ids if ids is not None else next(name for name in header if name != titles)
        titles = titles if titles is not None else next(name for name in header if name != ids)
    if ids is None or titles is None:
        raise BadData(
            "dataset_invalid",
            f"{path} must name the columns of ids and titles in its first line, but that has {', '.join(header)}.",
            f"Call them {item_field} and title.",
        )
    return ids, titles


def _paired(path: Path, pairs: list[tuple[str, str]]) -> dict[str, str]:
    titles: dict[str, str] = {}
    for item, title in pairs:
        if not title:
            continue
        if titles.setdefault(item, title) != title:
            raise BadData(
                "dataset_invalid", f"{path}: the item {item!r} has two titles, {titles[item]!r} and {title!r}."
            )
    if not titles:
        raise BadData("dataset_empty", f"{path} holds no title.")
    return titles

"""A cleaned table of events → the files of a data set.

DuckDB writes the tables, sorted, by tabs and with no quotes: ids come out byte for byte, whatever the size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from seqrec_plugin import bundle
from seqrec_plugin.errors import BadData
from seqrec_plugin.preparing.recipe import Recipe

if TYPE_CHECKING:
    import duckdb

RECIPE_FILE = "recipe.yaml"
REPORT_FILES = ("report.json", "report.html")
REJECTED_FILE = "rejected.tsv"
_SUFFIXES = (".inter", ".item", ".yaml")

#: RecBole's and our names of what every event has.
_TAKEN = ("user_id", "item_id", "order", "timestamp", "behavior", "weight")
#: A feature with one of these names, in lower case, is the item's title.
_TITLES = (
    "title",
    "name",
    "item_name",
    "product_name",
    "movie_title",
    "product_title",
    "标题",
    "名称",
    "商品名称",
    "商品名",
)


@dataclass(frozen=True)
class Fields:
    """The fields of the files: what each column of `events` is called there.

    Attributes:
        numbers: column → field of the .inter file.
        features: column → field of the .item file.
        timestamp: whether there are real times.
        behavior: whether there are behaviours.
        weight: whether each event has the weight of its behaviour.
    """

    numbers: Mapping[str, str]
    features: Mapping[str, str]
    timestamp: bool
    behavior: bool
    weight: bool


def fields(recipe: Recipe) -> Fields:
    """The fields of a data set: names of the files, less what an atomic file's header cannot hold."""
    source = recipe.source
    taken = list(_TAKEN)
    numbers = {name: _field(name, taken) for name in source.numbers or ()}
    features = {}
    taken = ["item_id"]
    for name in source.features or ():
        title = name.strip().casefold() in _TITLES and "title" not in taken
        features[name] = _field("title" if title else name, taken)
    return Fields(
        numbers, features, source.time_unit != "position", bool(source.behavior), bool(recipe.behaviors.weights)
    )


def _field(name: str, taken: list[str]) -> str:
    plain = "_".join(name.replace(":", " ").split()).replace("\0", "") or "column"
    field, n = plain, 1
    while field.casefold() in taken:
        n += 1
        field = f"{plain}_{n}"
    taken.append(field.casefold())
    return field


@contextlib.contextmanager
def folder(output: Path, force: bool) -> Iterator[Path]:
    """A fresh folder beside `output` that takes its place when the block ends well, and is removed when it does not.

    Raises:
        WrongUsage: `output_exists`.
        BadData: `output_unwritable`.
    """
    with bundle.writing(output, force, what="data set", foreign=_foreign) as fresh:
        yield fresh


def _foreign(path: Path) -> str:
    """Why a folder is not a data set that this wrote and nothing else, or an empty text."""
    names = {entry.name for entry in path.iterdir()}
    if RECIPE_FILE not in names or not any(name.endswith(".inter") for name in names):
        return "it holds no prepared data set"
    known = {RECIPE_FILE, REJECTED_FILE, *REPORT_FILES}
    foreign = sorted(name for name in names - known if not name.endswith(_SUFFIXES))
    return f"{foreign[0]!r} in it is not of a data set" if foreign else ""


def write_events(connection: duckdb.DuckDBPyConnection, file: Path, fields: Fields) -> None:
    """Write the `.inter` file from the coded tables: users as they first appear, each in order of time and line."""
    columns = {"user_id:token": "users.user", "item_id:token": "items.item", "order:float": '"order"'}
    joined = "JOIN users USING (u) JOIN items USING (i)"
    if fields.timestamp:
        columns["timestamp:float"] = _seconds("time")
    if fields.behavior:
        joined += " JOIN acts USING (b)"
        columns["behavior:token"] = "acts.act"
    columns |= {f"{name}:float": f"number_{n}" for n, name in enumerate(fields.numbers.values())}
    if fields.weight:
        columns["weight:float"] = "acts.weight"
    ordered = 'SELECT *, row_number() OVER (PARTITION BY u ORDER BY time, line) AS "order" FROM coded'
    _copy(connection, file, columns, f'({ordered}) AS coded {joined} ORDER BY u, "order"')


def write_items(connection: duckdb.DuckDBPyConnection, file: Path, fields: Fields) -> None:
    """Write the `.item` file: the items that are left, as they first appear in the source, with their features."""
    columns = {"item_id:token": "item"}
    for n, name in enumerate(fields.features.values()):
        columns[f"{name}:token"] = f"regexp_replace(coalesce(feature_{n}, ''), '[\\t\\n\\r\\x00]+', ' ', 'g')"
    _copy(connection, file, columns, "items SEMI JOIN coded USING (i) ORDER BY i")


def write_rejected(connection: duckdb.DuckDBPyConnection, file: Path, text: bool) -> None:
    """Write the rows that could not be read, each in a line: backslash, tab and line ends are escaped by a backslash.

    Args:
        connection: with the table `rejects`.
        file: to write.
        text: whether to write the rows themselves.
    """
    columns = {"file": _escaped("file"), "line": "line", "reason": _escaped("reason")}
    if text:
        columns["text"] = _escaped("text")
    _copy(connection, file, columns, "rejects ORDER BY ALL")


def training_defaults(fields: Fields, recipe: Recipe) -> str:
    """What a training must know of the data set, as YAML: defaults below the user's own configuration."""
    values: dict[str, Any] = {"TIME_FIELD": "order"}
    if fields.timestamp:
        values["TIMESTAMP_FIELD"] = "timestamp"
    if fields.behavior:
        values["BEHAVIOR_FIELD"] = "behavior"
        if recipe.behaviors.targets:
            values["target_behaviors"] = list(recipe.behaviors.targets)
    if fields.numbers:
        values["NUMERIC_FIELDS"] = list(fields.numbers.values())
        transforms = {fields.numbers[name]: dict(how) for name, how in recipe.numbers.items()}
        if transforms:
            values["NUMERIC_TRANSFORMS"] = transforms
    # No more: a training adds what its model reads.
    values["load_col"] = {"inter": ["user_id", "item_id", "order"]}
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=10**6)
    return (
        "# What `seqrec prepare` says of this data set to a training, below the training's own configuration.\n" + text
    )


def write(file: Path, text: str) -> None:
    """Write a small file in UTF-8, with `\\n` on every system.

    Raises:
        BadData: `output_unwritable`.
    """
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        raise BadData("output_unwritable", f"{file} cannot be written: {error.strerror}.") from None


def _seconds(column: str) -> str:
    """Microseconds as seconds in exact decimal text, with no more places than there are."""
    size = f"abs({column})"
    return (
        f"concat(if({column} < 0, '-', ''), {size} // 1000000, if({size} % 1000000 = 0, '', "
        f"concat('.', rtrim(lpad(({size} % 1000000)::VARCHAR, 6, '0'), '0'))))"
    )


def _escaped(column: str) -> str:
    text = f"coalesce({column}, '')"
    for mark, escape in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = f"replace({text}, {_text(mark)}, {_text(escape)})"
    return text


def _copy(connection: duckdb.DuckDBPyConnection, file: Path, columns: Mapping[str, str], rest: str) -> None:
    """Write a query's rows below a header of the columns' names, in their order, fields as they are.

    Args:
        connection: with the tables.
        file: to write.
        columns: name → expression.
        rest: what follows FROM.
    """
    selected = ", ".join(f"{value} AS {_quoted(name)}" for name, value in columns.items())
    connection.execute(
        f"COPY (SELECT {selected} FROM {rest}) TO {_text(str(file))} "
        "(FORMAT csv, HEADER true, DELIMITER '\t', QUOTE '', ESCAPE '', NULLSTR '')"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"

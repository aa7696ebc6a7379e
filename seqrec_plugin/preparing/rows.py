"""A file in any format → one query that gives its rows: what each holds, or why it is none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqrec_plugin.errors import BadData
from seqrec_plugin.preparing import decoding, splitting
from seqrec_plugin.preparing.engine import name as quoted
from seqrec_plugin.preparing.engine import text as literal
from seqrec_plugin.preparing.guessing import Guess, Sample
from seqrec_plugin.preparing.opening import Opened
from seqrec_plugin.preparing.source import Source
from seqrec_plugin.preparing.splitting import Dialect
from seqrec_plugin.preparing.times import Clock

if TYPE_CHECKING:
    import duckdb

#: Why a row is none; the empty reason is that of a line which never was one.
BLANK = ""
ODD_QUOTE = "a quote that does not close, or does not stand at the ends of its field"
NO_JSON = "no JSON object"
NO_USER, NO_ITEM = "no user", "no item"
PADDING = "an id that is [PAD], RecBole's own name for padding"
BROKEN_ID = "an id with a tab, a line end or a NUL, which no data set can hold"
NO_ID = "an id that is neither text nor a whole number"
NO_TIME, UNREADABLE_TIME = "no time", "a time that cannot be read"
FIELDS = " fields instead of "

_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,(\d+)\s*")
_ID_TYPE = re.compile(r"VARCHAR|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|UUID|ENUM\(.*\)|DECIMAL\(\d+,0\)")
#: Rows of a sample.
_ROWS = 2000


@dataclass(frozen=True)
class Form:
    """How a file is read.

    Attributes:
        format: `csv`, `jsonl` or `parquet`.
        lines: a query's table of what it holds: of lines as `text`, or of Parquet's columns.
        rows: how many that are.
        skip: lines before them.
        sample: of its rows.
        guesses: of its form.
        dialect: of a CSV.
        types: column → type, of a Parquet file.
        encoding: of the file.
    """

    format: str
    lines: str
    rows: int
    skip: int
    sample: Sample
    guesses: tuple[Guess, ...]
    dialect: Dialect | None = None
    types: dict[str, str] | None = None
    encoding: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is no row, only names."""
        return not self.sample.rows

    @property
    def shape(self) -> tuple[str, str, str, bool]:
        """Format, delimiter, encoding, header."""
        dialect = self.dialect
        return self.format, dialect.delimiter if dialect else "", self.encoding, dialect.header if dialect else False


def form(connection: duckdb.DuckDBPyConnection, opened: Opened, source: Source) -> Form | None:
    """How a file is read; None where it holds nothing.

    Raises:
        BadData: `events_invalid`.
    """
    if opened.format == "parquet":
        return _parquet(connection, opened)
    if not any(line.strip() for line in opened.sample):
        return None
    guesses = [Guess("format", opened.format, "by the file's name and beginning")] if source.format == "auto" else []
    if not source.encoding:
        guesses.append(Guess("encoding", opened.encoding, opened.why))
    if opened.format == "jsonl":
        lines = splitting.lines_of(opened.readable, 0)
        sample = _json_sample(opened.sample)
        if not sample.rows:
            raise BadData("events_invalid", f"{opened.path} holds {NO_JSON} in its first lines.", "Is it JSON lines?")
        return Form("jsonl", lines, opened.lines, 0, sample, tuple(guesses), encoding=opened.encoding)
    dialect = splitting.dialect(opened.path, opened.sample, source)
    if not source.delimiter:
        guesses.append(Guess("delimiter", repr(dialect.delimiter), dialect.why))
    rows = [dialect.row(line) for line in opened.sample[dialect.skip : dialect.skip + _ROWS] if line.strip()]
    sample = Sample(dialect.names, tuple(tuple(row) for row in rows if len(row) == len(dialect.names)))
    if rows and not sample.rows:
        raise BadData(
            "events_invalid",
            f"{opened.path} names {len(dialect.names)} columns ({', '.join(dialect.names)}), but its rows have "
            f"{len(rows[0])} fields, split by {dialect.delimiter!r}.",
            "Say delimiter, quote or columns in a recipe.",
        )
    lines = splitting.lines_of(opened.readable, dialect.skip)
    count = max(0, opened.lines - dialect.skip)
    return Form("csv", lines, count, dialect.skip, sample, tuple(guesses), dialect, encoding=opened.encoding)


def query(form: Form, source: Source, clock: Clock, dirty: bool) -> str:
    """The query of a file's rows, one a line, in order.

    Its columns are `reason` (NULL for an event), `text` (the line, where it is none), user, item, time, rest
    (see `Clock.sql`), odd (a time that could not be read), and where the source has them behavior, number_0 …,
    odd_0 … (what could not be read as a number; NULL where there was nothing), feature_0 … .
    """
    columns = {"user": source.user, "item": source.item, "moment": source.time, "behavior": source.behavior}
    columns |= {f"number_{i}": name for i, name in enumerate(source.numbers or ())}
    columns |= {f"feature_{i}": name for i, name in enumerate(source.features or ())}
    names = {role: name for role, name in columns.items() if name is not None}
    if form.dialect is not None:
        table, wrong, suspect = _csv(form, form.dialect, names)
    elif form.format == "jsonl":
        table, wrong, suspect = _jsonl(form, names)
    else:
        table, wrong, suspect = _typed(form, names, clock)
    if dirty:
        # A line that was cut has lost fields, so that comes first.
        dirt = [(f"contains(text, {mark})", literal(why)) for mark, why in _dirt(form.encoding).items()]
        wrong = [dirt[0], *wrong, *dirt[1:]]
    wrong += [
        ("coalesce(\"user\", '') = ''", literal(NO_USER)),
        ("coalesce(item, '') = ''", literal(NO_ITEM)),
        ("\"user\" = '[PAD]' OR item = '[PAD]'", literal(PADDING)),
        (f"{suspect} AND regexp_matches(\"user\" || item, '[\\t\\n\\r\\x00]')", literal(BROKEN_ID)),
    ]
    time, rest, odd = "NULL::BIGINT", "NULL::BIGINT", "NULL::VARCHAR"
    if source.time is not None:
        time, rest = clock.sql("moment")
        unreadable = literal(NO_TIME)
        if clock.kind != "typed":
            unreadable = (
                f"CASE WHEN coalesce(trim(moment), '') = '' THEN {unreadable} ELSE {literal(UNREADABLE_TIME)} END"
            )
            odd = f"CASE WHEN reason = {literal(UNREADABLE_TIME)} THEN moment END"
        wrong.append(("time IS NULL AND rest IS NULL", unreadable))
    # Nearly all rows are good: one condition lets them pass, and only the others are asked what is wrong with them.
    bad = " OR ".join(f"({condition})" for condition, _ in wrong)
    reason = " ".join(f"WHEN {condition} THEN {why}" for condition, why in wrong)
    values = {role: _value(role, name, form.sample) for role, name in names.items() if role != "moment"}
    for i in range(len(source.numbers or ())):
        number = f"number_{i}"
        values[f"odd_{i}"] = f"CASE WHEN ({values[number]}) IS NULL THEN nullif(trim({number}), '') END"
    return f"""
        SELECT reason, CASE WHEN reason <> '' THEN text END AS text, {odd} AS odd,
            CASE WHEN reason IS NULL THEN time END AS time, CASE WHEN reason IS NULL THEN rest END AS rest,
            {", ".join(f'{value} AS "{role}"' for role, value in values.items())}
        FROM (
            SELECT *, CASE WHEN {bad} THEN CASE {reason} END END AS reason
            FROM (SELECT *, {time} AS time, {rest} AS rest FROM ({table}))
        )"""


def refuse(form: Form, source: Source, where: str) -> None:
    """Refuse a column of ids whose type holds none.

    Raises:
        BadData: `events_invalid`.
    """
    for role, name in (("user", source.user), ("item", source.item)):
        kind = (form.types or {}).get(name, "VARCHAR")
        if not _ID_TYPE.fullmatch(kind):
            raise BadData(
                "events_invalid",
                f"{where}: the column {name!r} of the {role}s is of the type {kind}, which is no id.",
                "Write the ids as text or as integers.",
            )


def _csv(form: Form, dialect: Dialect, names: dict[str, str]) -> tuple[str, list[tuple[str, str]], str]:
    """The values of a CSV's rows, what is wrong with some, and which ids are to be looked at closely."""
    values = ", ".join(f'{dialect.field(dialect.names.index(name))} AS "{role}"' for role, name in names.items())
    count = len(dialect.names)
    wrong = [
        ("text IS NULL", literal(BLANK)),
        ("f IS NULL", literal(ODD_QUOTE)),
        (f"len(f) <> {count}", f"len(f) || '{FIELDS}{count}'"),
    ]
    # A tab or a line end within an id: of lines that were joined, or where a tab is not what stands between fields.
    mark = literal(dialect.quote or "\n") if dialect.delimiter == "\t" else "chr(9)"
    suspect = f"(contains(text, chr(10)) OR contains(text, {mark}))"
    return f"SELECT text, f, {values} FROM ({dialect.fields(form.lines)})", wrong, suspect


def _jsonl(form: Form, names: dict[str, str]) -> tuple[str, list[tuple[str, str]], str]:
    pointers = {role: literal("/" + name.replace("~", "~0").replace("/", "~1")) for role, name in names.items()}
    values = ", ".join(f'f[{i}] AS "{role}"' for i, role in enumerate(names, 1))
    table = f"""
        SELECT text, f, kinds, {values} FROM (
            SELECT text, CASE WHEN good THEN json_extract_string(text, [{", ".join(pointers.values())}]) END AS f,
                CASE WHEN good THEN json_type(text, [{pointers["user"]}, {pointers["item"]}]) END AS kinds
            FROM (SELECT text, coalesce(starts_with(trim(text), '{{') AND json_valid(text), false) AS good
                  FROM {form.lines})
        )"""
    wrong = [
        ("text IS NULL OR trim(text) = ''", literal(BLANK)),
        ("f IS NULL", literal(NO_JSON)),
        ("list_has_any(kinds, ['DOUBLE', 'BOOLEAN', 'OBJECT', 'ARRAY'])", literal(NO_ID)),
    ]
    return table, wrong, "contains(text, '\\')"


def _typed(form: Form, names: dict[str, str], clock: Clock) -> tuple[str, list[tuple[str, str]], str]:
    types, values = form.types or {}, {}
    for role, name in names.items():
        values[role] = f"{quoted(name)}::VARCHAR"
        if role == "moment" and clock.kind == "typed":
            local = types[name].startswith(("TIMESTAMP", "DATE")) and "TIME ZONE" not in types[name]
            moment = f"{quoted(name)}::TIMESTAMP" if local else quoted(name)
            values[role] = clock.local(moment) if local else f"epoch_us({moment})"
    listed = ", ".join(f'{value} AS "{role}"' for role, value in values.items())
    shown = ", ".join(f"{literal(name)}: {quoted(name)}" for name in dict.fromkeys(names.values()))
    return f"SELECT {listed}, to_json({{{shown}}})::VARCHAR AS text FROM {form.lines}", [], "true"


def _value(role: str, name: str, sample: Sample) -> str:
    if role in ("user", "item"):
        return f'"{role}"'
    if role == "behavior":
        return "nullif(behavior, '')"
    if role.startswith("feature"):  # a table of items has one line an item
        return f"nullif(translate({role}, chr(9) || chr(10) || chr(13) || chr(0), '    '), '')"
    values = sample.values(name)
    # 1,234 alone may be a thousand or a fraction: it counts as no number, which is told, and never as the wrong one.
    places = [len(found[1]) for found in map(_DECIMAL_COMMA.fullmatch, values) if found]
    commas = any(n != 3 for n in places) and not any("." in value for value in values)
    text = f"replace({role}, ',', '.')" if commas else role
    number = f"try_cast({text} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _dirt(encoding: str) -> dict[str, str]:
    return {
        literal(decoding.TOO_LONG): f"a line of more than {decoding.CHUNK} characters",
        "chr(0)": "a NUL byte",
        literal(decoding.BAD_BYTES): f"bytes that are no text in {encoding}",
        literal(decoding.LONE_RETURN): "a carriage return within the line",
    }


class _Float(str):
    """A number with decimals, as it stands in the file."""


def _json_sample(lines: tuple[str, ...]) -> Sample:
    names: dict[str, None] = {}
    floats: set[str] = set()
    objects: list[dict[str, Any]] = []
    for line in lines[:_ROWS]:
        try:
            found = json.loads(line, parse_float=_Float, parse_int=str)
        except ValueError:
            continue
        if isinstance(found, dict):
            objects.append(found)
            names |= dict.fromkeys(found)
            floats |= {name for name, value in found.items() if isinstance(value, _Float)}
    rows = [
        tuple(str(value) if isinstance(value, str | bool) else None for value in map(each.get, names))
        for each in objects
    ]
    return Sample(tuple(names), tuple(rows), frozenset(floats))


def _parquet(connection: duckdb.DuckDBPyConnection, opened: Opened) -> Form | None:
    import duckdb

    table = f"read_parquet({literal(splitting.no_pattern(opened.path))}, binary_as_string = true)"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()
        count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        types = {row[0]: str(row[1]) for row in described}
        flat = [
            f"{quoted(name)}::VARCHAR" if not re.search(r"\[|^(STRUCT|MAP|UNION|BLOB)", kind) else "NULL"
            for name, kind in types.items()
        ]
        rows = connection.execute(f"SELECT {', '.join(flat)} FROM {table} LIMIT {_ROWS}").fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise BadData("events_invalid", f"{opened.path} cannot be read as Parquet: {reason}") from None
    floats = {name for name, kind in types.items() if re.match(r"FLOAT|DOUBLE|DECIMAL\(\d+,[1-9]", kind)}
    moments = {name for name, kind in types.items() if kind.startswith(("TIMESTAMP", "DATE"))}
    sample = Sample(tuple(types), tuple(rows), frozenset(floats), frozenset(moments))
    return Form("parquet", table, count[0] if count else 0, 0, sample, (), types=types)

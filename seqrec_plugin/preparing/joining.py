"""Fields in quotes that go over several lines: the lines are joined where that makes a row, and only there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from seqrec_plugin.preparing import rows
from seqrec_plugin.preparing.engine import text as literal
from seqrec_plugin.preparing.rows import Form
from seqrec_plugin.preparing.source import Source
from seqrec_plugin.preparing.times import Clock

if TYPE_CHECKING:
    import duckdb

#: A row of more lines is none.
_MOST_LINES = 1000


def join(
    connection: duckdb.DuckDBPyConnection, form: Form, source: Source, clock: Clock, dirty: bool, start: int
) -> None:
    """Make rows in `parsed` of lines that belong together.

    A line whose quote is open at its end and the lines up to the next with an odd number of quotes are one row if
    together they have the right number of fields. Otherwise each line stays what it was, so that one stray quote
    never swallows the rows after it.

    Args:
        connection: to the engine.
        form: of the file.
        source: with every column named.
        clock: for the times.
        dirty: whether some line has what no text may hold.
        start: the file's first row in `parsed`.
    """
    assert form.dialect is not None
    quote, mark = form.dialect.quote, form.dialect.delimiter
    ends_open = f"(^|{re.escape(mark)}){quote}([^{quote}]|{quote}{quote})*$"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE begun AS SELECT rowid - {start} AS row FROM parsed "
        f"WHERE rowid >= {start} AND reason = {literal(rows.ODD_QUOTE)} AND regexp_matches(text, {literal(ends_open)})"
    )
    if not _count(connection, "begun"):
        return
    numbered = f"(SELECT row_number() OVER () - 1 AS row, coalesce(text, '') AS text FROM {form.lines})"
    one = literal(quote)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE odd AS SELECT row FROM {numbered} "
        f"WHERE (length(text) - length(replace(text, {one}, ''))) % 2 = 1"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE spans AS SELECT begun.row AS first, odd.row AS last "
        f"FROM begun ASOF JOIN odd ON begun.row < odd.row WHERE odd.row - begun.row <= {_MOST_LINES}"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE joined AS SELECT first, last, string_agg(text, chr(10) ORDER BY row) AS text "
        "FROM (SELECT first, last, unnest(range(first, last + 1)) AS row FROM spans) "
        f"JOIN {numbered} USING (row) GROUP BY first, last ORDER BY first"
    )
    whole = rows.Form(
        form.format, "joined", 0, form.skip, form.sample, form.guesses, form.dialect, encoding=form.encoding
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE made AS {rows.query(whole, source, clock, dirty)}")
    good = connection.execute(
        "SELECT first, last FROM joined JOIN made ON joined.rowid = made.rowid "
        f"WHERE reason IS NULL OR (reason <> {literal(rows.ODD_QUOTE)} AND NOT contains(reason, '{rows.FIELDS}')) "
        "ORDER BY first"
    ).fetchall()
    kept, end = [], -1
    for first, last in good:
        if first > end:
            kept.append((first, last))
            end = last
    if not kept:
        return
    connection.execute("CREATE OR REPLACE TEMP TABLE kept (first BIGINT, last BIGINT)")
    connection.executemany("INSERT INTO kept VALUES (?, ?)", kept)
    columns = [row[0] for row in connection.execute("DESCRIBE made").fetchall()]
    values = ", ".join(f'"{name}" = found."{name}"' for name in columns)
    connection.execute(
        f"UPDATE parsed SET {values} FROM "
        "(SELECT joined.first, made.* FROM joined JOIN made ON joined.rowid = made.rowid "
        f"JOIN kept ON joined.first = kept.first) AS found WHERE parsed.rowid = found.first + {start}"
    )
    nothing = ", ".join(f'"{name}" = NULL' for name in columns if name != "reason")
    connection.execute(
        f"UPDATE parsed SET reason = '', {nothing} FROM "
        "(SELECT unnest(range(first + 1, last + 1)) AS row FROM kept) AS others "
        f"WHERE parsed.rowid = others.row + {start}"
    )


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return found[0] if found else 0

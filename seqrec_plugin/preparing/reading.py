"""Files of events → the table `events`, and in `rejects` every row that cannot be one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from seqrec_plugin.errors import BadData, Failed
from seqrec_plugin.preparing import decoding, doubting, engine, guessing, joining, opening, rows, times
from seqrec_plugin.preparing.guessing import Guess
from seqrec_plugin.preparing.opening import Opened
from seqrec_plugin.preparing.source import Source
from seqrec_plugin.preparing.times import Clock

if TYPE_CHECKING:
    import duckdb


class Read(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was read.

    Attributes:
        events: rows of the table `events`.
        rejected: rows of the table `rejects`; the files have events + rejected rows.
        source: with every guess filled in: it reads the same files in the same way.
        guesses: what was not said, and what it was taken for.
        warnings: what a reader should know, a sentence each.
    """

    events: int
    rejected: int
    source: Source
    guesses: tuple[Guess, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class Files:
    """Where each row of the table `parsed` stood: file by file, one row a line."""

    paths: list[Path] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    skips: list[int] = field(default_factory=list)

    def where(self, row: int) -> str:
        """The file and line of a row."""
        at = max(i for i, start in enumerate(self.starts) if start <= row)
        return f"{self.paths[at]}, line {row - self.starts[at] + self.skips[at] + 1}"

    def table(self) -> str:
        """These as a table of a query: file, first row, lines before it."""
        rows = zip(self.paths, self.starts, self.skips, strict=True)
        values = ", ".join(f"({engine.text(str(path))}, {start}, {skip})" for path, start, skip in rows)
        return f"(VALUES {values}) AS files(file, start, skip)"


def read(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    source: Source,
    report: Callable[[str], None] = lambda _: None,
) -> Read:
    """Read files of events, one after the other.

    Makes the tables `events` (line, user, item, time in microseconds since 1970 UTC or positions, and where the source
    has them behavior, number_0 …, feature_0 …) in the order of the files, and `rejects` (file, line, reason, text).
    No row is lost: each line of a file that is not blank is in one of the two. User and item are byte for byte those
    of the file.

    Args:
        connection: from `engine.engine`.
        files: from `opening.files`; their order decides ties in time.
        source: what is known of them.
        report: told of each guess before any row is read, and of progress, a line each.

    Raises:
        BadData: `dataset_missing`, `dataset_empty`, `events_invalid` for files or columns that cannot be understood,
            `events_rejected` where more than `max_bad_share` of the rows cannot be read.
        WrongUsage: `bad_value`, `missing_extra`.
    """
    reader = _Reader(connection, source, report)
    for number, path in enumerate(files, 1):
        opened = opening.opened(path, source, engine.scratch(connection), report)
        try:
            reader.add(opened, f" ({number} of {len(files)})" if len(files) > 1 else "")
        finally:
            opened.close()
    return reader.finish(files)


class _Reader:
    def __init__(self, connection: duckdb.DuckDBPyConnection, source: Source, report: Callable[[str], None]) -> None:
        self.connection, self.given, self.report = connection, source, report
        self.source, self.clock, self.guesses = source, Clock("number", times.POSITION), list[Guess]()
        self.files, self.warnings = Files(), list[str]()
        self.forms: set[tuple[str, str, str, bool]] = set()
        self.unused = ""
        self.count = 0

    def add(self, opened: Opened, progress: str) -> None:
        """Parse one file into the table `parsed`."""
        form = rows.form(self.connection, opened, self.given)
        if self.forms and form is not None and form.format != "jsonl":  # of JSON a key may come later
            guessing.check(form.sample.names, self.source, str(opened.path))
        if form is None or form.empty:
            self.warnings.append(f"{opened.path} {'is empty' if form is None else 'names columns, but has no rows'}.")
            return
        if not self.forms:
            self._understand(opened, form)
        self.forms.add(form.shape)
        self.report(f"Reading {opened.path}{progress} …")
        self.files.paths.append(opened.path)
        self.files.starts.append(self.count)
        self.files.skips.append(form.skip)
        query = rows.query(form, self.source, self.clock, opened.dirty)
        into = "CREATE OR REPLACE TEMP TABLE parsed AS" if len(self.files.paths) == 1 else "INSERT INTO parsed"
        found = self.connection.execute(f"{into} {query}").fetchone()
        added = found[0] if found else 0
        if added != form.rows:
            raise Failed(
                "check_failed", f"{opened.path} has {form.rows} lines, but {added} were read.", "Please report this."
            )
        if form.dialect is not None and form.dialect.quote:
            joining.join(self.connection, form, self.source, self.clock, opened.dirty, self.count)
        self.count += added

    def _understand(self, opened: Opened, form: rows.Form) -> None:
        """Settle every column by the first file."""
        where = str(opened.path)
        self.guesses += form.guesses
        self.source, guesses = guessing.guess(form.sample, self.given, where)
        self.guesses += guesses
        rows.refuse(form, self.source, where)
        if self.source.time is not None:
            if self.source.time in form.sample.times:
                self.clock = Clock("typed", times.ISO, self.source.time_zone, "the file says that it is a time")
            else:
                values = form.sample.values(self.source.time)
                self.clock = times.clock(
                    self.connection,
                    values,
                    self.source.time_unit,
                    self.source.time_zone,
                    f"{where}: {self.source.time}",
                )
        for guess in self.guesses:
            self.report(str(guess))
        self.unused = ", ".join(guessing.unused(form.sample, self.source))
        if self.unused:
            self.report(f"not used: {self.unused}")

    def finish(self, files: Sequence[Path]) -> Read:
        """From `parsed` to `events` and `rejects`."""
        if not self.files.paths:
            raise BadData(
                "dataset_empty", self.warnings[0] if len(files) == 1 else f"All {len(files)} files are empty."
            )
        doubting.empty_columns(self.connection, self.source, _listed(files))
        if self.source.time is not None:
            settled = times.settle(self.connection, self.clock, "parsed", self.files.where, self.source.time)
            if self.given.time_unit == "auto":
                self.guesses.append(Guess("time_unit", settled.unit, settled.why))
                self.report(f"time_unit: {settled.unit} ({settled.why})")
            self.clock = settled
        else:
            self.warnings.append("There is no column of times: the order of the lines is taken.")
        self._events()
        self._rejects()
        events, rejected = self._counts()
        doubting.too_many(self.connection, events, rejected, self.source.max_bad_share)
        doubts = [doubting.Doubt(warning) for warning in self.warnings]
        doubts += doubting.numbers(self.connection, self.source, self.files.where)
        self.connection.execute("DROP TABLE parsed")
        doubts += doubting.warnings(self.connection, self.source, self.clock)
        for doubt in doubts:
            self.report(f"Note: {doubt}")
        self.warnings = [doubt.text for doubt in doubts]
        if self.unused:  # told already
            self.warnings.append(f"Columns that are not used: {self.unused}.")
        return Read(events, rejected, self._resolved(), tuple(self.guesses), tuple(self.warnings))

    def _counts(self) -> tuple[int, int]:
        found = self.connection.execute(
            "SELECT count(*) FILTER (reason IS NULL), count(*) FILTER (reason <> '') FROM parsed"
        ).fetchone()
        assert found is not None
        return found[0], found[1]

    def _events(self) -> None:
        time = "rowid + 1" if self.source.time is None else self.clock.microseconds()
        columns = ["user", "item", f"{time} AS time", *(["behavior"] if self.source.behavior else [])]
        columns += [f"number_{i}" for i in range(len(self.source.numbers or ()))]
        columns += [f"feature_{i}" for i in range(len(self.source.features or ()))]
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE events AS SELECT rowid + 1 AS line, {', '.join(columns)} FROM parsed "
            "WHERE reason IS NULL"
        )

    def _rejects(self) -> None:
        self.connection.execute(
            "CREATE OR REPLACE TABLE rejects AS SELECT file, row - start + skip + 1 AS line, reason, "
            f"translate(text, {engine.text(decoding.MARKS)} || chr(0), '\ufffd\ufffd\ufffd\ufffd\ufffd') AS text "
            f"FROM (SELECT rowid AS row, reason, text FROM parsed WHERE reason <> '') AS bad "
            f"ASOF JOIN {self.files.table()} ON bad.row >= files.start ORDER BY row"
        )

    def _resolved(self) -> Source:
        """The source as it was understood; the form of the files only where they have one."""
        unit = times.POSITION if self.source.time is None else self.clock.unit
        resolved = msgspec.structs.replace(self.source, time_unit=unit)
        if len(self.forms) > 1:
            return resolved
        format, delimiter, encoding, header = next(iter(self.forms))
        resolved = msgspec.structs.replace(resolved, format=format, encoding=encoding)
        return msgspec.structs.replace(resolved, delimiter=delimiter, header=header) if format == "csv" else resolved


def _listed(files: Sequence[Path]) -> str:
    return str(files[0]) if len(files) == 1 else f"all {len(files)} files, {files[0]} first,"

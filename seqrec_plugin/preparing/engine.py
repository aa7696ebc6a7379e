"""DuckDB on a file in a folder of its own, which is gone at the end."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seqrec_plugin.errors import BadData, WrongUsage, missing_extra

if TYPE_CHECKING:
    import duckdb

#: Nothing is fetched over a network, and the order of rows is that of the files, however many threads read them.
_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "preserve_insertion_order": "true",
    "TimeZone": "UTC",
    "enable_progress_bar": "false",
}
_FULL = ("No space left", "disk quota", "Could not write", "max_temp_directory_size", "failed to offload")
_FULL_ERRNO = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def engine(beside: Path, memory: str = "4GB", threads: int = 0) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose tables live on disk beside the output; the folder goes when the block ends, however it ends.

    Args:
        beside: the folder that shall hold the output; it must exist.
        memory: what the engine may take; more than that goes to disk.
        threads: 0 is all cores that this process may use.

    Raises:
        WrongUsage: `missing_extra` without duckdb; `bad_value` for a memory that is none, or too little for the work.
        BadData: `output_unwritable` where the disk is full, or the folder cannot be written.
    """
    try:
        import duckdb
    except ImportError:
        raise missing_extra("duckdb", "prepare") from None
    try:
        own = tempfile.TemporaryDirectory(prefix=".seqrec-prepare-", dir=beside, ignore_cleanup_errors=True)
    except OSError as error:
        raise BadData("output_unwritable", f"{beside} cannot be written: {error.strerror}.") from None
    with own as folder:
        connection = None
        try:
            connection = duckdb.connect(str(Path(folder) / "events.duckdb"))
            for name, value in _SETTINGS.items():
                connection.execute(f"SET {name} = '{value}'")
            connection.execute(f"SET threads = {threads or _cores()}")
            try:
                connection.execute("SET memory_limit = $1", [memory])
            except duckdb.Error:
                raise WrongUsage("bad_value", f"The memory {memory!r} is none.", "Write it like 4GB.") from None
            connection.execute("SET temp_directory = $1", [folder])
            yield connection
        except (duckdb.Error, RuntimeError) as error:
            # Of one cause come several classes: a full disk may end a write, a commit or a spill.
            if isinstance(error, duckdb.InterruptException) or "Query interrupted" in str(error):
                raise KeyboardInterrupt from None
            if any(word in str(error) for word in _FULL):
                raise _full(beside) from None
            if isinstance(error, duckdb.OutOfMemoryException):
                raise WrongUsage(
                    "bad_value", f"The memory of {memory} is too little for this work.", "Give it more with --memory."
                ) from None
            raise
        except OSError as error:
            if error.errno in _FULL_ERRNO:
                raise _full(beside) from None
            raise
        finally:
            if connection is not None:
                connection.close()


def scratch(connection: duckdb.DuckDBPyConnection) -> Path:
    """The engine's folder, for files that are needed only now."""
    row = connection.execute("SELECT current_setting('temp_directory')").fetchone()
    return Path(row[0]) if row and row[0] else Path(tempfile.gettempdir())


def text(value: str) -> str:
    """A text as it stands in a query."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """A column's name as it stands in a query."""
    return '"' + value.replace('"', '""') + '"'


def _cores() -> int:
    """How many this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _full(folder: Path) -> BadData:
    return BadData(
        "output_unwritable",
        f"There is no space left on the disk of {folder}.",
        "Besides its output, prepare needs some three times the size of the files while it works.",
    )

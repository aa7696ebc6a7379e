"""Files of events as they come, read for real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seqrec_plugin.preparing import opening, reading
from seqrec_plugin.preparing.engine import engine
from seqrec_plugin.preparing.reading import Read
from seqrec_plugin.preparing.source import Source


@dataclass
class Reader:
    """Writes files, reads them, and shows what became of them."""

    connection: Any
    folder: Path

    def file(self, content: str | bytes, name: str = "events.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def __call__(self, content: str | bytes, name: str = "events.csv", **source: Any) -> Read:
        return self.files([self.file(content, name)], **source)

    def files(self, paths: list[Path | str], **source: Any) -> Read:
        source = {"max_bad_share": 1.0, **source}
        return reading.read(self.connection, opening.files(paths), Source(**source))

    def events(self, columns: str = "user, item, time") -> list[tuple[Any, ...]]:
        return self.connection.execute(f"SELECT {columns} FROM events ORDER BY line").fetchall()

    def rejects(self) -> list[tuple[int, str, str]]:
        return self.connection.execute("SELECT line, reason, text FROM rejects").fetchall()


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Reader]:
    with engine(tmp_path, "1GB", threads=2) as connection:
        yield Reader(connection, tmp_path)

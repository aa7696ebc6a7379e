"""What keeps users from being known: a keyed hash for their ids, and no item that only a few of them touched."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from seqrec_plugin.errors import BadData, WrongUsage

if TYPE_CHECKING:
    import duckdb

#: The environment variable that may hold the key.
VARIABLE = "SEQREC_KEY"
#: A shorter key could be found by trying.
SHORTEST_KEY = 16
#: Hexadecimal digits of a pseudonym: 128 bits, so that two users do not meet.
DIGITS = 32
_BLOCK = 64
#: What is quoted in a sentence.
_QUOTES = "\"[^\"]*\"|'[^']*'|`[^`]*`"


def read_key(file: Path | None) -> bytes:
    """The key, from a file or from `SEQREC_KEY`; line ends after it do not count.

    Raises:
        WrongUsage: `bad_value` where there is none, or a short one.
        BadData: `dataset_missing` where the file cannot be read.
    """
    if file is None:
        where, key = f"the environment variable {VARIABLE}", os.environ.get(VARIABLE, "").encode()
        if not key:
            raise WrongUsage(
                "bad_value",
                f"Pseudonyms need a key, but {VARIABLE} is not set.",
                "Set it to a long random text, or name a file with --key-file; keep it apart from the data.",
            )
    else:
        where = str(file)
        try:
            key = file.read_bytes()
        except OSError as error:
            raise BadData("dataset_missing", f"The key file {file} cannot be read: {error.strerror}.") from None
    key = key.rstrip(b"\r\n")
    if len(key) < SHORTEST_KEY:
        raise WrongUsage(
            "bad_value",
            f"The key in {where} has {len(key)} bytes, but must have at least {SHORTEST_KEY}.",
            "A good one comes from: openssl rand -hex 32",
        )
    return key


def pseudonym(column: str, key: bytes | None) -> tuple[str, list[bytes]]:
    """HMAC-SHA256 (RFC 2104) of a text column, in hexadecimal and cut to `DIGITS`, as SQL with parameters.

    Args:
        column: its name.
        key: or None, for the column as it is.

    Returns:
        the expression, and the values of its parameters.
    """
    if key is None:
        return f'"{column}"', []
    import hashlib

    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    hashed = f'sha256(?::BLOB || unhex(sha256(?::BLOB || encode("{column}"))))'
    return f"left({hashed}, {DIGITS})", [outer, inner]


def remove_items_of_few(connection: duckdb.DuckDBPyConnection, least: int) -> None:
    """Remove the events on items that fewer than `least` users touched; all sequences of a user count as one."""
    connection.execute(
        "DELETE FROM coded WHERE i IN (SELECT i FROM (SELECT DISTINCT i, person FROM coded JOIN users USING (u)) "
        "GROUP BY i HAVING count(*) < ?)",
        [least],
    )


def hidden(text: str) -> str:
    """A sentence without what it quotes: a user's id may be among it."""
    return re.sub(_QUOTES, "…", text)


def hide_rejected(connection: duckdb.DuckDBPyConnection) -> None:
    """Leave of `rejects` only file, line and reason, and in the reason nothing that is quoted from the row."""
    connection.execute("UPDATE rejects SET text = NULL, reason = regexp_replace(reason, ?, '…', 'g')", [_QUOTES])

"""A file of text, written beside its place and renamed: whoever reads it never finds half of it."""

from __future__ import annotations

import os
from pathlib import Path


def replace(file: Path, text: str) -> None:
    """Write a file as UTF-8, in place of what was there."""
    beside = file.with_name(f".{file.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, file)

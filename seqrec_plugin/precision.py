"""The precision of matrix products, which torch keeps for the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def multiplying(precision: str | None) -> Iterator[None]:
    """Matrix products of torch's precision `highest`, `high` or `medium` meanwhile; None changes nothing."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision or before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)

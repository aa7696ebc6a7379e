"""What was found and done."""

from __future__ import annotations

import msgspec


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of cleaning: what it did, and what is there after it.

    `removed` counts events.
    """

    name: str
    why: str
    events: int
    users: int
    items: int
    removed: int

"""What comes back for a question: clause 6 of `export/SPEC.md`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from seqrec_plugin.history import Encoded


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One recommended item."""

    item: str
    score: float
    title: str | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is recommended. `status` is `ok`, `newcomer`, or an error code with its `message`.

    A model of probabilities gives `probability`, or the candidates in `items`, in the order asked, each with its
    probability as the score; `unknown_candidates` are those that it does not know.
    """

    id: str | None = None
    status: str
    items: tuple[Item, ...]
    probability: float | None = None
    unknown_candidates: tuple[str, ...] = ()
    unknown: tuple[str, ...]
    truncated: bool
    beyond_max_history: bool
    bundle: str
    message: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the question was bad."""
        return self.message is not None


class Choice(NamedTuple):
    """What may come, or is asked about."""

    excluded: Sequence[int]
    k: int
    candidates: Sequence[int] = ()
    unknown_candidates: Sequence[str] = ()


class Ready(NamedTuple):
    """A good question of a batch, ready for the graph."""

    place: int
    id: str | None
    encoded: Encoded
    choice: Choice

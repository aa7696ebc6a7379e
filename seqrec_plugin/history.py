"""A user's history → the graph's input arrays. Clause 5 of `export/SPEC.md`; numpy and msgspec only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from seqrec_plugin.errors import BadData, nearest
from seqrec_plugin.vocabulary import Vocabulary


class Event(NamedTuple):
    """Something that a user did with an item. `time` is an order key in the unit of the data."""

    item: str
    time: int | None = None


class HistorySource(Protocol):
    """Where histories are looked up by user."""

    def history(self, user_id: str) -> Sequence[Event]:
        """All events of a user, oldest first.

        Raises:
            BadData: `unknown_user`.
        """


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What may be asked for one user: a history, oldest first, and what not to recommend.

    `time`, `behavior` and `features` are for models whose manifest names such inputs; others ignore them.
    """

    id: str | None = None
    history: tuple[str, ...]
    time: tuple[Any, ...] | None = None
    behavior: tuple[Any, ...] | None = None
    features: dict[str, Any] | None = None
    exclude: tuple[str, ...] = ()
    k: int | None = None


class Encoded(NamedTuple):
    """A history as the model reads it.

    Attributes:
        kept: indices of the newest `max_history` known items, oldest first.
        known: indices of all known items, before the cut: what exclusion goes by.
        unknown: the items that the model does not know, in order.
        truncated: whether the cut left something out.
    """

    kept: list[int]
    known: list[int]
    unknown: list[str]
    truncated: bool


def read_json(line: bytes | str) -> Any:
    """The value of one line of JSON.

    Raises:
        BadData: `bad_question` where it is none.
    """
    try:
        return msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise BadData("bad_question", f"The question is not valid JSON: {error}.") from None


def to_question(value: Any) -> Question:
    """A question from a mapping, such as a JSON object becomes; one from Python is checked the same way.

    Raises:
        BadData: `bad_question` for an unknown, missing or mistyped key.
    """
    if isinstance(value, Question):
        value = {key: field for key, field in msgspec.structs.asdict(value).items() if field is not None}
    if not isinstance(value, Mapping):
        raise BadData(
            "bad_question",
            f"A question is an object, not {_kind(value)}.",
            'Write it as {"history": ["50", "172"]}.',
        )
    fields = dict(value)
    for key in fields:
        if key not in Question.__struct_fields__:
            hint = nearest(str(key), Question.__struct_fields__)
            raise BadData("bad_question", f"A question has no key {key!r}.", hint)
        if fields[key] is None:
            raise BadData("bad_question", f"{key} is null.", "Leave the key out instead.")
    if "id" in fields:
        fields["id"] = id_text(fields["id"], "id")
    for key in ("history", "exclude"):
        if key in fields:
            fields[key] = id_texts(fields[key], key)
    try:
        return msgspec.convert(fields, Question)
    except msgspec.ValidationError as error:
        raise BadData("bad_question", f"The question is not valid: {error}.") from None


def id_texts(values: Any, name: str) -> tuple[str, ...]:
    """A list of ids as text.

    Args:
        values: what the caller gave as a list of ids.
        name: how to call it in the error.

    Raises:
        BadData: `bad_question` where it is no list, or a member is neither text nor integer.
    """
    if isinstance(values, (str, bytes)):
        raise BadData("bad_question", f"{name} is a text, not a list of ids.", f"Write [{values!r}] for one item.")
    if not isinstance(values, (Sequence, np.ndarray)):
        raise BadData("bad_question", f"{name} is {_kind(values)}, not a list of ids.")
    return tuple(id_text(value, f"{name}[{i}]") for i, value in enumerate(values))


def id_text(value: Any, name: str) -> str:
    """An id as text: an integer becomes its decimal text.

    Raises:
        BadData: `bad_question` for anything else, as 1.0 or true are nobody's ids.
    """
    if isinstance(value, str):
        return str(value)  # a plain one, also of numpy's
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return str(int(value))
    raise BadData("bad_question", f"{name} is {_kind(value)}, but an id is a text or an integer.")


def encode(tokens: Sequence[str], vocabulary: Vocabulary, max_history: int) -> Encoded:
    """Drop unknown items, then cut to the newest `max_history`.

    Args:
        tokens: item ids, oldest first.
        vocabulary: the catalogue.
        max_history: at least 1.
    """
    known, unknown = [], []
    for token in tokens:
        index = vocabulary.index(token)
        if index is None:
            unknown.append(token)
        else:
            known.append(index)
    return Encoded(known[-max_history:], known, unknown, len(known) > max_history)


def pad(rows: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    """Rows of unequal length as one array.

    Args:
        rows: indices, oldest first; a row may be empty.

    Returns:
        int64 [batch, length], 0 on the left; length is that of the longest row, at least 1.
    """
    length = max(1, max(map(len, rows), default=1))
    out = np.zeros((len(rows), length), dtype=np.int64)
    for row, indices in zip(out, rows, strict=True):
        row[length - len(indices) :] = indices
    return out


def _kind(value: Any) -> str:
    """How a person calls a value of JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"{str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"a value of type {type(value).__name__}"

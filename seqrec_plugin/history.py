"""A user's history → the graph's input arrays. Clause 5 of `export/SPEC.md`; numpy and msgspec only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from seqrec_plugin.columns import BEHAVIOR, FEATURES, NEXT_BEHAVIOR, NEXT_TIME_GAP, NO_GAP, TIME_GAP, Row
from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.manifest import Manifest
from seqrec_plugin.vocabulary import Vocabulary

#: What is this large is no epoch in seconds: the year 5138.
_BEYOND_SECONDS = 1e11
_LARGEST = float(np.finfo(np.float32).max)


class Event(NamedTuple):
    """Something that a user did with an item. `time` is in seconds; NaN among the features is a missing one."""

    item: str
    time: float | None = None
    behavior: str | None = None
    features: tuple[float, ...] = ()


class HistorySource(Protocol):
    """Where histories are looked up by user."""

    def history(self, user_id: str) -> Sequence[Event]:
        """All events of a user, oldest first.

        Raises:
            BadData: `unknown_user`.
        """


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What may be asked for one user: a history, oldest first, and what not to recommend.

    `time` (seconds), `behavior` and `features` (name → numbers) are for models that read them; others ignore them. Each
    has one entry an item of the history; time and behavior may have one more, for the event that is asked for.
    `candidates` are for models of probabilities.
    """

    id: str | None = None
    history: tuple[str, ...]
    time: tuple[Any, ...] | None = None
    behavior: tuple[Any, ...] | None = None
    features: dict[str, Any] | None = None
    exclude: tuple[str, ...] = ()
    k: int | None = None
    candidates: tuple[str, ...] | None = None


class Encoded(NamedTuple):
    """A history as the model reads it.

    Attributes:
        row: the newest `max_history` known items, oldest first, with their columns.
        known: indices of all known items, before the cut: what exclusion goes by.
        unknown: the items that the model does not know, in order.
        truncated: whether the cut left something out.
        time: of the newest known event, in seconds; None where it is not told.
    """

    row: Row
    known: list[int]
    unknown: list[str]
    truncated: bool
    time: float | None


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
    for key in ("history", "exclude", "candidates"):
        if key in fields:
            fields[key] = id_texts(fields[key], key)
    for key in ("time", "behavior", "features"):
        lists = fields.get(key)
        for values in lists.values() if isinstance(lists, Mapping) else [lists]:
            if isinstance(values, (list, tuple)) and None in values:
                raise BadData("bad_question", f"{key} holds a null.", "Give one value an item of the history.")
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


def asked_of(events: Sequence[Event], manifest: Manifest) -> dict[str, Any]:
    """A question from events that were looked up, with what the bundle's model reads of them."""
    question: dict[str, Any] = {"history": [event.item for event in events]}
    if {TIME_GAP, NEXT_TIME_GAP} & set(manifest.columns):
        _all_told("the times of the events", "time", [event.time is not None for event in events])
        question["time"] = [event.time for event in events]
    if {BEHAVIOR, NEXT_BEHAVIOR} & set(manifest.columns):
        _all_told("the behaviours", "behavior_field=…", [event.behavior is not None for event in events])
        question["behavior"] = [event.behavior for event in events]
    if manifest.features:
        n = len(manifest.features)
        names = f"features={list(manifest.features)}"
        _all_told("numbers", names, [len(event.features) == n for event in events])
        columns = zip(*(event.features for event in events), strict=True) if events else [()] * len(manifest.features)
        question["features"] = {
            name: [_told(value, name, manifest) for value in values]
            for name, values in zip(manifest.features, columns, strict=True)
        }
    return question


def _told(value: float, name: str, manifest: Manifest) -> float:
    """A number of an event; a missing one is told as training read it."""
    treated = manifest.provenance.numbers.get(name)
    return treated.unknown if treated and math.isnan(value) else value


def _all_told(what: str, option: str, told: Sequence[bool]) -> None:
    if not all(told):
        raise WrongUsage(
            "bad_value",
            f"This model reads {what}, which the source of histories does not give.",
            f"Give its events these; AtomicHistories takes {option}.",
        )


def encode(
    question: Question,
    vocabulary: Vocabulary,
    manifest: Manifest,
    since: float | None = None,
    *,
    cut: bool = True,
) -> Encoded:
    """Drop unknown items, then cut to the newest `max_history`; gaps are between known events.

    Args:
        question: the history and what is told of it.
        vocabulary, manifest: of the bundle.
        since: the time of the event before the history, where it goes on from a carried state.
        cut: whether to cut at all.

    Raises:
        BadData: `bad_question` where what the model reads is missing, of another length, or makes no sense.
    """
    indices = [vocabulary.index(token) for token in question.history]
    unknown = [token for token, index in zip(question.history, indices, strict=True) if index is None]
    places = [place for place, index in enumerate(indices) if index is not None]
    known = [index for index in indices if index is not None]
    kept = places[-manifest.max_history :] if cut else places
    columns: dict[str, npt.NDArray[Any]] = {}
    newest = since
    if {TIME_GAP, NEXT_TIME_GAP} & set(manifest.columns):
        times, now = _aligned(question, "time", "the time of each event in seconds")
        times, now = _times(times, now, since)
        before = [since, *(times[place] for place in places)]
        gaps = [NO_GAP if a is None else times[b] - a for a, b in zip(before, places, strict=False)]
        gaps = gaps[len(gaps) - len(kept) :]
        if len(kept) < len(places):
            gaps[0] = NO_GAP
        newest = before[-1]
        ahead = NO_GAP if now is None or newest is None else now - newest
        columns[TIME_GAP] = np.array(gaps, dtype=np.float32)
        columns[NEXT_TIME_GAP] = np.array(ahead, dtype=np.float32)
    if {BEHAVIOR, NEXT_BEHAVIOR} & set(manifest.columns):
        names, wanted = _aligned(question, "behavior", "the behaviour of each event")
        found = [_behavior(name, place, manifest) for place, name in enumerate(names)]
        columns[BEHAVIOR] = np.array([found[place] for place in kept], dtype=np.int64)
        columns[NEXT_BEHAVIOR] = np.array(0 if wanted is None else _behavior(wanted, len(names), manifest))
    if FEATURES in manifest.columns:
        columns[FEATURES] = _features(question, manifest)[kept]
    row = Row(np.array([indices[place] for place in kept], dtype=np.int64), {n: columns[n] for n in manifest.columns})
    return Encoded(row, known, unknown, len(kept) < len(places), newest)


def _aligned(question: Question, key: str, what: str) -> tuple[list[Any], Any]:
    """The entries of a key, one an item, and that of the event asked for, if there is one."""
    given, n = getattr(question, key), len(question.history)
    if given is None:
        if not n:
            return [], None
        raise BadData("bad_question", f"This model reads {what}.", f"Add {key}: one entry an item of the history.")
    if len(given) not in (n, n + 1):
        raise BadData(
            "bad_question",
            f"{key} has {len(given)} entries for a history of {n}.",
            "Give one an item, and perhaps one more for the event that is asked for.",
        )
    return list(given[:n]), given[n] if len(given) > n else None


def _times(times: list[Any], now: Any, since: float | None) -> tuple[list[float], float | None]:
    """Numbers that do not decrease."""
    latest = since
    for place, value in enumerate([*times, *([] if now is None else [now])]):
        if not _is_number(value):
            raise BadData("bad_question", f"time[{place}] is {_kind(value)}, but must be a number of seconds.")
        if abs(value) >= _BEYOND_SECONDS:
            raise BadData("bad_question", f"time[{place}] is {value}: seconds are meant, not milliseconds or less.")
        if latest is not None and value < latest:
            raise BadData("bad_question", f"time[{place}] is {value}, before {latest}.", "A history is oldest first.")
        latest = float(value)
    return [float(value) for value in times], None if now is None else float(now)


def _is_number(value: Any) -> bool:
    """Whether a value is a number that float32 can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    return bool(-_LARGEST <= value <= _LARGEST)  # not so for NaN


def _behavior(name: Any, place: int, manifest: Manifest) -> int:
    text = id_text(name, f"behavior[{place}]")
    if text not in manifest.behaviors:
        raise BadData("bad_question", f"behavior[{place}] is {text!r}.", nearest(text, manifest.behaviors))
    return manifest.behaviors.index(text) + 1


def _features(question: Question, manifest: Manifest) -> npt.NDArray[np.float32]:
    """float32 [history, features], as they are."""
    given, n = question.features or {}, len(question.history)
    out = np.zeros((n, len(manifest.features)), dtype=np.float32)
    for name in given:
        if name not in manifest.features:
            raise BadData("bad_question", f"features has {name!r}.", nearest(str(name), manifest.features))
    for column, name in zip(out.T, manifest.features, strict=True):
        values = given.get(name, [] if not n else None)
        if not isinstance(values, (list, tuple, np.ndarray)) or len(values) != n:
            raise BadData(
                "bad_question", f"features lacks {name!r}, a list of {n} numbers.", "Give one an item of the history."
            )
        for place, value in enumerate(values):
            if not _is_number(value):
                raise BadData("bad_question", f"features.{name}[{place}] is {_kind(value)}, but must be a number.")
        column[:] = values
    return out


def pad(rows: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    """Indices of unequal number as one array, int64 [batch, longest], 0 on the left."""
    longest = max(map(len, rows), default=0)
    out = np.zeros((len(rows), longest), dtype=np.int64)
    for row, indices in zip(out, rows, strict=True):
        row[longest - len(indices) :] = indices
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

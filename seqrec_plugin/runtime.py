"""Recommender and Session: onnxruntime over a bundle. Clauses 3 to 7 of `export/SPEC.md`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from seqrec_plugin import bundle as bundles
from seqrec_plugin.bundle import Bundle
from seqrec_plugin.errors import BadData, SeqrecError, WrongUsage
from seqrec_plugin.history import (
    Encoded,
    HistorySource,
    Question,
    encode,
    id_text,
    id_texts,
    pad,
    read_json,
    to_question,
)
from seqrec_plugin.inference import Floats, GuardedGraph, Indices, Output, State
from seqrec_plugin.manifest import ITEMS_FILE, MODEL_FILE
from seqrec_plugin.vocabulary import Vocabulary

DEFAULT_K = 10
#: Rows of a batch that go through the graph together.
MOST_ROWS = 64


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One recommended item."""

    item: str
    score: float
    title: str | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is recommended. `status` is `ok`, `newcomer`, or an error code with its `message`."""

    id: str | None = None
    status: str
    items: tuple[Item, ...]
    unknown: tuple[str, ...]
    truncated: bool
    beyond_max_history: bool
    bundle: str
    message: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the question was bad."""
        return self.message is not None


class _Row(NamedTuple):
    """A good question of a batch, ready for the graph."""

    place: int
    id: str | None
    encoded: Encoded
    excluded: list[int]
    k: int


class Recommender:
    """A bundle that answers. One serves many threads at once; make it once a process, with `load`.

    Attributes:
        manifest: what the bundle says of itself.
        vocabulary: its items.
        bundle_id: what each answer names.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1, histories: HistorySource | None = None) -> None:
        self.manifest = bundle.manifest
        self.bundle_id = bundle.id
        self.vocabulary = Vocabulary.decode(bundle.contents[ITEMS_FILE])
        if self.vocabulary.n_items != self.manifest.n_items:
            raise BadData(
                "items_invalid",
                f"{ITEMS_FILE} has {self.vocabulary.n_items} entries, but the manifest's n_items is "
                f"{self.manifest.n_items}.",
            )
        self._histories = histories
        self._graph = GuardedGraph(bundle.contents[MODEL_FILE], self.manifest, threads)

    @classmethod
    def load(cls, path: str | Path, *, threads: int = 1, histories: HistorySource | None = None) -> Recommender:
        """Read a bundle, check it, and make its graph ready.

        Args:
            path: the bundle's folder.
            threads: how many cores one call may use; never more than this process may use.
            histories: where `user_id` is looked up.

        Raises:
            SeqrecError: one of the codes of bundles.
        """
        return cls(bundles.read(path), threads=threads, histories=histories)

    def run(self, item_seq: Indices, exclude: Indices, state: Sequence[Floats] | None = None) -> Output:
        """The graph itself, guarded.

        Args:
            item_seq: int64 [B, T ≥ 1], oldest first, 0 on the left is padding.
            exclude: int64 [B, E ≥ 0], 0 is filling.
            state: float32 [B, size] for each of the manifest's states, or None for zeros.

        Raises:
            BadData: `bad_index`, `bad_state`, `not_finite`, or `graph_invalid` where the graph itself fails.
        """
        return self._graph.run(item_seq, exclude, state)

    def recommend(
        self,
        history: Sequence[str | int] | None = None,
        *,
        user_id: str | int | None = None,
        k: int | None = None,
        exclude: Sequence[str | int] = (),
        include_seen: bool | None = None,
    ) -> Answer:
        """The next items for one user.

        Args:
            history: the user's items, oldest first; an empty one is a newcomer's.
            user_id: look the history up instead.
            k: how many items, 1 to the bundle's top_k; by default 10, or top_k if smaller.
            exclude: items that must not come, such as what is not on sale today.
            include_seen: whether the history's own items may come; by default as the bundle says.

        Raises:
            SeqrecError: `bad_k`, `bad_question`, `unknown_user`, `not_finite`; `bad_value` where it is not clear
                whose history is meant.
        """
        k = self.checked_k(k)
        if (history is None) == (user_id is None):
            raise WrongUsage("bad_value", "Give a history or a user_id, one of them.", "A newcomer's history is [].")
        tokens = self._look_up(user_id) if history is None else id_texts(history, "history")
        encoded = self.encode(tokens)
        excluded = self._excluded(encoded.known, id_texts(exclude, "exclude"), include_seen)
        output = self.run(pad([encoded.kept]), pad([excluded]))
        return self._answer(_Row(0, None, encoded, excluded, k), output, 0)

    def recommend_batch(
        self,
        questions: Iterable[Question | bytes | str | Any],
        *,
        k: int | None = None,
        include_seen: bool | None = None,
    ) -> list[Answer]:
        """Answers for many questions, in their order; a bad one gets its error, the others go on.

        Args:
            questions: each a Question, a mapping, or one line of JSON.
            k: for questions that name none.
            include_seen: as in `recommend`.

        Raises:
            WrongUsage: `bad_k`.
        """
        k = self.checked_k(k)
        answers: dict[int, Answer] = {}
        rows = []
        for place, source in enumerate(questions):
            identity = None
            try:
                value = read_json(source) if isinstance(source, (bytes, str)) else source
                identity = _identity(value)
                question = to_question(value)
                encoded = self.encode(question.history)
                excluded = self._excluded(encoded.known, question.exclude, include_seen)
                own_k = k if question.k is None else self.checked_k(question.k)
                rows.append(_Row(place, identity, encoded, excluded, own_k))
            except SeqrecError as error:
                answers[place] = self._failure(identity, error)
        rows.sort(key=lambda row: len(row.encoded.kept))  # like lengths together: little padding
        for begin in range(0, len(rows), MOST_ROWS):
            answers.update(self._run_rows(rows[begin : begin + MOST_ROWS]))
        return [answers[place] for place in range(len(answers))]

    def session(self, history: Sequence[str | int] = (), *, include_seen: bool | None = None) -> Session:
        """A user whose events come one by one; each costs the same, however long the history.

        Args:
            history: what is known already, oldest first.
            include_seen: as in `recommend`.
        """
        return Session(self, history, include_seen)

    def encode(self, tokens: Sequence[str]) -> Encoded:
        """A history as this model reads it: known items, the newest `max_history`."""
        return encode(tokens, self.vocabulary, self.manifest.max_history)

    def checked_k(self, k: int | None) -> int:
        """How many items to answer with: k, or the default.

        Raises:
            WrongUsage: `bad_k`.
        """
        top_k = self.manifest.top_k
        if k is None:
            return min(DEFAULT_K, top_k)
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= top_k:
            raise WrongUsage(
                "bad_k",
                f"k is {k!r}, but must be an integer from 1 to {top_k}.",
                "For more, export the model again with a larger `seqrec export --top-k`.",
            )
        return int(k)

    def _run_rows(self, rows: Sequence[_Row]) -> dict[int, Answer]:
        try:
            output = self.run(pad([row.encoded.kept for row in rows]), pad([row.excluded for row in rows]))
        except BadData as error:
            if error.code != "not_finite":
                raise
            if len(rows) == 1:
                return {rows[0].place: self._failure(rows[0].id, error)}
            # One user's NaN is not the others': each again, alone.
            return {place: answer for row in rows for place, answer in self._run_rows([row]).items()}
        return {row.place: self._answer(row, output, i) for i, row in enumerate(rows)}

    def _answer(self, row: _Row, output: Output, i: int, *, beyond: bool = False) -> Answer:
        """Row i of the output as a person reads it."""
        found = zip(output.items[i].tolist(), output.scores[i].tolist(), strict=True)
        token, title = self.vocabulary.token, self.vocabulary.title
        best = [Item(token(index), score, title(index)) for index, score in found if index != 0]
        return Answer(
            id=row.id,
            status="ok" if row.encoded.known else "newcomer",
            items=tuple(best[: row.k]),
            unknown=tuple(row.encoded.unknown),
            truncated=row.encoded.truncated,
            beyond_max_history=beyond,
            bundle=self.bundle_id,
        )

    def _failure(self, identity: str | None, error: SeqrecError) -> Answer:
        return Answer(
            id=identity,
            status=error.code,
            items=(),
            unknown=(),
            truncated=False,
            beyond_max_history=False,
            bundle=self.bundle_id,
            message=str(error),
        )

    def _look_up(self, user_id: str | int | None) -> tuple[str, ...]:
        if self._histories is None:
            raise WrongUsage(
                "bad_value",
                f"The user {user_id!r} cannot be looked up: there is no source of histories.",
                "Give one to Recommender.load(…, histories=…), or give the history itself.",
            )
        events = self._histories.history(id_text(user_id, "user_id"))
        return tuple(event.item for event in events)

    def _excluded(self, known: list[int], exclude: Sequence[str], include_seen: bool | None) -> list[int]:
        """All that must not come: what `exclude` names always, what was seen by default as the bundle says."""
        keeps_seen = not self.manifest.exclude_seen if include_seen is None else include_seen
        named = self.encode(exclude).known
        return list(dict.fromkeys(named if keeps_seen else known + named))


class Session:
    """One user's carried state. Not for two threads at once; make one a user with `Recommender.session`."""

    def __init__(self, recommender: Recommender, history: Sequence[str | int], include_seen: bool | None) -> None:
        if not recommender.manifest.state:
            raise WrongUsage(
                "bad_value",
                "This model carries no state, so it has no sessions.",
                "Call recommend with the whole history each time.",
            )
        self._recommender = recommender
        self._include_seen = include_seen
        self._known: list[int] = []
        self._events = 0
        self._truncated = False
        # The last event and the state before it: with another exclusion that step runs again.
        self._last = 0
        self._before = tuple(np.zeros((1, spec.size), dtype=np.float32) for spec in recommender.manifest.state)
        self._after = self._before
        self._step: tuple[list[int], Output] | None = None
        self._push(id_texts(history, "history"), ())

    @property
    def state(self) -> State:
        """The state after the last event, float32 [1, size] each; zeros at the start."""
        return self._after

    def push(self, items: Sequence[str | int], *, k: int | None = None, exclude: Sequence[str | int] = ()) -> Answer:
        """New events, and the next items after them. Unknown items change nothing.

        Args:
            items: what the user did since the last call, oldest first.
            k: as in `Recommender.recommend`.
            exclude: as in `Recommender.recommend`, for this answer only.

        Raises:
            SeqrecError: `bad_k`, `bad_question`, `not_finite`; nothing has changed then.
        """
        k = self._recommender.checked_k(k)
        named = id_texts(exclude, "exclude")
        unknown = self._push(id_texts(items, "items"), named)
        return self._answer(k, named, unknown)

    def recommend(self, *, k: int | None = None, exclude: Sequence[str | int] = ()) -> Answer:
        """The next items after the events so far, perhaps with another k or exclusion. Nothing changes."""
        return self._answer(self._recommender.checked_k(k), id_texts(exclude, "exclude"), [])

    def _push(self, tokens: Sequence[str], named: Sequence[str]) -> list[str]:
        """Carry the state over new events; returns the unknown ones."""
        encoded = self._recommender.encode(tokens)
        first = self._events == 0
        events = encoded.kept if first else encoded.known
        if not events:
            return encoded.unknown
        before = self._after
        if len(events) > 1:
            before = self._recommender.run(pad([events[:-1]]), pad([[]]), before).state
        known = self._known + encoded.known
        excluded = self._recommender._excluded(known, named, self._include_seen)
        output = self._recommender.run(pad([events[-1:]]), pad([excluded]), before)
        # Only now, as each run may fail.
        self._known, self._last, self._before, self._after = known, events[-1], before, output.state
        self._events += len(events)
        self._truncated = encoded.truncated if first else self._truncated
        self._step = excluded, output
        return encoded.unknown

    def _answer(self, k: int, named: Sequence[str], unknown: list[str]) -> Answer:
        excluded = self._recommender._excluded(self._known, named, self._include_seen)
        if self._step is None or self._step[0] != excluded:
            self._step = excluded, self._recommender.run(pad([[self._last]]), pad([excluded]), self._before)
        row = _Row(0, None, Encoded([], self._known, unknown, self._truncated), excluded, k)
        beyond = self._events > self._recommender.manifest.max_history
        return self._recommender._answer(row, self._step[1], 0, beyond=beyond)


def _identity(value: Any) -> str | None:
    """The id of a question that may be bad in other ways, so that its answer can name it."""
    if isinstance(value, Question):
        return value.id
    try:
        return id_text(value["id"], "id")
    except (SeqrecError, TypeError, LookupError):
        return None

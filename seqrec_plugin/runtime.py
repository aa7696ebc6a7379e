"""Recommender and Session: onnxruntime over a bundle. Clauses 3 to 7 of `export/SPEC.md`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from seqrec_plugin import bundle as bundles
from seqrec_plugin.answer import Answer, Choice, Item, Ready
from seqrec_plugin.bundle import Bundle
from seqrec_plugin.columns import Row, padded
from seqrec_plugin.errors import BadData, SeqrecError, WrongUsage
from seqrec_plugin.history import (
    Encoded,
    Event,
    HistorySource,
    Question,
    asked_of,
    encode,
    id_text,
    id_texts,
    pad,
    read_json,
    to_question,
)
from seqrec_plugin.inference import MOST_ROWS, Floats, GuardedGraph, Indices, Output
from seqrec_plugin.manifest import INT8_FILE, ITEMS_FILE, MODEL_FILE
from seqrec_plugin.session import Session
from seqrec_plugin.vocabulary import Vocabulary

__all__ = ["DEFAULT_K", "Answer", "Item", "Recommender", "Session"]

DEFAULT_K = 10


class Recommender:
    """A bundle that answers. One serves many threads at once; make it once a process, with `load`.

    Attributes:
        manifest: what the bundle says of itself.
        vocabulary: its items.
        bundle_id: what each answer names.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, int8: bool = False, histories: HistorySource | None = None
    ) -> None:
        self.manifest = bundle.manifest
        self.bundle_id = bundle.id
        self.vocabulary = Vocabulary.decode(bundle.contents[ITEMS_FILE], bundle.manifest.n_items)
        self._histories = histories
        name = INT8_FILE if int8 else MODEL_FILE
        if name not in bundle.contents:
            raise WrongUsage("bad_value", f"{bundle.path} has no {name}.", "Export it again, with --int8.")
        self._graph = GuardedGraph(bundle.contents[name], self.manifest, threads, folder=bundle.path, name=name)

    @classmethod
    def load(
        cls, path: str | Path, *, threads: int = 1, int8: bool = False, histories: HistorySource | None = None
    ) -> Recommender:
        """Read a bundle, check it, and make its graph ready.

        Args:
            path: the bundle's folder.
            threads: how many cores one call may use; never more than this process may use.
            int8: take the graph with the int8 item table, where the bundle has it: a quarter of the size.
            histories: where `user_id` is looked up.

        Raises:
            SeqrecError: one of the codes of bundles; `bad_value` where there is no such graph.
        """
        return cls(bundles.read(path), threads=threads, int8=int8, histories=histories)

    def run(
        self, rows: Sequence[Row], choice: Sequence[Sequence[int]] = (), state: Sequence[Floats] | None = None
    ) -> Output:
        """The graph itself, guarded: see `GuardedGraph.run`.

        Args:
            rows: the histories.
            choice: for each, the indices to exclude, or the candidates; nothing for none.
            state: float32 [B, size] for each of the manifest's states, or None for zeros.
        """
        item_seq, columns = padded(rows, self.manifest.columns)
        return self._graph.run(item_seq, columns, pad(choice) if choice else None, state)

    def run_arrays(
        self,
        item_seq: Indices,
        *,
        columns: Mapping[str, npt.NDArray[Any]] | None = None,
        choice: Indices | None = None,
        state: Sequence[Floats] | None = None,
    ) -> Output:
        """The graph itself, guarded, for whoever has arrays: see `GuardedGraph.run`."""
        return self._graph.run(item_seq, columns or {}, choice, state)

    def recommend(
        self,
        history: Sequence[str | int] | None = None,
        *,
        user_id: str | int | None = None,
        k: int | None = None,
        exclude: Sequence[str | int] = (),
        include_seen: bool | None = None,
        time: Sequence[float] | None = None,
        behavior: Sequence[str | int] | None = None,
        features: Mapping[str, Sequence[float]] | None = None,
    ) -> Answer:
        """The next items for one user.

        Args:
            history: the user's items, oldest first; an empty one is a newcomer's.
            user_id: look the history up instead; time and behavior then hold one entry, of the event asked for.
            k: how many items, 1 to the bundle's top_k; by default 10, or top_k if smaller.
            exclude: items that must not come, such as what is not on sale today.
            include_seen: whether the history's own items may come; by default as the bundle says.
            time: seconds, for a model that reads the time; one more is the moment of asking.
            behavior: what the user did, for a model that reads it; one more is the behaviour that is wanted next.
            features: name → numbers, for a model that reads these.

        Raises:
            SeqrecError: `bad_k`, `bad_question`, `unknown_user`, `not_finite`; `bad_value` where it is not clear
                whose history is meant, or the bundle gives probabilities.
        """
        self._check_task("next_item")
        question = self._question(history, user_id, time, behavior, features)
        chosen = msgspec.structs.replace(question, exclude=id_texts(exclude, "exclude"))
        return self._one(chosen, self.checked_k(k), include_seen)

    def score(
        self,
        history: Sequence[str | int] | None = None,
        *,
        user_id: str | int | None = None,
        candidates: Sequence[str | int] | None = None,
        time: Sequence[float] | None = None,
        behavior: Sequence[str | int] | None = None,
        features: Mapping[str, Sequence[float]] | None = None,
    ) -> Answer:
        """How probable it is that one user acts next, for a bundle of probabilities.

        Args:
            history, user_id, time, behavior, features: see `recommend`.
            candidates: the items that are asked about, for a model that takes them.

        Raises:
            SeqrecError: as `recommend`.
        """
        self._check_task("probability")
        question = self._question(history, user_id, time, behavior, features)
        asked = None if candidates is None else id_texts(candidates, "candidates")
        return self._one(msgspec.structs.replace(question, candidates=asked), 0, None)

    def _one(self, question: Question, k: int, include_seen: bool | None) -> Answer:
        encoded = self.encode(question)
        choice = self._choose(question, encoded.known, k, include_seen)
        return self._run_rows([Ready(0, None, encoded, choice)], fail=True)[0]

    def recommend_batch(
        self,
        questions: Iterable[Question | bytes | str | Any],
        *,
        k: int | None = None,
        include_seen: bool | None = None,
    ) -> list[Answer]:
        """Answers for many questions, in their order; a bad one gets its error, the others go on. It serves
        bundles of probabilities too.

        Args:
            questions: each a Question, a mapping, or one line of JSON.
            k: for questions that name none.
            include_seen: as in `recommend`.

        Raises:
            WrongUsage: `bad_k`.
        """
        k = 0 if self.manifest.task == "probability" else self.checked_k(k)
        answers: dict[int, Answer] = {}
        rows = []
        for place, source in enumerate(questions):
            identity = None
            try:
                value = read_json(source) if isinstance(source, (bytes, str)) else source
                identity = _identity(value)
                question = to_question(value)
                encoded = self.encode(question)
                own_k = k if question.k is None or not k else self.checked_k(question.k)
                rows.append(Ready(place, identity, encoded, self._choose(question, encoded.known, own_k, include_seen)))
            except SeqrecError as error:
                answers[place] = self._failure(identity, error)
        # Candidates of one number together: these are not padded.
        rows.sort(
            key=lambda row: (len(row.choice.candidates), len(row.encoded.row.items))
        )  # like lengths together: little padding
        for _, alike in itertools.groupby(rows, key=lambda row: len(row.choice.candidates)):
            group = list(alike)
            for begin in range(0, len(group), MOST_ROWS):
                answers.update(self._run_rows(group[begin : begin + MOST_ROWS]))
        return [answers[place] for place in range(len(answers))]

    def session(
        self,
        history: Sequence[str | int] | None = None,
        *,
        user_id: str | int | None = None,
        include_seen: bool | None = None,
        time: Sequence[float] | None = None,
        behavior: Sequence[str | int] | None = None,
        features: Mapping[str, Sequence[float]] | None = None,
    ) -> Session:
        """A user whose events come one by one; each costs the same, however long the history.

        Args:
            history, time, behavior, features: what is known already, oldest first; nothing for a newcomer.
            user_id: look it up instead.
            include_seen: as in `recommend`.
        """
        known = () if history is None and user_id is None else history
        return Session(self, self._question(known, user_id, time, behavior, features), include_seen)

    def encode(self, question: Question, since: float | None = None, *, cut: bool = True) -> Encoded:
        """A history as this model reads it: known items, the newest `max_history`; see `history.encode`."""
        return encode(question, self.vocabulary, self.manifest, since, cut=cut)

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

    def _run_rows(self, rows: Sequence[Ready], fail: bool = False) -> dict[int, Answer]:
        try:
            output = self.run([row.encoded.row for row in rows], [self._indices(row.choice) for row in rows])
        except BadData as error:
            if error.code != "not_finite" or fail:
                raise
            if len(rows) == 1:
                return {rows[0].place: self._failure(rows[0].id, error)}
            # One user's NaN is not the others': each again, alone.
            return {place: answer for row in rows for place, answer in self._run_rows([row]).items()}
        return {row.place: self._answer(row, output, i) for i, row in enumerate(rows)}

    def _answer(self, row: Ready, output: Output, i: int, *, beyond: bool = False) -> Answer:
        """Row i of the output as a person reads it."""
        choice, probabilities = row.choice, output.probabilities[i].tolist()
        candidates = self.manifest.takes_candidates
        if self.manifest.task == "next_item":
            found = zip(output.items[i, : choice.k].tolist(), output.scores[i, : choice.k].tolist(), strict=True)
        else:
            # A row that asks about nothing known ran with some item in its place.
            found = zip(choice.candidates, probabilities[: len(choice.candidates)], strict=True)
        token, title = self.vocabulary.token, self.vocabulary.title
        return Answer(
            id=row.id,
            status="ok" if row.encoded.known else "newcomer",
            items=tuple(Item(token(index), score, title(index)) for index, score in found if index != 0),
            probability=probabilities[0] if probabilities and not candidates else None,
            unknown_candidates=tuple(choice.unknown_candidates),
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

    def _check_task(self, task: str) -> None:
        if self.manifest.task != task:
            hint = "Call score." if task == "next_item" else "Call recommend."
            raise WrongUsage("bad_value", f"This bundle's task is {self.manifest.task}.", hint)

    def _question(
        self,
        history: Sequence[str | int] | None,
        user_id: str | int | None,
        time: Sequence[float] | None,
        behavior: Sequence[str | int] | None,
        features: Mapping[str, Sequence[float]] | None,
    ) -> Question:
        """What a caller in Python says of one user."""
        if (history is None) == (user_id is None):
            raise WrongUsage("bad_value", "Give a history or a user_id, one of them.", "A newcomer's history is [].")
        if history is None:
            asked = asked_of(self._look_up(user_id), self.manifest)
            for key, given in (("time", time), ("behavior", behavior)):
                if given is not None and len(_listed(given, key)) != 1:
                    raise WrongUsage(
                        "bad_value",
                        f"With a user_id, {key} holds one entry, that of the event asked for; the rest is looked up.",
                    )
                if given is not None and key in asked:
                    asked[key] = [*asked[key], *given]
            if features is not None:
                raise WrongUsage("bad_value", "With a user_id, features are looked up.", "Leave them out.")
            return to_question(asked)
        return Question(
            history=id_texts(history, "history"),
            time=None if time is None else tuple(_listed(time, "time")),
            behavior=None if behavior is None else tuple(_listed(behavior, "behavior")),
            features=None if features is None else dict(features),
        )

    def _choose(self, question: Question, known: list[int], k: int, include_seen: bool | None) -> Choice:
        """What must not come, or is asked about."""
        if self.manifest.task == "next_item":
            return Choice(self._excluded(known, question.exclude, include_seen), k)
        if not self.manifest.takes_candidates:
            if question.candidates is not None:
                raise BadData(
                    "bad_question", "This model gives one probability, and takes no candidates.", "Leave them out."
                )
            return Choice([], 0)
        if not question.candidates:
            raise BadData("bad_question", "This model is asked about candidates.", "Add candidates: a list of items.")
        indices = [self.vocabulary.index(token) for token in question.candidates]
        unknown = [t for t, index in zip(question.candidates, indices, strict=True) if index is None]
        return Choice([], 0, [index for index in indices if index is not None], unknown)

    def _look_up(self, user_id: str | int | None) -> Sequence[Event]:
        if self._histories is None:
            raise WrongUsage(
                "bad_value",
                f"The user {user_id!r} cannot be looked up: there is no source of histories.",
                "Give one to Recommender.load(…, histories=…), or give the history itself.",
            )
        return self._histories.history(id_text(user_id, "user_id"))

    def _indices(self, choice: Choice) -> Sequence[int]:
        """The choice as the graph takes it; where nothing known is asked about, some item stands in."""
        if self.manifest.task == "next_item":
            return choice.excluded
        return (choice.candidates or [1]) if self.manifest.takes_candidates else []

    def _excluded(self, known: list[int], exclude: Sequence[str], include_seen: bool | None) -> list[int]:
        """All that must not come: what `exclude` names always, what was seen by default as the bundle says."""
        keeps_seen = not self.manifest.exclude_seen if include_seen is None else include_seen
        named = [index for index in map(self.vocabulary.index, exclude) if index is not None]
        return list(dict.fromkeys(named if keeps_seen else known + named))


def _identity(value: Any) -> str | None:
    """The id of a question that may be bad in other ways, so that its answer can name it."""
    if isinstance(value, Question):
        return value.id
    try:
        return id_text(value["id"], "id")
    except (SeqrecError, TypeError, LookupError):
        return None


def _listed(values: Any, name: str) -> Sequence[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise BadData("bad_question", f"{name} must be a list, one entry an item.")
    return list(values)

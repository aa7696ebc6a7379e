"""The vectors that every client is tested on: questions drawn from the catalogue, answered by torch and `ranking`.

The graph has no part in these answers, so a runtime that gives them is right, and not only consistent. No history is a
user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import torch

from seqrec_plugin import ranking
from seqrec_plugin.columns import (
    BEHAVIOR,
    DTYPES,
    FEATURES,
    NEXT,
    NEXT_BEHAVIOR,
    NEXT_TIME_GAP,
    NO_GAP,
    TIME_GAP,
    Row,
)
from seqrec_plugin.evaluating import run_torch
from seqrec_plugin.layers import State
from seqrec_plugin.manifest import Manifest
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.runtime import DEFAULT_K, Item
from seqrec_plugin.verifying import (
    BadQuestion,
    Golden,
    GoldenAnswer,
    GoldenQuestion,
    GoldenSession,
    GoldenStep,
    Told,
)
from seqrec_plugin.vocabulary import Vocabulary

#: What a client may be away from torch: clients in every language and runtime, so wider than the export's own check.
TOLERANCE = 1e-4
#: With an int8 table, where a last bit may round a query's digit the other way.
INT8_TOLERANCE = 1e-3
#: The most events of a golden history, so that a bundle with a very long limit keeps small vectors.
LONGEST = 200


def encode(golden: Golden) -> bytes:
    """The bytes of `golden.json`, floats as the shortest text that gives the same float32 back."""
    return msgspec.json.format(msgspec.json.encode(golden), indent=0) + b"\n"


def build(
    model: SequenceModel, vocabulary: Vocabulary, manifest: Manifest, seed: int, tolerance: float = TOLERANCE
) -> Golden:
    """Draw the questions and answer them.

    Args:
        model: in evaluation mode.
        vocabulary, manifest: of the bundle.
        seed: draws the histories.
        tolerance: what clients are allowed.
    """
    return _Maker(model, vocabulary, manifest, seed, tolerance).golden()


class _Maker:
    def __init__(
        self, model: SequenceModel, vocabulary: Vocabulary, manifest: Manifest, seed: int, tolerance: float
    ) -> None:
        self.tolerance = tolerance
        self.model, self.vocabulary, self.manifest = model, vocabulary, manifest
        self.random = np.random.default_rng(seed)
        self.longest = min(manifest.max_history, LONGEST)
        self.unknown = self._unused("unknown")
        self.ranks = manifest.task == "next_item"

    def golden(self) -> Golden:
        limit, top_k = self.manifest.max_history, self.manifest.top_k
        some = self._draw(min(5, self.longest))
        questions: dict[str, dict[str, Any]] = {
            "empty": {"history": []},
            "one item": {"history": self._draw(1)},
            "some items": {"id": "a question's id", "history": some},
            "repeated item": {"history": [some[0]] * 2 + some[:1]},
            "longest": {"history": self._draw(self.longest)},
            "unknown item between": {"history": [*some[:2], self.unknown, *some[2:]]},
            "only unknown items": {"history": [self.unknown, self.unknown]},
        }
        if self.ranks:
            questions["exclusions"] = {"history": some, "exclude": [*self._draw(3), self.unknown]}
            questions["k of one"] = {"history": some, "k": 1}
            questions["k of top_k"] = {"history": some, "k": top_k}
        if limit <= LONGEST:
            questions["longer than the limit"] = {"history": self._draw(limit + 3)}
        # Fewer than k remain: only in a catalogue that fits into a file for people.
        if self.ranks and top_k <= LONGEST and self.vocabulary.n_items <= 10 * LONGEST:
            questions["nearly all excluded"] = {"history": [], "exclude": list(self.vocabulary.tokens[2:])}
        for question in questions.values():
            question.update(self._told(len(question["history"])))
        if set(NEXT) & set(self.manifest.columns):
            question = {"history": some}
            questions["the next event is told of"] = question | self._told(len(some), ahead=1)
        if self.manifest.takes_candidates:
            questions["an unknown candidate"] = {**questions["some items"], "candidates": [some[0], self.unknown]}
        return Golden(
            tolerance=self.tolerance,
            questions=tuple(self._question(name, question) for name, question in questions.items()),
            sessions=tuple(self._sessions(some) if self.manifest.state else ()),
            bad_questions=tuple(self._bad_questions(some)),
        )

    def _sessions(self, some: list[str]) -> list[GoldenSession]:
        limit = self.manifest.max_history
        sessions = [
            self._session("one at a time", [[item] for item in self._draw(min(5, self.longest))]),
            self._session("a history, then events", [some, self._draw(1), [self.unknown], self._draw(2)]),
            self._session("from nothing", [[], self._draw(1)]),
        ]
        if limit <= LONGEST:
            sessions.append(self._session("past the limit", [self._draw(limit), self._draw(1), self._draw(2)]))
        return sessions

    def _question(self, name: str, question: dict[str, Any]) -> GoldenQuestion:
        known, unknown = self._indices(question["history"])
        kept = known[-self.manifest.max_history :]
        vector, state = self._run(self._row(question, self.manifest.max_history), None)
        answer = self._answer(question, vector, known, unknown, truncated=len(known) > len(kept))
        return GoldenQuestion(name, question, answer, _floats(vector), tuple(map(_floats, state)))

    def _session(self, name: str, pushes: list[list[str]]) -> GoldenSession:
        steps: list[GoldenStep] = []
        state: State | None = None
        known: list[int] = []
        vector, before = None, None
        began = 0.0
        for push in pushes:
            told = self._told(len(push), began)
            question = {"history": push, **told}
            indices, unknown = self._indices(push)
            known = known + indices
            if indices or vector is None:
                row = self._row(question, None, before)
                vector, after = self._run(row, state)
                state = after if indices else state
            if "time" in told and push:
                began = told["time"][-1]
                times = [t for t, item in zip(told["time"], push, strict=True) if self._indices([item])[0]]
                before = times[-1] if times else before
            shown = after if state is None else state
            answer = self._answer(question, vector, known, unknown, beyond=len(known) > self.manifest.max_history)
            steps.append(GoldenStep(tuple(push), answer, tuple(map(_floats, shown)), msgspec.convert(told, Told)))
        return GoldenSession(name, tuple(steps))

    def _bad_questions(self, some: list[str]) -> list[BadQuestion]:
        top_k, columns = self.manifest.top_k, self.manifest.columns
        good = {"history": some, **self._told(len(some))}
        bad = [
            BadQuestion("no history", {"exclude": some}, "bad_question"),
            BadQuestion("history is a text", {**good, "history": some[0]}, "bad_question"),
            BadQuestion("an id that is no text", {**good, "history": [1.5, *some[1:]]}, "bad_question"),
            BadQuestion("an id that is null", {**good, "history": [None, *some[1:]]}, "bad_question"),
            BadQuestion("k is a text", {**good, "k": "10"}, "bad_question"),
            BadQuestion("unknown key", {"histroy": some, **good}, "bad_question"),
            BadQuestion("a list", some, "bad_question"),
        ]
        if self.ranks:
            bad.append(BadQuestion("k of zero", {**good, "k": 0}, "bad_k"))
            bad.append(BadQuestion("k above top_k", {**good, "k": top_k + 1}, "bad_k"))
        elif self.manifest.takes_candidates:
            without = {key: value for key, value in good.items() if key != "candidates"}
            bad.append(BadQuestion("no candidates", without, "bad_question"))
        else:
            bad.append(BadQuestion("candidates", {**good, "candidates": some}, "bad_question"))
        for key in ("time", "behavior", "features"):
            if key in good:
                without = {name: value for name, value in good.items() if name != key}
                bad.append(BadQuestion(f"no {key}", without, "bad_question"))
        if TIME_GAP in columns:
            bad.append(BadQuestion("times too few", {**good, "time": good["time"][1:]}, "bad_question"))
            bad.append(BadQuestion("a time that is a text", {**good, "time": ["now"] * len(some)}, "bad_question"))
            back = list(range(len(some), 0, -1))
            bad.append(BadQuestion("time runs backwards", {**good, "time": [9, *back][: len(some)]}, "bad_question"))
            late = {**good, "time": [1.7e12] * len(some)}
            bad.append(BadQuestion("times in milliseconds", late, "bad_question"))
        if BEHAVIOR in columns:
            strange = ["no such behaviour"] * len(some)
            bad.append(BadQuestion("an unknown behaviour", {**good, "behavior": strange}, "bad_question"))
        return bad

    def _told(self, n: int, began: float = 0.0, ahead: int = 0) -> dict[str, Any]:
        """What a question says besides of n events, `ahead` of it of the event that is asked for."""
        told: dict[str, Any] = {}
        if {TIME_GAP, NEXT_TIME_GAP} & set(self.manifest.columns):
            gaps = np.floor(np.exp(self.random.uniform(0, 14, n + ahead)) - 1)
            told["time"] = (began + np.cumsum(gaps)).tolist()
        if {BEHAVIOR, NEXT_BEHAVIOR} & set(self.manifest.columns):
            told["behavior"] = self.random.choice(self.manifest.behaviors, n + ahead).tolist()
        if self.manifest.features:
            assert self.model.numbers is not None
            drawn = np.stack([self.random.normal(0, 2, n) for _ in self.manifest.features], axis=1)
            spread = self.model.numbers.spread(drawn).astype(np.float64).round(3)
            told["features"] = dict(zip(self.manifest.features, spread.T.tolist(), strict=True))
        if self.manifest.takes_candidates:
            told["candidates"] = self._draw(3)
        return told

    def _row(self, question: dict[str, Any], limit: int | None, before: float | None = None) -> Row:
        """The known events of a question, the newest `limit`; `before` is the time of the event before them."""
        places = [place for place, token in enumerate(question["history"]) if self._indices([token])[0]]
        n = len(question["history"])
        columns: dict[str, Any] = {}
        if "time" in question:
            times = question["time"]
            earlier = [before, *(times[place] for place in places)]
            gaps = [NO_GAP if a is None else times[place] - a for a, place in zip(earlier, places, strict=False)]
            if limit is not None and len(gaps) > limit:
                gaps = [NO_GAP, *gaps[len(gaps) - limit + 1 :]]
            columns[TIME_GAP] = gaps
            known_ahead = len(times) > n and earlier[-1] is not None
            columns[NEXT_TIME_GAP] = times[n] - earlier[-1] if known_ahead else NO_GAP
        if limit is not None:
            places = places[-limit:]
        if "behavior" in question:
            index = [self.manifest.behaviors.index(name) + 1 for name in question["behavior"]]
            columns[BEHAVIOR] = [index[place] for place in places]
            columns[NEXT_BEHAVIOR] = index[n] if len(index) > n else 0
        if "features" in question:
            values = [question["features"][name] for name in self.manifest.features]
            rows = [[column[place] for column in values] for place in places]
            columns[FEATURES] = np.array(rows).reshape(len(places), len(values))
        items = self._indices([question["history"][place] for place in places])[0]
        known = {name: np.array(columns[name], dtype=DTYPES[name]) for name in self.manifest.columns}
        return Row(np.array(items, dtype=np.int64), known)

    def _run(self, row: Row, state: State | None) -> tuple[torch.Tensor, State]:
        vectors, after = run_torch(self.model, [row], state)
        return vectors[0], after[: len(self.manifest.state)]

    def _answer(
        self,
        question: dict[str, Any],
        vector: torch.Tensor,
        known: list[int],
        unknown: list[str],
        truncated: bool = False,
        beyond: bool = False,
    ) -> GoldenAnswer:
        items: tuple[Item, ...] = ()
        probability: float | None = None
        strange: list[str] = []
        with torch.no_grad():
            if self.ranks:
                excluded = self._indices(question.get("exclude", []))[0]
                excluded = excluded + (known if self.manifest.exclude_seen else [])
                scores = self.model.item_table.scores(vector[None]).numpy()
                items = self._items(scores, excluded, question.get("k", min(DEFAULT_K, self.manifest.top_k)))
            elif self.manifest.takes_candidates:
                asked, strange = self._indices(question["candidates"])
                found = self.model.probabilities(vector[None], torch.tensor([asked]))[0].tolist()
                items = tuple(Item(self.vocabulary.token(i), p) for i, p in zip(asked, found, strict=True))
            else:
                probability = float(self.model.probabilities(vector[None], None)[0, 0])
        return GoldenAnswer(
            status="ok" if known else "newcomer",
            items=items,
            unknown=tuple(unknown),
            truncated=truncated,
            beyond_max_history=beyond,
            probability=probability,
            unknown_candidates=tuple(strange),
        )

    def _items(self, scores: ranking.Scores, excluded: Sequence[int], k: int) -> tuple[Item, ...]:
        left = ranking.exclude(scores, np.array([excluded], dtype=np.int64).reshape(1, -1))
        indices, best = ranking.top_k(left, k)
        pairs = zip(indices[0].tolist(), best[0].tolist(), strict=True)
        return tuple(Item(self.vocabulary.token(index), score) for index, score in pairs if index)

    def _indices(self, tokens: Sequence[str]) -> tuple[list[int], list[str]]:
        found = [(token, self.vocabulary.index(token)) for token in tokens]
        return [index for _, index in found if index is not None], [token for token, index in found if index is None]

    def _draw(self, n: int) -> list[str]:
        return [self.vocabulary.token(int(i)) for i in self.random.integers(1, self.vocabulary.n_items, size=n)]

    def _unused(self, token: str) -> str:
        """A text that is no item."""
        while self.vocabulary.index(token) is not None:
            token += "?"
        return token


def _floats(tensor: torch.Tensor) -> tuple[float, ...]:
    return tuple(tensor.flatten().tolist())

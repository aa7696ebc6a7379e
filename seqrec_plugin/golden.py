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
)
from seqrec_plugin.vocabulary import Vocabulary

#: What a client may be away from torch: clients in every language and runtime, so wider than the export's own check.
TOLERANCE = 1e-4
#: The most events of a golden history, so that a bundle with a very long limit keeps small vectors.
LONGEST = 200


def encode(golden: Golden) -> bytes:
    """The bytes of `golden.json`, floats as the shortest text that gives the same float32 back."""
    return msgspec.json.format(msgspec.json.encode(golden), indent=0) + b"\n"


def build(model: SequenceModel, vocabulary: Vocabulary, manifest: Manifest, seed: int) -> Golden:
    """Draw the questions and answer them.

    Args:
        model: in evaluation mode.
        vocabulary, manifest: of the bundle.
        seed: draws the histories.
    """
    return _Maker(model, vocabulary, manifest, seed).golden()


class _Maker:
    def __init__(self, model: SequenceModel, vocabulary: Vocabulary, manifest: Manifest, seed: int) -> None:
        self.model, self.vocabulary, self.manifest = model, vocabulary, manifest
        self.random = np.random.default_rng(seed)
        self.longest = min(manifest.max_history, LONGEST)
        self.unknown = self._unused("unknown")

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
            "exclusions": {"history": some, "exclude": [*self._draw(3), self.unknown]},
            "k of one": {"history": some, "k": 1},
            "k of top_k": {"history": some, "k": top_k},
        }
        if limit <= LONGEST:
            questions["longer than the limit"] = {"history": self._draw(limit + 3)}
        # Fewer than k remain: only in a catalogue that fits into a file for people.
        if top_k <= LONGEST and self.vocabulary.n_items <= 10 * LONGEST:
            questions["nearly all excluded"] = {"history": [], "exclude": list(self.vocabulary.tokens[2:])}
        sessions = []
        if self.manifest.state:
            sessions = [
                self._session("one at a time", [[item] for item in self._draw(min(5, self.longest))]),
                self._session("a history, then events", [some, self._draw(1), [self.unknown], self._draw(2)]),
                self._session("from nothing", [[], self._draw(1)]),
            ]
        if self.manifest.state and limit <= LONGEST:
            sessions.append(self._session("past the limit", [self._draw(limit), self._draw(1), self._draw(2)]))
        return Golden(
            tolerance=TOLERANCE,
            questions=tuple(self._question(name, question) for name, question in questions.items()),
            sessions=tuple(sessions),
            bad_questions=tuple(self._bad_questions(some)),
        )

    def _question(self, name: str, question: dict[str, Any]) -> GoldenQuestion:
        known, unknown = self._indices(question["history"])
        kept = known[-self.manifest.max_history :]
        vector, scores, state = self._run(kept, None)
        excluded = self._indices(question.get("exclude", []))[0] + (known if self.manifest.exclude_seen else [])
        answer = GoldenAnswer(
            status="ok" if known else "newcomer",
            items=self._items(scores, excluded, question.get("k", min(DEFAULT_K, self.manifest.top_k))),
            unknown=tuple(unknown),
            truncated=len(known) > len(kept),
            beyond_max_history=False,
        )
        return GoldenQuestion(name, question, answer, _floats(vector), tuple(map(_floats, state)))

    def _session(self, name: str, pushes: list[list[str]]) -> GoldenSession:
        steps: list[GoldenStep] = []
        state: State | None = None
        known: list[int] = []
        scores = None
        for push in pushes:
            indices, unknown = self._indices(push)
            known = known + indices
            if indices or scores is None:
                _, scores, after = self._run(indices, state)
                state = after if indices else state
            shown = after if state is None else state
            excluded = known if self.manifest.exclude_seen else []
            answer = GoldenAnswer(
                status="ok" if known else "newcomer",
                items=self._items(scores, excluded, min(DEFAULT_K, self.manifest.top_k)),
                unknown=tuple(unknown),
                truncated=False,
                beyond_max_history=len(known) > self.manifest.max_history,
            )
            steps.append(GoldenStep(tuple(push), answer, tuple(map(_floats, shown))))
        return GoldenSession(name, tuple(steps))

    def _bad_questions(self, some: list[str]) -> list[BadQuestion]:
        top_k = self.manifest.top_k
        return [
            BadQuestion("k of zero", {"history": some, "k": 0}, "bad_k"),
            BadQuestion("k above top_k", {"history": some, "k": top_k + 1}, "bad_k"),
            BadQuestion("no history", {"exclude": some}, "bad_question"),
            BadQuestion("history is a text", {"history": some[0]}, "bad_question"),
            BadQuestion("an id that is no text", {"history": [1.5]}, "bad_question"),
            BadQuestion("an id that is null", {"history": [None]}, "bad_question"),
            BadQuestion("k is a text", {"history": some, "k": "10"}, "bad_question"),
            BadQuestion("unknown key", {"histroy": some, "history": some}, "bad_question"),
            BadQuestion("a list", some, "bad_question"),
        ]

    def _run(self, indices: Sequence[int], state: State | None) -> tuple[torch.Tensor, ranking.Scores, State]:
        with torch.no_grad():
            vectors, after = self.model(torch.tensor([list(indices) or [0]]), state)
            scores = self.model.item_table.scores(vectors[:, -1])
        return vectors[0, -1], scores.numpy(), after[: len(self.manifest.state)]

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

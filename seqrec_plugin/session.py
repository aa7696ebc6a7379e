"""A user whose events come one by one: clause 7 of `export/SPEC.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from seqrec_plugin.answer import Answer, Choice, Ready
from seqrec_plugin.columns import NEXT, Row
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.history import Encoded, Question, id_texts
from seqrec_plugin.inference import Output, State

if TYPE_CHECKING:
    from seqrec_plugin.runtime import Recommender


class Session:
    """One user's carried state. Not for two threads at once; make one a user with `Recommender.session`."""

    def __init__(self, recommender: Recommender, past: Question, include_seen: bool | None) -> None:
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
        self._time: float | None = None
        # The last event and the state before it: with another exclusion that step runs again.
        self._last = recommender.encode(Question(history=())).row
        self._before = tuple(np.zeros((1, spec.size), dtype=np.float32) for spec in recommender.manifest.state)
        self._after = self._before
        self._step: tuple[tuple[Any, ...], Output] | None = None
        encoded = self._encode(past)
        self._carry(encoded, Choice(recommender._excluded(encoded.known, (), include_seen), 0))

    @property
    def state(self) -> State:
        """The state after the last event, float32 [1, size] each; zeros at the start."""
        return self._after

    def push(
        self,
        items: Sequence[str | int],
        *,
        k: int | None = None,
        exclude: Sequence[str | int] = (),
        candidates: Sequence[str | int] | None = None,
        time: Sequence[float] | None = None,
        behavior: Sequence[str | int] | None = None,
        features: Mapping[str, Sequence[float]] | None = None,
    ) -> Answer:
        """New events, and the answer after them. Unknown items change nothing.

        Args:
            items: what the user did since the last call, oldest first.
            k, exclude: as in `Recommender.recommend`, for this answer only.
            candidates: as in `Recommender.score`.
            time, behavior, features: what is known of the new events, as in `Recommender.recommend`.

        Raises:
            SeqrecError: `bad_k`, `bad_question`, `not_finite`; nothing has changed then.
        """
        recommender = self._recommender
        question = recommender._question(items, None, time, behavior, features)
        question = msgspec.structs.replace(
            question,
            exclude=id_texts(exclude, "exclude"),
            candidates=None if candidates is None else id_texts(candidates, "candidates"),
        )
        k = recommender.checked_k(k) if recommender.manifest.task == "next_item" else 0
        encoded = self._encode(question)
        choice = recommender._choose(question, self._known + encoded.known, k, self._include_seen)
        self._carry(encoded, choice)
        last = Row(self._last.items, {**self._last.columns, **_asked(encoded.row)})
        key = self._key(choice, last)
        if self._step is None or self._step[0] != key:
            self._step = key, recommender.run([last], [recommender._indices(choice)], self._before)
        told = Encoded(last, self._known, encoded.unknown, self._truncated, self._time)
        beyond = self._events > recommender.manifest.max_history
        return recommender._answer(Ready(0, None, told, choice), self._step[1], 0, beyond=beyond)

    def recommend(
        self,
        *,
        k: int | None = None,
        exclude: Sequence[str | int] = (),
        time: Sequence[float] | None = None,
        behavior: Sequence[str | int] | None = None,
    ) -> Answer:
        """The next items after the events so far, perhaps with another k, exclusion, moment (`time=[now]`) or wanted
        behaviour (`behavior=["buy"]`). Nothing changes.
        """
        self._recommender._check_task("next_item")
        return self.push([], k=k, exclude=exclude, time=time, behavior=behavior)

    def score(self, *, candidates: Sequence[str | int] | None = None, time: Sequence[float] | None = None) -> Answer:
        """How probable it is that the user acts next, after the events so far. Nothing changes."""
        self._recommender._check_task("probability")
        return self.push([], candidates=candidates, time=time)

    def _encode(self, question: Question) -> Encoded:
        """New events; only the first call is cut to `max_history`."""
        return self._recommender.encode(question, self._time, cut=self._events == 0)

    def _carry(self, encoded: Encoded, choice: Choice) -> None:
        """Carry the state over new events, the last of them with what is asked."""
        recommender, row, before = self._recommender, encoded.row, self._after
        count = len(row.items)
        if not count:
            return
        if count > 1:
            nothing = [recommender._indices(Choice([], 0))]
            before = recommender.run([row.part(0, -1)], nothing, before).state
        last = row.part(-1)
        output = recommender.run([last], [recommender._indices(choice)], before)
        # Only now, as each run may fail.
        if self._events == 0:
            self._truncated = encoded.truncated
        self._known, self._last, self._before = self._known + encoded.known, last, before
        self._after, self._time = output.state, encoded.time
        self._events += count
        self._step = self._key(choice, last), output

    def _key(self, choice: Choice, row: Row) -> tuple[Any, ...]:
        """What an answer to the last event depends on."""
        return tuple(self._recommender._indices(choice)), tuple(float(v) for v in _asked(row).values())


def _asked(row: Row) -> dict[str, Any]:
    """What is known of the event that is asked for."""
    return {name: value for name, value in row.columns.items() if name in NEXT}

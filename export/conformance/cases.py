"""What a client is asked about a bundle, and what must come back; standard library only.

A case is some lines of requests and a check of the answers. All cases of a bundle go to the client in one process.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from comparing import Answer, Wrong, check_answer, check_tensors, close, same

Request = dict[str, Any]
#: The answers of a case → the largest difference; raises `Wrong`.
Check = Callable[[Sequence[Answer]], float]


class Case(NamedTuple):
    """Some requests and what must come back."""

    kind: str
    name: str
    requests: list[Any]
    check: Check


#: The columns of the matrix.
KINDS = ("questions", "sessions", "bad questions", "asking again", "arrays", "hostile")
COLUMNS = ("time_gap", "behavior", "features", "next_time_gap", "next_behavior")


def of_bundle(path: Path, golden: str = "golden.json") -> Iterator[Case]:
    """All cases of a good bundle, for the graph whose right answers are in this file."""
    yield from _Cases(path, golden).all()


class _Cases:
    def __init__(self, path: Path, golden: str) -> None:
        head = (path / "manifest.json").read_bytes()
        self.id = hashlib.sha256(head).hexdigest()[:16]
        self.m, self.golden = json.loads(head), json.loads((path / golden).read_bytes())
        catalogue = json.loads((path / "items.json").read_bytes())
        self.items: list[Any] = catalogue["items"]
        self.titles = dict(zip(self.items, catalogue.get("titles") or [None] * len(self.items), strict=True))
        self.tolerance = float(self.golden["tolerance"])
        self.ranks = self.m["task"] == "next_item"
        self.ask = "recommend" if self.ranks else "score"
        self.names = [t["name"] for t in self.m["inputs"]]
        (self.some,) = [q["question"] for q in self.golden["questions"] if q["name"] == "some items"]

    def all(self) -> Iterator[Case]:
        """Every case."""
        yield Case("questions", "load", [{"call": "load"}], self._loaded)
        for q in self.golden["questions"]:
            yield Case("questions", q["name"], [self._question(q["question"], tensors=True)], self._golden(q))
        for session in self.golden["sessions"]:
            yield self._session(session)
        for bad in self.golden["bad_questions"]:
            yield Case("bad questions", bad["name"], [self._question(bad["question"])], self._refused(bad["status"]))
        for name, question in self._beyond():
            yield Case("bad questions", name, [self._question(question)], self._refused("bad_question"))
        yield from self._integers()
        yield from self._wrong_calls()
        yield from self._today()
        if self.ranks:
            yield from self._exclusion()
        if self.m["state"]:
            yield self._between()
            yield from self._again()
        yield self._padded()
        yield self._no_rows()
        for name, code, change in self._guards():
            yield Case("arrays", name, [self._arrays(2, 3, change)], self._refused(code))

    # What golden.json holds.

    def _question(self, question: Any, **more: Any) -> Request:
        return {"call": self.ask, "question": question, **more}

    def _loaded(self, answers: Sequence[Answer]) -> float:
        same("status", answers[0].get("status"), "ok")
        return self._named(answers)

    def _named(self, answers: Sequence[Answer]) -> float:
        """Each answer names the bundle, and each item its title."""
        for answer in answers:
            same("bundle", answer.get("bundle"), self.id)
            for item in answer["items"] if isinstance(answer.get("items"), list) else []:
                if isinstance(item, dict):
                    same("title", item.get("title"), self.titles.get(item.get("item")))
        return 0.0

    def _golden(self, q: dict[str, Any]) -> Check:
        def check(answers: Sequence[Answer]) -> float:
            (answer,) = answers
            largest = check_answer(answer, q["answer"], self.tolerance)
            same("id", answer.get("id"), q["question"].get("id"))
            self._named(answers)
            return max(largest, check_tensors(answer, q["embedding"], q["state"], self.tolerance))

        return check

    def _steps(self, session: dict[str, Any], name: str) -> list[Request]:
        steps = [{"history": step["push"], **step.get("told", {})} for step in session["steps"]]
        return [self._push(step, name) for step in steps]

    def _push(self, question: Any, name: str = "s") -> Request:
        return {"call": "push", "session": name, "question": question, "tensors": True}

    def _session(self, session: dict[str, Any]) -> Case:
        requests = [{"call": "session", "session": "s"}, *self._steps(session, "s")]
        return Case("sessions", session["name"], requests, lambda answers: self._stepped(session, answers))

    def _stepped(self, session: dict[str, Any], answers: Sequence[Answer]) -> float:
        same("status", answers[0].get("status"), "ok")
        self._named(answers)
        largest = 0.0
        for number, (step, answer) in enumerate(zip(session["steps"], answers[1:], strict=True), start=1):
            try:
                found = check_answer(answer, step["answer"], self.tolerance)
                largest = max(largest, found, check_tensors(answer, None, step["state"], self.tolerance))
            except Wrong as error:
                raise Wrong(f"step {number}: {error}") from None
        return largest

    def _refused(self, code: str) -> Check:
        def check(answers: Sequence[Answer]) -> float:
            for answer in answers:
                same("status", answer.get("status"), code)
                if not isinstance(answer.get("message"), str) or not answer["message"]:
                    raise Wrong("an error has no message")
            return self._named(answers)

        return check

    # What golden.json cannot ask.

    def _integers(self) -> Iterator[Case]:
        """An integer is the id that its decimal text is, known or not."""

        def check(answers: Sequence[Answer]) -> float:
            same("unknown", answers[0].get("unknown"), answers[1].get("unknown"))
            return self._alike(answers[0], answers[1])

        # An empty history takes no columns; `exclude` and candidates are ids too.
        texts = [item for item in self.items[1:] if item.isdigit() and str(int(item)) == item and len(item) < 16][:2]
        key = "history" if not set(COLUMNS) & set(self.names) else "exclude" if self.ranks else "candidates"
        pairs = [[*map(int, texts), 40004], [*texts, "40004"]]
        if key in ("history", "exclude") or "candidates" in self.names:
            requests = [self._question({**self.some, "history": [], **self._columns_of(0), key: ids}) for ids in pairs]
            yield Case("questions", "ids that are integers", requests, check)

    def _beyond(self) -> Iterator[tuple[str, Any]]:
        """Numbers and gaps that float32 cannot hold; nulls deep inside; the wrong kind of list."""
        n = len(self.some["history"])
        yield "exclude holds a null", {**self.some, "exclude": [None]}
        yield "exclude is a text", {**self.some, "exclude": self.items[1]}
        yield "an id of a question that is a list", {**self.some, "id": ["a"]}
        yield "a history of truth", {**self.some, "history": [True] * n}
        yield "k is null", {**self.some, "k": None}
        yield "k is true", {**self.some, "k": True}
        yield "k is 1.5", {**self.some, "k": 1.5}
        yield "time is a text", {**self.some, "time": "now"}
        yield "time holds a null", {**self.some, "time": [None] * n}
        yield "features is a list", {**self.some, "features": []}
        if "time" in self.some:
            yield "a time beyond float32", {**self.some, "time": [0] * (n - 1) + [1e39]}
            yield "a gap beyond float32", {**self.some, "time": [-3e38] * (n - 1) + [3e38]}
            yield "a time of truth", {**self.some, "time": [True] * n}
            yield "two entries too many", {**self.some, "time": [0] * (n + 2)}
        if "features" in self.some:
            first, *others = self.m["features"]
            rest = {name: self.some["features"][name] for name in others}
            yield "a number beyond float32", {**self.some, "features": {first: [1e39] * n, **rest}}
            yield "a feature is missing", {**self.some, "features": rest}
            yield "a feature too many", {**self.some, "features": {**self.some["features"], "colour": [0] * n}}
            yield "a feature that is too short", {**self.some, "features": {first: [0] * (n - 1), **rest}}
            yield "a feature that is a text", {**self.some, "features": {first: ["0"] * n, **rest}}

    def _columns_of(self, n: int) -> dict[str, Any]:
        """What `some` says besides, of no events."""
        empty: dict[str, Any] = {key: [] for key in ("time", "behavior") if key in self.some}
        return empty | ({"features": {name: [] for name in self.m["features"]}} if "features" in self.some else {})

    def _alike(self, one: Answer, other: Answer) -> float:
        """Both answers give the same items and scores."""
        expected = {"unknown": one.get("unknown"), "unknown_candidates": one.get("unknown_candidates", []), **other}
        return check_answer(one, {**expected, "unknown": one.get("unknown")}, self.tolerance)

    def _today(self) -> Iterator[Case]:
        """Seconds since 1970 do not fit into float32: the gaps are computed in 64 bits (5.5)."""
        for q in self.golden["questions"] if "time" in self.some else []:
            if q["name"] in ("some items", "longest"):
                question = {**q["question"], "time": [1_700_000_000.5 + t for t in q["question"]["time"]]}
                request = self._question(question, tensors=True)
                yield Case("questions", f"{q['name']}, today", [request], self._golden(q))

    def _wrong_calls(self) -> Iterator[Case]:
        other = "score" if self.ranks else "recommend"
        for name, request in (
            ("a call for the other task", {"call": other, "question": self.some}),
            ("a push to no session", self._push({"history": []}, "nobody's")),
            ("a call that nobody knows", {"call": "dance"}),
            ("a request that is no object", []),
            *([] if self.m["state"] else [("a session without state", {"call": "session", "session": "s"})]),
        ):
            yield Case("bad questions", name, [request], self._refused("bad_value"))

    def _exclusion(self) -> Iterator[Case]:
        """Excluding what was seen is the same by either way; the bundle says which is the default (5.3)."""
        named = {**self.some, "exclude": self.some["history"]}
        requests = [
            self._question(self.some),
            self._question(self.some, include_seen=False),
            self._question(self.some, include_seen=True),
            self._question(named, include_seen=True),
        ]

        def check(answers: Sequence[Answer]) -> float:
            default, without, seen, excluded = answers
            if {item["item"] for item in without["items"]} & set(self.some["history"]):
                raise Wrong("a seen item came, though it was not to")
            largest = max(
                self._alike(default, without if self.m["exclude_seen"] else seen), self._alike(without, excluded)
            )
            return largest + self._named(answers)

        yield Case("questions", "what was seen, excluded by either way", requests, check)

    def _between(self) -> Case:
        """Two sessions in turn do not know of each other."""
        one, other = self.golden["sessions"][:2]
        first, second = self._steps(one, "one"), self._steps(other, "other")
        requests: list[Request] = [{"call": "session", "session": "one"}, {"call": "session", "session": "other"}]
        order = [0, 1]
        for turn in range(max(len(first), len(second))):
            for who, steps in enumerate((first, second)):
                if turn < len(steps):
                    requests.append(steps[turn])
                    order.append(who)

        def check(answers: Sequence[Answer]) -> float:
            of = [[a for a, owner in zip(answers, order, strict=True) if owner == who] for who in (0, 1)]
            return max(self._stepped(one, of[0]), self._stepped(other, of[1]))

        return Case("sessions", "two in turn", requests, check)

    def _again(self) -> Iterator[Case]:
        """A session is asked again, asked badly, told of nothing known: it goes on as if nothing had been."""
        whole = {key: value for key, value in self.some.items() if key != "id"}
        asked = {"candidates": whole["candidates"]} if "candidates" in self.names else {}
        nothing = {"history": [], **asked}
        unknown = {"history": ["never heard of\U0001f92b"], **asked}
        if "time" in whole:
            unknown["time"] = [whole["time"][-1] + 5]
        if "behavior" in whole:
            unknown["behavior"] = whole["behavior"][:1]
        if "features" in whole:
            unknown["features"] = {name: [0.5] for name in whole["features"]}
        bad = [{"history": [None]}, {"history": "text"}, {"history": [], "what": 1}]
        requests: list[Request] = [{"call": "session", "session": "s"}, self._push(whole)]
        requests += [self._push(q) for q in (nothing, *bad, unknown, nothing)] + [
            self._question(self.some, tensors=True)
        ]

        def check(answers: Sequence[Answer]) -> float:
            _, first, again, *bads, told, last, one_call = answers
            for answer in bads:
                same("status", answer.get("status"), "bad_question")
            same("unknown", told.get("unknown"), unknown["history"])
            largest = 0.0
            for answer in (again, told, last, one_call):
                largest = max(largest, self._alike(answer, first))
                largest = max(largest, check_tensors(answer, first["embedding"], first["state"], self.tolerance))
            return largest + self._named(answers)

        yield Case("asking again", "nothing new", requests, check)
        yield self._late(whole)
        if self.ranks:
            requests = [{"call": "session", "session": "s"}, self._push(whole), self._push({"history": [], "k": 1})]
            yield Case("asking again", "with another k, another exclusion", requests, self._fewer)
            best = {"history": [], "k": 2}
            then = [
                self._push({**best, "exclude": ["never heard of"]}),
                self._push(best),
                self._push({"history": [], "k": 0}),
            ]
            yield Case("asking again", "an exclusion counts once", [*requests[:2], *then], self._once)
            yield self._seen_before()

    def _late(self, whole: dict[str, Any]) -> Case:
        """Many events at once, late in a session: they are not cut (7.5), and give what they give one by one."""
        (longest,) = [q["question"] for q in self.golden["questions"] if q["name"] == "longest"]
        events = [(longest, place) for place in range(len(longest["history"]))] + [(whole, 0), (whole, 1)]
        single = [self._event(question, place) for question, place in events]
        for number, event in enumerate(single):
            if "time" in event:
                event["time"] = [60.0 * number]
        head, *rest = single
        joined = {key: self._joined([event[key] for event in rest]) for key in head if key not in ("id", "candidates")}
        asked = {"candidates": whole["candidates"]} if "candidates" in whole else {}
        one = [{key: value for key, value in {**event, **asked}.items() if key != "id"} for event in single]
        requests: list[Request] = [
            {"call": "session", "session": "s"},
            self._push(one[0]),
            self._push({**joined, **asked}),
        ]
        requests += [{"call": "session", "session": "s"}, *map(self._push, one)]
        beyond = len(single) > self.m["max_history"]

        def check(answers: Sequence[Answer]) -> float:
            many, last = answers[2], answers[-1]
            same("truncated", many.get("truncated"), False)
            same("beyond_max_history", many.get("beyond_max_history"), beyond)
            largest = max(self._alike(many, last), self._named(answers))
            return max(largest, check_tensors(many, last["embedding"], last["state"], self.tolerance))

        return Case("asking again", "many events at once, late", requests, check)

    @staticmethod
    def _joined(values: list[Any]) -> Any:
        """Lists one after the other; of objects, those of each name."""
        if isinstance(values[0], dict):
            return {name: [x for value in values for x in value[name]] for name in values[0]}
        return [x for value in values for x in value]

    def _fewer(self, answers: Sequence[Answer]) -> float:
        one = {**answers[1], "items": answers[1]["items"][:1]}
        return check_answer(answers[2], one, self.tolerance) + self._named(answers)

    def _once(self, answers: Sequence[Answer]) -> float:
        _, first, excluded, best, bad = answers
        same("status", bad.get("status"), "bad_k")
        two = {**first, "items": first["items"][:2]}
        return max(check_answer(excluded, two, self.tolerance), check_answer(best, two, self.tolerance))

    def _seen_before(self) -> Case:
        """A session excludes all of the user's items, not only those of the last call (7.2); by choice none."""
        whole = {key: value for key, value in self.some.items() if key != "id"}
        requests: list[Request] = []
        for choice in (False, True):
            requests += [{"call": "session", "session": "s", "include_seen": choice}]
            for place in range(len(whole["history"])):
                requests.append(self._push(self._event(whole, place)))
        requests += [self._question(whole, include_seen=choice) for choice in (False, True)]

        def check(answers: Sequence[Answer]) -> float:
            n = len(whole["history"])
            without, seen = self._alike(answers[n], answers[-2]), self._alike(answers[2 * n + 1], answers[-1])
            return max(without, seen) + self._named(answers)

        return Case("asking again", "one by one, seen items excluded or not", requests, check)

    @staticmethod
    def _event(question: dict[str, Any], place: int) -> dict[str, Any]:
        """One event of a question."""

        def cut(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: cut(values) for name, values in value.items()}
            return value[place : place + 1] if isinstance(value, list) else value

        return {key: value if key == "candidates" else cut(value) for key, value in question.items()}

    # The graph itself.

    def _arrays(self, batch: int, length: int, change: Callable[[Request], object] = lambda r: None) -> Request:
        """Arrays as the graph takes them, drawn by seed; the second row has a padded position."""
        draw = random.Random(7)
        n = self.m["n_items"]
        pads = [0 if row != 1 or length == 1 else 1 for row in range(batch)]
        r: Request = {"call": "run"}
        r["item_seq"] = [[0] * pad + [draw.randrange(1, n) for _ in range(length - pad)] for pad in pads]
        for name, count in (("exclude", 2), ("candidates", 3)):
            if name in self.names:
                r[name] = [[draw.randrange(1, n) for _ in range(count)] for _ in pads]
        values: dict[str, Callable[[bool], Any]] = {
            "time_gap": lambda pad: -1 if pad else float(draw.randrange(10**5)),
            "behavior": lambda pad: 0 if pad else draw.randrange(1, len(self.m["behaviors"]) + 1),
            "features": lambda pad: [0.0 if pad else draw.gauss(0, 1) for _ in self.m["features"]],
        }
        for name, value in values.items():
            if name in self.names:
                r[name] = [[value(place < pad) for place in range(length)] for pad in pads]
        if "next_time_gap" in self.names:
            r["next_time_gap"] = [-1 if row else 60 for row in range(batch)]
        if "next_behavior" in self.names:
            r["next_behavior"] = [row % 2 for row in range(batch)]
        change(r)
        return r

    def _padded(self) -> Case:
        """Rows of several lengths in one batch give what each gives alone (4.4), and so does a carried state."""
        batch = self._arrays(3, min(4, self.m["max_history"]))
        alone = []
        for row in range(3):
            pad = batch["item_seq"][row].count(0)
            one = {name: [values[row]] for name, values in batch.items() if name != "call"}
            for name in ("item_seq", "time_gap", "behavior", "features"):
                if name in one:
                    one[name] = [one[name][0][pad:]]
            alone.append({"call": "run", **one})
        zeros = [[[0.0] * t["size"]] for t in self.m["state"]]
        told = [{**alone[0], "state": zeros}] if zeros else []

        def check(answers: Sequence[Answer]) -> float:
            for answer in answers:
                same("status", answer.get("status"), "ok")
            whole, *ones = answers
            largest = 0.0
            for row, one in enumerate([*ones[:3], *ones[3:]]):
                at = row if row < 3 else 0
                for key in ("scores", "items", "probabilities", "embedding"):
                    if key in whole or key in one:
                        largest = max(largest, close(key, one.get(key), [whole[key][at]], self.tolerance))
                for found, expected in zip(one["state"], whole["state"], strict=True):
                    largest = max(largest, close("state", found, [expected[at]], self.tolerance))
            return largest + self._named(answers)

        return Case("arrays", "a padded batch", [batch, *alone, *told], check)

    def _no_rows(self) -> Case:
        names = [name for name in self.names if not name.startswith("state_")]
        request = {"call": "run", **{name: [] for name in names}}

        def check(answers: Sequence[Answer]) -> float:
            same("status", answers[0].get("status"), "ok")
            for key in ("items", "scores") if self.ranks else ("probabilities",):
                same(key, answers[0].get(key), [])
            same("embedding", answers[0].get("embedding"), [])
            same("state", answers[0].get("state"), [[] for _ in self.m["state"]])
            return self._named(answers)

        return Case("arrays", "no rows", [request], check)

    def _guards(self) -> Iterator[tuple[str, str, Callable[[Request], object]]]:
        """What would end the process, or silently read another row."""
        n, m = self.m["n_items"], self.m
        yield "an index of n_items", "bad_index", lambda r: r["item_seq"][0].__setitem__(0, n)
        yield "an index of 2^40", "bad_index", lambda r: r["item_seq"][0].__setitem__(0, 2**40)
        yield "an index of -1", "bad_index", lambda r: r["item_seq"][0].__setitem__(0, -1)
        yield "padding after an item", "bad_index", lambda r: r["item_seq"][0].__setitem__(2, 0)
        yield "a length of 0", "bad_index", lambda r: r.update(item_seq=[[], []])
        yield "rows of unequal length", "bad_index", lambda r: r["item_seq"][0].pop()
        yield "one axis only", "bad_index", lambda r: r.update(item_seq=[1, 2, 3])
        for name in {"exclude", "candidates"} & set(self.names):
            yield f"{name} with an index of n_items", "bad_index", lambda r, x=name: r[x][1].__setitem__(0, n)
            yield f"{name} with an index of -1", "bad_index", lambda r, x=name: r[x][1].__setitem__(0, -1)
            yield f"{name} for one row of two", "bad_index", lambda r, x=name: r[x].pop()
        if "candidates" in self.names:
            yield "a candidate of 0", "bad_index", lambda r: r["candidates"][0].__setitem__(0, 0)
            yield "no candidates", "bad_index", lambda r: r.pop("candidates")
        for name in [name for name in COLUMNS if name in self.names]:
            yield f"no {name}", "bad_column", lambda r, x=name: r.pop(x)
            yield f"{name} for one row of two", "bad_column", lambda r, x=name: r[x].pop()
            if "behavior" in name:
                worst = len(m["behaviors"]) + 1
                for wrong in (worst, -1):
                    yield f"{name} of {wrong}", "bad_column", lambda r, x=name, w=wrong: _first(r[x], w)
            else:
                for wrong in ("NaN", "Infinity"):
                    yield f"{name} of {wrong}", "bad_column", lambda r, x=name, w=wrong: _first(r[x], w)
        states = [[[0.5] * t["size"]] * 2 for t in m["state"]]
        unpadded = {"item_seq": [[1], [2]]} | {
            name: [row[-1:] for row in self._arrays(2, 3)[name]]
            for name in ("time_gap", "behavior", "features")
            if name in self.names
        }
        yield "a state too many", "bad_state", lambda r: r.update(unpadded, state=[*states, [[0.5]] * 2])
        if states:
            yield "a state too few", "bad_state", lambda r: r.update(unpadded, state=states[1:] or [[]])
            yield "a state for one row of two", "bad_state", lambda r: r.update(unpadded, state=[s[:1] for s in states])
            yield (
                "a state that is too short",
                "bad_state",
                lambda r: r.update(unpadded, state=[[row[1:] for row in s] for s in states]),
            )
            yield "a carried row that holds padding", "bad_state", lambda r: r.update(state=states)
            for wrong in ("NaN", "-Infinity"):
                yield (
                    f"a state of {wrong}",
                    "bad_state",
                    lambda r, w=wrong: r.update(unpadded, state=[[[w, *row[1:]] for row in s] for s in states]),
                )


def _first(values: list[Any], wrong: Any) -> None:
    """Put a value in the first place of nested lists."""
    while isinstance(values[0], list):
        values = values[0]
    values[0] = wrong

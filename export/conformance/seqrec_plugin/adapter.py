"""Our own `seqrec_plugin.runtime` as a client under test, and the verifier: the protocol is in `../README.md`."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from typing import Any

import numpy as np

from seqrec_plugin import verifying
from seqrec_plugin.errors import BadData, SeqrecError, WrongUsage
from seqrec_plugin.history import to_question
from seqrec_plugin.runtime import Recommender, Session


class Served:
    """A bundle and the sessions of this process."""

    def __init__(self, path: str, graph: str) -> None:
        self.path, self.recommender = path, Recommender.load(path, int8=graph == "model_int8.onnx")
        self.bundle = self.recommender.bundle_id
        self.sessions: dict[str, Session] = {}

    def failure(self, error: SeqrecError, question: Any = None) -> dict[str, Any]:
        """An error as an answer."""
        return plain(self.recommender._failure(None, error))

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request."""
        call = request["call"]
        if call == "load":
            runtime = f"onnxruntime {version('onnxruntime')}"
            return {"status": "ok", "bundle": self.bundle, "client": "seqrec_plugin", "runtime": runtime}
        if call in ("recommend", "score"):
            return self._whole(call, request)
        if call == "session":
            self.sessions[request["session"]] = self.recommender.session(include_seen=request.get("include_seen"))
            return {"status": "ok", "bundle": self.bundle}
        if call == "push":
            return self._push(self.sessions[request["session"]], request)
        if call == "run":
            return self._run(request)
        if call == "time":
            return self._time(request["question"], request["repeat"])
        if call == "verify":
            for _ in verifying.verify(self.path):
                pass
            return {"status": "ok"}
        raise WrongUsage("bad_value", f"There is no call {call!r}.")

    def _whole(self, call: str, request: dict[str, Any]) -> dict[str, Any]:
        self.recommender._check_task("next_item" if call == "recommend" else "probability")
        line = json.dumps(request["question"])
        (found,) = self.recommender.recommend_batch([line], include_seen=request.get("include_seen"))
        if not request.get("tensors") or found.failed:
            return plain(found)
        row = self.recommender.encode(to_question(request["question"])).row
        output = self.recommender.run([row], [[1]])
        return {
            **plain(found),
            "embedding": output.user_embedding[0].tolist(),
            "state": [s[0].tolist() for s in output.state],
        }

    def _time(self, asked: dict[str, Any], repeat: int) -> dict[str, Any]:
        """Microseconds of each of many answers, and of many single steps of a session."""
        last = {k: v[-1:] if isinstance(v, list) and k != "candidates" else v for k, v in asked.items()}
        if "features" in asked:
            last["features"] = {name: values[-1:] for name, values in asked["features"].items()}
        recommender, items = self.recommender, last.pop("history")
        ask = recommender.recommend if recommender.manifest.task == "next_item" else recommender.score
        calls: dict[str, Any] = {"recommend": lambda: ask(**asked)}
        if recommender.manifest.state:
            session = recommender.session()
            calls["push"] = lambda: session.push(items, **last)
        taken: dict[str, list[float]] = {"recommend": [], "push": []}
        for name, call in calls.items():
            for i in range(repeat + 50):
                began = time.perf_counter_ns()
                call()
                if i >= 50:
                    taken[name].append((time.perf_counter_ns() - began) / 1000)
        return {"status": "ok", **taken}

    def _push(self, session: Session, request: dict[str, Any]) -> dict[str, Any]:
        question = to_question(request["question"])
        told = {
            name: getattr(question, name) for name in ("k", "exclude", "candidates", "time", "behavior", "features")
        }
        found = session.push(question.history, **told)
        answer = plain(found)
        if request.get("tensors"):
            answer["embedding"] = session._step[1].user_embedding[0].tolist() if session._step else None
            answer["state"] = [state[0].tolist() for state in session.state]
        return answer

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        manifest = self.recommender.manifest
        dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in manifest.inputs}
        codes = dict.fromkeys(dtypes, "bad_column") | dict.fromkeys(("item_seq", "exclude", "candidates"), "bad_index")

        def array(name: str) -> Any:
            return numbers(request[name], dtypes[name], codes[name]) if name in request else None

        columns = {name: values for name in manifest.columns if (values := array(name)) is not None}
        choice = array("candidates" if manifest.takes_candidates else "exclude") if len(manifest.inputs) > 1 else None
        states = request.get("state")
        state = None if states is None else [numbers(values, np.dtype(np.float32), "bad_state") for values in states]
        item_seq = array("item_seq")
        if not item_seq.size and item_seq.ndim == 1:  # no rows
            item_seq, choice, state = np.zeros((0, 1), np.int64), None, None
            columns = {}
            if manifest.takes_candidates:
                choice = np.zeros((0, 1), np.int64)
            for tensor in manifest.inputs:
                if tensor.name in manifest.columns:
                    shape = (0, *(axis if isinstance(axis, int) else 1 for axis in tensor.shape[1:]))
                    columns[tensor.name] = np.zeros(shape, dtypes[tensor.name])
        out = self.recommender.run_arrays(item_seq, columns=columns, choice=choice, state=state)
        answer: dict[str, Any] = {"status": "ok", "bundle": self.bundle, "embedding": out.user_embedding.tolist()}
        answer["state"] = [values.tolist() for values in out.state]
        if manifest.task == "probability":
            return {**answer, "probabilities": out.probabilities.tolist()}
        scores = np.where(np.isneginf(out.scores), None, out.scores.astype(object)).tolist()
        return {**answer, "items": out.items.tolist(), "scores": scores}


def plain(answer: Any) -> dict[str, Any]:
    """An `Answer` as JSON has it."""
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found


def numbers(values: Any, dtype: np.dtype[Any], code: str) -> Any:
    """Nested lists → an array; the texts for NaN and infinity become floats."""
    try:
        array = np.array(json.loads(json.dumps(values).replace('"', "")))
        if array.size and not np.can_cast(array.dtype, dtype, "same_kind"):
            return array
    except ValueError:
        raise BadData(code, "The rows are of unequal length.") from None
    return array.astype(dtype)


def main() -> int:
    """Load, then answer each line; returns the exit code."""
    try:
        served = Served(sys.argv[1], "".join(sys.argv[2:]))
    except SeqrecError as error:
        print(json.dumps({"status": error.code, "message": str(error)}))
        return 3
    for line in sys.stdin.buffer:
        try:
            answer = served.answer(json.loads(line))
        except SeqrecError as error:
            answer = served.failure(error)
        except (ValueError, KeyError, TypeError) as error:
            answer = served.failure(WrongUsage("bad_value", f"No request: {error!r}."))
        print(json.dumps(answer, allow_nan=False), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

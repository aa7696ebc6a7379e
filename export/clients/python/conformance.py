"""The client as the program that `make conformance` runs: `export/conformance/README.md` is its protocol."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from seqrec_client import Bundle, OnnxRuntime, SeqrecError, Session, load

NAMES = {"user_embedding": "embedding"}


def serve(client: str, runtime: Any, install: str) -> int:
    """Load the bundle of the command line, then answer each line of stdin; returns the exit code.

    Args:
        client: its name.
        runtime: makes a `Runtime` of the graph's bytes and the bundle's folder.
        install: what to install where the runtime is missing.
    """
    try:
        bundle = load(sys.argv[1], runtime, int8=sys.argv[2:] == ["model_int8.onnx"])
    except SeqrecError as error:
        print(json.dumps({"status": error.code, "message": str(error)}))
        return 3
    except ImportError as error:
        print(json.dumps({"status": "missing", "message": f"{error}: {install}"}))
        return 4
    sessions: dict[str, Session] = {}
    for line in sys.stdin.buffer:
        try:
            answer = _answer(bundle, client, sessions, json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            answer = bundle._failure(None, SeqrecError("bad_value", f"no request: {error!r}"))
        except SeqrecError as error:
            answer = bundle._failure(None, error)
        print(json.dumps(answer, allow_nan=False), flush=True)
    return 0


def _answer(bundle: Bundle, client: str, sessions: dict[str, Session], request: dict[str, Any]) -> dict[str, Any]:
    call, question, tensors = request["call"], request.get("question"), request.get("tensors", False)
    if call == "load":
        return {"status": "ok", "bundle": bundle.id, "client": client, "runtime": bundle.runtime.name}
    if call == "recommend":
        return bundle.recommend(question, include_seen=request.get("include_seen"), tensors=tensors)
    if call == "score":
        return bundle.score(question, tensors=tensors)
    if call == "session":
        sessions[request["session"]] = bundle.session(include_seen=request.get("include_seen"))
        return {"status": "ok", "bundle": bundle.id}
    if call == "push":
        return sessions[request["session"]].push(question, tensors=tensors)
    if call == "run":
        return _run(bundle, request)
    if call == "time":
        return _time(bundle, request["question"], request["repeat"])
    raise SeqrecError("bad_value", f"there is no call {call!r}")


def _run(bundle: Bundle, request: dict[str, Any]) -> dict[str, Any]:
    feeds = {name: _numbers(value) for name, value in request.items() if name not in ("call", "state")}
    feeds |= {f"state_{i}": _numbers(value) for i, value in enumerate(request.get("state", []))}
    found = bundle.run(feeds)
    states = [t["output"] for t in bundle.manifest["state"]]
    answer: dict[str, Any] = {"status": "ok", "bundle": bundle.id, "state": [found[name].tolist() for name in states]}
    for name, values in found.items():
        if name not in states:
            plain = values.astype(object)
            plain[np.isneginf(values)] = None
            answer[NAMES.get(name, name)] = plain.tolist()
    return answer


def _numbers(value: Any) -> Any:
    """Nested lists, with the texts that stand for NaN and infinity as floats."""
    if isinstance(value, list):
        return [_numbers(entry) for entry in value]
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def _time(bundle: Bundle, question: dict[str, Any], repeat: int) -> dict[str, Any]:
    ask = bundle.recommend if bundle.ranks else bundle.score
    last = {
        k: v[-1:] if isinstance(v, list) and k != "candidates" else v for k, v in question.items() if k != "features"
    }
    last |= {"features": {k: v[-1:] for k, v in question["features"].items()}} if "features" in question else {}
    calls: dict[str, Callable[[], object]] = {"recommend": lambda: ask(question)}
    if bundle.manifest["state"]:
        session = bundle.session()
        calls["push"] = lambda: session.push(last)
    taken: dict[str, list[float]] = {"recommend": [], "push": []}
    for name, call in calls.items():
        for _ in range(repeat + 10):
            began = time.perf_counter_ns()
            call()
            taken[name].append((time.perf_counter_ns() - began) / 1000)
    return {"status": "ok", **{name: values[10:] for name, values in taken.items()}}


if __name__ == "__main__":
    sys.exit(serve("python", OnnxRuntime, "pip install onnxruntime numpy"))

"""Run every client over every vector and every hostile bundle, and print what came of it.

    python export/conformance/run.py [--only NAME]… [--skip-missing] [--time BUNDLE] [CLIENT_FOLDER …]

Standard library only. `README.md` beside this file is the protocol. Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
EXPORT = HERE.parent
sys.path[:0] = [str(HERE), str(EXPORT / "hostile")]

import cases  # noqa: E402
import make  # noqa: E402
from cases import KINDS, Case  # noqa: E402
from comparing import Answer, Wrong, same  # noqa: E402

SECONDS = 60
MODEL = "model.onnx"
#: A graph that answers, and the file with its right answers.
GRAPHS = {MODEL: "golden.json", "model_int8.onnx": "golden_int8.json"}
REFUSED, MISSING = 3, 4


class Reply(NamedTuple):
    """What a client's process gave."""

    code: int
    answers: list[Answer]


class Outcome(NamedTuple):
    """What came of one case: the largest difference, or the reason why it is wrong."""

    client: str
    kind: str
    bundle: str
    case: str
    largest: float
    reason: str = ""


class Missing(Exception):
    """A client's runtime is not installed; the text says what to install."""


class Client:
    """A program that keeps the protocol."""

    def __init__(self, folder: Path) -> None:
        self.name, self.program = folder.name, folder / "run.sh"

    def ask(self, bundle: Path, requests: Sequence[Any], graph: str = MODEL) -> Reply:
        """One process, all requests, to the bundle's graph of this name.

        Raises:
            Wrong: it breaks the protocol.
            Missing: its runtime is not installed.
        """
        lines = "".join(json.dumps(request) + "\n" for request in requests).encode()
        environment = {"PYTHON": sys.executable, **os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                ["sh", str(self.program), str(bundle), *([] if graph == MODEL else [graph])],
                input=lines,
                capture_output=True,
                timeout=SECONDS,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            raise Wrong(f"no answer within {SECONDS} s") from None
        try:
            answers = [
                json.loads(line, parse_constant=_no_constant) for line in done.stdout.splitlines() if line.strip()
            ]
        except ValueError as error:
            raise Wrong(f"stdout holds what is no JSON: {error}") from None
        if not all(isinstance(answer, dict) for answer in answers):
            raise Wrong("stdout holds a line that is no object")
        if done.returncode == MISSING:
            raise Missing(answers[0].get("message", "") if answers else "")
        told = done.stderr.decode(errors="replace").strip().splitlines()
        if done.returncode not in (0, REFUSED):
            raise Wrong(f"it ended with {done.returncode}: {told[-1] if told else 'and said nothing'}")
        if len(answers) != (len(requests) if done.returncode == 0 else 1):
            raise Wrong(f"{len(requests)} requests got {len(answers)} answers and exit code {done.returncode}")
        return Reply(done.returncode, answers)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def over_vector(client: Client, bundle: Path, graph: str = MODEL) -> Iterator[Outcome]:
    """Every case of a good bundle, by one of its graphs."""
    todo = list(cases.of_bundle(bundle, GRAPHS[graph]))
    try:
        reply = client.ask(bundle, [request for case in todo for request in case.requests], graph)
        if reply.code:
            raise Wrong(f"refused as {reply.answers[0].get('status')}: {reply.answers[0].get('message')}")
    except Wrong as error:
        yield from (Outcome(client.name, case.kind, bundle.name, case.name, 0, str(error)) for case in todo)
        return
    answers = iter(reply.answers)
    for case in todo:
        yield _judged(client, bundle, case, [next(answers) for _ in case.requests])


def _judged(client: Client, bundle: Path, case: Case, answers: list[Answer]) -> Outcome:
    try:
        return Outcome(client.name, case.kind, bundle.name, case.name, case.check(answers))
    except Wrong as error:
        reason = str(error)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        reason = f"an answer is not as clause 6 says ({error!r})"
    return Outcome(client.name, case.kind, bundle.name, case.name, 0, reason)


def over_hostile(client: Client, bundle: Path, told: dict[str, Any]) -> Outcome:
    """One broken bundle: refused with its code, or, where that is a verifier's duty, loaded."""
    reason = ""
    try:
        if told["duty"] == "verifier":
            reply = client.ask(bundle, [{"call": "load"}, {"call": "verify"}])
            same("exit code", reply.code, 0)
            if reply.answers[1].get("status") not in (told["code"], "bad_value"):
                raise Wrong(f"verify says {reply.answers[1].get('status')}, not {told['code']}")
        else:
            question = told.get("question")
            reply = client.ask(
                bundle, [{"call": "recommend", "question": question}] if question else [{"call": "load"}]
            )
            same("status", reply.answers[0].get("status"), told["code"])
            same("exit code", reply.code, 0 if question else REFUSED)
    except Wrong as error:
        reason = f"{told['why']}, so {told['code']} must come; but {error}"
    return Outcome(client.name, "hostile", bundle.name, told["code"], 0, reason)


def run(clients: Sequence[Client], vectors: Sequence[Path]) -> tuple[list[Outcome], dict[str, str]]:
    """All clients over all bundles.

    Returns:
        what came of each case, and for a client that is missing what to install.
    """
    outcomes: list[Outcome] = []
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        hostile = make.make(Path(folder))
        for client in clients:
            try:
                client.ask(vectors[0], [{"call": "load"}])
            except Missing as error:
                missing[client.name] = str(error)
                continue
            except Wrong:
                pass  # the cases say so
            jobs = [(bundle, graph) for bundle in vectors for graph in GRAPHS if (bundle / graph).exists()]
            for found in pool.map(lambda job, c=client: list(over_vector(c, *job)), jobs):
                outcomes += found
            outcomes += pool.map(
                lambda item, c=client: over_hostile(c, Path(folder) / item[0], item[1]), hostile.items()
            )
    return outcomes, missing


def matrix(clients: Sequence[Client], outcomes: Sequence[Outcome], missing: dict[str, str]) -> str:
    """client × kind of case: how many are right, and the largest difference."""
    cells: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        cells[outcome.client, outcome.kind].append(outcome)
    rows = [["client", *KINDS]]
    for client in clients:
        if client.name in missing:
            rows.append([client.name, f"missing: {missing[client.name]}"])
            continue
        rows.append([client.name])
        for kind in KINDS:
            found = cells[client.name, kind]
            wrong = sum(bool(outcome.reason) for outcome in found)
            largest = max((outcome.largest for outcome in found), default=0)
            apart = f" ({largest:.0e})" if largest else ""
            rows[-1].append(f"{wrong} of {len(found)} WRONG" if wrong else f"ok {len(found)}{apart}")
    widths = [max((len(row[i]) for row in rows if len(row) == len(rows[0])), default=0) for i in range(len(rows[0]))]
    widths[0] = max(len(row[0]) for row in rows)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
    )


def reasons(outcomes: Sequence[Outcome], most: int = 20) -> str:
    """Each reason once, with how many cases it is of."""
    grouped: dict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.reason:
            grouped[outcome.client, outcome.kind, outcome.reason].append(outcome)
    lines = []
    for (client, kind, reason), found in list(grouped.items())[:most]:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        lines.append(f"{client}: {kind}: {found[0].bundle}, {found[0].case!r}{more}: {reason}")
    if len(grouped) > most:
        lines.append(f"… and {len(grouped) - most} reasons more")
    return "\n".join(lines)


def timed(clients: Sequence[Client], bundle: Path, repeat: int = 1000) -> str:
    """p50 and p99 of one recommendation and of one carried step, in microseconds, one client after the other."""
    golden = json.loads((bundle / "golden.json").read_bytes())
    (longest,) = [q["question"] for q in golden["questions"] if q["name"] == "longest"]
    rows = [
        f"{bundle.name}, {len(longest['history'])} events, {repeat} times; {platform.machine()}, {platform.system()}"
    ]
    asked = [{"call": "load"}, {"call": "time", "question": longest, "repeat": repeat}]
    for client, graph in itertools.product(clients, [graph for graph in GRAPHS if (bundle / graph).exists()]):
        try:
            loaded, found = client.ask(bundle, asked, graph).answers
            cells = [f"{name} {_percentiles(found[name])}" for name in ("recommend", "push") if found.get(name)]
            told = "; ".join(cells) or found.get("status")
            rows.append(f"{client.name}, {graph} ({loaded.get('runtime')}): {told}")
        except (Wrong, Missing) as error:
            rows.append(f"{client.name}, {graph}: {error}")
    return "\n".join(rows)


def _percentiles(values: Sequence[float]) -> str:
    ordered = sorted(values)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99))
    return f"p50 {p50:.0f} µs, p99 {p99:.0f} µs"


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Run every client over every vector and every hostile bundle.")
    parser.add_argument("clients", nargs="*", type=Path, help="client folders; by default all")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this client")
    parser.add_argument("--skip-missing", action="store_true", help="a client without its runtime is no error")
    parser.add_argument("--time", type=Path, metavar="BUNDLE", help="measure instead, on this bundle")
    given = parser.parse_args()
    folders = given.clients or [HERE / "seqrec_plugin", *sorted(f.parent for f in EXPORT.glob("clients/*/run.sh"))]
    clients = [Client(folder) for folder in folders if not given.only or folder.name in given.only]
    if not clients:
        parser.error("there is no such client")
    if given.time:
        print(timed(clients, given.time))
        return 0
    vectors = sorted(path.parent for path in (EXPORT / "vectors").rglob("manifest.json"))
    outcomes, missing = run(clients, vectors)
    wrong = [outcome for outcome in outcomes if outcome.reason]
    print(matrix(clients, outcomes, missing))
    if wrong:
        print(f"\n{reasons(wrong)}")
    largest = max((outcome.largest for outcome in outcomes), default=0)
    hostile = len({outcome.bundle for outcome in outcomes if outcome.kind == "hostile"})
    print(
        f"\n{len(clients)} clients, {len(missing)} missing; {len(vectors)} vectors, {hostile} hostile bundles; "
        f"{len(outcomes)} cases, {len(wrong)} wrong; largest difference {largest:.1e}"
    )
    return 1 if wrong or (missing and not given.skip_missing) else 0


if __name__ == "__main__":
    sys.exit(main())

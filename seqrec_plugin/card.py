"""The bundle's `README.md`: a card for people."""

from __future__ import annotations

import json
import shlex
from typing import Any

from seqrec_plugin.columns import BEHAVIOR, NEXT_BEHAVIOR, NEXT_TIME_GAP, TIME_GAP
from seqrec_plugin.manifest import EMBEDDINGS_FILE, ENCODER_FILE, INT8_FILE, Manifest
from seqrec_plugin.vocabulary import Vocabulary

_TEXT = """# {model} on {dataset}

{what}
It holds nothing about any user.

| | |
| --- | --- |
| catalogue | {n_items} items |
| history | the newest {max_history} events are read{carried} |
| one answer | {answer} |
{columns}{newcomer}{more}| trained | {trained}{beginning} |
| agreement with torch | {absolute:.1e} at most, over {histories} histories |
{metrics}
## From Python

    pip install seqrec-plugin

    from seqrec_plugin.runtime import Recommender

    recommender = Recommender.load(".")
    answer = recommender.{call}
    {show}
{session}
## From the command line

    seqrec {command}

## From any language with onnxruntime

`model.onnx` takes {inputs}, and gives {outputs}: `manifest.json` has their types and shapes.
`items.json` maps positions to item ids.{bare}

`export/SPEC.md` of seqrec-plugin says what a careful client does besides; `golden.json` proves a client right.

## With a client to copy

From `export/clients` of seqrec-plugin:

    bundle = seqrec_client.load(".")                       # Python: numpy and onnxruntime, one file
    bundle = seqrec_client.load(".", TractRuntime)         # Python: Rust's tract
    const recommender = await load(".");                   // Node.js
    const recommender = await load("https://…/bundle/");   // a browser
"""

_SESSION = """
    session = recommender.session()          # one event at a time, at a cost that does not grow
    answer = session.push({pushed})
    {show}
"""

_BARE = """ With Python's own onnxruntime, for one user:

    import json, numpy, onnxruntime

    ids = json.load(open("items.json"))["items"]
    history = [ids.index(item) for item in {history}]
    model = onnxruntime.InferenceSession("model.onnx")
    inputs = {{"item_seq": numpy.array([history]), "exclude": numpy.array([history])}}
    for state in json.load(open("manifest.json"))["state"]:
        inputs[state["input"]] = numpy.zeros((1, state["size"]), numpy.float32)
    items, scores, *_ = model.run(None, inputs)
    print([ids[i] for i in items[0] if i > 0][:5])"""


def text(manifest: Manifest, vocabulary: Vocabulary) -> str:
    """The card of a bundle."""
    example = list(vocabulary.tokens[:3])
    told, pushed = _told(manifest, len(example)), _told(manifest, 1)
    asked = {"candidates": example[:2]} if manifest.takes_candidates else {}
    bare = ""
    if manifest.task == "next_item":
        what = "A recommender in one folder: give it what a user did, oldest first, and it names what comes next."
        seen = "left out" if manifest.exclude_seen else "kept"
        answer = f"at most {manifest.top_k} items; a user's own items are {seen} by default"
        call, show = f"recommend({_arguments(example, told)}, k=5)", "for item in answer.items:\n        print(item)"
        if not manifest.columns:
            bare = _BARE.format(history=example)
    else:
        what = f"A model in one folder: give it what a user did, oldest first, and it says\n{manifest.meaning}."
        answer = manifest.meaning
        call, show = f"score({_arguments(example, told | asked)})", "print(answer)"
    newcomer = manifest.provenance.newcomer
    return _TEXT.format(
        model=manifest.provenance.model,
        dataset=manifest.provenance.dataset,
        what=what,
        n_items=manifest.n_items - 1,
        max_history=manifest.max_history,
        answer=answer,
        newcomer=f"| an empty history | not learned: {newcomer} |\n" if newcomer else "",
        more=_more(manifest),
        carried="; a state can be carried instead" if manifest.state else "; no state is carried",
        trained=manifest.provenance.trained,
        beginning=_beginning(manifest),
        absolute=manifest.parity.max_absolute,
        histories=manifest.parity.histories,
        metrics=_metrics(manifest),
        call=call,
        show=show,
        session=_SESSION.format(pushed=_arguments(example[:1], pushed | asked), show=show) if manifest.state else "",
        command=command(manifest, vocabulary, "."),
        columns=_columns(manifest),
        inputs=", ".join(f"`{tensor.name}`" for tensor in manifest.inputs),
        outputs=", ".join(f"`{tensor.name}`" for tensor in manifest.outputs),
        bare=bare,
    )


def command(manifest: Manifest, vocabulary: Vocabulary, place: str) -> str:
    """A command that asks the bundle at a place something, without the `seqrec` before it."""
    example = list(vocabulary.tokens[:3])
    told = _told(manifest, len(example))
    options = "".join(f" --{key} {_joined(value)}" for key, value in told.items())
    history = shlex.quote(",".join(example))
    if manifest.task == "next_item":
        return f"recommend {place} --history {history}{options} -k 5"
    candidates = f" --candidates {shlex.quote(','.join(example[:2]))}" if manifest.takes_candidates else ""
    return f"score {place} --history {history}{options}{candidates}"


def _columns(manifest: Manifest) -> str:
    """Rows of the table: what a question must tell besides the items."""
    rows = []
    if TIME_GAP in manifest.columns:
        more = "; one more is the moment of asking" if NEXT_TIME_GAP in manifest.columns else ""
        rows.append(("time", f"seconds, one entry an item{more}"))
    if {BEHAVIOR, NEXT_BEHAVIOR} & set(manifest.columns):
        more = "; one more is the behaviour wanted next" if NEXT_BEHAVIOR in manifest.columns else ""
        rows.append(("behavior", f"one of {', '.join(manifest.behaviors)}, one entry an item{more}"))
    if manifest.features:
        rows.append(("features", f"{', '.join(manifest.features)}: numbers as they are, one an item"))
        for name, number in manifest.provenance.numbers.items():
            rows.append((name, f"read as: {number.treated}; where it is not known, give {number.unknown:.6g}"))
    return "".join(f"| {name} | {text} |\n" for name, text in rows)


def _more(manifest: Manifest) -> str:
    """Rows of the table: what lies beside the graph."""
    rows = []
    if manifest.int8:
        cost = f"{manifest.int8.ndcg_int8:.4f} for {manifest.int8.ndcg:.4f} on {manifest.int8.targets} targets"
        rows.append(f"| `{INT8_FILE}` | the same in fewer bytes, at an NDCG@10 of {cost} |\n")
    if ENCODER_FILE in manifest.files:
        rows.append(f"| `{ENCODER_FILE}` | history to user embedding, for a search of one's own |\n")
    if EMBEDDINGS_FILE in manifest.files:
        rows.append(f"| `{EMBEDDINGS_FILE}` | the items: times a user embedding with 1 appended, the score |\n")
    return "".join(rows)


def _told(manifest: Manifest, n: int) -> dict[str, Any]:
    """What the model reads of each event beside the item, made up for an example of n events."""
    told: dict[str, Any] = {}
    if {TIME_GAP, NEXT_TIME_GAP} & set(manifest.columns):
        told["time"] = [1_700_000_000 + 60 * i for i in range(n + (NEXT_TIME_GAP in manifest.columns))]
    if {BEHAVIOR, NEXT_BEHAVIOR} & set(manifest.columns):
        wanted = [manifest.behaviors[-1]] if NEXT_BEHAVIOR in manifest.columns else []
        told["behavior"] = [manifest.behaviors[0]] * n + wanted
    if manifest.features:
        told["features"] = {name: [1.0] * n for name in manifest.features}
    return told


def _arguments(history: list[str], told: dict[str, Any]) -> str:
    return ", ".join([repr(history), *(f"{key}={value!r}" for key, value in told.items())])


def _joined(value: Any) -> str:
    return shlex.quote(",".join(map(str, value)) if isinstance(value, list) else json.dumps(value, ensure_ascii=False))


def _beginning(manifest: Manifest) -> str:
    """What training began with, and how much it learned from."""
    began, told = manifest.provenance.metrics.get("began_from"), ""
    if began:
        told = f"; begun with the weights of `{began['run']}`, {began['new_items']} items new to it"
        if began["retired"]:
            told += f", {began['retired']} that are known but never recommended"
    return told + ("; on all events" if "before_refit" in manifest.provenance.metrics else "")


def _metrics(manifest: Manifest) -> str:
    found = manifest.provenance.metrics
    before = found.get("before_refit")
    measured = (before or found).get("test")
    if not measured:
        return ""
    where = "On the test split"
    if before:
        where = f"Of the run `{before['run']}`, before this model learned from all events, on its test split"
    targets = f", {measured['targets']} targets" if "targets" in measured else ""
    if "probability" in measured:
        rows = "".join(f"| {name} | {value:.4f} |\n" for name, value in measured["probability"].items())
        return f"\n{where}{targets}:\n\n| metric | value |\n| --- | --- |\n{rows}"
    masked, unmasked = measured["masked"], measured["unmasked"]
    rows = "".join(f"| {name} | {value:.4f} | {unmasked[name]:.4f} |\n" for name, value in masked.items())
    head = "| metric | own history left out of the ranking | kept in |\n| --- | --- | --- |\n"
    return f"\n{where}{targets}:\n\n{head}{rows}"

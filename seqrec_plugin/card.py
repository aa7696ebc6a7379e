"""The bundle's `README.md`: a card for people."""

from __future__ import annotations

import json
from typing import Any

from seqrec_plugin.columns import BEHAVIOR, NEXT_BEHAVIOR, NEXT_TIME_GAP, TIME_GAP
from seqrec_plugin.manifest import Manifest
from seqrec_plugin.vocabulary import Vocabulary

_TEXT = """# {model} on {dataset}

{what}
It holds nothing about any user.

| | |
| --- | --- |
| catalogue | {n_items} items |
| history | the newest {max_history} events are read{carried} |
| one answer | {answer} |
{newcomer}| trained | epoch {epoch}, seed {seed} |
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
"""

_SESSION = """
    session = recommender.session()          # one event at a time, at a cost that does not grow
    answer = session.push({pushed})
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
    newcomer = manifest.provenance.newcomer
    told, pushed = _told(manifest, len(example)), _told(manifest, 1)
    options = "".join(f" --{key} {_joined(value)}" for key, value in told.items())
    bare = ""
    if manifest.task == "next_item":
        what = "A recommender in one folder: give it what a user did, oldest first, and it names what comes next."
        seen = "left out" if manifest.exclude_seen else "kept"
        answer = f"at most {manifest.top_k} items; a user's own items are {seen} by default"
        call, show = f"recommend({_arguments(example, told)}, k=5)", "for item in answer.items:\n        print(item)"
        command = f"recommend . --history {','.join(example)}{options} -k 5"
        if not manifest.columns:
            bare = _BARE.format(history=example)
    else:
        what = "A model of probabilities in one folder: give it what a user did, oldest first, and it says how likely"
        what += f" the next step is {' or '.join(manifest.target_behaviors) or 'on an item'}."
        answer = "a probability for each candidate item" if manifest.takes_candidates else "one probability"
        asked = {"candidates": example[:2]} if manifest.takes_candidates else {}
        call, show = f"score({_arguments(example, told | asked)})", "print(answer)"
        pushed = pushed | asked
        candidates = f" --candidates {','.join(example[:2])}" if asked else ""
        command = f"score . --history {','.join(example)}{options}{candidates}"
    return _TEXT.format(
        model=manifest.provenance.model,
        dataset=manifest.provenance.dataset,
        what=what,
        n_items=manifest.n_items - 1,
        max_history=manifest.max_history,
        answer=answer,
        newcomer=f"| an empty history | not learned: {newcomer} |\n" if newcomer else "",
        carried="; a state can be carried instead" if manifest.state else "; no state is carried",
        epoch=manifest.provenance.epoch + 1,
        seed=manifest.provenance.seed,
        absolute=manifest.parity.max_absolute,
        histories=manifest.parity.histories,
        metrics=_metrics(manifest),
        call=call,
        show=show,
        session=_SESSION.format(pushed=_arguments(example[:1], pushed)) if manifest.state else "",
        command=command,
        inputs=", ".join(f"`{tensor.name}`" for tensor in manifest.inputs),
        outputs=", ".join(f"`{tensor.name}`" for tensor in manifest.outputs),
        bare=bare,
    )


def _told(manifest: Manifest, n: int) -> dict[str, Any]:
    """What the model reads of each event beside the item, made up for an example of n events."""
    told: dict[str, Any] = {}
    if {TIME_GAP, NEXT_TIME_GAP} & set(manifest.columns):
        told["time"] = [1_700_000_000 + 60 * i for i in range(n)]
    if {BEHAVIOR, NEXT_BEHAVIOR} & set(manifest.columns):
        told["behavior"] = [manifest.behaviors[0]] * n
    if manifest.features:
        told["features"] = {name: [1.0] * n for name in manifest.features}
    return told


def _arguments(history: list[str], told: dict[str, Any]) -> str:
    return ", ".join([repr(history), *(f"{key}={value!r}" for key, value in told.items())])


def _joined(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else f"'{json.dumps(value)}'"


def _metrics(manifest: Manifest) -> str:
    measured = manifest.provenance.metrics.get("test")
    if not measured:
        return ""
    how, values = "", measured.get("probability")
    if values is None:
        how, values = " (own history left out of the ranking)", measured["masked"]
    rows = "".join(f"| {name} | {value:.4f} |\n" for name, value in values.items())
    return f"\nOn the test split{how}:\n\n| metric | value |\n| --- | --- |\n{rows}"

"""The bundle's `README.md`: a card for people."""

from __future__ import annotations

from seqrec_plugin.manifest import Manifest
from seqrec_plugin.vocabulary import Vocabulary

_TEXT = """# {model} on {dataset}

A recommender in one folder: give it what a user did, oldest first, and it names what comes next.
It holds nothing about any user.

| | |
| --- | --- |
| catalogue | {n_items} items |
| history | the newest {max_history} events are read{carried} |
| one answer | at most {top_k} items; a user's own items are {seen} by default |
{newcomer}| trained | epoch {epoch}, seed {seed} |
| agreement with torch | {absolute:.1e} at most, over {histories} histories |
{metrics}
## From Python

    pip install seqrec-plugin

    from seqrec_plugin.runtime import Recommender

    recommender = Recommender.load(".")
    answer = recommender.recommend({history}, k=5)
    for item in answer.items:
        print(item.item, item.score, item.title)

{session}## From the command line

    seqrec recommend . --history {joined} -k 5

## From any language with onnxruntime

`model.onnx` takes `item_seq` int64 [batch, length], `exclude` int64 [batch, any]{states_in}, and
gives `items` and `scores` [batch, {top_k}]{states_out}.
`items.json` maps positions to item ids. With Python's own onnxruntime, for one user:

    import json, numpy, onnxruntime

    ids = json.load(open("items.json"))["items"]
    history = [ids.index(item) for item in {history}]
    model = onnxruntime.InferenceSession("model.onnx")
    inputs = {{"item_seq": numpy.array([history]), "exclude": numpy.array([history])}}
    for state in json.load(open("manifest.json"))["state"]:
        inputs[state["input"]] = numpy.zeros((1, state["size"]), numpy.float32)
    items, scores, *_ = model.run(None, inputs)
    print([ids[i] for i in items[0] if i > 0][:5])

`export/SPEC.md` of seqrec-plugin says what a careful client does besides; `golden.json` proves a client right.
"""


_SESSION = """    session = recommender.session()          # one event at a time, at a cost that does not grow
    answer = session.push([{first}])

"""


def text(manifest: Manifest, vocabulary: Vocabulary) -> str:
    """The card of a bundle."""
    example = list(vocabulary.tokens[:3])
    measured = manifest.provenance.metrics.get("test")
    metrics, states, newcomer = "", len(manifest.state), manifest.provenance.newcomer
    if measured:
        rows = "".join(f"| {name} | {value:.4f} |\n" for name, value in measured["masked"].items())
        metrics = (
            f"\nOn the test split (own history left out of the ranking):\n\n| metric | value |\n| --- | --- |\n{rows}"
        )
    return _TEXT.format(
        model=manifest.provenance.model,
        dataset=manifest.provenance.dataset,
        n_items=manifest.n_items - 1,
        max_history=manifest.max_history,
        top_k=manifest.top_k,
        seen="left out" if manifest.exclude_seen else "kept",
        newcomer=f"| an empty history | not learned: {newcomer} |\n" if newcomer else "",
        epoch=manifest.provenance.epoch + 1,
        seed=manifest.provenance.seed,
        absolute=manifest.parity.max_absolute,
        histories=manifest.parity.histories,
        metrics=metrics,
        carried="; a state can be carried instead" if states else "; no state is carried",
        session=_SESSION.format(first=repr(example[0])) if states else "",
        states_in=f" and {states} state tensors (zeros at the start)" if states else "",
        states_out=", `user_embedding` and the next state" if states else " and `user_embedding`",
        history=example,
        joined=",".join(example),
    )

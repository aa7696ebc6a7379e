"""Make the bundles of this folder: one of each kind of model, small, untrained, drawn by seed from no user's data.

    python export/vectors/make.py [FOLDER]      # needs the installation for training (torch, onnx)

Without FOLDER they are written here, each in place of the one before. The weights are what the model is born with,
shaken, so that scores are apart. `tests/export/test_vectors.py` makes them again and compares.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from seqrec_plugin import registry, transforms
from seqrec_plugin.exporting import write_bundle
from seqrec_plugin.imported.sasrec import SASRec, SASRecConfig
from seqrec_plugin.manifest import Provenance
from seqrec_plugin.metrics import summarise
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.ranking import ranks
from seqrec_plugin.vocabulary import Vocabulary

SEED = 20260
SMALL = {"embedding_size": 6, "hidden_size": 6}

#: Ids that files, shells, spreadsheets and JSON readers like to change.
AWKWARD = [
    "007",
    "7",
    "7.0",
    "NA",
    "null",
    "None",
    "True",
    "1e5",
    "-1",
    "0",
    "苹果",
    "ünï",
    "ünï",
    "🍎",
    "👩\u200d👩\u200d👧",
    'a "b"',
    "it's",
    "a,b;c\td",
    "back\\slash",
    "new\nline",
    " lead",
    "trail ",
    "",
    " ",
    "\xa0",
    "../up",
    "<b>&amp;</b>",
    "__proto__",
    "constructor",
    "toString",
    "x" * 300,
    "9007199254740993",
    "\ud7ff\ue000",
    "\U0010ffff",
    "NULL",
    "[PAD]",
]


class Kind(NamedTuple):
    """One bundle: a model, its options, and what the bundle says."""

    model: str
    options: Mapping[str, Any] = MappingProxyType({})
    features: tuple[str, ...] = ()
    transforms: Mapping[str, Any] = MappingProxyType({})
    target_behaviors: tuple[str, ...] = ()
    exclude_seen: bool = True
    max_history: int = 8
    top_k: int = 15
    int8: bool = False
    encoder: bool = False
    weights_apart: bool = False
    retired: tuple[int, ...] = ()


#: Folder → what it holds. A folder that was in a release is never changed, only others are added.
KINDS = {
    "lstm4rec": Kind("LSTM4Rec"),
    "lstm4rec-two-layers-seen-items-come-again": Kind("LSTM4Rec", {"num_layers": 2}, exclude_seen=False, top_k=40),
    "lstm4rec-awkward-ids": Kind("LSTM4Rec", top_k=len(AWKWARD)),
    "gru4rectied": Kind("GRU4RecTied"),
    "rnn4rec": Kind("RNN4Rec"),
    "lru4rec": Kind("LRU4Rec"),
    "gatedlru4rec": Kind("GatedLRU4Rec"),
    "timelstm4rec-time": Kind("TimeLSTM4Rec"),
    "timelstm4rec-time-to-ask": Kind("TimeLSTM4Rec", {"cell": "time_lstm", "time_to_ask": True}),
    "behaviorlstm4rec-wanted-behaviour": Kind("BehaviorLSTM4Rec"),
    "lstmranker-candidates": Kind("LSTMRanker"),
    "lstmranker-features-and-behaviours": Kind(
        "LSTMRanker",
        {"candidate": False, "read_behaviors": True},
        features=("price", "数量"),
        target_behaviors=("buy",),
    ),
    "sasrec-no-state": Kind("SASRec"),
    "lstm4rec-int8-and-encoder": Kind("LSTM4Rec", int8=True, encoder=True),
    "timelstm4rec-weights-apart": Kind("TimeLSTM4Rec", encoder=True, weights_apart=True),
    "lstmranker-transformed-features": Kind(
        "LSTMRanker",
        {"candidate": False},
        features=("price", "seconds", "amount"),
        transforms={
            "price": {"clip": "iqr", "log": True, "smooth": {"exponential": 0.3}},
            "seconds": {"scale": "robust", "smooth": {"median": 4}},
            "amount": {"clip": "mad", "scale": "minmax", "smooth": {"mean": 3}},
        },
        target_behaviors=("buy",),
    ),
    "lstm4rec-retired-items": Kind("LSTM4Rec", exclude_seen=False, top_k=40, retired=(2, 3, 17)),
}


def build(name: str) -> tuple[SequenceModel, Vocabulary]:
    """The model and the catalogue of one folder; the same at every call."""
    kind, position = KINDS[name], list(KINDS).index(name)
    tokens = [f"i{n}" for n in range(1, 41)]
    titles: list[str | None] | None = [f"Title {token}" for token in tokens]
    if name == "lstm4rec-awkward-ids":
        tokens, titles = list(AWKWARD), ["", None, *(f"The {token}" for token in AWKWARD[2:])]
    elif position % 2:
        titles = None
    torch.manual_seed(SEED + position)
    if kind.model == "SASRec":
        config = SASRecConfig(hidden_size=6, inner_size=8, n_layers=1, n_heads=2, max_length=kind.max_history)
        model: SequenceModel = SASRec(config, len(tokens) + 1)
    else:
        found = registry.load(kind.model)
        known = {key: value for key, value in SMALL.items() if key in found.Config.__dataclass_fields__}
        reads_behaviors = kind.model == "BehaviorLSTM4Rec" or "read_behaviors" in kind.options
        behaviors = ("view", "cart", "buy") if reads_behaviors else ()
        options = found.Config(**(known | dict(kind.options)))
        declared = {"transforms": transforms.read(kind.transforms, kind.features)} if kind.transforms else {}
        model = found(options, len(tokens) + 1, behaviors=behaviors, features=kind.features, **declared)
    if kind.features:
        values = np.random.default_rng(SEED).normal(3, 2, (100, len(kind.features)))
        model.fit_numbers(values.astype(np.float32))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.3)
    model.item_table.retire(kind.retired)
    return model.eval(), Vocabulary(tokens, titles)


def make(folder: Path, name: str) -> None:
    """Write one bundle, checked as `seqrec export` checks it."""
    kind = KINDS[name]
    model, vocabulary = build(name)
    write_bundle(
        folder / name,
        model,
        vocabulary,
        max_history=kind.max_history,
        exclude_seen=kind.exclude_seen,
        provenance=Provenance(kind.model, dict(kind.options), "synthetic", "0" * 64, 0, SEED, {}, {}),
        target_behaviors=kind.target_behaviors,
        top_k=kind.top_k,
        embeddings=kind.int8,
        encoder=kind.encoder,
        judge=judge if kind.int8 else None,
        most_drop=1.0,  # of a model that learned nothing
        **({"most_inside": 0} if kind.weights_apart else {}),
        seed=SEED,
        force=True,
    )


def judge(model: SequenceModel) -> tuple[float, int]:
    """NDCG@10 for random targets after one random item: what an untrained model has."""
    random = np.random.default_rng(SEED)
    items, targets = random.integers(1, model.n_items, (2, 50))
    found = ranks(model.score(torch.from_numpy(items[:, None])).numpy(), targets)
    return summarise(found)["NDCG@10"], len(targets)


def main() -> None:
    """Make all of them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.set_num_threads(1)
    for name in KINDS:
        make(folder, name)
        size = sum(file.stat().st_size for file in (folder / name).iterdir())
        print(f"{size / 1000:7.1f} kB  {name}")


if __name__ == "__main__":
    main()

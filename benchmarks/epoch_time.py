"""Seconds per training epoch on ml-100k: our models against RecBole's GRU4Rec with cross-entropy.

All width 64, hidden 128, one layer, history 50; a batch of 2,048 rows (theirs) against as many positions (ours), same
process, same threads, exactly ordered rows for all. Ours have no feed-forward part, as theirs has none, but where it
says so. LSTM4Rec is timed before and after theirs. "Unwatched" is theirs without autograd's anomaly detection, which
RecBole's SINE turns on for the whole process when RecBole imports its sequential models.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import dataclasses
import warnings

import torch
from recbole.trainer import Trainer

import seqrec_plugin
from seqrec_plugin import machine, registry
from seqrec_plugin.building import build
from seqrec_plugin.errors import SeqrecError
from seqrec_plugin.recbole_bridge.settings import resolve

warnings.filterwarnings("ignore")
assert seqrec_plugin

SHARED = {
    "dataset": "ml-100k",
    "embedding_size": 64,
    "hidden_size": 128,
    "num_layers": 1,
    "dropout_prob": 0.3,
    "train_batch_size": 2048,
    "MAX_ITEM_LIST_LENGTH": 50,
}
FIRST, THEIRS = "LSTM4Rec", "RecBole's GRU4Rec (CE)"


def prepare(model: str, folder: Path, **options: object) -> tuple[object, object]:
    """A trainer and its training data, made as `seqrec train` makes them."""
    from seqrec_plugin.checkpoint import RunFolder

    file = folder / f"{model}.yaml"
    values = {"model": model, **SHARED, **options}
    file.write_text(
        "\n".join(f"{key}: {str(value).lower() if value in (True, False) else value}" for key, value in values.items())
    )
    run = RunFolder.create(folder / f"{model}-{len(list(folder.iterdir()))}")
    trainer, _, parts = build(resolve(file), run)
    trainer.last_file = None
    return trainer, parts[0]


def prepare_ours(model: str, folder: Path, feed_forward: bool = False) -> tuple[object, object]:
    """One of ours, with or without the feed-forward part where it has one."""
    options = {f.name for f in dataclasses.fields(registry.load(model).Config)}
    chosen: dict[str, object] = {"feed_forward": feed_forward} if "feed_forward" in options else {}
    return prepare(model, folder, BEHAVIOR_FIELD="rating", **chosen)  # ml-100k has no other behaviours


def epoch(trainer: object, data: object, learn: Callable[..., object] | None = None) -> float:
    """Seconds of one epoch; `learn` is another trainer's way."""
    began = time.perf_counter()
    (learn or type(trainer)._train_epoch)(trainer, data, 0)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=registry.names(), help="which of ours (all)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--theirs", type=int, default=1, help="epochs of GRU4Rec (each takes about a minute)")
    arguments = parser.parse_args()
    for model in arguments.models:
        registry.target(model)  # an unknown name now, not after minutes
    torch.set_num_threads(arguments.threads)
    times: dict[str, list[float]] = {}
    problems: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = prepare_ours(FIRST, folder) if FIRST in arguments.models else None
        theirs = prepare("GRU4Rec", folder)
        if first:
            epoch(*first)  # warm
            times[FIRST] = [epoch(*first) for _ in range(3)]
            full = prepare_ours(FIRST, folder, feed_forward=True)
            times[f"{FIRST} with feed-forward"] = [epoch(*full) for _ in range(3)]
        for model in arguments.models:
            if model == FIRST:
                continue
            try:
                ours = prepare_ours(model, folder)
            except SeqrecError as error:  # ml-100k may lack what the model needs
                problems[model] = str(error)
                continue
            epoch(*ours)  # warm
            times[model] = [epoch(*ours) for _ in range(3)]
        # RecBole's own loop, under the anomaly detection that its SINE turns on for all; our trainers turn it off.
        assert torch.is_anomaly_enabled()
        times[THEIRS] = [epoch(*theirs, learn=Trainer._train_epoch) for _ in range(arguments.theirs)]
        times[f"{THEIRS}, unwatched"] = [epoch(*theirs) for _ in range(arguments.theirs)]
        if first:
            times[FIRST] += [epoch(*first) for _ in range(3)]
    print(machine.describe(arguments.threads))
    medians = {name: sorted(values)[len(values) // 2] for name, values in times.items()}
    for name, median in medians.items():
        low, high = min(times[name]), max(times[name])
        ratio = medians[THEIRS] / median
        print(f"{name:<28} {median:8.2f} s an epoch ({low:.2f} to {high:.2f}), {ratio:5.1f} × as fast as GRU4Rec")
    for name, problem in problems.items():
        print(f"{name:<28} not timed: {problem}")


if __name__ == "__main__":
    main()

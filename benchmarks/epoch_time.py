"""Seconds per training epoch on ml-100k: LSTM4Rec against RecBole's GRU4Rec with cross-entropy.

Both width 64, hidden 128, one layer, history 50; a batch of 2,048 rows (theirs) against as many positions (ours), same
process, same threads, exactly ordered rows for both. Ours is timed before and after theirs.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import warnings

import torch

import seqrec_plugin
from seqrec_plugin import machine
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.training import build

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


def epoch(trainer: object, data: object) -> float:
    """Seconds of one epoch."""
    began = time.perf_counter()
    trainer._train_epoch(data, 0)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--theirs", type=int, default=1, help="epochs of GRU4Rec (each takes about a minute)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = prepare("LSTM4Rec", folder, feed_forward=False)
        full = prepare("LSTM4Rec", folder, feed_forward=True)
        theirs = prepare("GRU4Rec", folder)
        epoch(*ours)  # warm
        times = {"LSTM4Rec": [epoch(*ours) for _ in range(3)]}
        times["LSTM4Rec with feed-forward"] = [epoch(*full) for _ in range(3)]
        times["RecBole's GRU4Rec (CE)"] = [epoch(*theirs) for _ in range(arguments.theirs)]
        times["LSTM4Rec"] += [epoch(*ours) for _ in range(3)]
    print(machine.describe(arguments.threads))
    medians = {name: sorted(values)[len(values) // 2] for name, values in times.items()}
    for name, median in medians.items():
        low, high = min(times[name]), max(times[name])
        ratio = medians["RecBole's GRU4Rec (CE)"] / median
        print(f"{name:<28} {median:8.2f} s an epoch ({low:.2f} to {high:.2f}), {ratio:5.1f} × as fast as GRU4Rec")


if __name__ == "__main__":
    main()

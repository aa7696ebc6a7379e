"""Training over large catalogues: how time and memory grow with items and with events.

    python benchmarks/large_catalogue.py [--cases 100000:1000000,1000000:1000000,…]

Each case, items:events, is a synthetic log (all items occur; the others by Zipf's law; half of a user's events
follow from the one before) and a process of its own: RecBole reads it, LSTM4Rec trains for one epoch as `seqrec
train` would, and 1,000 users are ranked against all items. The rest of the validation is not run: its time is that
of ranking, times the users.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from seqrec_plugin import machine

CASES = ((100_000, 1_000_000), (1_000_000, 1_000_000), (1_000_000, 3_000_000), (1_000_000, 10_000_000))
EVENTS_OF_A_USER = 20
RANKED = 1_000


def write_log(folder: Path, items: int, events: int, seed: int = 2026) -> None:
    """<folder>/zipf/zipf.inter; each item once, then by rank^-1; every second event is its predecessor's partner."""
    random = np.random.default_rng(seed)
    reach = np.cumsum(1 / np.arange(1, items + 1))
    drawn = np.searchsorted(reach, random.random(max(0, events - items)) * reach[-1])
    item = random.permutation(np.concatenate([np.arange(items), drawn]))[:events]
    partner = random.permutation(items)
    once = np.zeros(events, dtype=bool)  # these stay, so that all items occur
    once[np.unique(item, return_index=True)[1]] = True
    follows = ~once[1:] & (np.arange(events - 1) % 2 == 0) & (random.random(events - 1) < 0.5)
    item[1:][follows] = partner[item[:-1][follows]]
    user, order = np.divmod(np.arange(events), EVENTS_OF_A_USER)
    (folder / "zipf").mkdir(parents=True)
    with (folder / "zipf" / "zipf.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for start in range(0, events, 1_000_000):
            part = slice(start, start + 1_000_000)
            np.savetxt(file, np.stack([user[part], item[part], order[part]], axis=1), fmt="%d", delimiter="\t")


def measure(folder: Path) -> dict[str, float]:
    """Train one epoch on the log in `folder`, in this process."""
    from seqrec_plugin.building import build, contained
    from seqrec_plugin.checkpoint import RunFolder
    from seqrec_plugin.evaluating import set_threads
    from seqrec_plugin.recbole_bridge.settings import resolve

    recipe = folder / "recipe.yaml"
    recipe.write_text(
        "model: LSTM4Rec\nlearner: adamw\nweight_decay: 0.01\nitem_vectors: neighbours\nweight_average: 0.999\n"
    )
    resolved = resolve(recipe, ["MAX_ITEM_LIST_LENGTH=50", "train_batch_size=8192", "epochs=1"], folder / "zipf")
    set_threads(1)
    run = RunFolder.create(folder / "run")
    with contained(run):
        began = time.monotonic()
        trainer, dataset, parts = build(resolved, run)
        built = time.monotonic() - began
        began = time.monotonic()
        trainer.fit(parts[0], None, saved=False)
        whole = time.monotonic() - began
        ranking = trainer.time_validation(parts[1], RANKED) / len(parts[1].dataset) * RANKED
    targets, steps = trainer.work(parts[0])
    return {
        "items": dataset.item_num - 1,
        "events": len(dataset.sequences.items),
        "targets": targets,
        "steps": steps,
        "building": built,
        "before": whole - trainer.training_seconds,
        "epoch": trainer.training_seconds,
        "ranking": ranking,
        "peak": machine.peak_memory() / 2**30,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(f"{items}:{events}" for items, events in CASES))
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    print(f"{machine.processor()}, 1 thread, {machine.today()}\n")
    heads = (
        "items",
        "events",
        "steps",
        "s/epoch",
        "s/million events",
        "before the epoch, s",
        "ranking 1,000, s",
        "peak GiB",
    )
    print("| " + " | ".join(heads) + " |")
    print("| ---: " * 8 + "|", flush=True)
    for case in arguments.cases.split(","):
        items, events = map(int, case.split(":"))
        with tempfile.TemporaryDirectory() as folder:
            write_log(Path(folder), items, events)
            command = [sys.executable, __file__, "--measure", folder]
            r = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        counts = [f"{r[name]:,}" for name in ("items", "events", "steps")]
        seconds = (r["epoch"], r["epoch"] / r["events"] * 1e6, r["before"], r["ranking"])
        cells = [*counts, *(f"{value:.1f}" for value in seconds), f"{r['peak']:.2f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

"""What becomes of each trained run as a bundle: parity with torch, and the cost of one carried step.

`python benchmarks/family.py RUN …`, for instance over the runs of `seqrec benchmark`. Parity is over 1,000 histories of
the data, each alone, against torch. A step is one more event with the state carried; its cost is measured after 10, 100
and 1,000 events, in turn, so that a slow moment of the machine meets all three.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from seqrec_plugin import machine
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.columns import Row, draw
from seqrec_plugin.evaluating import load_model, run_torch, set_threads
from seqrec_plugin.exporting import export
from seqrec_plugin.runtime import Recommender

HISTORIES = 1000
LENGTHS = (10, 100, 1000)
STEPS = 400


def histories(run: RunFolder, names: tuple[str, ...]) -> list[Row]:
    """Histories before events drawn at random, as the model reads them."""
    split, found = run.split(), []
    starts = split.offsets[:-1]
    rows = np.random.default_rng(0).choice(np.setdiff1d(np.arange(len(split.items)), starts), HISTORIES, replace=False)
    for row in rows:
        start = split.offsets[np.searchsorted(split.offsets, row, side="right") - 1]
        part = slice(int(max(start, row - run.info.max_history)), int(row))
        found.append(Row(split.items[part], split.columns.row(names, part, split.wanted)))
    return found


def parity(run: RunFolder, recommender: Recommender) -> float:
    """The largest difference from torch, in what is answered, the user embedding and the state."""
    model, apart = load_model(run), 0.0
    choice = [[1]] if recommender.manifest.takes_candidates else [[]]
    for row in histories(run, model.columns):
        vectors, state = run_torch(model, [row])
        found = recommender.run([row], choice)
        pairs = [(found.user_embedding, vectors.numpy())]
        pairs += [(a, b.numpy()) for a, b in zip(found.state, state, strict=False)]
        if recommender.manifest.task == "next_item":
            scores = model.item_table.scores(vectors).detach().numpy()
            pairs.append((found.scores, np.take_along_axis(scores, found.items, axis=1)))
        apart = max(apart, *(float(np.abs(a - b).max()) for a, b in pairs))
    return apart


def step_costs(recommender: Recommender) -> list[float]:
    """Median microseconds of one carried step of the guarded graph, after as many events as `LENGTHS` says."""
    manifest, random = recommender.manifest, np.random.default_rng(0)
    choice = [[1]] if manifest.takes_candidates else [[]]

    def some(n: int) -> Row:
        sizes = len(manifest.behaviors), len(manifest.features)
        return Row(random.integers(1, manifest.n_items, n), draw(manifest.columns, n, random, *sizes))

    states = [recommender.run([some(n)], choice).state for n in LENGTHS]
    times: list[list[float]] = [[] for _ in LENGTHS]
    for _ in range(STEPS):
        event = some(1)
        for taken, state in zip(times, states, strict=True):
            began = time.perf_counter()
            recommender.run([event], choice, state)
            taken.append(time.perf_counter() - began)
    return [1e6 * float(np.median(taken)) for taken in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    arguments = parser.parse_args()
    set_threads(1)
    print(machine.describe(1))
    print(f"parity over {HISTORIES:,} histories each; one carried step, median of {STEPS}, in µs")
    heads = "".join(f"{f'after {n:,}':>13}" for n in LENGTHS)
    print(f"{'model':<20}{'parity':>10}{heads}{'MB':>8}")
    for path in arguments.runs:
        run = RunFolder.open(path)
        with tempfile.TemporaryDirectory() as folder:
            export(path, Path(folder) / "bundle", report=lambda check: None)
            recommender = Recommender.load(Path(folder) / "bundle")
            size = (Path(folder) / "bundle" / "model.onnx").stat().st_size / 1e6
            costs = step_costs(recommender) if recommender.manifest.state else []
            shown = "".join(f"{cost:>13.0f}" for cost in costs) or f"{'no state':>39}"
            print(f"{run.info.model:<20}{parity(run, recommender):>10.1e}{shown}{size:>8.2f}", flush=True)


if __name__ == "__main__":
    main()

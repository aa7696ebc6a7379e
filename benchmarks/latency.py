"""One recommendation for one user, history of 50, top 10: onnxruntime against the torch model, and one carried step."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from seqrec_plugin import machine
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.evaluating import load_model
from seqrec_plugin.runtime import Recommender


def measure(work: Callable[[int], object], times: int) -> tuple[float, float]:
    """p50 and p99 in microseconds, after a warm-up."""
    for i in range(100):
        work(i)
    taken = []
    for i in range(times):
        began = time.perf_counter_ns()
        work(i)
        taken.append((time.perf_counter_ns() - began) / 1000)
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--times", type=int, default=3000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recommender = Recommender.load(arguments.bundle)
    model = load_model(RunFolder.open(arguments.run))
    random = np.random.default_rng(0)
    histories = random.integers(1, model.n_items, size=(256, 1, 50))
    tokens = [[recommender.vocabulary.token(i) for i in h[0]] for h in histories]
    state = recommender.run_arrays(histories[0], choice=histories[0]).state
    run = recommender.run_arrays

    def in_torch(i: int) -> object:
        history = torch.from_numpy(histories[i % 256])
        scores = model.score(history)
        scores.scatter_(1, history, -torch.inf)
        return torch.topk(scores, 10)

    sessions = [recommender.session(t) for t in tokens[:8]]
    rows = {
        "onnxruntime, from ids to an answer": lambda i: recommender.recommend(tokens[i % 256], k=10),
        "onnxruntime, the graph alone": lambda i: run(histories[i % 256], choice=histories[i % 256]),
        "torch, the model and topk": in_torch,
        "carried step, from id to an answer": lambda i: sessions[i % 8].push([tokens[i % 256][0]], k=10),
        "carried step, the graph alone": lambda i: run(histories[i % 256, :, :1], choice=histories[0], state=state),
    }
    print(machine.describe(1))
    for name, work in rows.items():
        p50, p99 = measure(work, arguments.times)
        print(f"{name:<38} p50 {p50:8.0f} µs   p99 {p99:8.0f} µs")


if __name__ == "__main__":
    main()

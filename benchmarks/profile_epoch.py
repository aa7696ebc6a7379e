"""Where the time of an epoch goes: training and validation of a recipe, by what torch and Python do.

    python benchmarks/profile_epoch.py lstm_beauty --data data/amazon-beauty

One epoch warms up, the second is profiled by torch.profiler on one thread, where times add up. What is not in an
operator of torch is Python, numpy and RecBole. The profiler itself costs some per cent: compare shares, and take
seconds from `curve.jsonl`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from seqrec_plugin import machine

#: What an operator's name contains → what it is called here; the first that fits counts.
KINDS = {
    "optimizer": ("adam", "foreach", "lerp"),
    "LSTM": ("lstm", "mkldnn_rnn"),
    "matrix products": ("mm", "linear", "bmm", "matmul"),
    "softmax and loss": ("softmax", "nll", "logsumexp", "exp", "amax"),
    "embedding": ("embedding", "index", "gather", "scatter"),
    "top k, sorting": ("topk", "sort"),
    "dropout, norms, GELU, sums": ("norm", "gelu", "mul", "add", "sub", "div", "sum", "bernoulli", "where", "copy"),
}


def kind(operator: str) -> str:
    """The row of the table that an operator counts in."""
    return next((name for name, parts in KINDS.items() if any(p in operator for p in parts)), "other operators")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    from torch.profiler import ProfilerActivity, profile

    from seqrec_plugin.building import build, contained
    from seqrec_plugin.checkpoint import RunFolder
    from seqrec_plugin.cli import shipped
    from seqrec_plugin.evaluating import set_threads
    from seqrec_plugin.recbole_bridge.settings import resolve

    resolved = resolve(shipped.find(arguments.config), arguments.overrides, arguments.data)
    set_threads(1)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run")
        with contained(run):
            trainer, _, parts = build(resolved, run)
            trainer.last_file = None
            works = {
                "training": lambda epoch: trainer._train_epoch(parts[0], epoch),
                "validation": lambda _: trainer._valid_epoch(parts[1]),
            }
            for epoch in (0, 1):
                for name, work in works.items():
                    began = time.perf_counter()
                    if epoch == 0:
                        work(0)
                        continue
                    with profile(activities=[ProfilerActivity.CPU]) as profiler:
                        work(1)
                    whole = time.perf_counter() - began
                    row: dict[str, float] = {}
                    for event in profiler.key_averages():
                        row[kind(event.key.lower())] = (
                            row.get(kind(event.key.lower()), 0.0) + event.self_cpu_time_total / 1e6
                        )
                    row["Python, numpy, RecBole"] = max(0.0, whole - sum(row.values()))
                    found[name] = row
    print(f"{resolved.model} on {resolved.dataset}; {machine.processor()}, 1 thread, {machine.today()}\n")
    print("| what | training, s | share | validation, s | share |")
    print("| --- | ---: | ---: | ---: | ---: |")
    totals = {name: sum(row.values()) for name, row in found.items()}
    for name in (*KINDS, "other operators", "Python, numpy, RecBole"):
        cells = [
            f"{found[part].get(name, 0.0):.2f} | {found[part].get(name, 0.0) / totals[part]:.0%}" for part in found
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"| all | {totals['training']:.2f} | | {totals['validation']:.2f} | |")


if __name__ == "__main__":
    main()

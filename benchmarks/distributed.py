"""One process against two on ml-100k: validation NDCG@10 and seconds of training an epoch.

Each run is `seqrec train` with the shipped recipe, cut to a few epochs; two processes are torchrun's, on this machine's
CPU (gloo), each with as many threads as the one has. The runs take turns, seed by seed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from seqrec_plugin import machine
from seqrec_plugin.checkpoint import RunFolder


def train(processes: int, seed: int, epochs: int, threads: int, output: Path) -> RunFolder:
    command = [sys.executable, "-m"]
    if processes > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command += ["seqrec_plugin.cli", "train", "lstm_ml100k", "-o", str(output)]
    for setting in (f"seed={seed}", f"epochs={epochs}", f"threads={threads}"):
        command += ["--set", setting]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return RunFolder.open(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2026, 2027, 2028])
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    arguments = parser.parse_args()
    scores: dict[int, list[float]] = {1: [], 2: []}
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            for processes in (1, 2):
                output = Path(folder) / f"{processes}-{seed}"
                run = train(processes, seed, arguments.epochs, arguments.threads, output)
                scores[processes].append(run.metrics()["valid"]["masked"]["NDCG@10"])
                seconds[processes] += [record["training_seconds"] for record in run.curve()]
    print(f"{machine.describe(arguments.threads)}; {arguments.epochs} epochs")
    print("| processes | valid NDCG@10, by seed | mean | s/epoch, median |")
    print("| ---: | --- | ---: | ---: |")
    for processes in (1, 2):
        found = scores[processes]
        each = ", ".join(f"{score:.4f}" for score in found)
        print(f"| {processes} | {each} | {statistics.mean(found):.4f} | {statistics.median(seconds[processes]):.2f} |")


if __name__ == "__main__":
    main()

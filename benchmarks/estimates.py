"""How near `seqrec train`'s estimate comes: time of an epoch and peak of memory, told beforehand and measured.

Each recipe is trained for two epochs of ml-100k in a process of its own, which tells its estimate as it goes.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from seqrec_plugin import machine

RECIPES = {
    "LSTM4Rec": ["lstm_ml100k"],
    "LSTM4Rec, width 128, steps of 16,384": [
        *("lstm_ml100k", "hidden_size=128", "embedding_size=128", "train_batch_size=16384")
    ],
    "GRU4RecTied": ["lstm_ml100k", "model=GRU4RecTied"],
    "TimeLSTM4Rec": ["lstm_ml100k", "model=TimeLSTM4Rec"],
    "LSTMRanker": ["ranker_ml100k"],
}
UNITS = {"s": 1, "min": 60, "MB": 1, "GB": 1000}


def number(text: str, before: str) -> float:
    """The number with its unit that stands after some words."""
    value, unit = re.search(rf"{re.escape(before)} ([\d.]+) (\w+)", text).groups()
    return float(value) * UNITS[unit]


def main() -> None:
    """Print what was told and what came."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(machine.describe(1))
    print(f"{'':<38}{'s/epoch told':>14}{'measured':>10}{'memory told':>14}{'measured':>10}")
    for name, (recipe, *options) in RECIPES.items():
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            command = [sys.executable, "-m", "seqrec_plugin.cli", "train", recipe, "-o", str(run)]
            for option in [*options, "epochs=2"]:
                command += ["--set", option]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
            curve = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
            info = json.loads((run / "run.json").read_text())
        seconds = sum(c["training_seconds"] + c["validation_seconds"] for c in curve) / len(curve)
        told, memory = number(said, "Time: some"), number(said, "Memory: some")
        print(f"{name:<38}{told:>14.2f}{seconds:>10.2f}{memory:>11.0f} MB{info['peak_memory'] / 1e6:>7.0f} MB")


if __name__ == "__main__":
    main()

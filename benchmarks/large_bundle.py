"""A bundle of more than 2 GiB: written with its weights in a second file, verified, and asked by each client.

`python benchmarks/large_bundle.py [--items 600000] [--width 1024]`: an untrained model; 12 GB of memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from seqrec_plugin import machine
from seqrec_plugin.exporting import write_bundle
from seqrec_plugin.manifest import Provenance
from seqrec_plugin.models.lstm4rec import LSTM4Rec, LSTM4RecConfig
from seqrec_plugin.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = [ROOT / "export/conformance/seqrec_plugin", *sorted((ROOT / "export/clients").glob("*/run.sh"))]
ASKED = [{"call": "load"}, {"call": "recommend", "question": {"history": ["i7", "i500000"], "k": 3}}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=600_000)
    parser.add_argument("--width", type=int, default=1024)
    arguments = parser.parse_args()
    print(machine.describe(1))
    torch.manual_seed(2026)
    config = LSTM4RecConfig(embedding_size=arguments.width, num_layers=1, feed_forward=False)
    model = LSTM4Rec(config, n_items=arguments.items + 1).eval()
    vocabulary = Vocabulary([f"i{n}" for n in range(1, arguments.items + 1)])
    provenance = Provenance("LSTM4Rec", {}, "synthetic", "0" * 64, 0, 2026, {}, {})
    with tempfile.TemporaryDirectory() as folder:
        bundle, began = Path(folder) / "bundle", time.monotonic()
        write_bundle(bundle, model, vocabulary, max_history=10, exclude_seen=True, provenance=provenance, encoder=True)
        sizes = {file.name: file.stat().st_size for file in sorted(bundle.iterdir())}
        print(f"written and verified in {time.monotonic() - began:.0f} s: {sizes}", flush=True)
        del model
        lines = "".join(json.dumps(request) + "\n" for request in ASKED)
        for client in CLIENTS:
            script = client if client.name == "run.sh" else client / "run.sh"
            command = ["sh", str(script), str(bundle)]
            done = subprocess.run(
                command, input=lines, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable}
            )
            print(
                f"{script.parent.name}: {done.stdout.splitlines()[-1] if done.stdout else done.stderr[-300:]}",
                flush=True,
            )


if __name__ == "__main__":
    main()

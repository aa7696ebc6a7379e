"""One query over a large catalogue: the graph in fp32 and in int8, beside a bare product of numpy and of torch.

`python benchmarks/catalogue.py [--items 1000000] [--width 64]`: each in a process of its own, one thread. The graph
answers one more event with its state carried, and so does more than the others: the recurrence, the exclusion of what
was seen, and the best hundred. The bare products pick the best hundred too. Memory is what the process holds with the
model loaded and a query answered, less what the same process held before it loaded the model.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from seqrec_plugin import machine

K = 100
#: What is asked, and whether onnxruntime packs the weights: the runtime lets it do so for int8 only.
KINDS = {
    "model.onnx": False,
    "model_int8.onnx": True,
    "model.onnx, weights packed": True,
    "model_int8.onnx, not packed": False,
    "numpy": False,
    "torch": False,
}


def write(folder: Path, items: int, width: int) -> None:
    """Both graphs of an untrained model, and its table."""
    import torch

    from seqrec_plugin.emitting import item_embeddings, model_bytes
    from seqrec_plugin.exporting import round_table
    from seqrec_plugin.models.lstm4rec import LSTM4Rec, LSTM4RecConfig

    torch.manual_seed(2026)
    model = LSTM4Rec(LSTM4RecConfig(embedding_size=width), n_items=items + 1).eval()
    (folder / "model.onnx").write_bytes(model_bytes(model, K)[0])
    (folder / "model_int8.onnx").write_bytes(model_bytes(round_table(model), K)[0])
    (folder / "numpy").write_bytes(item_embeddings(model))


def resident() -> float:
    """MB of this process in memory."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize() / 1e6


def measure(folder: Path, kind: str, repeat: int) -> None:
    """Print one row."""
    random = np.random.default_rng(0)
    name = kind.partition(",")[0]
    if name.endswith(".onnx"):
        import onnxruntime

        before = resident()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
        if not KINDS[kind]:
            options.add_session_config_entry("session.disable_prepacking", "1")
        session = onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
        feeds = {"item_seq": np.array([[7]]), "exclude": random.integers(1, 1000, (1, 50))}
        for node in session.get_inputs()[2:]:
            feeds[node.name] = random.normal(0, 0.1, (1, node.shape[1])).astype(np.float32)

        def ask() -> None:
            session.run(None, feeds)

        size = (folder / name).stat().st_size / 1e6
    else:
        if kind == "torch":
            import torch

            torch.set_num_threads(1)
        before = resident()
        table = np.load(folder / "numpy")
        user = random.normal(0, 1, table.shape[1]).astype(np.float32)
        if kind == "torch":
            weights, vector = torch.from_numpy(table), torch.from_numpy(user)

        def ask() -> None:
            if kind == "torch":
                torch.topk(weights @ vector, K)
            else:
                scores = table @ user
                best = np.argpartition(scores, -K)[-K:]
                best[np.argsort(-scores[best])]

        size = table.nbytes / 1e6
    took = []
    for _ in range(repeat + 5):
        began = time.perf_counter()
        ask()
        took.append(1e3 * (time.perf_counter() - began))
    p50, p99 = np.percentile(took[5:], (50, 99))
    print(f"| {kind} | {size:.0f} | {p50:.1f} | {p99:.1f} | {resident() - before:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "KIND"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(Path(arguments.one[0]), arguments.one[1], arguments.repeat)
        return
    print(f"{machine.describe(1)}; {arguments.items:,} items × {arguments.width}, one query, the best {K}\n")
    print("| what | file, MB | p50, ms | p99, ms | memory, MB |\n| --- | ---: | ---: | ---: | ---: |", flush=True)
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), arguments.items, arguments.width)
        for kind in KINDS:
            command = [sys.executable, __file__, "--repeat", str(arguments.repeat), "--one", folder, kind]
            subprocess.run(command, check=True, env={**os.environ, **one_thread})


if __name__ == "__main__":
    main()

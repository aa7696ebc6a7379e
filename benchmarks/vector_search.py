"""A bundle's item embeddings in a vector index: how much of the exact top 10 it finds, and how long each takes.

`pip install faiss-cpu`, then `python benchmarks/vector_search.py BUNDLE RUN` over a bundle that was exported with
`--encoder --embeddings`: the histories are real ones of its run, the index is an HNSW graph over inner products.
"""

import argparse
import io
import time
from pathlib import Path

import faiss
import numpy as np

from seqrec_plugin import bundle as bundles
from seqrec_plugin import machine
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.encoder import Encoder
from seqrec_plugin.manifest import EMBEDDINGS_FILE

K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("run", type=Path)
    arguments = parser.parse_args()
    found = bundles.read(arguments.bundle)
    table = np.load(io.BytesIO(found.contents[EMBEDDINGS_FILE]), allow_pickle=False)
    encoder = Encoder(found)
    rows = [row for row in RunFolder.open(arguments.run).probe() if len(row.items)]
    limit = found.manifest.max_history
    users = np.concatenate([encoder.run([row.part(max(0, len(row.items) - limit))]).user_embedding for row in rows])
    users = np.concatenate([users, np.ones((len(users), 1), np.float32)], axis=1)

    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(table.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = 64
    index.add(table)  # row i is the bundle's index i + 1
    exact_times, times, hits = [], [], 0
    for user in users:
        began = time.perf_counter()
        scores = table @ user
        best = np.argpartition(-scores, K)[:K]
        between = time.perf_counter()
        nearest = index.search(user[None], K)[1][0]
        times.append(time.perf_counter() - between)
        exact_times.append(between - began)
        hits += len(set(best.tolist()) & set(nearest.tolist()))
    print(machine.describe(1))
    print(f"{len(table):,} items × {table.shape[1]}, {len(users)} users, top {K}")
    print(f"recall against exact {hits / (K * len(users)):.4f}")
    print(f"one search: index p50 {1e6 * np.median(times):.0f} µs, numpy p50 {1e6 * np.median(exact_times):.0f} µs")


if __name__ == "__main__":
    main()

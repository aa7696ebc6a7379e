"""Runs of a benchmark, combined seed by seed (`seqrec combine`), beside the runs that each is made of.

    python benchmarks/combined.py runs/benchmark_beauty GRU4RecTied+LSTM4Rec GRU4RecTied+LSTM4Rec+LRU4Rec

The folder is what `seqrec benchmark` wrote: LABEL/seed-N. Only seeds that all named models have count.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
from pathlib import Path

from seqrec_plugin import machine
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.combining import combine


def seeds(folder: Path, label: str) -> set[int]:
    """The seeds of a model's finished runs."""
    found = (re.fullmatch(r"seed-(\d+)", path.name) for path in (folder / label).glob("seed-*"))
    return {int(name[1]) for name in found if name and RunFolder(folder / label / name[0]).finished}


def row(name: str, runs: list[RunFolder]) -> str:
    """A line of the table."""
    cells = []
    for part in ("valid", "test"):
        for metric in ("NDCG@10", "HR@10"):
            values = [run.metrics()[part]["masked"][metric] for run in runs]
            spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.4f}{spread}")
    return f"| {name} | {' | '.join(cells)} | {runs[0].info.parameters:,} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("combinations", nargs="+", metavar="LABEL+LABEL")
    arguments = parser.parse_args()
    combinations = [name.split("+") for name in arguments.combinations]
    labels = list(dict.fromkeys(label for labels in combinations for label in labels))
    common = sorted(set.intersection(*(seeds(arguments.folder, label) for label in labels)))
    if not common:
        parser.error(f"{arguments.folder} has no seed of which all of {', '.join(labels)} are finished.")
    print(f"{machine.describe()}; seeds {', '.join(map(str, common))}; masked\n")
    print("| model | validation NDCG@10 | validation HR@10 | test NDCG@10 | test HR@10 | parameters |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for label in labels:
        print(row(label, [RunFolder.open(arguments.folder / label / f"seed-{seed}") for seed in common]))
    with tempfile.TemporaryDirectory() as made:
        for parts in combinations:
            runs = []
            for seed in common:
                found = [RunFolder.open(arguments.folder / label / f"seed-{seed}") for label in parts]
                runs.append(combine(found, Path(made) / f"{'+'.join(parts)}-{seed}"))
            print(row(" + ".join(parts), runs), flush=True)


if __name__ == "__main__":
    main()

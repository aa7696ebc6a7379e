"""Runs of a benchmark, combined seed by seed (`seqrec combine`), beside the runs that each is made of.

    python benchmarks/combined.py runs/benchmark_beauty GRU4RecTied+LSTM4Rec GRU4RecTied+LSTM4Rec+LRU4Rec

The folder is what `seqrec benchmark` wrote (its `-o`): LABEL/seed-N. Only seeds that all named models have count. With
`--together` the runs of all seeds are one instead; there is one such run of a name, and so no spread.
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
    parser.add_argument("--together", action="store_true", help="all seeds of the named models as one run")
    arguments = parser.parse_args()
    combinations = [name.split("+") for name in arguments.combinations]
    labels = list(dict.fromkeys(label for labels in combinations for label in labels))
    found = {label: sorted(seeds(arguments.folder, label)) for label in labels}
    common = sorted(set.intersection(*map(set, found.values())))
    if not common:
        parser.error(f"{arguments.folder} has no seed of which all of {', '.join(labels)} are finished.")

    def runs_of(label: str, wanted: list[int]) -> list[RunFolder]:
        return [RunFolder.open(arguments.folder / label / f"seed-{seed}") for seed in wanted]

    counted = "all" if arguments.together else ", ".join(map(str, common))
    print(f"{machine.describe()}; seeds {counted}; masked\n")
    print("| model | validation NDCG@10 | validation HR@10 | test NDCG@10 | test HR@10 | parameters |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for label in labels:
        print(row(label, runs_of(label, found[label] if arguments.together else common)), flush=True)
    with tempfile.TemporaryDirectory() as made:
        for parts in combinations:
            if arguments.together:
                name = " + ".join(f"{len(found[label])} {label}" for label in parts)
                groups = [[run for label in parts for run in runs_of(label, found[label])]]
            else:
                name = " + ".join(parts)
                groups = [[run for label in parts for run in runs_of(label, [seed])] for seed in common]
            runs = [combine(group, Path(made) / f"{name}-{i}") for i, group in enumerate(groups)]
            print(row(name, runs), flush=True)


if __name__ == "__main__":
    main()

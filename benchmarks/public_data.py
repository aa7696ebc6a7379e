"""Two public data sets as RecBole files, event for event those of the tables that papers print.

    python benchmarks/public_data.py beauty Beauty.txt -o data
    python benchmarks/public_data.py ml-1m ratings.dat -o data

`Beauty.txt` is in the repository of S3-Rec (github.com/RUCAIBox/CIKM2020-S3Rec, folder data): a user a line, the
items in order of time. `ratings.dat` is in MovieLens' ml-1m.zip (grouplens.org/datasets/movielens/1m); as in
LRURec's tables, items with fewer than five ratings are left out, and ratings of one second stand in ascending item
id. The time that is written is the position in the user's own history. What comes out is held against its known
sha256: another file gives other figures.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

KNOWN = {
    "amazon-beauty": "9d25e332124c5e9df225ec34f2f855047318fe9580d98edbf19172b934b86c80",
    "ml-1m": "bb0e7814383da36146e9dbcaf04419ec22bfb09e65556aaccb878ceea2081056",
}


def beauty(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Users with their items, in order of time."""
    for line in source.read_text(encoding="utf-8").splitlines():
        user, *items = line.split()
        yield user, items


def movielens(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Users with their items, by second and item id, without items of fewer than five ratings."""
    rows = [line.split("::") for line in source.read_text(encoding="latin-1").splitlines()]
    often = Counter(item for _, item, _, _ in rows)
    of_user: dict[str, list[tuple[int, int]]] = {}
    for user, item, _, second in rows:
        if often[item] >= 5:
            of_user.setdefault(user, []).append((int(second), int(item)))
    for user, events in of_user.items():
        yield user, [str(item) for _, item in sorted(events)]


def main() -> None:
    """Write <output>/<name>/<name>.inter, beside and renamed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("beauty", "ml-1m"))
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    name, users = {"beauty": ("amazon-beauty", beauty), "ml-1m": ("ml-1m", movielens)}[arguments.which]
    lines = ["user_id:token\titem_id:token\ttimestamp:float\n"]
    for user, items in users(arguments.source):
        lines += [f"{user}\t{item}\t{position}\n" for position, item in enumerate(items, start=1)]
    content = "".join(lines).encode()
    folder = arguments.output / name
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{name}.inter.part"
    beside.write_bytes(content)
    os.replace(beside, folder / f"{name}.inter")
    same = hashlib.sha256(content).hexdigest() == KNOWN[name]
    print(f"{folder / name}.inter: {len(lines) - 1:,} events, {'the' if same else 'NOT the'} file of the tables")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

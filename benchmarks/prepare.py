"""`seqrec prepare` on synthetic events: rows a second and peak memory, beside pandas doing the same steps.

`python benchmarks/prepare.py [--rows 1000000 10000000] [--pandas-up-to 10000000] [--memory 4GB]`: a CSV of user, item,
time, behaviour and price (Zipf items; one row in a thousand is sent twice, one in a thousand has a field too few), then
each side in a process of its own: read, set bad rows aside, keep times from 2020 on, drop duplicates, 5-core to the
fixed point, order each user's events, write the `.inter` file. `seqrec prepare` writes its report besides.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from seqrec_plugin import machine

RECIPE = "times: {after: 2020-01-01}\nduplicates: true\nk_core: {user: 5, item: 5}\n"
BEHAVIORS = np.array(["view", "cart", "buy"])
BLOCK = 1_000_000


def make(path: Path, rows: int) -> None:
    """The events, by time, a block at a time."""
    random = np.random.default_rng(2026)
    users, items = max(1000, rows // 50), max(1000, min(1_000_000, rows // 100))
    with path.open("w", encoding="utf-8") as stream:
        stream.write("user,item,time,behavior,price\n")
        for begin in range(0, rows, BLOCK):
            n = min(BLOCK, rows - begin)
            user = random.integers(0, users, n)
            item = np.minimum(random.zipf(1.2, n) - 1, items - 1) * 7919 % items
            when = 1_600_000_000 + np.sort(random.integers(0, 1000, n)) + begin // 1000
            behavior = BEHAVIORS[np.minimum(random.geometric(0.7, n) - 1, 2)]
            price = (item * 37 % 10000) / 100
            lines = [f"u{u},i{i},{t},{b},{p}" for u, i, t, b, p in zip(user, item, when, behavior, price, strict=True)]
            for at in random.integers(0, n, n // 1000):
                lines[at] = lines[at - 1]
            for at in random.integers(0, n, n // 1000):
                lines[at] = lines[at].rpartition(",")[0]
            stream.write("\n".join(lines) + "\n")


def in_pandas(source: Path, output: Path) -> None:
    """The same steps as people write them."""
    import pandas as pd

    frame = pd.read_csv(source, dtype={"user": str, "item": str}, on_bad_lines="skip")
    frame = frame.dropna()  # a row that is too short comes with NaN at its end
    frame["time"] = frame["time"].astype("int64")
    frame = frame[frame["time"] >= 1_577_836_800].drop_duplicates()
    while True:
        users, items = frame["user"].value_counts(), frame["item"].value_counts()
        keep = frame["user"].map(users).ge(5) & frame["item"].map(items).ge(5)
        if keep.all():
            break
        frame = frame[keep]
    frame = frame.sort_values(["user", "time"], kind="stable")
    frame["order"] = frame.groupby("user").cumcount() + 1
    columns = ["user", "item", "order", "time", "behavior", "price"]
    header = ["user_id:token", "item_id:token", "order:float", "timestamp:float", "behavior:token", "price:float"]
    frame.to_csv(output, sep="\t", index=False, columns=columns, header=header)


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory, GB, of a command."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed:\n{told}")
    scale = 1 if sys.platform == "darwin" else 1024
    return time.monotonic() - began, usage.ru_maxrss * scale / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--pandas-up-to", type=int, default=10_000_000)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--folder", type=Path, help="where the files go, and stay; by default a temporary one")
    parser.add_argument("--pandas", nargs=2, type=Path, metavar=("CSV", "INTER"), help=argparse.SUPPRESS)
    parser.add_argument("--check", nargs=2, type=Path, metavar=("OURS", "THEIRS"), help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=2, metavar=("CSV", "ROWS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.check:
        check(*arguments.check)
        return
    if arguments.make:
        make(Path(arguments.make[0]), int(arguments.make[1]))
        return
    if arguments.pandas:
        in_pandas(*arguments.pandas)
        return
    print(f"{machine.describe(2)}; seqrec prepare --memory {arguments.memory}\n")
    print(
        "| rows | CSV, MB | side | s | rows/s | peak memory, GB |\n| ---: | ---: | --- | ---: | ---: | ---: |",
        flush=True,
    )
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        (folder / "recipe.yaml").write_text(RECIPE)
        for rows in arguments.rows:
            source = folder / f"{rows}.csv"
            # In another process: what this one held would count as the memory of those that it starts.
            subprocess.run([sys.executable, __file__, "--make", str(source), str(rows)], check=True)
            size = source.stat().st_size / 1e6
            seqrec = [
                sys.executable,
                "-m",
                "seqrec_plugin.cli",
                "prepare",
                str(source),
                "-o",
                str(folder / f"ours{rows}"),
            ]
            sides = {"seqrec prepare": [*seqrec, "--recipe", str(folder / "recipe.yaml"), "--memory", arguments.memory]}
            if rows <= arguments.pandas_up_to:
                sides["pandas"] = [
                    sys.executable,
                    __file__,
                    "--pandas",
                    str(source),
                    str(folder / f"pandas{rows}.inter"),
                ]
            for side, command in sides.items():
                seconds, memory = measured(command)
                print(
                    f"| {rows:,} | {size:.0f} | {side} | {seconds:.1f} | {rows / seconds:,.0f} | {memory:.2f} |",
                    flush=True,
                )
            if rows <= arguments.pandas_up_to:
                files = [str(folder / f"ours{rows}/ours{rows}.inter"), str(folder / f"pandas{rows}.inter")]
                subprocess.run([sys.executable, __file__, "--check", *files], check=True)
            source.unlink()


def check(ours: Path, theirs: Path) -> None:
    """Both must have kept the same events, or the figures compare different work."""

    def lines(path: Path) -> list[str]:
        with path.open(encoding="utf-8") as stream:
            next(stream)
            return sorted("\t".join(line.split("\t")[:4]) for line in stream)

    assert lines(ours) == lines(theirs), "the two sides kept different events"


if __name__ == "__main__":
    main()

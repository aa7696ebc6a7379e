"""ml-100k, leave-one-out, full ranking, exactly ordered events: LSTM4Rec beside RecBole's models and popularity.

Each run is a `seqrec train` of its own; what is done is not run again. The best epoch is chosen by masked validation
NDCG@10; test is measured once for it. RecBole's models get its default sizes and at most `--epochs` epochs, which the
table states.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import machine
import numpy as np

from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.evaluating import rank_targets, summarise_ranks

CONFIG = Path(__file__).parents[1] / "configs" / "lstm_ml100k.yaml"
#: RecBole's own defaults, on the same data, history, split and seeds.
BASELINE = "model: {model}\ndataset: ml-100k\nepochs: {epochs}\nMAX_ITEM_LIST_LENGTH: 50\nseed: {seed}\n"


def train(name: str, config: Path, runs: Path, *overrides: str) -> RunFolder:
    """Train, or take what is there."""
    path = runs / name
    if not (path / "run.json").exists():
        command = [sys.executable, "-m", "seqrec_plugin.cli", "train", str(config), "-o", str(path)]
        command += [part for override in overrides for part in ("--set", override)]
        subprocess.run([*command, *(["--resume"] if path.exists() else [])], check=True, stdout=subprocess.DEVNULL)
    return RunFolder.open(path)


def popularity(run: RunFolder) -> dict[str, dict[str, float]]:
    """Every user gets the items that most training events have."""
    split = run.split()
    ends = split.offsets[1:]
    held_out = np.concatenate([split.valid, split.test])
    counts = np.bincount(np.delete(split.items, held_out), minlength=run.info.n_items).astype(np.float32)
    assert len(ends)

    def score(item_seq: np.ndarray) -> np.ndarray:
        return np.repeat(counts[None], len(item_seq), axis=0)

    return summarise_ranks(rank_targets(score, split, split.test, run.info.max_history))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/quality"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[2026, 2027, 2028])
    parser.add_argument("--baselines", nargs="*", default=["GRU4Rec", "SASRec"])
    parser.add_argument("--epochs", type=int, default=10, help="most epochs of a RecBole model")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)

    rows = []
    ours = [train(f"LSTM4Rec-{s}", CONFIG, arguments.runs, f"seed={s}") for s in arguments.seeds]
    rows += [(f"LSTM4Rec, seed {run.info.seed}", run.metrics()["test"], run.info.seconds, "") for run in ours]
    for model in arguments.baselines:
        config = arguments.runs / f"{model}.yaml"
        config.write_text(BASELINE.format(model=model, epochs=arguments.epochs, seed=arguments.seeds[0]))
        run = train(f"{model}-{arguments.seeds[0]}", config, arguments.runs)
        note = f"cut at {arguments.epochs} epochs" if len(run.curve()) == arguments.epochs else "stopped early"
        rows.append((f"RecBole's {model}", run.metrics()["test"], run.info.seconds, note))
    rows.append(("popularity", popularity(ours[0]), 0.0, ""))

    print(machine.describe(ours[0].info.threads))
    print(f"{'':<24}{'HR@10':>9}{'NDCG@10':>9}{'unmasked':>11}{'':>9}{'seconds':>9}")
    for name, test, seconds, note in rows:
        masked, unmasked = test["masked"], test["unmasked"]
        print(
            f"{name:<24}{masked['HR@10']:>9.4f}{masked['NDCG@10']:>9.4f}"
            f"{unmasked['HR@10']:>11.4f}{unmasked['NDCG@10']:>9.4f}{seconds:>9.0f}  {note}"
        )
    values = np.array([run.metrics()["test"]["masked"]["NDCG@10"] for run in ours])
    print(f"LSTM4Rec, {len(values)} seeds: NDCG@10 masked {values.mean():.4f} ± {values.std(ddof=1):.4f}")
    (arguments.runs / "quality.json").write_text(json.dumps([(n, t, s, note) for n, t, s, note in rows], indent=2))


if __name__ == "__main__":
    main()

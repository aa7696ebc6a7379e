"""Does onnxruntime give what torch gives? A written bundle against its model, through the real runtime."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from seqrec_plugin import ranking
from seqrec_plugin.columns import FEATURES, NO_GAP, TIME_GAP, Row, draw
from seqrec_plugin.errors import Failed
from seqrec_plugin.evaluating import run_torch
from seqrec_plugin.manifest import Parity
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.verifying import Check

#: How far onnxruntime may be from torch, absolute and relative to torch's value.
TOLERANCE = 1e-5

Report = Callable[[Check], None]
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def newest(row: Row, max_history: int) -> Row:
    """A real history cut as serving cuts it: the first event that is left has no gap before it."""
    if len(row.items) <= max_history:
        return row
    cut = row.part(len(row.items) - max_history)
    if TIME_GAP in cut.columns:
        cut.columns[TIME_GAP][0] = NO_GAP
    return cut


def random_histories(model: SequenceModel, max_history: int, seed: int) -> list[Row]:
    """Histories of every kind that a server meets: empty, one item, the longest, and any length between."""
    random = np.random.default_rng(seed)
    lengths = [0, 1, max_history, *random.integers(1, max_history + 1, size=29).tolist()]
    sizes = len(model.behaviors), len(model.features)
    rows = [Row(random.integers(1, model.n_items, size=n), draw(model.columns, n, random, *sizes)) for n in lengths]
    if model.numbers is None:
        return rows
    return [Row(items, {**told, FEATURES: model.numbers.spread(told[FEATURES])}) for items, told in rows]


def check_parity(model: SequenceModel, recommender: Recommender, probe: Sequence[Row], report: Report) -> Parity:
    """Each probe history alone and in padded batches: embedding, state, scores and order as in torch."""
    difference = _Difference()
    candidates = list(range(1, min(model.n_items, 101))) if model.takes_candidates else []
    for size in (1, 32):
        for begin in range(0, len(probe), size):
            rows = probe[begin : begin + size]
            vectors, state = run_torch(model, rows)
            found = recommender.run(rows, [candidates for _ in rows])
            difference.add("user embedding", found.user_embedding, vectors.numpy())
            for ours, torchs in zip(found.state, state[: len(found.state)], strict=True):
                difference.add("state", ours, torchs.numpy())
            with torch.no_grad():
                if model.task == "probability":
                    asked = torch.tensor([candidates for _ in rows]) if candidates else None
                    difference.add("probabilities", found.probabilities, model.probabilities(vectors, asked).numpy())
                    continue
                scores = model.item_table.scores(vectors).numpy()
            difference.add("scores", found.scores, np.take_along_axis(scores, found.items, axis=1))
            _check_order(found.items, scores)
    what = "scores" if model.task == "next_item" else "probabilities"
    report(
        Check(
            f"parity on {len(probe)} histories, alone and in batches of 32",
            f"at most {difference.absolute:.1e} from torch in {what}, embedding and state",
        )
    )
    if model.task == "next_item":
        report(Check("order of the top k", f"all {recommender.manifest.top_k} places as torch ranks them"))
    return Parity(len(probe), difference.absolute, difference.relative, TOLERANCE)


def _check_order(items: Indices, scores: Floats) -> None:
    """The graph's items must be torch's, but neighbours closer than the tolerance may change places."""
    expected, best = ranking.top_k(scores, items.shape[1])
    apart = _apart(np.take_along_axis(scores, items, axis=1), best)
    near = (apart <= TOLERANCE + TOLERANCE * np.abs(best)) & np.isfinite(apart)
    if not near.all():
        row, place = np.argwhere(~near)[0]
        raise Failed(
            "check_failed",
            f"onnxruntime puts item {items[row, place]} at place {place + 1}, torch puts {expected[row, place]} there.",
        )


def check_carried(recommender: Recommender, probe: Sequence[Row], report: Report) -> None:
    """A history in two calls, with the state carried between, gives what one call gives."""
    if not recommender.manifest.state:
        return
    difference, cuts = _Difference(), 0
    choice = [[1] if recommender.manifest.takes_candidates else []]
    for row in [row for row in probe if len(row.items) > 1][:32]:
        whole, length = recommender.run([row], choice), len(row.items)
        for cut in {1, length // 2, length - 1} - {0}:
            before = recommender.run([row.part(0, cut)], choice)
            after = recommender.run([row.part(cut)], choice, before.state)
            difference.add("carried user embedding", after.user_embedding, whole.user_embedding)
            difference.add("carried scores", after.scores, whole.scores)
            difference.add("carried probabilities", after.probabilities, whole.probabilities)
            cuts += 1
    report(Check("carried state equals whole history", f"{cuts} cuts, at most {difference.absolute:.1e} apart"))


@dataclasses.dataclass
class _Difference:
    """The largest differences seen so far."""

    absolute: float = 0.0
    relative: float = 0.0

    def add(self, what: str, found: Floats, expected: Floats) -> None:
        """Compare, remember, and fail where a value is further away than the tolerance."""
        if not found.size:
            return
        apart = _apart(found, expected)
        self.absolute = max(self.absolute, float(apart.max()))
        self.relative = max(self.relative, float((apart / np.maximum(np.abs(expected), 1e-3)).max()))
        if not ((apart <= TOLERANCE + TOLERANCE * np.abs(expected)) & np.isfinite(apart)).all():
            raise Failed("check_failed", f"onnxruntime's {what} is {apart.max():.2g} away from torch's.")


def _apart(found: Floats, expected: Floats) -> npt.NDArray[np.float64]:
    """Absolute differences; where both are −inf there is none: an item that is never recommended."""
    never = np.isneginf(found) & np.isneginf(expected)
    apart: npt.NDArray[np.float64] = np.abs(np.where(never, 0.0, found) - np.where(never, 0.0, expected))
    return apart

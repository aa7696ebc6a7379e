"""How much the order of events tells, by shuffling it.

After Klenitskiy, Volodkevich, Pembek and Vasilev, "Does It Look Sequential? An Analysis of Datasets for Evaluation of
Sequential Recommendations" (RecSys 2024): what a predictor loses when each user's events are shuffled is what it had
from their order. Theirs counts sequential rules, or trains SASRec and GRU4Rec; ours is the smallest predictor there is,
so that it takes seconds: which ten items came most often right after this one, in other users' sequences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import duckdb

Array = npt.NDArray[Any]

#: About as many events are looked at, those of users drawn by a hash.
EVENTS = 300_000
#: No user counts for more than this many of the newest events.
NEWEST = 200
#: How often the order is shuffled.
SHUFFLES = 5
#: As many followers of an item are guessed.
TOP = 10
#: With fewer hits nothing can be said.
MIN_HITS = 50
_WEAK = 1.2


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How well the item before predicts the next one, in true order and shuffled.

    Attributes:
        users, events: that were looked at.
        pairs: successive items of users held out, on which it was measured; runs of one item count once.
        hit: share of the pairs whose second item is among the ten that most often followed the first one.
        shuffled: the same with each user's events shuffled, the mean over `SHUFFLES` shuffles.
        low, high: the least and the greatest of them.
        ratio: hit over shuffled; None where nothing was hit when shuffled.
        error: the standard error of hit − shuffled, of the pairs that were drawn and of the shuffles.
        enough: whether anything can be said: `MIN_HITS` hits, in true order or shuffled.
    """

    users: int
    events: int
    pairs: int
    hit: float
    shuffled: float
    low: float
    high: float
    ratio: float | None
    error: float
    enough: bool

    @property
    def weak(self) -> bool:
        """Whether the order hardly tells anything: no fifth more is hit, or no more than chance may give."""
        return self.hit < _WEAK * self.shuffled or self.hit - self.shuffled <= 3 * self.error


def measure(connection: duckdb.DuckDBPyConnection) -> Signal | None:
    """The sequential signal of `keyed` (`of_users` tells how large it is; see `findings`).

    The users are drawn by a hash of their key and the shuffles by seed, so that the same events give the same result.

    Returns:
        None where there is no pair to predict.
    """
    total = connection.execute("SELECT coalesce(sum(events), 0)::BIGINT FROM of_users").fetchone()
    assert total is not None
    parts = 1_000_003
    drawn = max(1, min(parts, round(parts * EVENTS / max(total[0], 1))))
    found = connection.execute(
        f"""SELECT user, item FROM keyed WHERE hash(user) % {parts} < {drawn}
            QUALIFY row_number() OVER (PARTITION BY user ORDER BY time DESC, line DESC) <= {NEWEST}
            ORDER BY hash(user), user, time, line"""
    ).fetchnumpy()
    if not len(found["user"]):
        return None
    _, user = np.unique(found["user"], return_inverse=True)
    _, item = np.unique(found["item"], return_inverse=True)
    return of(user.astype(np.int64), item.astype(np.int64))


def of(user: Array, item: Array) -> Signal | None:
    """The sequential signal of events.

    Args:
        user: int64 [events], from 0; a user's events stand together, oldest first.
        item: int64 [events], from 0.

    Returns:
        None where there is no pair to predict.
    """
    events = len(user)
    once = np.concatenate([[True], (user[1:] != user[:-1]) | (item[1:] != item[:-1])])
    user, item = user[once], item[once]
    # Every other user is held out, in an order that has nothing to do with who they are.
    n_users = int(user.max()) + 1
    held_out = np.random.default_rng(0).permutation(n_users) % 2 == 0
    hits, pairs = _hits(user, item, held_out)
    if not pairs:
        return None
    shuffles = []
    for seed in range(1, SHUFFLES + 1):
        order = np.lexsort([np.random.default_rng(seed).random(len(user)), user])
        hit, of_pairs = _hits(user, item[order], held_out)
        shuffles.append(hit / max(of_pairs, 1))
    true, shuffled = hits / pairs, float(np.mean(shuffles))
    binomial = (true * (1 - true) + shuffled * (1 - shuffled)) / pairs
    return Signal(
        users=n_users,
        events=events,
        pairs=pairs,
        hit=round(true, 6),
        shuffled=round(shuffled, 6),
        low=round(min(shuffles), 6),
        high=round(max(shuffles), 6),
        ratio=round(true / shuffled, 4) if shuffled else None,
        error=round(float(np.sqrt(np.var(shuffles, ddof=1) / SHUFFLES + binomial)), 6),
        enough=max(true, shuffled) * pairs >= MIN_HITS,
    )


def _hits(user: Array, item: Array, held_out: Array) -> tuple[int, int]:
    """How many successive items of the users held out are among the followers of the others, and how many there are."""
    n_items = int(item.max()) + 1
    pair = (user[1:] == user[:-1]) & (item[1:] != item[:-1])
    code = item[:-1] * n_items + item[1:]
    test = held_out[user[1:]]
    seen, count = np.unique(code[pair & ~test], return_counts=True)
    first = seen // n_items
    by_count = np.lexsort([seen, -count, first])
    first = first[by_count]
    starts = np.flatnonzero(np.concatenate([[True], first[1:] != first[:-1]])) if len(first) else np.array([], np.int64)
    place = np.arange(len(first)) - np.repeat(starts, np.diff([*starts, len(first)]))
    guessed = seen[by_count][place < TOP]
    asked = code[pair & test]
    return int(np.isin(asked, guessed).sum()), len(asked)

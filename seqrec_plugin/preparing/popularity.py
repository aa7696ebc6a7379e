"""How unevenly events fall on items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import duckdb

#: An item that fewer users touched is not named: it may tell who they are.
MIN_USERS_SHOWN = 5
#: How many items are named at most.
TOP = 10
#: An item with fewer events has a vector that nothing taught.
COLD = 5

_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class TopItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the most popular items, touched by at least `MIN_USERS_SHOWN` users."""

    item: str
    events: int
    users: int


class Popularity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How unevenly events fall on items.

    Attributes:
        curve: (share of items, share of events that the most popular of this share have), rising to (1, 1).
        gini: 0 where all items have as many events, near 1 where one has all.
        cold: items with fewer than `COLD` events.
        few_users: items that fewer than `MIN_USERS_SHOWN` users touched.
        top: the most popular, at most `TOP`.
    """

    curve: tuple[tuple[float, float], ...]
    gini: float
    cold: int
    few_users: int
    top: tuple[TopItem, ...]


def measure(connection: duckdb.DuckDBPyConnection) -> Popularity:
    """The popularity of the items, of `of_items` and `named` (see `findings`), which hold at least one event."""
    found = connection.execute(
        "SELECT events, count(*) AS items FROM of_items GROUP BY events ORDER BY events DESC"
    ).fetchnumpy()
    events, items = (np.asarray(found[name], dtype=np.int64) for name in ("events", "items"))
    few_users = connection.execute(f"SELECT count(*) FROM of_items WHERE users < {MIN_USERS_SHOWN}").fetchone()
    assert few_users is not None
    top = connection.execute(
        f"""WITH top AS (SELECT * FROM of_items WHERE users >= {MIN_USERS_SHOWN}
                         ORDER BY events DESC, users DESC, item LIMIT {TOP})
            SELECT token, any_value(events), any_value(users) FROM named JOIN top USING (item)
            GROUP BY token ORDER BY 2 DESC, 3 DESC, 1"""
    ).fetchall()
    return Popularity(
        curve=_curve(events, items),
        gini=_gini(events, items),
        cold=int(items[events < COLD].sum()),
        few_users=few_users[0],
        top=tuple(TopItem(*row) for row in top),
    )


def _curve(events: npt.NDArray[np.int64], items: npt.NDArray[np.int64]) -> tuple[tuple[float, float], ...]:
    """What share of all events the most popular items have; of falling counts and how many items have each."""
    n_items = int(items.sum())
    upto_items = np.concatenate([[0], np.cumsum(items)])
    upto_events = np.concatenate([[0], np.cumsum(events * items)])
    wanted = [share for share in _SHARES if share * n_items >= 1]
    reached = np.interp([share * n_items for share in wanted], upto_items, upto_events) / upto_events[-1]
    return tuple((share, round(float(value), 6)) for share, value in zip(wanted, reached, strict=True))


def _gini(events: npt.NDArray[np.int64], items: npt.NDArray[np.int64]) -> float:
    """The Gini coefficient: one minus twice the area below the Lorenz curve."""
    x = np.concatenate([[0.0], np.cumsum(items[::-1]) / items.sum()])
    y = np.concatenate([[0.0], np.cumsum((events * items)[::-1]) / (events * items).sum()])
    area = ((y[1:] + y[:-1]) / 2 * np.diff(x)).sum()
    return round(float(1 - 2 * area), 6)

"""A made-up log of a shop in the table `events`: popular and rare items, paths among them, days and nights."""

from __future__ import annotations

import duckdb
import numpy as np

FUNNEL = ("view", "favourite", "cart", "purchase")
_HOURS = np.array([2, 1, 1, 1, 1, 1, 2, 4, 6, 8, 10, 11, 12, 11, 10, 10, 11, 12, 14, 17, 18, 16, 10, 5])


def fill(connection: duckdb.DuckDBPyConnection, users: int = 300, items: int = 120, days: int = 30) -> None:
    """Make `events` of a connection, the same every time.

    An item is followed by one of its three own successors, by itself or by any; a tenth of the events share the time of
    the one before.
    """
    random = np.random.default_rng(0)
    popularity = 1 / np.arange(1, items + 1)
    popularity /= popularity.sum()
    successors = random.choice(items, size=(items, 3), p=popularity)
    rows = []
    for user in range(users):
        day, item, time = int(random.integers(days)), int(random.choice(items, p=popularity)), 0
        for event in range(int(np.clip(random.lognormal(2.2, 1), 1, 150))):
            if event == 0 or random.random() < 0.2:
                day += int(random.geometric(0.4)) if event else 0
                hour = int(random.choice(24, p=_HOURS / _HOURS.sum()))
                time = (19_675 + day) * 86_400 + hour * 3_600 + int(random.integers(3_600))
            elif random.random() > 0.1:
                time += int(random.lognormal(4, 1.2)) + 1
            draw = random.random()
            item = int(random.choice(successors[item]) if draw < 0.5 else random.choice(items, p=popularity))
            behavior = FUNNEL[random.choice(4, p=[0.8, 0.06, 0.1, 0.04])]
            rows.append((f"user-{user:04}", f"sku-{item:03}", time * 1_000_000, behavior))
    user_column, item_column, times, behaviors = zip(*rows, strict=True)
    table(connection, user=user_column, item=item_column, time=times, behavior=behaviors)


def table(connection: duckdb.DuckDBPyConnection, **columns: object) -> None:
    """Make `events` of columns, with `line` from 1 on."""
    given = {name: np.asarray(values) for name, values in columns.items()}
    given = {name: values.astype(object) if values.dtype.kind == "U" else values for name, values in given.items()}
    lines = np.arange(1, len(next(iter(given.values()))) + 1)
    connection.register("given", {"line": lines, **given})
    connection.execute("CREATE OR REPLACE TABLE events AS SELECT * FROM given ORDER BY line")
    connection.unregister("given")

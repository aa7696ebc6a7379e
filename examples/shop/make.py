"""A small shop's event log, made up, with the dirt that real ones have: `python examples/shop/make.py events.csv`.

No line is anyone's. Some 1,500 people look at 300 things: they browse along paths within a category, long looks lead to
carts and carts to purchases, and a bought phone is followed by a case. The header is half Chinese, the file is GB18030
as a spreadsheet saves it, and each kind of dirt is a function below. The same seed gives the same bytes.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

SEED = 2026
USERS, IN_CATEGORY = 1500, 25
HEADER = ["用户", "item_id", "时间", "行为", "price", "停留秒数", "类目", "title"]
#: Category → its name in English, and the category that a purchase leads to.
CATEGORIES = {
    "手机": ("Phone", "手机壳"),
    "手机壳": ("Phone case", "耳机"),
    "耳机": ("Headphones", "手机"),
    "咖啡": ("Coffee", "咖啡杯"),
    "咖啡杯": ("Coffee cup", "咖啡"),
    "跑鞋": ("Running shoes", "运动袜"),
    "运动袜": ("Sports socks", "跑鞋"),
    "帐篷": ("Tent", "睡袋"),
    "睡袋": ("Sleeping bag", "帐篷"),
    "绘本": ("Picture book", "积木"),
    "积木": ("Building blocks", "绘本"),
    "键盘": ("Keyboard", "耳机"),
}
#: What the shop's two apps call the same act.
CHINESE, ENGLISH = ("点击", "收藏", "加购", "购买"), ("pv", "fav", "cart", "buy")
START = datetime(2026, 3, 1)

Row = list[str]


class Shop:
    """Things, people, and what they do."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.categories = list(CATEGORIES)
        n = len(self.categories) * IN_CATEGORY
        self.price = np.round(
            np.exp(random.normal(np.repeat(random.uniform(2, 7, len(self.categories)), IN_CATEGORY), 0.4)), 2
        )
        # From each thing three others of its category are one step away; the first is the beaten path.
        steps = np.array([1 + random.choice(IN_CATEGORY - 1, 3, replace=False) for _ in range(n)])
        own = np.arange(n)[:, None]
        self.paths = own // IN_CATEGORY * IN_CATEGORY + (own + steps) % IN_CATEGORY

    def events(self) -> list[tuple[datetime, Row]]:
        """All that happened, by time."""
        found = [event for user in range(USERS) for event in self.of_user(user)]
        return sorted(found, key=lambda event: event[0])

    def of_user(self, user: int) -> list[tuple[datetime, Row]]:
        """Some visits over two months; what was bought decides where the next one begins."""
        random, events = self.random, []
        names = ENGLISH if random.random() < 0.3 else CHINESE
        taste = random.dirichlet(np.full(len(self.categories), 0.3))
        eager = random.beta(2, 5)
        now = START + timedelta(seconds=float(random.uniform(0, 20 * 86400)))
        led = None
        for _ in range(random.integers(1, 6)):
            category = led if led is not None and random.random() < 0.7 else int(random.choice(len(taste), p=taste))
            item, led = category * IN_CATEGORY + int(random.integers(IN_CATEGORY)), None
            for _ in range(int(random.geometric(0.12))):
                dwell = float(np.exp(random.normal(2.5, 1)))
                acts = [0]
                liked = dwell > 15 and random.random() < 0.5
                if liked:
                    acts += [1] if random.random() < 0.3 else []
                    acts += [2] if random.random() < 0.4 + eager else []
                if 2 in acts and random.random() < 0.2 + 0.6 * (dwell > 40):
                    acts.append(3)
                    led = self.categories.index(CATEGORIES[self.categories[category]][1])
                for act in acts:
                    events.append((now, self.row(user, item, now, names[act], dwell)))
                    now += timedelta(seconds=float(random.uniform(2, 20)))
                now += timedelta(seconds=dwell)
                item = int(self.paths[item][random.choice(3, p=(0.75, 0.15, 0.1))])
            now += timedelta(seconds=float(random.exponential(6 * 86400)))
        return events

    def row(self, user: int, item: int, time: datetime, behavior: str, dwell: float) -> Row:
        """One line, clean."""
        category = self.categories[item // IN_CATEGORY]
        title = f"{category} {CATEGORIES[category][0]} {item % IN_CATEGORY + 1}"
        told = f"{time:%Y-%m-%d %H:%M:%S}"
        return [
            f"u{user:05d}",
            f"{item:04d}",
            told,
            behavior,
            f"{self.price[item]:.2f}",
            f"{dwell:.1f}",
            category,
            title,
        ]


def lines(random: np.random.Generator) -> list[str]:
    """The log's lines, dirt and all."""
    shop = Shop(random)
    rows = [row for _, row in shop.events()]
    for spoil in (mispriced, timeless, wordless, doubled, impatient, robots, once_seen):
        rows = spoil(rows, random)
    found = [",".join(row) for row in rows]
    for spoil_line in (torn, quoted, overfull, nul):
        spoil_line(found, random)
    return [",".join(HEADER), *found]


def some(rows: list[Row] | list[str], share: float, random: np.random.Generator) -> list[int]:
    """The places of a share of the lines."""
    return sorted(random.choice(len(rows), int(len(rows) * share), replace=False).tolist())


def mispriced(rows: list[Row], random: np.random.Generator) -> list[Row]:
    """Prices in cents, and looks of a day because somebody went to sleep."""
    for i in some(rows, 0.004, random):
        rows[i][4] = f"{float(rows[i][4]) * 100:.2f}"
    for i in some(rows, 0.01, random):
        rows[i][5] = "86400.0"
    return rows


def timeless(rows: list[Row], random: np.random.Generator) -> list[Row]:
    """Clocks that were never set, and one that is ahead."""
    for i in some(rows, 0.002, random):
        rows[i][2] = random.choice(["1970-01-01 08:00:00", "2099-12-31 23:59:59"])
    return rows


def wordless(rows: list[Row], random: np.random.Generator) -> list[Row]:
    """Looks that nobody timed, and lines without a user."""
    for i in some(rows, 0.02, random):
        rows[i][5] = ""
    for i in some(rows, 0.001, random):
        rows[i][0] = ""
    return rows


def doubled(rows: list[Row], random: np.random.Generator) -> list[Row]:
    """Lines that were sent twice."""
    again = set(some(rows, 0.01, random))
    return [row for i, row in enumerate(rows) for _ in range(2 if i in again else 1)]


def impatient(rows: list[Row], random: np.random.Generator) -> list[Row]:
    """Fingers that touch the screen twice within a second."""
    again = set(some(rows, 0.01, random))
    found = []
    for i, row in enumerate(rows):
        found.append(row)
        if i in again and row[2] > "2026":
            later = datetime.fromisoformat(row[2]) + timedelta(seconds=1)
            found.append([*row[:2], f"{later:%Y-%m-%d %H:%M:%S}", *row[3:]])
    return found


def robots(rows: list[Row], random: np.random.Generator) -> list[Row]:
    """Three that ask for one price all day."""
    for robot in range(3):
        start = START + timedelta(days=10 + robot)
        item = Row(rows[int(random.integers(len(rows)))])
        for i in range(800):
            told = f"{start + timedelta(seconds=2 * i):%Y-%m-%d %H:%M:%S}"
            rows.append([f"crawler-{robot}", item[1], told, "pv", item[4], "0.5", item[6], item[7]])
    return rows


def once_seen(rows: list[Row], random: np.random.Generator) -> list[Row]:
    """Things that one person looked at, once: they would point at someone."""
    for i in some(rows, 0.0005, random):
        rows.append([rows[i][0], f"x{i}", *rows[i][2:7], "定制 Made to order"])
    return rows


def torn(lines: list[str], random: np.random.Generator) -> None:
    """Lines that were cut when the disk was full."""
    for i in some(lines, 0.001, random):
        lines[i] = lines[i][: len(lines[i]) // 3]


def quoted(lines: list[str], random: np.random.Generator) -> None:
    """A quote that nothing closes: the rest of the file must not be swallowed."""
    for i in some(lines, 0.0002, random):
        lines[i] = lines[i].replace(",", ',"', 1)


def overfull(lines: list[str], random: np.random.Generator) -> None:
    """A comma in a title that nobody quoted."""
    for i in some(lines, 0.0005, random):
        lines[i] += ", 大号"


def nul(lines: list[str], random: np.random.Generator) -> None:
    """A byte that no text has."""
    for i in some(lines, 0.0001, random):
        lines[i] = lines[i][:10] + "\0" + lines[i][10:]


def main() -> None:
    """Write the log."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "events.csv")
    found = lines(np.random.default_rng(SEED))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\r\n".join(found) + "\r\n").encode("gb18030"))
    print(f"{len(found) - 1:,} lines in {path}")


if __name__ == "__main__":
    main()

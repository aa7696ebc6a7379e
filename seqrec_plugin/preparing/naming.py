"""What users did: names of the world for views, clicks, favourites, carts and purchases, under one name each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.preparing.recipe import Behaviors

if TYPE_CHECKING:
    import duckdb

#: Our name → what it is called elsewhere, in lower case and without spaces, hyphens and underscores.
SYNONYMS: dict[str, str] = {
    "view": "view views viewed pv pageview viewitem itemview productview detail browse 浏览 查看 浏览商品",
    "click": "click clicks clicked clk 点击",
    "favourite": "favourite favorite favourites favorites fav favor collect wishlist addtowishlist addtofavorites "
    "addtofavourites bookmark 收藏 收藏商品",
    "cart": "cart carts addtocart addcart basket addtobasket 加购 加购物车 加入购物车 购物车",
    "purchase": "purchase purchased purchases buy bought order ordered transaction pay paid payment alipay "
    "购买 下单 支付 成交 付款",
}
_BY_NAME = {synonym: name for name, synonyms in SYNONYMS.items() for synonym in synonyms.split()}
#: Codes that stand for all four, as in Alibaba's data sets of mobile shoppers.
CODES = {"1": "view", "2": "favourite", "3": "cart", "4": "purchase"}
#: What an event without a behaviour is called.
UNKNOWN = "unknown"
#: More different values are no behaviours.
MOST = 1000


def counts(connection: duckdb.DuckDBPyConnection, column: str) -> dict[str, int]:
    """How often each value occurs in `events.behavior`, the most frequent first; empty for none.

    Raises:
        BadData: `dataset_invalid` where there are too many for behaviours.
    """
    rows = connection.execute(
        "SELECT coalesce(behavior, '') AS value, count(*) AS n FROM events GROUP BY value "
        f"ORDER BY n DESC, value LIMIT {MOST + 1}"
    ).fetchall()
    if len(rows) > MOST:
        raise BadData(
            "dataset_invalid",
            f"The column {column!r} has more than {MOST} different values, so they are hardly behaviours.",
            "Name the column of the behaviours with --behavior, or none with `behavior: null` in the recipe.",
        )
    return dict(rows)


def recognised(values: Mapping[str, int]) -> dict[str, str]:
    """Value → our name, if every value is one that is known; else nothing.

    The codes 1 to 4 are taken only if all four are there, and nothing besides.
    """
    named = [value for value in values if value]
    if set(named) == set(CODES):
        return dict(CODES)
    found = {value: known(value) for value in named}
    return {value: name for value, name in found.items() if name} if all(found.values()) else {}


def known(value: str) -> str | None:
    """Our name for a value that is well known; None for any other, and for codes."""
    return _BY_NAME.get(_plain(value))


def resolved(values: Mapping[str, int], behaviors: Behaviors) -> Behaviors:
    """The recipe's behaviours, with the names that are recognised where its map is empty."""
    return behaviors if behaviors.map else msgspec.structs.replace(behaviors, map=recognised(values))


def mapping(values: Mapping[str, int], behaviors: Behaviors) -> dict[str, str | None]:
    """What each value of the file is called from here on; None where its events are to be dropped.

    Raises:
        WrongUsage: `bad_value` where the recipe speaks of a behaviour that there is not.
    """
    found: dict[str, str | None] = {}
    for value in values:
        rest = None if behaviors.unmapped == "drop" and behaviors.map else _one_line(value) or UNKNOWN
        found[value] = behaviors.map.get(value, rest)
    names = {name for name in found.values() if name is not None} | set(behaviors.map.values())
    for key in ("keep", "targets", "weights"):
        for name in getattr(behaviors, key):
            if name not in names:
                raise WrongUsage(
                    "bad_value", f"behaviors.{key} names {name!r}, which no event has.", nearest(name, names)
                )
    if behaviors.keep:
        found = {value: name if name in behaviors.keep else None for value, name in found.items()}
    for name in behaviors.targets:
        if behaviors.keep and name not in behaviors.keep:
            raise WrongUsage("bad_value", f"behaviors.targets names {name!r}, which behaviors.keep leaves out.")
        if name not in found.values():
            raise WrongUsage("bad_value", f"behaviors.targets names {name!r}, which no event has.")
    return found


def described(acts: Mapping[str, str | None]) -> str:
    """The mapping as one line: `pv → view, fav → favourite, share → dropped`."""
    return ", ".join(f"{value or '(empty)'} → {name or 'dropped'}" for value, name in acts.items())


def unused(values: Mapping[str, int], behaviors: Behaviors) -> list[str]:
    """What the map renames and no event has: a typo, perhaps."""
    return [value for value in behaviors.map if value not in values]


def _plain(value: str) -> str:
    return "".join(value.split()).replace("_", "").replace("-", "").casefold()


def _one_line(value: str) -> str:
    """A name that an atomic file can hold."""
    return value.translate(dict.fromkeys(map(ord, "\t\r\n\0"), " "))

"""Public data sets as they are downloaded: what stands where, and what their codes of behaviour mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.preparing import opening
from seqrec_plugin.preparing.source import Source


@dataclass(frozen=True)
class Variant:
    """One form in which a data set comes.

    Attributes:
        fits: whether a file's first line, without its end, is of this form.
        source: how such a file is read.
        like: the form, for people.
    """

    fits: Callable[[str], bool]
    source: Source
    like: str


@dataclass(frozen=True)
class Format:
    """A public data set: its forms, the first the usual one, and code of behaviour → our name."""

    variants: tuple[Variant, ...]
    behaviors: Mapping[str, str] = field(default_factory=dict)


def _csv(columns: str, *, delimiter: str = ",", header: bool, unit: str, quote: bool = False, **roles: Any) -> Source:
    """A CSV of columns in this order; what is not named besides is not read."""
    named: dict[str, Any] = {"behavior": None, "numbers": (), "features": (), **roles}
    return Source(
        format="csv",
        delimiter=delimiter,
        quote='"' if quote else "",
        header=header,
        columns=() if header else tuple(columns.split()),
        time_unit=unit,
        **named,
    )


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda line: re.fullmatch(pattern, line) is not None


def _keys(*names: str) -> Callable[[str], bool]:
    return lambda line: line.lstrip().startswith("{") and all(f'"{name}"' in line for name in names)


def _json(
    user: str, item: str, time: str, unit: str, numbers: tuple[str, ...], features: tuple[str, ...] = ()
) -> Source:
    return Source(
        format="jsonl",
        user=user,
        item=item,
        time=time,
        time_unit=unit,
        behavior=None,
        numbers=numbers,
        features=features,
    )


_IDS: dict[str, Any] = {"user": "user_id", "item": "item_id", "time": "timestamp"}
_RATED: dict[str, Any] = {**_IDS, "numbers": ("rating",)}
_NUMBER = r"\d+(\.\d+)?"
_ASIN = r"[0-9B][0-9A-Z]{9}"

FORMATS: dict[str, Format] = {
    "movielens": Format(  # grouplens.org/datasets/movielens
        (
            Variant(
                _matches("userId,movieId,rating,timestamp"),
                _csv("", header=True, unit="s", user="userId", item="movieId", time="timestamp", numbers=("rating",)),
                "ratings.csv (20M, 25M, 32M, latest)",
            ),
            Variant(
                _matches(rf"\d+::\d+::{_NUMBER}::\d+"),
                _csv("user_id item_id rating timestamp", delimiter="::", header=False, unit="s", **_RATED),
                "ratings.dat (1M, 10M)",
            ),
            Variant(
                _matches(rf"\d+\t\d+\t{_NUMBER}\t\d+"),
                _csv("user_id item_id rating timestamp", delimiter="\t", header=False, unit="s", **_RATED),
                "u.data (100K)",
            ),
        )
    ),
    "amazon": Format(  # jmcauley.ucsd.edu/data/amazon, nijianmo.github.io/amazon, amazon-reviews-2023.github.io
        (
            Variant(
                _matches(rf"[0-9A-Z]{{11,}},{_ASIN},{_NUMBER},\d+"),
                _csv("user_id item_id rating timestamp", header=False, unit="s", **_RATED),
                "ratings_*.csv (2014)",
            ),
            Variant(
                _matches(rf"{_ASIN},[0-9A-Z]{{11,}},{_NUMBER},\d+"),
                _csv("item_id user_id rating timestamp", header=False, unit="s", **_RATED),
                "ratings only (2018), the item first",
            ),
            Variant(
                _matches(r"user_id,parent_asin,rating,timestamp(,.*)?"),
                _csv("", header=True, unit="ms", **{**_RATED, "item": "parent_asin"}),
                "ratings only (2023)",
            ),
            Variant(
                _keys("reviewerID", "asin", "unixReviewTime"),
                _json("reviewerID", "asin", "unixReviewTime", "s", ("overall",)),
                "reviews_*.json (2014, 2018)",
            ),
            Variant(
                _keys("user_id", "parent_asin", "timestamp"),
                _json("user_id", "parent_asin", "timestamp", "ms", ("rating",)),
                "reviews, JSON lines (2023)",
            ),
        )
    ),
    "retailrocket": Format(  # kaggle.com/datasets/retailrocket/ecommerce-dataset
        (
            Variant(
                _matches("timestamp,visitorid,event,itemid,transactionid"),
                _csv("", header=True, unit="ms", user="visitorid", item="itemid", time="timestamp", behavior="event"),
                "events.csv",
            ),
        ),
        {"view": "view", "addtocart": "cart", "transaction": "purchase"},
    ),
    "yoochoose": Format(  # RecSys Challenge 2015
        (
            Variant(
                _matches(r"\d+,[^,]+Z,\d+,\w*"),
                _csv("user_id timestamp item_id category", header=False, unit="iso", **_IDS, features=("category",)),
                "yoochoose-clicks.dat",
            ),
            Variant(
                _matches(r"\d+,[^,]+Z,\d+,\d+,\d+"),
                _csv(
                    "user_id timestamp item_id price quantity",
                    header=False,
                    unit="iso",
                    **_IDS,
                    numbers=("price", "quantity"),
                ),
                "yoochoose-buys.dat",
            ),
        )
    ),
    "tmall": Format(  # tianchi.aliyun.com, IJCAI-15: time_stamp is month and day only, so it is a position
        (
            Variant(
                _matches("user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type"),
                _csv(
                    "",
                    header=True,
                    unit="position",
                    user="user_id",
                    item="item_id",
                    time="time_stamp",
                    behavior="action_type",
                    features=("cat_id", "seller_id", "brand_id"),
                ),
                "user_log_format1.csv",
            ),
        ),
        {"0": "click", "1": "cart", "2": "purchase", "3": "favourite"},
    ),
    "steam": Format(  # cseweb.ucsd.edu/~jmcauley/datasets.html#steam_data, version 2, its lines turned into JSON
        (
            Variant(
                _keys("username", "product_id", "date"),
                _json("username", "product_id", "date", "iso", ()),
                "steam_reviews.json, converted to JSON lines",
            ),
        )
    ),
    "taobao": Format(  # tianchi.aliyun.com, UserBehavior
        (
            Variant(
                _matches(r"-?\d+,\d+,\d+,(pv|buy|cart|fav),-?\d+"),
                _csv(
                    "user_id item_id category behavior timestamp",
                    header=False,
                    unit="s",
                    **_IDS,
                    behavior="behavior",
                    features=("category",),
                ),
                "UserBehavior.csv",
            ),
        ),
        {"pv": "view", "buy": "purchase", "cart": "cart", "fav": "favourite"},
    ),
}


def source(name: str, files: Sequence[str | Path] = ()) -> Source:
    """How a public data set is read.

    Args:
        name: one of `FORMATS`.
        files: the files, whose first one says in which of its forms it is; without them it is the usual one.

    Raises:
        WrongUsage: `bad_value` for a name that is none.
        BadData: `events_invalid` for a file in none of the forms; see `opening`.
    """
    variants = _known(name).variants
    if not files:
        return variants[0].source
    path = opening.files(files)[0]
    start = opening.head(path)
    line = start.split(b"\n", 1)[0].decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r")
    opening.refuse_literals(path, line)
    for variant in variants:
        if variant.fits(line):
            return variant.source
    raise BadData(
        "events_invalid",
        f"{path} begins with {line[:80]!r}, unlike {name}'s {'; '.join(variant.like for variant in variants)}.",
        "Leave --from out, and its columns are found by looking.",
    )


def behaviors(name: str) -> dict[str, str]:
    """What the data set's codes of behaviour mean: value in the file → our name; empty where it has none.

    Raises:
        WrongUsage: `bad_value` for a name that is none.
    """
    return dict(_known(name).behaviors)


def _known(name: str) -> Format:
    if name not in FORMATS:
        raise WrongUsage("bad_value", f"There is no format {name!r}.", nearest(name, FORMATS))
    return FORMATS[name]

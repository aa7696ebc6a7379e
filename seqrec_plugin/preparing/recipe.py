"""The recipe of a data set: what is read, which steps clean it, what a training shall know of it."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from seqrec_plugin import strict_yaml, transforms
from seqrec_plugin.errors import WrongUsage, nearest
from seqrec_plugin.preparing.source import Source

Outliers = Literal["none", "iqr", "zscore", "mad"]


class Behaviors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What users did: `map` renames, `unmapped` says what becomes of the rest, `keep` chooses (empty: all).

    `targets` are the behaviours that validation and test are about; `weights` gives each event a number.
    """

    map: dict[str, str] = {}
    unmapped: Literal["keep", "drop"] = "keep"
    keep: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    weights: dict[str, float] = {}


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events before `after`, or not before `before`, are impossible; a day or a moment of ISO 8601, empty for none."""

    after: str = "1990-01-01"
    before: str = "2100-01-01"


class Machines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Users with at least `min_events` events who pass one of the bounds; 0 is no bound.

    `per_minute`: most events within one minute of the clock. `item_share`: most of one item, as a share of the user's
    events. `min_entropy`: least entropy, in bits, of the user's items.
    """

    min_events: int = 50
    per_minute: int = 0
    item_share: float = 0.0
    min_entropy: float = 0.0


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values that a number may have, both ends included."""

    min: float | None = None
    max: float | None = None


class KCore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Least events of a user and of an item, met by all that remain; 0 is no bound."""

    user: int = 0
    item: int = 0


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole recipe; the steps stand in the order in which they run."""

    source: Source = Source()
    behaviors: Behaviors = Behaviors()
    times: Times = Times()
    duplicates: bool = True
    repeats: float = 0.0
    values: dict[str, Range] = {}
    outliers: dict[str, Outliers] = {}
    missing: dict[str, float | Literal["drop"]] = {}
    machines: Machines = Machines()
    min_users_per_item: int = 0
    session_gap: float = 0.0
    k_core: KCore = KCore()
    numbers: dict[str, dict[str, Any]] = {}
    pseudonymize: bool = False

    @property
    def named_numbers(self) -> tuple[str, ...]:
        """The numeric columns that the recipe speaks of outside of `source`, each once."""
        return tuple(dict.fromkeys([*self.values, *self.outliers, *self.missing, *self.numbers]))


def read(path: Path) -> Recipe:
    """Read a recipe.

    Args:
        path: a YAML mapping; every key may be left out.

    Raises:
        WrongUsage: `unknown_key` with the nearest name, `bad_value`.
        BadData: `dataset_missing` or `dataset_invalid` for a file that is none.
    """
    return parse(strict_yaml.read(path, "recipe"), str(path))


def parse(text: str, where: str = "the recipe") -> Recipe:
    """A recipe from its text; raises as `read`."""
    values = strict_yaml.load(text, where, _Loader)
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise WrongUsage("bad_value", f"{where} must be a YAML mapping, such as `duplicates: true`.")
    try:
        found = msgspec.convert(values, Recipe)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), where) from None
    check(found, where)
    return found


def check(recipe: Recipe, where: str = "the recipe") -> None:
    """What types cannot say.

    Raises:
        WrongUsage: `bad_value`; `unknown_key` in what training shall do with a number.
    """
    machines, core = recipe.machines, recipe.k_core
    numbers = {
        "repeats": recipe.repeats,
        "machines.min_events": machines.min_events,
        "machines.per_minute": machines.per_minute,
        "machines.item_share": machines.item_share,
        "machines.min_entropy": machines.min_entropy,
        "min_users_per_item": recipe.min_users_per_item,
        "session_gap": recipe.session_gap,
        "k_core.user": core.user,
        "k_core.item": core.item,
        **{f"behaviors.weights.{name}": weight for name, weight in recipe.behaviors.weights.items()},
    }
    for key, number in numbers.items():
        if not 0 <= number < float("inf"):
            raise WrongUsage("bad_value", f"{where}: {key} is {number}, but must be a number from 0 on.")
    if machines.item_share > 1:
        raise WrongUsage(
            "bad_value", f"{where}: machines.item_share is {machines.item_share}, but a share is at most 1."
        )
    for name, values in recipe.values.items():
        if values.min is not None and values.max is not None and values.min > values.max:
            raise WrongUsage("bad_value", f"{where}: values.{name} has min {values.min} above max {values.max}.")
    for before, after in recipe.behaviors.map.items():
        if not after or any(mark in after for mark in "\t\n\r\0"):
            raise WrongUsage("bad_value", f"{where}: behaviors.map.{before} is {after!r}, which is no name.")
    transforms.read(recipe.numbers, tuple(recipe.numbers), f"{where}: numbers")


def dump(recipe: Recipe) -> str:
    """A recipe as YAML, every key at its value: `parse(dump(recipe)) == recipe`."""
    values = msgspec.to_builtins(recipe)
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
    return "# seqrec prepare FILES -o DATASET --recipe recipe.yaml\n" + text


def _wrong(reason: str, where: str) -> WrongUsage:
    """msgspec's error as ours, with the nearest name for an unknown key."""
    unknown = re.match(r"Object contains unknown field `(.*?)`(?: - at `\$\.?(.*)`)?$", reason)
    if unknown is None:
        what, _, at = reason.partition(" - at `$.")
        at = at.rstrip("`").replace("[...]", "")
        return WrongUsage("bad_value", f"{where}: {at or 'the whole'} is wrong: {what[:1].lower()}{what[1:]}.")
    key, at = unknown[1], unknown[2] or ""
    room: Any = Recipe()
    for part in at.split(".") if at else ():
        room = getattr(room, part.removesuffix("[...]"), Range())
    room = Range() if isinstance(room, dict) else room
    name = f"{at.replace('[...]', '')}.{key}" if at else key
    return WrongUsage("unknown_key", f"{where}: there is no key {name!r}.", nearest(key, type(room).__struct_fields__))


class _Loader(strict_yaml.Loader):
    """YAML whose keys and dates stay the text that they are."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        super().construct_mapping(node, deep)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Lists and what is empty in one line, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _list(dumper: yaml.SafeDumper, data: Any) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)

#: Every key at its default, with what it means.
TEMPLATE = """\
# seqrec prepare events.csv -o data/shop --recipe recipe.yaml
#
# How a table of events becomes a data set. Every key may be left out; here each has its default. The steps run in the
# order in which they stand, and the report counts what each removed.

source:                     # where each thing is in the files; what is "", auto or null is found by looking, and shown
  format: auto              # auto | csv | jsonl | parquet
  delimiter: ""
  quote: '"'                # what a field that holds the delimiter stands between; "" where nothing is quoted
  encoding: ""              # utf-8, utf-16, gb18030, latin-1 …
  header: auto              # auto | true | false
  columns: []               # names of the columns where there is no header: [user, item, category, behavior, time]
  user: ""
  item: ""
  time: ""                  # null: there is none, and the order of the lines is the order of the events
  behavior: ""              # view, cart, buy …; null: there is none
  numbers: null             # numeric columns of events: [price, dwell]; null: found by looking; []: none
  features: null            # columns that describe the item: [title, category]; null: found by looking; []: none
  time_unit: auto           # auto | s | ms | us | ns | iso | position, or a format such as "%d/%m/%Y %H:%M"
  time_zone: UTC            # of times that name none
  max_bad_share: 0.01       # more rows than this share that cannot be read are an error

behaviors:
  map: {}                   # value in the file → name: {pv: view, fav: favourite, cart: cart, buy: purchase}
                            # where it is empty, well-known sets of names are recognised, and shown
  unmapped: keep            # keep | drop: events whose value stands not in map
  keep: []                  # the behaviours that stay in the sequence; empty for all
  targets: []               # the behaviours that validation and test are about; empty for all
  weights: {}               # behaviour → number, written as the column weight: {view: 1, purchase: 4}

times:                      # impossible times: earlier than after, or not earlier than before; "" for no bound
  after: 1990-01-01
  before: 2100-01-01        # better: the day after the log ends

duplicates: true            # remove an event that is the same as an earlier one in everything
repeats: 0                  # seconds: remove a user's same behaviour on the same item this soon after the last one
values: {}                  # events outside are removed: {price: {min: 0.01, max: 10000}}
outliers: {}                # events far outside are removed: {price: iqr | zscore | mad}
missing: {}                 # a number that is not there stays empty, and a training reads the median there;
                            # {price: drop} removes the event, {price: 0} writes 0

machines:                   # users with at least min_events events who pass a bound are removed; 0 is no bound
  min_events: 50
  per_minute: 0             # most events within one minute
  item_share: 0             # largest share of one item in the user's events
  min_entropy: 0            # least entropy of the user's items, in bits

min_users_per_item: 0       # remove items that fewer users touched
session_gap: 0              # seconds: after such a pause a new sequence begins, and each is a user of its own: anna#2
k_core:                     # least events of a user, of an item, repeated until all that remain have as many
  user: 0                   # published tables on RecBole's data sets mostly have 5 and 5
  item: 0

numbers: {}                 # for training, fitted there on its own part: {price: {log: true, scale: standard}}
pseudonymize: false         # write a keyed hash of each user id; the key comes from --key-file or SEQREC_KEY
"""

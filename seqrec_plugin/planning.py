"""A benchmark file → what to run: every entry checked, and all of them over one split, before anything trains."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqrec_plugin.comparing import POPULARITY
from seqrec_plugin.errors import BadData, WrongUsage, nearest
from seqrec_plugin.recbole_bridge import data_set
from seqrec_plugin.recbole_bridge.reading import read_yaml
from seqrec_plugin.recbole_bridge.settings import TUNE, Resolved, Setting, only_of_its_model, read_recipe, resolve_given

#: Keys of an entry, and of the file, that are the benchmark's and no option of a model.
_OF_ENTRY = ("model", "name", "config", "seeds")
#: Keys that decide which events are trained on and tested, and which epoch is the best; all models must have the same.
_ALIKE = (
    *("data_path", "eval_args", "exact_time", "field_separator", "encoding", "benchmark_filename", "rm_dup_inter"),
    *(
        "USER_ID_FIELD",
        "ITEM_ID_FIELD",
        "TIME_FIELD",
        "valid_metric",
        "valid_sample",
        "val_interval",
        "filter_inter_by_user_or_item",
    ),
    *("user_inter_num_interval", "item_inter_num_interval", "target_behaviors"),
)
#: A label is also a folder's name.
_LABEL = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class Entry:
    """One model of a benchmark: the options that are given, and what they come to; popularity has neither."""

    label: str
    model: str
    seeds: tuple[int, ...]
    given: dict[str, Any]
    resolved: Resolved | None

    def with_seed(self, seed: int) -> Resolved:
        """The effective configuration of one run."""
        assert self.resolved is not None
        settings = {**self.resolved.settings, "seed": Setting(seed, "seeds")}
        return dataclasses.replace(self.resolved, settings=settings)


@dataclass(frozen=True)
class Plan:
    """What a benchmark file asks for."""

    name: str
    entries: tuple[Entry, ...]

    def entry(self, label: str) -> Entry:
        """The entry of a label.

        Raises:
            WrongUsage: `bad_value`.
        """
        labels = [entry.label for entry in self.entries]
        if label not in labels:
            raise WrongUsage("bad_value", f"{self.name} has no model {label!r}.", nearest(label, labels))
        return self.entries[labels.index(label)]


def plan(file: Path, find: Callable[[str], Path], data: Path | None = None) -> Plan:
    """Read a benchmark file and check every entry, before anything trains.

    Args:
        file: YAML: what all models share, `seeds`, perhaps `time_limit`, and `models`, each with its own options. What
            stands in the file counts above a recipe that an entry names.
        find: the file of a recipe that an entry names by `config`.
        data: the data set's folder, in place of `data_path` and `dataset`.

    Raises:
        WrongUsage: `unknown_model`, `unknown_key`, `bad_value`, with the entry's label.
        BadData: `dataset_missing`, `dataset_invalid` where a file is no YAML mapping.
    """
    shared = read_yaml(file)
    if data is not None:
        shared["data_path"], shared["dataset"] = data_set.at(data)
    if "models" not in shared:
        hint = f"A recipe of one model is run with: seqrec train {file} -o …"
        raise WrongUsage("bad_value", f"{file.name} names no models.", hint)
    listed, seeds = shared.pop("models"), _seeds(shared.pop("seeds", [2026]), file.name)
    if not isinstance(listed, list) or not listed or not all(map(_is_mapping, listed)):
        raise WrongUsage("bad_value", f"{file.name}: models must be a list of mappings, such as `- model: LSTM4Rec`.")
    for key in ("model", "config", "name", "seed"):
        if key in shared:
            hint = "Give seeds: […]." if key == "seed" else "Write it in an entry of models."
            raise WrongUsage("bad_value", f"{file.name}: {key} is not for all models.", hint)

    def located(recipe: str) -> Path:
        beside = file.parent / recipe
        return beside if beside.is_file() else find(recipe)

    entries = [_entry(listed_entry, shared, seeds, file.name, located) for listed_entry in listed]
    labels = [entry.label.lower() for entry in entries]  # some file systems do not tell case apart
    twice = next((entry.label for entry in entries if labels.count(entry.label.lower()) > 1), None)
    if twice is not None:
        hint = "Give each its own `name`."
        raise WrongUsage("bad_value", f"{file.name}: two models are called {twice!r}.", hint)
    _check_shared(entries, file.name)
    return Plan(file.stem, tuple(entries))


def _entry(
    listed: Mapping[str, Any], shared: dict[str, Any], seeds: tuple[int, ...], file: str, find: Callable[[str], Path]
) -> Entry:
    own = dict(listed)
    recipe = {}
    if "config" in own:
        with _naming(f"{file}, model {own.get('name', own['config'])!r}"):
            recipe = read_recipe(find(str(own["config"])))
        recipe.pop("seed", None)
        if "dataset" in shared:  # a recipe's options count, on the benchmark's data
            recipe.pop("dataset", None)
            recipe.pop("data_path", None)
    model = str(own.get("model", recipe.get("model", "")))
    label = str(own.get("name", model))
    where = f"{file}, model {label!r}"
    if not model:
        raise WrongUsage("bad_value", f"{file}: an entry of models names no model.", "Add `model: …` or `config: …`.")
    if not _LABEL.fullmatch(label):
        hint = "It is a folder's name too: letters, digits, and . _ + - after the first."
        raise WrongUsage("bad_value", f"{where}: this cannot be a name.", hint)
    for key in ("dataset", "seed"):
        if key in own:
            hint = "Give seeds: […]." if key == "seed" else "Write it once, above models."
            raise WrongUsage("bad_value", f"{where}: {key} is not for one model.", hint)
    seeds = _seeds(own["seeds"], where) if "seeds" in own else seeds
    options = {key: value for key, value in own.items() if key not in (*_OF_ENTRY, TUNE)}
    if model == POPULARITY:
        if options or "config" in own:
            raise WrongUsage("bad_value", f"{where}: {POPULARITY} has no options.", "Leave them out.")
        return Entry(label, model, (), {}, None)
    if model.lower() in ("pop", POPULARITY):
        raise WrongUsage("unknown_model", f"{where}: there is no model of this name.", f"Write `model: {POPULARITY}`.")
    with _naming(where):
        of_recipe = _sourced(recipe, "its recipe")
        chosen = _sourced(shared, "what all models share") | _sourced({**options, "model": model}, "its options")
        left_out = only_of_its_model(of_recipe, chosen)
        settings = {key: setting for key, setting in of_recipe.items() if key not in left_out} | chosen
        resolved = dataclasses.replace(resolve_given(settings, file), left_out=left_out)
    return Entry(label, model, seeds, {key: setting.value for key, setting in settings.items()}, resolved)


def _sourced(options: Mapping[str, Any], source: str) -> dict[str, Setting]:
    return {key: Setting(value, source) for key, value in options.items()}


@contextlib.contextmanager
def _naming(where: str) -> Iterator[None]:
    """Errors say in which entry they are."""
    try:
        yield
    except (WrongUsage, BadData) as error:
        raise type(error)(error.code, f"{where}: {error.message}", error.hint) from None


def _is_mapping(listed: Any) -> bool:
    return isinstance(listed, dict) and all(isinstance(key, str) for key in listed)


def _seeds(value: Any, where: str) -> tuple[int, ...]:
    seeds = value if isinstance(value, list) else [value]
    fine = all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)
    if not seeds or not fine or len(set(seeds)) < len(seeds):
        raise WrongUsage("bad_value", f"{where}: seeds is {value!r}, but must be distinct whole numbers from 0.")
    return tuple(seeds)


def _check_shared(entries: Sequence[Entry], file: str) -> None:
    """What decides the split and the choice of the best epoch must be the same for all."""
    trained = [entry for entry in entries if entry.resolved is not None]
    if not trained:
        hint = f"{POPULARITY} takes the split from another model's run."
        raise WrongUsage("bad_value", f"{file}: no model of it trains.", hint)

    def alike(entry: Entry) -> dict[str, Any]:
        assert entry.resolved is not None
        return {"dataset": entry.resolved.dataset} | {key: entry.resolved.values.get(key) for key in _ALIKE}

    first = alike(trained[0])
    for entry in trained[1:]:
        for key, value in alike(entry).items():
            if value != first[key]:
                raise WrongUsage(
                    "bad_value",
                    f"{file}: {trained[0].label} and {entry.label} differ in {key} ({first[key]!r} and {value!r}).",
                    "One table compares models on one split: write it once, above models.",
                )

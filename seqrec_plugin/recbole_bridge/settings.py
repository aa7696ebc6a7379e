"""A configuration file and overrides → the effective configuration, each value with its source.

Precedence, last wins: RecBole's defaults, the model's, `seqrec`'s, the data set's (`data_set`), the user's YAML file,
`--set`. RecBole's own files are read where they are installed; nothing here imports it, so a typo is told in a moment.
No text is evaluated as Python.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqrec_plugin import distributed, metrics, registry
from seqrec_plugin.columns import FEATURES
from seqrec_plugin.errors import WrongUsage, nearest
from seqrec_plugin.models import options
from seqrec_plugin.recbole_bridge import data_set
from seqrec_plugin.recbole_bridge.options import (
    SHARED_WITH_BASELINES,
    SeqrecOptions,
    check_ours,
    load_fields,
    model_config,
    our_defaults,
    training_defaults,
)
from seqrec_plugin.recbole_bridge.reading import parse, read_yaml, recbole_folder, yaml_text

#: What `seqrec` sets where the user says nothing.
SEQREC_DEFAULTS: dict[str, Any] = {
    "exact_time": True,
    "valid_metric": "NDCG@10",
    "show_progress": False,
    **dataclasses.asdict(SeqrecOptions()),
    "time_limit": 0.0,
}

#: Keys that `seqrec` sets itself, with the reason.
MANAGED = {
    "checkpoint_dir": "checkpoints go to the run's folder",
    "save_dataset": "RecBole's data set cache is a pickle, and stale when the file changes",
    "save_dataloaders": "RecBole's data loader cache is a pickle, and stale when the file changes",
    "dataset_save_path": "RecBole's data set cache is a pickle",
    "dataloaders_save_path": "RecBole's data loader cache is a pickle",
    **dict.fromkeys(
        ("nproc", "world_size", "ip", "port", "group_offset", "offset", "local_rank", "single_spec"),
        f"several processes are started by {distributed.torchrun()}",
    ),
}

#: Where a recipe says what `seqrec tune` may try; the other commands leave it alone.
TUNE = "tune"

#: Whose values are defaults, beside the model's own.
_DEFAULTS = ("RecBole", "seqrec", "data set")

#: RecBole keys that stand in none of its default files.
UNLISTED = {
    *("additional_feat_suffix", "alias_of_user_id", "benchmark_filename", "encoding", "seq_len", "nproc"),
    *("local_rank", "world_size", "offset", "ip", "port", "single_spec", "config_file", "config_files"),
    *("valid_metric_bigger", "MODEL_TYPE", "MODEL_INPUT_TYPE", "model", "dataset", "device"),
}


@dataclass(frozen=True)
class Setting:
    """A value and where it comes from."""

    value: Any
    source: str


@dataclass(frozen=True)
class Resolved:
    """An effective configuration: every key that RecBole and the model know."""

    model: str
    dataset: str
    settings: dict[str, Setting]
    #: Options of the file's own model that the one chosen in its place does not have.
    left_out: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        """Whether the model is one of our registry, and not RecBole's own."""
        return self.model in registry.names()

    @property
    def values(self) -> dict[str, Any]:
        """Key → value."""
        return {key: setting.value for key, setting in self.settings.items()}

    @property
    def given(self) -> dict[str, Setting]:
        """What somebody chose, model and data set among it: `resolve_given` of it is this configuration."""
        names = {"model": Setting(self.model, self.model), "dataset": Setting(self.dataset, self.model)}
        chosen = {k: s for k, s in self.settings.items() if s.source not in (*_DEFAULTS, self.model)}
        return names | chosen

    def to_yaml(self) -> str:
        """A configuration file that gives the same run, each line with its value's source as a comment."""
        lines = [f"model: {self.model}", f"dataset: {self.dataset}"]
        for key, setting in self.settings.items():
            lines.append(f"{key}: {yaml_text(setting.value)}  # {setting.source}")
        return "\n".join(lines) + "\n"


def resolve(file: Path, overrides: Iterable[str] = (), data: Path | None = None) -> Resolved:
    """Read a YAML file and `key=value` overrides into the effective configuration.

    Where the overrides choose another model, what the file says of its own model only is left out.

    Args:
        file: the user's.
        overrides: the texts of `--set`.
        data: the data set's folder, in place of `data_path` and `dataset`.

    Raises:
        WrongUsage: `unknown_model`, `unknown_key` (with the nearest name), `bad_value`, `missing_extra`.
        BadData: `dataset_invalid` where the file is no YAML mapping.
    """
    given = {key: Setting(value, file.name) for key, value in read_recipe(file).items()}
    if data is not None:
        data_path, dataset = data_set.at(data)
        given |= {"data_path": Setting(data_path, "--data"), "dataset": Setting(dataset, "--data")}
    changed = overridden(overrides)
    for key in ("data_path", "dataset"):
        if data is not None and key in changed:
            raise WrongUsage("bad_value", f"--data says where the data are, and so does --set {key}.", "Give one.")
    left_out = only_of_its_model(given, changed)
    given = {key: setting for key, setting in given.items() if key not in left_out} | changed
    if "models" in given:
        hint = f"Run it with: seqrec benchmark {file}"
        raise WrongUsage("bad_value", f"{file.name} is a benchmark of several models, not a recipe of one.", hint)
    return dataclasses.replace(resolve_given(given, file.name), left_out=left_out)


def only_of_its_model(given: Mapping[str, Setting], changed: Mapping[str, Setting]) -> tuple[str, ...]:
    """The keys of a recipe that its model has and the one that is chosen in its place does not.

    Args:
        given: of the recipe, key → value and source.
        changed: what counts above it, perhaps another `model`.

    Raises:
        WrongUsage: `unknown_model`, `bad_value`.
    """
    if "model" not in changed or "model" not in given or changed["model"].value == given["model"].value:
        return ()
    dataset = _name("dataset", {**given, **changed}.get("dataset", Setting("", "")))
    its_own, chosen = (defaults_of(_name("model", named["model"]), dataset) for named in (given, changed))
    return tuple(key for key in given if key in its_own and key not in chosen)


def _name(key: str, setting: Setting) -> str:
    if not isinstance(setting.value, str):
        raise WrongUsage("bad_value", f"{key} is {setting.value!r}, but must be a name.")
    return setting.value


def read_recipe(file: Path) -> dict[str, Any]:
    """What a recipe says of a training: all but what may be tried by `seqrec tune`."""
    return {key: value for key, value in read_yaml(file).items() if key != TUNE}


def resolve_given(given: dict[str, Setting], where: str) -> Resolved:
    """What is given, `model` and `dataset` among it, into the effective configuration.

    Args:
        given: key → value and source; left as it is.
        where: what holds it, for errors.

    Raises:
        WrongUsage: as `resolve`.
    """
    given, names = dict(given), {}
    for key in ("model", "dataset"):
        if key not in given:
            hint = f"Add a line such as `{key}: …`{', or give --data' if key == 'dataset' else ''}."
            raise WrongUsage("bad_value", f"{where} names no {key}.", hint)
        names[key] = _name(key, given.pop(key))
    model, dataset = names["model"], names["dataset"]

    known = defaults_of(model, dataset)
    known |= _of_data_set(model, dataset, known, given)
    for key, setting in given.items():
        if key in MANAGED:
            raise WrongUsage("bad_value", f"{key} is set by seqrec itself: {MANAGED[key]}.", "Remove it.")
        if key not in known and key not in UNLISTED:
            ours = key in training_defaults()
            hint = f"seqrec's own models have it; {model} is RecBole's." if ours else nearest(key, known)
            raise WrongUsage("unknown_key", f"{setting.source}: there is no option {key!r} for {model}.", hint)
        check_kind(key, setting, known.get(key))
    resolved = Resolved(model, dataset, _with_load_col(model, {**known, **given}))
    task = registry.load(model).task if resolved.ours else "next_item"
    _check_sense(resolved.values, "labeled" if task == "probability" else "full")
    if task == "probability":
        _check_probability_metrics(resolved.values)
    else:
        _check_valid_metric(resolved.values)
    if resolved.ours:
        check_ours(model, resolved.values)
    return resolved


def defaults_with_data(model: str, dataset: str, data_path: str | None) -> dict[str, Setting]:
    """`defaults_of` a model, and over them what the data set says of itself.

    Args:
        model, dataset: names.
        data_path: the folder that holds the data set's folder; RecBole's default if None.
    """
    given = {} if data_path is None else {"data_path": Setting(data_path, "--data-path")}
    known = defaults_of(model, dataset)
    return _with_load_col(model, known | _of_data_set(model, dataset, known, given))


def _with_load_col(model: str, settings: dict[str, Setting]) -> dict[str, Setting]:
    """The settings with `load_col` as the model needs it."""
    values = {key: setting.value for key, setting in settings.items()}
    chosen = settings["load_col"].source not in ("RecBole", model)
    load_col = load_fields(model, values, by_user=chosen)
    return settings if load_col == values["load_col"] else {**settings, "load_col": Setting(load_col, model)}


def _of_data_set(
    model: str, dataset: str, known: Mapping[str, Setting], given: Mapping[str, Setting]
) -> dict[str, Setting]:
    """What the data set says of itself, as far as it counts for the model: one data set serves many."""
    settings = {**known, **given}
    file = data_set.folder(dataset, settings["data_path"].value) / f"{dataset}.yaml"
    if not file.is_file():
        return {}
    found = {}
    for key, value in data_set.read(file).items():
        if key in known:
            check_kind(key, Setting(value, str(file)), known[key])
            found[key] = Setting(value, "data set")
    values = {key: setting.value for key, setting in settings.items()}
    if "NUMERIC_FIELDS" in found and FEATURES not in registry.load(model).reads(model_config(model, values)):
        for key in ("NUMERIC_FIELDS", "NUMERIC_TRANSFORMS"):
            found.pop(key, None)
    transforms = found.get("NUMERIC_TRANSFORMS")
    if transforms is not None and "NUMERIC_FIELDS" in given and isinstance(transforms.value, Mapping):
        chosen = {field: how for field, how in transforms.value.items() if field in given["NUMERIC_FIELDS"].value}
        found["NUMERIC_TRANSFORMS"] = Setting(chosen, "data set")
    return found


def overridden(overrides: Iterable[str]) -> dict[str, Setting]:
    """`key=value` texts, read as YAML.

    Raises:
        WrongUsage: `bad_value`.
    """
    given = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise WrongUsage("bad_value", f"--set takes key=value, but got {override!r}.")
        given[key] = Setting(parse(text, f"--set {key}"), "--set")
    return given


@functools.cache
def all_recbole_keys() -> frozenset[str]:
    """Every key of every RecBole model: one configuration may serve a whole benchmark."""
    keys: set[str] = set()
    for path in (recbole_folder() / "properties").rglob("*.yaml"):
        values = parse(path.read_text(encoding="utf-8"), path.name)
        keys |= set(values) if isinstance(values, dict) else set()
    return frozenset(keys)


def defaults_of(model: str, dataset: str) -> dict[str, Setting]:
    """All keys that count for a model, with their defaults and where these come from.

    Raises:
        WrongUsage: `unknown_model`, `name_clash`, `missing_extra`.
    """
    root = recbole_folder() / "properties"
    baselines = {path.stem for path in (root / "model").glob("*.yaml")} & _sequential_names()
    ours = model in registry.names()
    if not ours and model not in baselines:
        names = {*registry.names(), *baselines}
        raise WrongUsage("unknown_model", f"There is no sequential model {model!r}.", nearest(model, names))
    if ours and model in baselines:
        raise WrongUsage("name_clash", f"{model!r} is the name of a model of RecBole's own and of a plugin's.")

    values: dict[str, Any] = {}
    files = ["overall.yaml", f"model/{model}.yaml", "dataset/sample.yaml", f"dataset/{dataset}.yaml"]
    for name in [*files, "quick_start_config/sequential.yaml"]:
        if (root / name).is_file():
            values |= parse((root / name).read_text(encoding="utf-8"), name) or {}
    settings = {key: Setting(value, "RecBole") for key, value in values.items() if key not in MANAGED}
    shared = training_defaults()
    own = our_defaults(model) if ours else {key: shared[key] for key in SHARED_WITH_BASELINES}
    if values.get("loss_type") == "CE":
        own["train_neg_sample_args"] = None
    settings |= {key: Setting(value, model) for key, value in own.items()}
    settings |= {key: Setting(value, "seqrec") for key, value in SEQREC_DEFAULTS.items()}
    chosen = registry.load(model).defaults if ours else {}
    return _with_load_col(model, settings | {key: Setting(value, model) for key, value in chosen.items()})


def _sequential_names() -> set[str]:
    """The names of RecBole's sequential models: those with both a source file and a file of defaults."""
    root = recbole_folder()
    files = {path.stem for path in (root / "model" / "sequential_recommender").glob("*.py")}
    return {path.stem for path in (root / "properties" / "model").glob("*.yaml") if path.stem.lower() in files}


#: Numbers that make no sense below this.
_AT_LEAST_ONE = ("epochs", "eval_step", "train_batch_size", "eval_batch_size", "MAX_ITEM_LIST_LENGTH")
#: Optimizers that RecBole knows; it takes any other name for Adam.
LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam")


def _check_sense(values: Mapping[str, Any], wanted_mode: str) -> None:
    """What RecBole would accept and then ignore, or fail at much later."""
    for key in _AT_LEAST_ONE:
        if values[key] < 1:
            raise WrongUsage("bad_value", f"{key} is {values[key]}, but must be at least 1.")
    for key in ("stopping_step", "weight_decay", "time_limit"):
        if values[key] < 0:
            raise WrongUsage("bad_value", f"{key} is {values[key]}, but must be at least 0.")
    options.build(SeqrecOptions, {f.name: values[f.name] for f in dataclasses.fields(SeqrecOptions)})
    if not values["learning_rate"] > 0:
        raise WrongUsage("bad_value", f"learning_rate is {values['learning_rate']}, but must be above 0.")
    if not 0 <= values["seed"] < 2**32:
        raise WrongUsage("bad_value", f"seed is {values['seed']}, but must be 0 to {2**32 - 1}.")
    if str(values["learner"]).lower() not in LEARNERS:
        hint = nearest(str(values["learner"]), LEARNERS)
        raise WrongUsage("bad_value", f"learner: there is no optimizer {values['learner']!r}.", hint)
    arguments = values["eval_args"]
    if not isinstance(arguments, Mapping) or arguments.get("order") != "TO":
        raise WrongUsage("bad_value", "eval_args must have order: TO, for sequences are ordered by time.")
    mode = arguments.get("mode", "full")
    modes = mode.values() if isinstance(mode, Mapping) else [mode]
    if wanted_mode == "labeled" and any(part != "labeled" for part in modes):
        raise WrongUsage(
            "bad_value", f"eval_args has mode: {mode}, but this model gives a probability.", "Set mode: labeled."
        )
    if wanted_mode == "full" and any(part != "full" for part in modes):
        raise WrongUsage(
            "bad_value",
            f"eval_args has mode: {mode}, but seqrec ranks all items.",
            "Set mode: full; figures over sampled items do not compare models (Krichene & Rendle, KDD 2020).",
        )


def _check_valid_metric(values: Mapping[str, Any]) -> None:
    """The metric that chooses the best epoch must be one that we mask and that RecBole computes."""
    name = str(values["valid_metric"])
    metrics.check(name)
    metric, _, k = name.partition("@")
    computed, cutoffs = values["metrics"], values["topk"]
    computed = [computed] if isinstance(computed, str) else computed
    cutoffs = [cutoffs] if isinstance(cutoffs, int) else cutoffs
    if metric.lower() not in [str(m).lower() for m in computed] or int(k) not in cutoffs:
        raise WrongUsage(
            "bad_value",
            f"valid_metric is {name}, but metrics are {', '.join(map(str, computed))} and topk is {cutoffs}.",
            "Choose one of these, or add it to metrics and topk.",
        )


def _check_probability_metrics(values: Mapping[str, Any]) -> None:
    """RecBole's metrics of labelled rows; the rest of ours comes besides."""
    allowed = ("AUC", "LogLoss")
    computed = values["metrics"]
    computed = [computed] if isinstance(computed, str) else computed
    for name in (*map(str, computed), str(values["valid_metric"])):
        if name.lower() not in map(str.lower, allowed):
            raise WrongUsage("bad_value", f"{name} is no metric of probabilities.", nearest(name, allowed))
    if str(values["valid_metric"]).lower() not in [str(name).lower() for name in computed]:
        raise WrongUsage(
            "bad_value", f"valid_metric is {values['valid_metric']}, which metrics do not hold.", "Add it."
        )


def check_kind(key: str, setting: Setting, default: Setting | None) -> None:
    """A number or a switch must stay one; other kinds RecBole takes in several forms."""
    if default is None or setting.value is None:
        return
    wanted, found = type(default.value), type(setting.value)
    if wanted not in (bool, int, float) or found is wanted or (wanted is float and found is int):
        return
    raise WrongUsage(
        "bad_value", f"{setting.source}: {key} is {setting.value!r}, but must be of type {wanted.__name__}."
    )

"""What a training starts from: nothing, or another run, refitted on all events or carried on with newer ones.

A **refit** trains a run's configuration again on all events, for as many epochs as validation chose: else a model in
production never learned anyone's last two events. A **warm start** begins with a run's weights on newer data: an item
that the run knows keeps its vector and its index, new ones come after, and one that has no event any more stays known
but is never recommended.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seqrec_plugin import checkpoint, registry
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.columns import FEATURES, draw
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.models import options
from seqrec_plugin.recbole_bridge import data_set
from seqrec_plugin.recbole_bridge.options import model_config, training_options
from seqrec_plugin.recbole_bridge.reading import read_yaml
from seqrec_plugin.recbole_bridge.settings import Resolved, Setting, resolve
from seqrec_plugin.run_info import Origins, RunInfo

if TYPE_CHECKING:
    from seqrec_plugin.models.base import SequenceModel

#: Where the data lie and what computes: a refit may have these otherwise.
_PLACE = {"data_path", "dataset", "threads", "use_gpu", "gpu_id", "worker", "show_progress", "time_limit"}


@dataclass(frozen=True)
class Start:
    """`refit` is the run to train again on all events, `initial` the one whose weights training begins with."""

    refit: RunFolder | None = None
    initial: RunFolder | None = None

    @property
    def origins(self) -> Origins:
        """What the new run says of it."""
        refit, initial = (None if run is None else run.origin for run in (self.refit, self.initial))
        return Origins(refit, initial)

    def check(self, output: Path) -> None:
        """Whether these runs can be started from.

        Raises:
            WrongUsage: `bad_value`.
        """
        for run in (self.refit, self.initial):
            if run is not None and run.path.resolve() == output.resolve():
                raise WrongUsage("bad_value", f"{output} is the run to start from.", "Choose another output folder.")
        self.check_runs()

    def check_runs(self) -> None:
        """Whether runs of their kind can be started from, whatever is to be made.

        Raises:
            WrongUsage: `bad_value`.
        """
        if self.refit is not None:
            _check_refit(self.refit, self.initial)
        if self.initial is not None:
            _check_initial(self.initial)


#: From nothing.
FRESH = Start()


def _check_refit(run: RunFolder, initial: RunFolder | None) -> None:
    info, hint = run.info, ""
    if info.imported:
        wrong = "was imported, and no validation here chose its epochs"
    elif info.combined:
        wrong = "was not trained, but combined of others"
        hint = f"Refit each of those, and combine the refits with --refit-of {run.path}."
    elif info.origins.refit_of is not None:
        wrong = f"is a refit itself, of {info.origins.refit_of.run}"
        hint = "Refit a run that was validated."
    elif info.origins.began_from is not None and initial is None:
        wrong = f"began from the weights of {info.origins.began_from.run}, and so must its refit"
        hint = "Give --init-from with that run, too."
    elif initial is not None and info.origins.began_from != initial.origin:
        wrong = f"did not begin from the weights of {initial.path}"
        hint = "A refit begins as its run did."
    else:
        return
    raise WrongUsage("bad_value", f"{run.path} cannot be refitted: it {wrong}.", hint)


def _check_initial(run: RunFolder) -> None:
    info = run.info
    if info.combined:
        raise WrongUsage(
            "bad_value",
            f"{run.path} was combined of other runs, and no training can begin from its weights.",
            "Begin from one of those.",
        )
    if not info.ours:
        raise WrongUsage(
            "bad_value",
            f"{run.path} holds RecBole's own {info.model}, from whose weights no training can begin.",
            "A warm start is for the models of `seqrec models`.",
        )
    if info.origins.refit_of is not None:
        raise WrongUsage(
            "bad_value",
            f"{run.path} was refitted on all its events, so that what is held out now it may have seen.",
            f"Begin from the run that it was refitted from, {info.origins.refit_of.run}, and refit the new one.",
        )


# Refit.


def configuration(
    run: RunFolder, file: Path | None, overrides: Iterable[str] = (), data: Path | None = None
) -> Resolved:
    """A run's configuration for its refit: the same but for the number of epochs, which validation has chosen.

    Args:
        run: to be refitted.
        file: the configuration, where the user names it once more; it must be the run's. An option that the run's
            release did not have is at its default.
        overrides: `key=value` texts; only where the data lie and what computes may be changed.
        data: as for `resolve`.

    Raises:
        WrongUsage: `bad_value` where another value than the run's is given.
    """
    resolved = resolve(file or run.path / checkpoint.CONFIG_FILE, overrides, data)
    changed = [key for key in changed_keys(run, resolved) if key not in _PLACE]
    if changed:
        before = read_yaml(run.path / checkpoint.CONFIG_FILE)
        there = data_set.folder(before["dataset"], before["data_path"])
        here = data_set.folder(resolved.dataset, resolved.values["data_path"])
        if resolved.dataset != before["dataset"] or (data is None and here != there):
            own = "Leave out CONFIG: the run has its own configuration."
            raise WrongUsage(
                "bad_value",
                f"{run.path} is of the data set {before['dataset']!r}, in {there}, "
                f"but this configuration is of {resolved.dataset!r}, in {here}.",
                own if before["dataset"] == "ml-100k" else f"Give --data {there}.",
            )
    if resolved.settings["time_limit"].source == "--set":
        raise WrongUsage("bad_value", "A refit trains to the end of its epochs, without time_limit.", "Leave it out.")
    if "epochs" in changed or resolved.settings["epochs"].source == "--set":
        raise WrongUsage(
            "bad_value",
            f"A refit trains for the epochs that validation chose, {run.info.epoch + 1} in {run.path}, "
            f"so epochs cannot be {resolved.values['epochs']}.",
            "Leave out epochs.",
        )
    if changed:
        raise WrongUsage(
            "bad_value",
            f"--refit trains as {run.path} was trained, which has other values of {', '.join(changed)}.",
            "Leave out CONFIG and --set: the run has its own configuration.",
        )
    told: dict[str, Any] = {"epochs": run.info.epoch + 1, "time_limit": 0.0}
    if "schedule_epochs" in resolved.settings:  # the learning rate goes as it went in the run
        told["schedule_epochs"] = resolved.values["schedule_epochs"] or resolved.values["epochs"]
    settings = resolved.settings | {key: Setting(value, "--refit") for key, value in told.items()}
    return dataclasses.replace(resolved, settings=settings)


def changed_keys(run: RunFolder, resolved: Resolved) -> list[str]:
    """The keys in which a run's configuration, finished or not, differs from this one.

    One that the run's release did not have yet is no difference where it is at its default.
    """
    before = read_yaml(run.path / checkpoint.CONFIG_FILE)
    now = {"model": resolved.model, "dataset": resolved.dataset, **resolved.values}
    defaults = ("RecBole", "seqrec", resolved.model)
    later = {key for key, s in resolved.settings.items() if key not in before and s.source in defaults}
    keys = {*now, *before} - later
    return sorted(key for key in keys if key not in now or key not in before or before[key] != now[key])


def check_same_data(run: RunFolder, data_sha256: str, file: Path) -> None:
    """A refit learns from the very file that the run had.

    Raises:
        BadData: `dataset_invalid`.
    """
    if run.info.data_sha256 != data_sha256:
        raise BadData(
            "dataset_invalid",
            f"{file} is not the file that {run.path} was trained on, so its number of epochs says nothing here.",
            f"To go on from its weights with newer events: --init-from {run.path}.",
        )


def check_same_items(run: RunFolder, tokens: Iterable[str]) -> None:
    """The items of a refit must have the run's indices.

    Raises:
        BadData: `dataset_invalid`.
    """
    if tuple(tokens) != run.vocabulary().tokens:
        raise BadData("dataset_invalid", f"The items come to other indices than those of {run.path}.")


# Warm start.


def check_fits(run: RunFolder, resolved: Resolved) -> None:
    """Whether a run's weights mean the same under another configuration.

    Each model option that differs is tried by itself: it must neither change a weight's shape nor what a model of the
    same weights answers, as dropout does not.

    Raises:
        WrongUsage: `bad_value`, with the option's name.
    """
    info, values = run.info, resolved.values
    if resolved.model != info.model:
        raise _misfit(run, "model", info.model, resolved.model)
    model_class = registry.load(info.model)
    before = options.build(model_class.Config, info.model_config)
    now = model_config(info.model, values)
    for field in dataclasses.fields(now):
        old, new = getattr(before, field.name), getattr(now, field.name)
        if old != new and _matters(model_class, before, {field.name: new}, info):
            raise _misfit(run, field.name, old, new)
    if FEATURES in model_class.reads(now):
        fields, stored = training_options(values).NUMERIC_FIELDS, read_yaml(run.path / checkpoint.CONFIG_FILE)
        if fields != info.features:
            raise _misfit(run, "NUMERIC_FIELDS", list(info.features), list(fields))
        key = "NUMERIC_TRANSFORMS"
        if (stored.get(key) or {}) != (values.get(key) or {}):
            raise _misfit(run, key, stored.get(key), values.get(key))


def _misfit(run: RunFolder, key: str, before: Any, now: Any) -> WrongUsage:
    return WrongUsage(
        "bad_value",
        f"--init-from {run.path}: {key} is {now!r} here, but {before!r} there, so its weights do not fit.",
        f"Set {key} as it is there, or start without --init-from.",
    )


def _matters(model_class: Any, config: Any, change: dict[str, Any], info: RunInfo) -> bool:
    """Whether an option changes the shape of a weight, or what a model of equal weights answers."""
    import torch

    with torch.random.fork_rng(devices=[]):
        try:
            models = []
            for chosen in (config, dataclasses.replace(config, **change)):
                known = {"behaviors": info.behaviors, "features": info.features} if model_class.reads(chosen) else {}
                models.append(model_class(chosen, 5, **known).eval())
            one, other = models
            other.load_state_dict(one.state_dict())
        except (WrongUsage, RuntimeError):  # it cannot be, or has other weights
            return True
        if one.columns != other.columns or one.takes_candidates != other.takes_candidates:
            return True
        item_seq, random = torch.tensor([[0, 0, 1, 2], [1, 2, 3, 4]]), np.random.default_rng(0)
        drawn = [draw(one.columns, 4, random, len(info.behaviors), len(info.features)) for _ in item_seq]
        columns = {name: torch.from_numpy(np.stack([row[name] for row in drawn])) for name in one.columns}
        columns = {name: value.unsqueeze(1) if value.dim() == 1 else value for name, value in columns.items()}
        with torch.no_grad():
            return not torch.equal(one(item_seq, None, columns)[0], other(item_seq, None, columns)[0])


def begin(network: SequenceModel, run: RunFolder) -> None:
    """Give a new network a run's weights; rows of items and behaviours that are new to it stay as they are born.

    Args:
        network: whose first items and behaviours are those of the run, in its order.
        run: of the same options (`check_fits`).

    Raises:
        BadData: `run_invalid` where a weight does not fit all the same.
    """
    import torch

    info, before, now = run.info, run.weights(), network.state_dict()
    known, new = len(info.behaviors), len(network.behaviors)
    grown = {(info.n_items, network.n_items), (known, new), (known + 1, new + 1)}
    if set(before) != set(now) or info.n_items != run.vocabulary().n_items:
        raise BadData("run_invalid", f"The weights of {run.path} are not those of a {info.model} of its items.")
    with torch.no_grad():
        for name, weight in now.items():
            old = before[name]
            alike = old.shape[1:] == weight.shape[1:]
            if old.shape == weight.shape:
                weight.copy_(old)
            elif old.dim() and weight.dim() and alike and (len(old), len(weight)) in grown:
                weight[: len(old)] = old
            else:
                shapes = f"{list(old.shape)} there and {list(weight.shape)} here"
                raise BadData("run_invalid", f"The weight {name} of {run.path} does not fit: it is {shapes}.")


def vanished(run: RunFolder, items: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """The indices of a run's items that no event is about any more.

    Args:
        run: whose items keep their indices.
        items: int64 [events], the item of each event of the new data.
    """
    return tuple(np.setdiff1d(np.arange(1, run.info.n_items), items).tolist())


def changed_behaviors(before: RunFolder, run: RunFolder) -> tuple[list[str], list[str]]:
    """The behaviours that are new to a run which began from another, and those that no event of its data is of.

    Both are empty where one of the runs knows no behaviours.
    """
    column = run.split().columns.behavior
    if column is None or not before.info.behaviors:
        return [], []
    names = run.info.behaviors
    seen = set(np.unique(column).tolist())
    new = [name for name in names if name not in before.info.behaviors]
    return new, [name for i, name in enumerate(names, start=1) if i not in seen]

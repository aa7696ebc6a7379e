"""Make our models known to RecBole by name, without touching it on disk and without importing it.

RecBole finds a model at `recbole.model.sequential_recommender.<lower case name>`, its data set at
`recbole.data.dataset.<Name>Dataset` and its trainer at `recbole.trainer.<Name>Trainer`. Two import finders answer
there: one for modules that RecBole does not have (it stands last, so RecBole's own models are never hidden), one that
completes three of RecBole's modules in memory right after they load.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from seqrec_plugin import registry

_MODELS = "recbole.model.sequential_recommender."

#: RecBole model name -> whether it gets our data set and trainer: its last Config or `seqrec` asks for them.
_exact_time: dict[str, bool] = {}


def install() -> None:
    """Register both finders, once, and complete RecBole's modules that are loaded already."""
    if any(isinstance(finder, _CompletingFinder) for finder in sys.meta_path):
        return
    # Before torch loads: on shared cores, OpenMP threads that spin while they wait can be ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.meta_path.insert(0, _CompletingFinder())
    sys.meta_path.append(_ModelFinder())
    for name, complete in _COMPLETE.items():
        if name in sys.modules:
            complete(sys.modules[name])


def note_config(config: Any) -> None:
    """Remember whether RecBole's own model of this Config is to run over exactly ordered rows."""
    _exact_time[config["model"]] = bool(config["exact_time"])


def offer_ours(model: str) -> None:
    """Let RecBole's own model of this name have our data set and trainer, until its next Config is made.

    `seqrec` needs their ranks and row numbers without `exact_time` too; they read and order as RecBole then.
    """
    _exact_time[model] = True


class _ModelFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """`recbole.model.sequential_recommender.lstm4rec` and the like."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        name = fullname.removeprefix(_MODELS)
        if name == fullname or _model_of(name) is None:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        from seqrec_plugin.recbole_bridge.recommender import recommender_class

        name = _model_of(module.__name__.removeprefix(_MODELS))
        assert name is not None
        setattr(module, name, recommender_class(name))


def _model_of(lower_case: str) -> str | None:
    return next((name for name in registry.names() if name.lower() == lower_case), None)


class _CompletingFinder(importlib.abc.MetaPathFinder):
    """Lets the ordinary import run, then completes the module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        complete = _COMPLETE.get(fullname)
        if complete is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _CompletingLoader(spec.loader, complete)
        return spec


class _CompletingLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, complete: Callable[[ModuleType], None]) -> None:
        self._loader, self._complete = loader, complete

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._complete(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # get_source and the like, for tracebacks and inspect


def _offer(suffix: str, ours: str, baseline: str) -> Callable[[ModuleType], None]:
    """Let a module of RecBole have `<Model><suffix>` for our models, and for RecBole's own under `exact_time`.

    Args:
        suffix: `Dataset` or `Trainer`.
        ours, baseline: `module:Class` below the bridge, imported when RecBole asks.
    """

    def complete(module: ModuleType) -> None:
        def attribute(name: str) -> Any:
            model = name.removesuffix(suffix)
            wanted = None
            if model != name:
                wanted = ours if model in registry.names() else baseline if _exact_time.get(model) else None
            if wanted is None:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            place, _, class_name = wanted.partition(":")
            return getattr(importlib.import_module(f"seqrec_plugin.recbole_bridge.{place}"), class_name)

        module.__getattr__ = attribute  # type: ignore[method-assign]

    return complete


def _complete_configurator(module: ModuleType) -> None:
    from seqrec_plugin.recbole_bridge.config import complete

    complete(module.Config)


_COMPLETE: dict[str, Callable[[ModuleType], None]] = {
    "recbole.data.dataset": _offer("Dataset", "dataset:SequenceDataset", "dataset:ExactSequentialDataset"),
    "recbole.trainer": _offer("Trainer", "sequence_trainer:SequenceTrainer", "trainer:BaselineTrainer"),
    "recbole.config.configurator": _complete_configurator,
}

"""Model name → import string, built in or by entry point; loads one class, on demand.

A package offers a model by an entry point of the group `seqrec_plugin.models`, name = `module:Class`. Nothing here
imports a model to list it: what `entries` says of one is read from its source.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass
from typing import Any

from seqrec_plugin.errors import SeqrecError, WrongUsage, missing_extra, nearest

GROUP = "seqrec_plugin.models"

_OURS = "seqrec-plugin"
_BUILT_IN = {
    "BehaviorLSTM4Rec": "seqrec_plugin.models.behaviorlstm4rec:BehaviorLSTM4Rec",
    "GRU4RecTied": "seqrec_plugin.models.gru4rectied:GRU4RecTied",
    "GatedLRU4Rec": "seqrec_plugin.models.gatedlru4rec:GatedLRU4Rec",
    "LRU4Rec": "seqrec_plugin.models.lru4rec:LRU4Rec",
    "LSTM4Rec": "seqrec_plugin.models.lstm4rec:LSTM4Rec",
    "LSTMRanker": "seqrec_plugin.models.lstmranker:LSTMRanker",
    "RNN4Rec": "seqrec_plugin.models.rnn4rec:RNN4Rec",
    "TimeLSTM4Rec": "seqrec_plugin.models.timelstm4rec:TimeLSTM4Rec",
}


@dataclass(frozen=True)
class Entry:
    """One model as one package offers it.

    `summary` and `paper` come from its class's docstring (the first line; the paragraph that begins with `Paper:`) and
    are empty where the source is not at hand. `problem` says why the model cannot be used.
    """

    name: str
    package: str
    target: str
    summary: str = ""
    paper: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class _Claim:
    name: str
    package: str
    target: str


def names() -> list[str]:
    """All model names, those that two packages claim too."""
    return sorted({claim.name for claims in _claims().values() for claim in claims})


def target(name: str) -> str:
    """Where a model lives, as `module:Class`.

    Raises:
        WrongUsage: `unknown_model`, or `name_clash` where two packages claim the name.
    """
    return _claim(name).target


def package(name: str) -> str | None:
    """The third party's package that brings a model; None for ours, and for names that are none of the registry."""
    claims = _claims().get(name.lower(), [])
    return next((claim.package for claim in claims if claim.package != _OURS), None)


def load(name: str) -> type[Any]:
    """Import one model's class.

    Raises:
        WrongUsage: as `target`; `missing_extra` without torch; `model_broken` where a third party's model does not
            import.
    """
    claim = _claim(name)
    module, _, attribute = claim.target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, type):
            raise TypeError(f"{claim.target} is not a class")
    except (Exception, SystemExit) as error:  # a stranger's module may do anything when it is imported
        if isinstance(error, ModuleNotFoundError) and error.name == "torch":
            raise missing_extra("torch", "train") from error
        if claim.package == _OURS:
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
        raise WrongUsage(
            "model_broken",
            f"The model {name!r} of the package {claim.package!r} cannot be imported ({reason}).",
            "Update or uninstall that package; the other models work.",
        ) from error
    return found


def entries(check: bool = False) -> list[Entry]:
    """What there is to list, by name; a name that two packages claim comes once for each.

    Args:
        check: import third parties' models too, to find the broken ones (this loads torch where they do).
    """
    return [_entry(claim, check) for _, claims in sorted(_claims().items()) for claim in claims]


def _entry(claim: _Claim, check: bool) -> Entry:
    problem = None
    try:
        if check and claim.package != _OURS:
            load(claim.name)
        else:
            target(claim.name)
    except SeqrecError as error:
        # That torch is not installed says nothing about the model.
        problem = None if error.code == "missing_extra" else error.message
    docstring = _docstring(claim.target)
    paragraphs = [" ".join(paragraph.split()) for paragraph in docstring.split("\n\n")]
    paper = next((p.removeprefix("Paper:").strip() for p in paragraphs if p.startswith("Paper:")), "")
    return Entry(claim.name, claim.package, claim.target, docstring.partition("\n")[0], paper, problem)


def _claim(name: str) -> _Claim:
    claims = _claims().get(name.lower(), [])
    if all(claim.name != name for claim in claims):
        raise WrongUsage("unknown_model", f"There is no model {name!r}.", nearest(name, names()))
    if len(claims) > 1:
        packages = " and ".join(repr(claim.package) for claim in claims)
        raise WrongUsage(
            "name_clash", f"The model name {name!r} is claimed by the packages {packages}.", "Uninstall one of them."
        )
    return claims[0]


def _claims() -> dict[str, list[_Claim]]:
    """Lower-case name → who claims it. RecBole finds models by the lower-case name, so that must be unique."""
    return _scan(tuple(sys.path))


# RecBole's import hook asks at every unknown name, and a scan reads the metadata of every installed package.
@functools.lru_cache(maxsize=1)
def _scan(path: tuple[str, ...]) -> dict[str, list[_Claim]]:
    from importlib import metadata

    found = [_Claim(name, _OURS, target) for name, target in _BUILT_IN.items()]
    for point in metadata.entry_points(group=GROUP):
        package = point.dist.name if point.dist else "unknown"
        found.append(_Claim(point.name, package, point.value))
    claims: dict[str, list[_Claim]] = {}
    for claim in found:
        claims.setdefault(claim.name.lower(), []).append(claim)
    return claims


def _docstring(target: str) -> str:
    """The docstring of a class, read without importing its module or any parent of it; may be empty."""
    module, _, name = target.partition(":")
    top, *rest = module.split(".")
    fullname = top
    try:
        spec = importlib.util.find_spec(top)
        for part in rest:
            fullname = f"{fullname}.{part}"
            spec = importlib.machinery.PathFinder.find_spec(fullname, spec.submodule_search_locations)  # type: ignore[union-attr]
        source = spec.loader.get_source(fullname)  # type: ignore[union-attr]
        tree = ast.parse(source or "")
    except (ImportError, AttributeError, SyntaxError, ValueError):
        return ""  # no such module, or one without readable source: `load` tells what is wrong with it
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return (ast.get_docstring(classes[-1]) or "") if classes else ""

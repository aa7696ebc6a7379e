"""Writes docs/models.md from the models themselves: `make docs`, or `python docs/generate.py`.

A test fails where the page is not what this gives.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

from seqrec_plugin import registry
from seqrec_plugin.models.options import Described, describe
from seqrec_plugin.recbole_bridge import keys
from seqrec_plugin.recbole_bridge.reading import yaml_text
from seqrec_plugin.recbole_bridge.settings import defaults_of

PAGE = Path(__file__).with_name("models.md")

HEAD = """\
<!-- Written by docs/generate.py from the models' own words (`make docs`): change them there. -->

# Models

`seqrec models` lists these, and what other packages bring ([how to write one](your_own_model.md)). `seqrec models NAME`
shows one with its options, `seqrec init config --model NAME` writes a configuration with all of them. In RecBole each
is known by its name: `run_recbole(model=NAME, …)`.
"""

TRAINING = """\
## Options of training

Our own, beside RecBole's. The defaults are those of `seqrec`. In a plain `run_recbole` `exact_time` is false unless you
set it, and `threads` is not minded.
"""

RECBOLES = """\
## Keys of RecBole's

The ones that people set, with the defaults that they have under `seqrec` for LSTM4Rec on a data set of one's own.
"""


def page() -> str:
    """The whole text of docs/models.md."""
    ours = [entry for entry in registry.entries() if entry.package == "seqrec-plugin"]
    values = {key: setting.value for key, setting in defaults_of("LSTM4Rec", "your-own").items()}
    known = (*keys.DATA, *keys.TRAINING, *keys.EVALUATION)
    parts = [HEAD, *(_section(entry) for entry in ours)]
    parts += [TRAINING, _table(keys.ours()), RECBOLES, _table(keys.described(known, values))]
    return "\n".join(parts)


def _section(entry: registry.Entry) -> str:
    """One model: what its docstring says, then its options."""
    model = registry.load(entry.name)
    words = [" ".join(paragraph.split()) for paragraph in (inspect.getdoc(model) or "").split("\n\n")]
    return "\n\n".join([f"## {entry.name}", *words, _table(describe(model.Config))])


def _table(options: Iterable[Described]) -> str:
    rows = ["| option | type | default | range | meaning |", "| --- | --- | --- | --- | --- |"]
    for o in options:
        cells = [f"`{o.name}`", o.type, f"`{yaml_text(o.default)}`", o.range, o.meaning]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)

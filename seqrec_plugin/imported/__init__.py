"""RecBole's own models as plain torch, without RecBole: what they compute from weights that RecBole trained.

They are not trained here. Padding stands on the left, as for all our models, and a history of nothing has an answer.
"""

from __future__ import annotations

import importlib

from seqrec_plugin.imported.base import ImportedModel

#: RecBole's name → module here; the class has RecBole's name.
MODELS = {"GRU4Rec": "gru4rec", "NARM": "narm", "SASRec": "sasrec"}


def load(name: str) -> type[ImportedModel]:
    """The class of one of `MODELS`."""
    module = importlib.import_module(f"{__name__}.{MODELS[name]}")
    found: type[ImportedModel] = getattr(module, name)
    return found

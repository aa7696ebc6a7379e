"""Everything that knows RecBole; nobody else imports recbole.

Importing this package loads neither torch nor recbole: `hooks` waits for RecBole to be imported. A model's class
as RecBole knows it is made on demand: `seqrec_plugin.recbole_bridge.LSTM4Rec`.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from seqrec_plugin import registry

    if name.startswith("_") or name not in registry.names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seqrec_plugin.recbole_bridge.recommender import recommender_class

    return recommender_class(name)

"""Public contract classes: subclass one in your test file, say how to build yours, and pytest finds the rest."""

from seqrec_plugin.testing.contracts import LayerContract, ModelContract

__all__ = ["LayerContract", "ModelContract"]

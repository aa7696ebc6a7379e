"""GatedLRU4Rec."""

from __future__ import annotations

from seqrec_plugin.layers import GatedLRU, Layer
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.blocks import BlocksConfig, blocks


class GatedLRU4RecConfig(BlocksConfig):
    """Options of GatedLRU4Rec."""


class GatedLRU4Rec(SequenceModel):
    """A linear recurrence that the items gate: parallel in time like LRU4Rec, and able to forget like an LSTM.

    How long each unit of the state remembers depends on the item that comes in.

    Paper: De et al., Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models
    (2024); Liu et al., Behavior-Dependent Linear Recurrent Units for Efficient Sequential Recommendation (CIKM 2024).
    """

    Config = GatedLRU4RecConfig

    def build_encoder(self, config: GatedLRU4RecConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return blocks(config, lambda width, hidden: GatedLRU(width, hidden, width))

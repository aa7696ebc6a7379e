"""LSTM4Rec."""

from __future__ import annotations

from seqrec_plugin.layers import LSTM, Layer
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.blocks import BlocksConfig, blocks, projected


class LSTM4RecConfig(BlocksConfig):
    """Options of LSTM4Rec."""


class LSTM4Rec(SequenceModel):
    """LSTM blocks over the item sequence: the workhorse, strong on sparse and on dense data.

    A next step costs the same however long the history is.

    Paper: Hochreiter & Schmidhuber, Long Short-Term Memory (1997); Hidasi et al., Session-based Recommendations
    with Recurrent Neural Networks (ICLR 2016).
    """

    Config = LSTM4RecConfig

    def build_encoder(self, config: LSTM4RecConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return blocks(config, projected(LSTM))

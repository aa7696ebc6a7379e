"""GRU4RecTied."""

from __future__ import annotations

from seqrec_plugin.layers import GRU, Layer
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.blocks import BlocksConfig, blocks, projected


class GRU4RecTiedConfig(BlocksConfig):
    """Options of GRU4RecTied."""


class GRU4RecTied(SequenceModel):
    """GRU blocks with a tied item table: three quarters of the LSTM's own weights, and half the state to carry.

    Unlike RecBole's GRU4Rec it learns at every position, from all items, and input and output share one table.

    Paper: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder (EMNLP 2014); Hidasi et al.,
    Session-based Recommendations with Recurrent Neural Networks (ICLR 2016); Press & Wolf, Using the Output
    Embedding to Improve Language Models (EACL 2017).
    """

    Config = GRU4RecTiedConfig

    def build_encoder(self, config: GRU4RecTiedConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return blocks(config, projected(GRU))

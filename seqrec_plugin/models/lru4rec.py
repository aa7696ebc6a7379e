"""LRU4Rec."""

from __future__ import annotations

from dataclasses import dataclass

from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.layers import LRU, Layer
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.blocks import BlocksConfig, blocks
from seqrec_plugin.models.options import option


@dataclass(frozen=True)
class LRU4RecConfig(BlocksConfig):
    """Options of LRU4Rec."""

    r_min: float = option(0.8, "Least decay per step at the start of training: near 1 remembers.", low=0.0, high=0.999)
    r_max: float = option(0.99, "Greatest decay per step at the start, not below r_min.", low=0.01, high=0.9999)

    def __post_init__(self) -> None:
        if self.r_min > self.r_max:
            raise WrongUsage("bad_value", f"r_min is {self.r_min:g}, but must be at most r_max, {self.r_max:g}.")


class LRU4Rec(SequenceModel):
    """Linear recurrent units: trained in parallel over time, for long histories and many events.

    Each unit of the state turns and decays at its own fixed rate, whatever the items are; the feed-forward part does
    what is not linear.

    Paper: Yue et al., Linear Recurrent Units for Sequential Recommendation (WSDM 2024); Orvieto et al., Resurrecting
    Recurrent Neural Networks for Long Sequences (ICML 2023).
    """

    Config = LRU4RecConfig

    def build_encoder(self, config: LRU4RecConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return blocks(config, lambda width, hidden: LRU(width, hidden, width, config.r_min, config.r_max))

"""RecBole's GRU4Rec."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seqrec_plugin.imported.base import ImportedModel, Weights, gru_weights
from seqrec_plugin.layers import GRU, Layer, Linear, Stack
from seqrec_plugin.models.options import option


@dataclass(frozen=True)
class GRU4RecConfig:
    """What shapes RecBole's GRU4Rec."""

    embedding_size: int = option(64, "Width of an item's vector.", low=1)
    hidden_size: int = option(128, "Width of the state.", low=1)
    num_layers: int = option(1, "GRUs one after the other.", low=1)


class GRU4Rec(ImportedModel):
    """GRU over the items, then a linear map back to the items' width; its state is carried.

    Paper: Tan et al., Improved Recurrent Neural Networks for Session-based Recommendations (DLRS 2016), as RecBole 1.2
    has it.
    """

    Config = GRU4RecConfig
    newcomer = "what the bias of the last layer alone scores best, the same for every newcomer"

    def build_encoder(self, config: GRU4RecConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        widths = [config.embedding_size] + [config.hidden_size] * (config.num_layers - 1)
        recurrences = Stack([GRU(width, config.hidden_size) for width in widths])
        return Stack([recurrences, Linear(config.hidden_size, config.embedding_size)])

    @classmethod
    def encoder_weights_from(cls, weights: Weights) -> dict[str, Tensor]:
        """See `ImportedModel`."""
        dense = {f"encoder.layers.1.linear.{kind}": weights[f"dense.{kind}"] for kind in ("weight", "bias")}
        return {**gru_weights(weights, "gru_layers", "encoder.layers.0"), **dense}

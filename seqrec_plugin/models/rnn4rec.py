"""RNN4Rec."""

from __future__ import annotations

from dataclasses import dataclass

from seqrec_plugin.layers import Dropout, Elman, Layer, Stack
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.options import option


@dataclass(frozen=True)
class RNN4RecConfig:
    """Options of RNN4Rec."""

    embedding_size: int = option(64, "Width of an item's vector, at input and output.", low=1, high=4096)
    hidden_size: int = option(128, "Width of the state.", low=1, high=4096)
    num_layers: int = option(1, "Networks one after the other.", low=1, high=16)
    dropout_prob: float = option(0.3, "Dropout of each network's input.", low=0.0, high=0.95)
    activation: str = option("tanh", "What squashes state and output.", choices=("tanh", "relu", "sigmoid"))


class RNN4Rec(SequenceModel):
    """The plain Elman network: the formula that the field starts from, and the baseline to beat.

    h_t = σ(W·x_t + U·h_{t−1} + b), o_t = σ(V·h_t + c), with no residual and no normalisation. A newcomer gets the
    items by their bias alone.

    Paper: Elman, Finding Structure in Time (Cognitive Science 1990).
    """

    Config = RNN4RecConfig

    def build_encoder(self, config: RNN4RecConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        width = config.embedding_size
        layers: list[Layer] = []
        for _ in range(config.num_layers):
            layers += [Dropout(config.dropout_prob), Elman(width, config.hidden_size, width, config.activation)]
        return Stack(layers)

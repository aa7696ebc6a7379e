"""LSTM4Rec."""

from __future__ import annotations

from dataclasses import dataclass

from seqrec_plugin.layers import LSTM, Dropout, FeedForward, Layer, LayerNorm, Linear, Residual, Stack
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.models.options import option


@dataclass(frozen=True)
class LSTM4RecConfig:
    """Options of LSTM4Rec."""

    embedding_size: int = option(64, "Width of an item's vector, at input and output.", low=1, high=4096)
    hidden_size: int = option(64, "Width of the LSTM's state.", low=1, high=4096)
    num_layers: int = option(2, "Blocks one after the other.", low=1, high=16)
    dropout_prob: float = option(0.5, "Dropout of the input and in the blocks.", low=0.0, high=0.95)
    residual: bool = option(True, "Whether each part of a block adds its input to its output.")
    normalize: bool = option(True, "Whether the input and each part's output are layer-normalised.")
    feed_forward: bool = option(True, "Whether a feed-forward part follows each LSTM.")
    feed_forward_size: int = option(256, "Inner width of the feed-forward part.", low=1, high=16384)


class LSTM4Rec(SequenceModel):
    """LSTM blocks over the item sequence: the workhorse, strong on sparse and on dense data.

    Each block is LSTM → dropout → residual and layer norm → feed-forward → residual and layer norm: the
    transformer's block with the attention replaced by a recurrence. So a next step costs the same however long
    the history is.

    Paper: Hochreiter & Schmidhuber, Long Short-Term Memory (1997); Hidasi et al., Session-based Recommendations
    with Recurrent Neural Networks (ICLR 2016).
    """

    Config = LSTM4RecConfig

    def build_encoder(self, config: LSTM4RecConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        width, drop = config.embedding_size, config.dropout_prob

        def wrapped(inner: Layer) -> Layer:
            return Residual(inner, width, drop, config.residual, config.normalize)

        layers: list[Layer] = [LayerNorm(width)] if config.normalize else []
        layers.append(Dropout(drop))
        for _ in range(config.num_layers):
            recurrence: Layer = LSTM(width, config.hidden_size)
            if config.hidden_size != width:
                # Without a bias, so that a skipped recurrence still adds nothing.
                recurrence = Stack([recurrence, Linear(config.hidden_size, width, bias=False)])
            layers.append(wrapped(recurrence))
            if config.feed_forward:
                layers.append(wrapped(FeedForward(width, config.feed_forward_size, drop)))
        return Stack(layers)

"""Blocks of a recurrence and a feed-forward part: the frame that the recurrent models share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seqrec_plugin.layers import Aside, Dropout, FeedForward, Layer, LayerNorm, Linear, Residual, Stack
from seqrec_plugin.models.options import option


@dataclass(frozen=True)
class BlocksConfig:
    """Options of a model made of blocks."""

    embedding_size: int = option(64, "Width of an item's vector, at input and output.", low=1, high=4096)
    hidden_size: int = option(64, "Width of the recurrence's state.", low=1, high=4096)
    num_layers: int = option(2, "Blocks one after the other.", low=1, high=16)
    dropout_prob: float = option(0.5, "Dropout of the input and in the blocks.", low=0.0, high=0.95)
    residual: bool = option(True, "Whether each part of a block adds its input to its output.")
    normalize: bool = option(True, "Whether the input and each part's output are layer-normalised.")
    feed_forward: bool = option(True, "Whether a feed-forward part follows each recurrence.")
    feed_forward_size: int = option(256, "Inner width of the feed-forward part.", low=1, high=16384)


Recurrence = Callable[[int, int], Layer]


def projected(recurrence: Recurrence) -> Recurrence:
    """For a recurrence whose output is its state: a linear map to the width of the block, where the two differ.

    It has no bias, so that a skipped recurrence still adds nothing.
    """

    def made(width: int, hidden: int) -> Layer:
        inner = recurrence(width, hidden)
        return inner if hidden == width else Stack([inner, Linear(hidden, width, bias=False)])

    return made


def blocks(config: BlocksConfig, recurrence: Recurrence, column: bool = False) -> Layer:
    """Normalised and dropped-out input, then blocks.

    A block is recurrence → dropout → residual and layer norm → feed-forward → residual and layer norm: the
    transformer's block (Vaswani et al., 2017) with a recurrence in place of attention.

    Args:
        config: sizes and switches.
        recurrence: makes a layer from the width of its input and output, and the width of its state.
        column: whether the input has one column more, which only the recurrences read, each as it is.
    """
    width, drop = config.embedding_size, config.dropout_prob

    def wrapped(inner: Layer, reads: bool = False) -> Layer:
        return Residual(inner, width, drop, config.residual, config.normalize, column and reads)

    layers: list[tuple[Layer, bool]] = [(LayerNorm(width), False)] if config.normalize else []
    layers.append((Dropout(drop), False))
    for _ in range(config.num_layers):
        layers.append((wrapped(recurrence(width, config.hidden_size), reads=True), True))
        if config.feed_forward:
            layers.append((wrapped(FeedForward(width, config.feed_forward_size, drop)), False))
    if not column:
        return Stack([layer for layer, _ in layers])
    last = len(layers) - 1
    return Stack([Aside(layer, reads, ends=i == last) for i, (layer, reads) in enumerate(layers)])

"""Small torch modules: whole sequences, carried state, and `emit` to the graph."""

from seqrec_plugin.layers.base import Emitter, Layer, Names, Stack, State
from seqrec_plugin.layers.item_table import ItemTable
from seqrec_plugin.layers.pointwise import Dropout, FeedForward, Gelu, LayerNorm, Linear
from seqrec_plugin.layers.recurrent import GRU, LSTM, Elman
from seqrec_plugin.layers.residual import Residual

__all__ = [
    "GRU",
    "LSTM",
    "Dropout",
    "Elman",
    "Emitter",
    "FeedForward",
    "Gelu",
    "ItemTable",
    "Layer",
    "LayerNorm",
    "Linear",
    "Names",
    "Residual",
    "Stack",
    "State",
]

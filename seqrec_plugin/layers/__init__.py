"""Small torch modules: whole sequences, carried state, and `emit` to the graph."""

from seqrec_plugin.layers.aside import Aside
from seqrec_plugin.layers.base import Emitter, Layer, Names, Stack, State
from seqrec_plugin.layers.embedding import Embedding
from seqrec_plugin.layers.gaps import GapEmbedding
from seqrec_plugin.layers.int8_table import Int8Table
from seqrec_plugin.layers.item_table import ItemTable
from seqrec_plugin.layers.linear_recurrence import linear_recurrence
from seqrec_plugin.layers.lru import LRU, GatedLRU
from seqrec_plugin.layers.lstm_cells import DecayLSTM, ReluLSTM, TimeLSTM
from seqrec_plugin.layers.numbers import Numbers
from seqrec_plugin.layers.pointwise import Dropout, FeedForward, Gelu, LayerNorm, Linear
from seqrec_plugin.layers.recurrent import GRU, LSTM, Elman
from seqrec_plugin.layers.residual import Residual
from seqrec_plugin.layers.smoothing import ExponentialMean, MovingMean, MovingMedian
from seqrec_plugin.layers.towers import Towers

__all__ = [
    "GRU",
    "LRU",
    "LSTM",
    "Aside",
    "DecayLSTM",
    "Dropout",
    "Elman",
    "Embedding",
    "Emitter",
    "ExponentialMean",
    "FeedForward",
    "GapEmbedding",
    "GatedLRU",
    "Gelu",
    "Int8Table",
    "ItemTable",
    "Layer",
    "LayerNorm",
    "Linear",
    "MovingMean",
    "MovingMedian",
    "Names",
    "Numbers",
    "ReluLSTM",
    "Residual",
    "Stack",
    "State",
    "TimeLSTM",
    "Towers",
    "linear_recurrence",
]

"""The item table in one byte a weight, for the graph; the recurrence stays in float32."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from seqrec_plugin.layers.base import Emitter, array
from seqrec_plugin.layers.item_table import ItemTable

#: A query is written with two digits of base 128, each from −64 to 64: the largest number that two of them write
#: and that rounds back to them.
_BASE, _MOST = 128, 63 * 128 + 63
_ZERO = 64
#: Above this width the sum of a row's products would not fit the 24 bits that float32 holds exactly.
MOST_WIDTH = 2**24 // (127 * 64)


class Int8Table(nn.Module):
    """A trained item table, rounded: int8 with one scale an item. It stands in for an `ItemTable`, and learns nothing.

    The scores are integer products. The query has a scale of its own in each row, so that batch-mates do not touch
    each other, and two digits of 7 bits: one alone would cost more in ranking than the table does, and products of
    full bytes overflow the 16-bit sums of older processors.

    Args:
        table: the trained one.
    """

    codes: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, table: ItemTable) -> None:
        super().__init__()
        weight = table.weight.detach()
        scale = weight.abs().amax(dim=1) / 127
        codes = torch.round(weight / scale.clamp_min(torch.finfo(torch.float32).tiny).unsqueeze(1))
        self.register_buffer("codes", codes.to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", table.output_bias.detach().clone())

    def forward(self, item_seq: Tensor) -> Tensor:
        """int64 [batch, length] → float [batch, length, embedding_size]."""
        return self.codes[item_seq].to(torch.float32) * self.scale[item_seq].unsqueeze(-1)

    def scores(self, vectors: Tensor) -> Tensor:
        """float [batch, embedding_size] → float [batch, n_items], as the graph has them; −inf as in `ItemTable`."""
        unit = (vectors.abs().amax(dim=1, keepdim=True) / _MOST).clamp_min(torch.finfo(torch.float32).tiny)
        whole = torch.round(vectors / unit)
        high = torch.round(whole / _BASE)
        codes = self.codes.to(torch.float32).T
        products = (high @ codes) * (unit * _BASE) + ((whole - high * _BASE) @ codes) * unit
        return products * self.scale + self.bias

    def emit(self, graph: Emitter, item_seq: str) -> tuple[str, str]:
        """As `ItemTable.emit`; the table is [embedding_size, n_items], as the product wants it."""
        table = graph.constant(np.ascontiguousarray(self.codes.numpy().T))
        codes = graph.op("Transpose", graph.op("Gather", table, item_seq, axis=1), perm=[1, 2, 0])
        scale = graph.op("Gather", graph.constant(array(self.scale)), item_seq, axis=0)
        scale = graph.op("Unsqueeze", scale, graph.constant([2]))
        return graph.op("Mul", graph.op("Cast", codes, to=1), scale), table

    def emit_scores(self, graph: Emitter, vectors: str, table: str) -> str:
        """As `ItemTable.emit_scores`."""
        most = graph.op("ReduceMax", graph.op("Abs", vectors), axes=[1], keepdims=1)
        unit = graph.op("Div", most, graph.constant(np.float32(_MOST)))
        unit = graph.op("Max", unit, graph.constant(np.float32(np.finfo(np.float32).tiny)))
        base = graph.constant(np.float32(_BASE))
        whole = graph.op("Round", graph.op("Div", vectors, unit))
        high = graph.op("Round", graph.op("Div", whole, base))
        low = graph.op("Sub", whole, graph.op("Mul", high, base))
        digits = graph.op("Add", graph.op("Concat", high, low, axis=0), graph.constant(np.float32(_ZERO)))
        digits = graph.op("Cast", digits, to=2)
        products = graph.op("MatMulInteger", digits, table, graph.constant(np.uint8(_ZERO)))
        products = graph.op("Reshape", graph.op("Cast", products, to=1), graph.constant([2, -1, len(self.bias)]))
        units = graph.op("Concat", graph.op("Mul", unit, base), unit, axis=0)
        weighed = graph.op("Mul", products, graph.op("Reshape", units, graph.constant([2, -1, 1])))
        summed = graph.op("ReduceSum", weighed, graph.constant([0]), keepdims=0)
        scaled = graph.op("Mul", summed, graph.constant(array(self.scale)))
        return graph.op("Add", scaled, graph.constant(array(self.bias)))

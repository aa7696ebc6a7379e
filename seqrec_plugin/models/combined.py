"""Several trained models as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from seqrec_plugin.columns import DTYPES, FILLING, NAMES
from seqrec_plugin.layers import Emitter, Layer, Towers
from seqrec_plugin.models.base import Columns, SequenceModel


@dataclass(frozen=True)
class CombinedConfig:
    """The models of a `Combined`, which share their items."""

    parts: tuple[SequenceModel, ...]

    @property
    def widths(self) -> list[int]:
        """The width of each one's item vectors."""
        return [part.vector_size for part in self.parts]

    @property
    def embedding_size(self) -> int:
        """The width of an item's vector: those of the parts, side by side."""
        return sum(self.widths)


class Combined(SequenceModel):
    """The mean of several models' scores, computed as one model: one table, one graph, one state.

    It is made of trained models (`seqrec combine`) and not trained itself. Their errors differ where they began from
    different numbers, or are of different kinds, and so the mean has less of them than each.

    Paper: Hansen & Salamon, Neural Network Ensembles (IEEE TPAMI 1990).

    Args:
        parts: models of one catalogue, each `combinable`; they give what they have to this one, and are of no use
            afterwards.
    """

    Config = CombinedConfig

    def __init__(self, parts: Sequence[SequenceModel]) -> None:
        behaviors = next((part.behaviors for part in parts if part.behaviors), ())
        super().__init__(CombinedConfig(tuple(parts)), parts[0].n_items, behaviors=behaviors)
        tables = [part.item_table for part in parts]
        with torch.no_grad():
            self.item_table.weight.copy_(torch.cat([table.weight for table in tables], dim=1))
            self.item_table.bias.copy_(torch.stack([table.bias for table in tables]).mean(0))
            self.item_table.never.copy_(tables[0].never)
        for part in parts:  # What is left of them reads the columns.
            del part.item_table, part.encoder
        self.parts = nn.ModuleList(parts)

    @classmethod
    def reads(cls, config: CombinedConfig) -> tuple[str, ...]:
        """See `SequenceModel.reads`: what any of the parts reads."""
        return tuple(name for name in NAMES if any(name in part.columns for part in config.parts))

    def build_encoder(self, config: CombinedConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return Towers([part.encoder for part in config.parts], [_width_read(part) for part in config.parts])

    def embed(self, x: Tensor, keep: Tensor, columns: Columns) -> Tensor:
        """See `SequenceModel.embed`."""
        vectors = x.split(self.config.widths, dim=-1)
        read = [part.embed(own, keep, columns) for part, own in zip(self.config.parts, vectors, strict=True)]
        return torch.cat(read, dim=-1)

    def answer(self, y: Tensor, columns: Columns) -> Tensor:
        """See `SequenceModel.answer`.

        A score is the product of an item's vector with this, so the sum over the parts: divided by their number it is
        the mean of the parts' own scores.
        """
        vectors = y.split(self.config.widths, dim=-1)
        said = [part.answer(own, columns) for part, own in zip(self.config.parts, vectors, strict=True)]
        return torch.cat(said, dim=-1) / len(said)

    def emit_embed(self, graph: Emitter, x: str, keep: str, columns: Mapping[str, str]) -> str:
        """See `SequenceModel.emit_embed`."""
        vectors = graph.ops("Split", x, graph.constant(self.config.widths), outputs=len(self.parts), axis=2)
        read = [
            part.emit_embed(graph, own, keep, columns) for part, own in zip(self.config.parts, vectors, strict=True)
        ]
        return graph.op("Concat", *read, axis=2)

    def emit_answer(self, graph: Emitter, vector: str, columns: Mapping[str, str]) -> str:
        """See `SequenceModel.emit_answer`."""
        vectors = graph.ops("Split", vector, graph.constant(self.config.widths), outputs=len(self.parts), axis=1)
        said = [part.emit_answer(graph, own, columns) for part, own in zip(self.config.parts, vectors, strict=True)]
        return graph.op("Div", graph.op("Concat", *said, axis=1), graph.constant(np.float32(len(said))))


def combinable(model: SequenceModel) -> bool:
    """Whether a model is its item table, what it reads of columns, its encoder and its answer, and nothing besides."""
    whole = ("forward", "last", "emit", "emit_vector")
    plain = all(getattr(type(model), name) is getattr(SequenceModel, name) for name in whole)
    return plain and model.numbers is None and model.task == "next_item"


def _width_read(part: SequenceModel) -> int:
    """The width of what a model's encoder reads: of the item vector, and of what the columns add."""
    x = part.item_table.weight.new_zeros(1, 1, part.vector_size)
    columns = {name: torch.from_numpy(np.full((1, 1), FILLING[name], DTYPES[name])) for name in part.columns}
    with torch.no_grad():
        return part.embed(x, x[..., :1], columns).shape[-1]

"""Several trained models as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from seqrec_plugin.layers import Layer, Towers
from seqrec_plugin.models.base import SequenceModel


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
        parts: models of one catalogue that read nothing but items; their weights are copied.
    """

    Config = CombinedConfig

    def __init__(self, parts: Sequence[SequenceModel]) -> None:
        super().__init__(CombinedConfig(tuple(parts)), parts[0].n_items)
        tables = [part.item_table for part in parts]
        with torch.no_grad():
            self.item_table.weight.copy_(torch.cat([table.weight for table in tables], dim=1))
            self.item_table.bias.copy_(torch.stack([table.bias for table in tables]).mean(0))
            self.item_table.never.copy_(tables[0].never)

    def build_encoder(self, config: CombinedConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return Towers([part.encoder for part in config.parts], config.widths)


def combinable(model: SequenceModel) -> bool:
    """Whether a model is its item table and its encoder, and nothing besides."""
    kind = type(model)
    plain = kind.embed is SequenceModel.embed and kind.answer is SequenceModel.answer
    return plain and kind.forward is SequenceModel.forward and not model.columns and model.task == "next_item"

"""BehaviorLSTM4Rec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqrec_plugin.columns import BEHAVIOR, NEXT_BEHAVIOR
from seqrec_plugin.layers import LSTM, Embedding, Emitter, Layer
from seqrec_plugin.models.base import Columns, SequenceModel
from seqrec_plugin.models.blocks import BlocksConfig, blocks, projected
from seqrec_plugin.models.options import option


@dataclass(frozen=True)
class BehaviorLSTM4RecConfig(BlocksConfig):
    """Options of BehaviorLSTM4Rec."""

    hide_wanted: float = option(
        0.5, "How often training hides the next event's behaviour, so that it learns to answer for any.", low=0, high=1
    )


class BehaviorLSTM4Rec(SequenceModel):
    """LSTM blocks over mixed behaviours (view, cart, purchase …): for logs of more than one, asked for the one wanted.

    Each event is its item and its behaviour; the question may name the behaviour that the next event shall have.

    Paper: Hochreiter & Schmidhuber, Long Short-Term Memory (1997); the wanted behaviour bends the answer as in
    Beutel et al., Latent Cross (WSDM 2018).
    """

    Config = BehaviorLSTM4RecConfig

    def __init__(
        self,
        config: BehaviorLSTM4RecConfig,
        n_items: int,
        *,
        behaviors: Sequence[str] = (),
        features: Sequence[str] = (),
    ) -> None:
        super().__init__(config, n_items, behaviors=behaviors, features=features)
        width = config.embedding_size
        self.behavior = Embedding(len(behaviors), width)
        self.wanted_scale = Embedding(1 + len(behaviors), width, padded=False)
        self.wanted_shift = Embedding(1 + len(behaviors), width, padded=False)

    @classmethod
    def reads(cls, config: BehaviorLSTM4RecConfig) -> tuple[str, ...]:
        """See `SequenceModel.reads`."""
        return (BEHAVIOR, NEXT_BEHAVIOR)

    def build_encoder(self, config: BehaviorLSTM4RecConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return blocks(config, projected(LSTM))

    def embed(self, x: Tensor, keep: Tensor, columns: Columns) -> Tensor:
        """See `SequenceModel.embed`."""
        behavior: Tensor = self.behavior(columns[BEHAVIOR])
        return x + behavior

    def answer(self, y: Tensor, columns: Columns) -> Tensor:
        """See `SequenceModel.answer`."""
        wanted = columns[NEXT_BEHAVIOR]
        if self.training and self.config.hide_wanted:
            hidden = torch.rand(wanted.shape, device=wanted.device) < self.config.hide_wanted
            wanted = torch.where(hidden, 0, wanted)
        scale, shift = self.wanted_scale(wanted), self.wanted_shift(wanted)
        bent: Tensor = y * (1 + scale) + shift
        return bent

    def emit_embed(self, graph: Emitter, x: str, keep: str, columns: Mapping[str, str]) -> str:
        """See `SequenceModel.emit_embed`."""
        return graph.op("Add", x, self.behavior.emit(graph, columns[BEHAVIOR]))

    def emit_answer(self, graph: Emitter, vector: str, columns: Mapping[str, str]) -> str:
        """See `SequenceModel.emit_answer`."""
        wanted = columns[NEXT_BEHAVIOR]
        scale = graph.op("Add", self.wanted_scale.emit(graph, wanted), graph.constant(np.float32(1)))
        return graph.op("Add", graph.op("Mul", vector, scale), self.wanted_shift.emit(graph, wanted))

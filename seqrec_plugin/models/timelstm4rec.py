"""TimeLSTM4Rec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqrec_plugin.columns import NEXT_TIME_GAP, TIME_GAP
from seqrec_plugin.layers import LSTM, DecayLSTM, Emitter, GapEmbedding, Layer, TimeLSTM
from seqrec_plugin.models.base import Columns, SequenceModel
from seqrec_plugin.models.blocks import BlocksConfig, blocks, projected
from seqrec_plugin.models.options import option

_CELLS = {"lstm": LSTM, "time_lstm": TimeLSTM, "t_lstm": DecayLSTM}


@dataclass(frozen=True)
class TimeLSTM4RecConfig(BlocksConfig):
    """Options of TimeLSTM4Rec."""

    cell: str = option(
        "lstm",
        "How time is read: lstm adds each gap's logarithmic bucket to the item; time_lstm and t_lstm are cells with a "
        "gate or a decay for it.",
        choices=tuple(_CELLS),
    )
    time_to_ask: bool = option(
        False,
        "Whether the time from the last event to the moment of asking is read too; in evaluation that is the time of "
        "the target itself.",
    )


class TimeLSTM4Rec(SequenceModel):
    """LSTM blocks that see the time between events: for logs with a real clock, where a pause means something.

    The first event of a history has no gap; the gap of every other is that to the event before it, in seconds.

    Paper: Zhu et al., What to Do Next: Modeling User Behaviors by Time-LSTM (IJCAI 2017); Baytas et al., Patient
    Subtyping via Time-Aware LSTM Networks (KDD 2017); for the moment of asking, Beutel et al.,
    Latent Cross (WSDM 2018).
    """

    Config = TimeLSTM4RecConfig

    def __init__(
        self, config: TimeLSTM4RecConfig, n_items: int, *, behaviors: Sequence[str] = (), features: Sequence[str] = ()
    ) -> None:
        super().__init__(config, n_items, behaviors=behaviors, features=features)
        self.gap = GapEmbedding(config.embedding_size) if config.cell == "lstm" else None
        self.ask = GapEmbedding(config.embedding_size) if config.time_to_ask else None

    @classmethod
    def reads(cls, config: TimeLSTM4RecConfig) -> tuple[str, ...]:
        """See `SequenceModel.reads`."""
        return (TIME_GAP, NEXT_TIME_GAP) if config.time_to_ask else (TIME_GAP,)

    def build_encoder(self, config: TimeLSTM4RecConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return blocks(config, projected(_CELLS[config.cell]), column=config.cell != "lstm")

    def embed(self, x: Tensor, keep: Tensor, columns: Columns) -> Tensor:
        """See `SequenceModel.embed`."""
        gap = columns[TIME_GAP]
        return x + self.gap(gap) if self.gap is not None else torch.cat([x, gap.unsqueeze(-1).to(x.dtype)], dim=-1)

    def answer(self, y: Tensor, columns: Columns) -> Tensor:
        """See `SequenceModel.answer`."""
        return y if self.ask is None else y * (1 + self.ask(columns[NEXT_TIME_GAP]))

    def emit_embed(self, graph: Emitter, x: str, keep: str, columns: Mapping[str, str]) -> str:
        """See `SequenceModel.emit_embed`."""
        gap = columns[TIME_GAP]
        if self.gap is not None:
            return graph.op("Add", x, self.gap.emit(graph, gap))
        return graph.op("Concat", x, graph.op("Unsqueeze", gap, graph.constant([2])), axis=2)

    def emit_answer(self, graph: Emitter, vector: str, columns: Mapping[str, str]) -> str:
        """See `SequenceModel.emit_answer`."""
        if self.ask is None:
            return vector
        factor = graph.op("Add", self.ask.emit(graph, columns[NEXT_TIME_GAP]), graph.constant(np.float32(1)))
        return graph.op("Mul", vector, factor)

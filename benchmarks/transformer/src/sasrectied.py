"""SASRecTied, a transformer trained as our recurrent models are, for a comparison of the two alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqrec_plugin.layers import Dropout, Layer, Linear, State
from seqrec_plugin.models.base import Columns, SequenceModel
from seqrec_plugin.models.blocks import BlocksConfig, blocks
from seqrec_plugin.models.options import option


class Attention(Layer):
    """Causal self-attention of several heads (Vaswani et al., 2017); it carries no state: each call reads everything.

    Args:
        width: of input and output, a multiple of heads.
        heads: how many.
        dropout: probability of a weight of the attention to be dropped.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.joined = Linear(width, 3 * width)
        self.out = Linear(width, width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`; 0 at padding."""
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.joined(x, keep, ())[0].chunk(3, dim=-1)
        )
        length = x.shape[1]
        seen = torch.ones(length, length, dtype=torch.bool, device=x.device).tril() & (keep > 0).transpose(1, 2)
        # Finite: padding, which sees nothing, looks at all alike, and not at NaN.
        hidden = torch.where(seen, 0.0, -1e4).unsqueeze(1)
        weight = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(query.shape[-1]) + hidden, dim=-1)
        y = (self.dropout(weight, keep, ())[0] @ value).transpose(1, 2).flatten(2)
        return self.out(y, keep, ())[0] * keep, state


@dataclass(frozen=True)
class SASRecTiedConfig(BlocksConfig):
    """Options of SASRecTied; `hidden_size` has no meaning here."""

    num_heads: int = option(2, "Heads of the attention.", low=1, high=64)
    max_positions: int = option(200, "Positions there is a vector for; longer histories repeat the last.", low=1)


class SASRecTied(SequenceModel):
    """SASRec with attention in place of the recurrence of our blocks, and their loss over all positions.

    Paper: Kang & McAuley, Self-Attentive Sequential Recommendation (ICDM 2018).
    """

    Config = SASRecTiedConfig

    def build_encoder(self, config: SASRecTiedConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        self.positions = nn.Embedding(config.max_positions, config.embedding_size)
        nn.init.normal_(self.positions.weight, std=0.02)
        return blocks(config, lambda width, _: Attention(width, config.num_heads, config.dropout_prob))

    def embed(self, x: Tensor, keep: Tensor, columns: Columns) -> Tensor:
        """See `SequenceModel.embed`; positions are counted from the oldest kept item."""
        place = (keep.squeeze(-1).cumsum(dim=1) - 1).clamp(0, self.config.max_positions - 1).to(torch.int64)
        vectors: Tensor = self.positions(place)
        return x + vectors * keep

"""RecBole's SASRec."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqrec_plugin.imported.base import ImportedModel, Weights
from seqrec_plugin.layers import Layer, State
from seqrec_plugin.models.options import option

#: RecBole's names of the activations; its gelu is the exact one.
ACTIVATIONS = {
    "gelu": nn.functional.gelu,
    "relu": torch.relu,
    "swish": nn.functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


@dataclass(frozen=True)
class SASRecConfig:
    """What shapes RecBole's SASRec."""

    hidden_size: int = option(64, "Width of an item's vector and of the network.", low=1)
    inner_size: int = option(256, "Inner width of the feed-forward parts.", low=1)
    n_layers: int = option(2, "Blocks one after the other.", low=1)
    n_heads: int = option(2, "Heads of the attention.", low=1)
    hidden_act: str = option("gelu", "Activation of the feed-forward parts.", choices=tuple(ACTIVATIONS))
    layer_norm_eps: float = option(1e-12, "What layer normalisation adds to the variance.", low=0.0)
    max_length: int = option(50, "Positions there is a vector for, RecBole's MAX_ITEM_LIST_LENGTH.", low=1)

    @property
    def embedding_size(self) -> int:
        """Width of an item's vector."""
        return self.hidden_size


class SASRec(ImportedModel):
    """Causal self-attention over items and learned positions, counted from the oldest kept item; no state.

    Paper: Kang & McAuley, Self-Attentive Sequential Recommendation (ICDM 2018), as RecBole 1.2 has it, with BERT's
    blocks: normalised after each part.
    """

    Config = SASRecConfig
    RENAMED: ClassVar = {"max_length": "MAX_ITEM_LIST_LENGTH"}
    newcomer = "what the first position alone predicts, the same for every newcomer"

    def build_encoder(self, config: SASRecConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return _Transformer(config)

    @classmethod
    def encoder_weights_from(cls, weights: Weights) -> dict[str, Tensor]:
        """See `ImportedModel`."""
        found = {}
        for name, weight in weights.items():
            for theirs, ours in _NAMES.items():
                name = name.replace(theirs, ours)
            found[f"encoder.{name}"] = weight
        return {name: weight for name, weight in found.items() if name != "encoder.item_embedding.weight"}


#: Part of RecBole's name → part of ours, in this order.
_NAMES = {
    "trm_encoder.layer.": "blocks.",
    "multi_head_attention.LayerNorm": "attention_norm",
    "multi_head_attention.": "",
    "feed_forward.LayerNorm": "feed_forward_norm",
    "feed_forward.": "",
    "position_embedding": "positions",
    "LayerNorm": "norm",
}


class _Transformer(Layer):
    def __init__(self, config: SASRecConfig) -> None:
        super().__init__()
        self.positions = nn.Embedding(config.max_length, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.n_layers))

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        real = keep.squeeze(-1)
        place = (real.cumsum(dim=1) - 1).clamp(0, self.positions.num_embeddings - 1).to(torch.int64)
        y = self.norm(x + self.positions(place))
        past = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        # Finite, as RecBole has it: a position that sees nothing looks at all alike, and not at NaN.
        mask = torch.where(past & (real > 0).unsqueeze(1), 0.0, -10000.0).unsqueeze(1)
        for block in self.blocks:
            y = block(y, mask)
        return y, state


class _Block(nn.Module):
    """Attention, then a feed-forward part, each with its input added and normalised after (Vaswani et al., 2017)."""

    def __init__(self, config: SASRecConfig) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.layer_norm_eps
        self.heads, self.width = config.n_heads, size // config.n_heads
        self.query, self.key, self.value, self.dense = (nn.Linear(size, size) for _ in range(4))
        self.attention_norm, self.feed_forward_norm = (nn.LayerNorm(size, eps=eps) for _ in range(2))
        self.dense_1, self.dense_2 = nn.Linear(size, config.inner_size), nn.Linear(config.inner_size, size)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """float [batch, length, size] and what is added to the attention's logits → float [batch, length, size]."""
        query, key, value = (self._split(part(x)) for part in (self.query, self.key, self.value))
        weight = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(self.width) + mask, dim=-1)
        joined = (weight @ value).transpose(1, 2).flatten(2)
        x = self.attention_norm(self.dense(joined) + x)
        y: Tensor = self.feed_forward_norm(self.dense_2(self.activation(self.dense_1(x))) + x)
        return y

    def _split(self, x: Tensor) -> Tensor:
        """[batch, length, heads · width] → [batch, heads, length, width]."""
        split: Tensor = x.unflatten(2, (self.heads, self.width)).transpose(1, 2)
        return split

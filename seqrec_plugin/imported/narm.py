"""RecBole's NARM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqrec_plugin.imported.base import ImportedModel, Weights, gru_weights
from seqrec_plugin.layers import GRU, Layer, Stack, State
from seqrec_plugin.models.options import option


@dataclass(frozen=True)
class NARMConfig:
    """What shapes RecBole's NARM."""

    embedding_size: int = option(64, "Width of an item's vector.", low=1)
    hidden_size: int = option(128, "Width of the recurrence.", low=1)
    n_layers: int = option(1, "GRUs one after the other.", low=1)


class NARM(ImportedModel):
    """GRU over the items, and attention of its last output to all of its outputs; so no state can be carried.

    Paper: Li et al., Neural Attentive Session-based Recommendation (CIKM 2017), as RecBole 1.2 has it.
    """

    Config = NARMConfig
    newcomer = "a score of 0 for every item, so the catalogue in its order"

    def build_encoder(self, config: NARMConfig) -> Layer:
        """See `SequenceModel.build_encoder`."""
        return _Attention(config)

    @classmethod
    def encoder_weights_from(cls, weights: Weights) -> dict[str, Tensor]:
        """See `ImportedModel`."""
        maps = {f"encoder.{name}.weight": weights[f"{name}.weight"] for name in ("a_1", "a_2", "v_t", "b")}
        return {**gru_weights(weights, "gru", "encoder.recurrence"), **maps}


class _Attention(Layer):
    """α_s = vᵀ·σ(A₁·h_s + A₂·h_t), the output at t is B·[Σ_s α_s·h_s ; h_t]. The weights α are not normalised."""

    def __init__(self, config: NARMConfig) -> None:
        super().__init__()
        size = config.hidden_size
        widths = [config.embedding_size] + [size] * (config.n_layers - 1)
        self.recurrence = Stack([GRU(width, size) for width in widths])
        self.a_1 = nn.Linear(size, size, bias=False)
        self.a_2 = nn.Linear(size, size, bias=False)
        self.v_t = nn.Linear(size, 1, bias=False)
        self.b = nn.Linear(2 * size, config.embedding_size, bias=False)

    def forward(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward`."""
        h, seen = self._read(x, keep)
        ends = range(1, x.shape[1] + 1)
        return torch.cat([self._at_end(h[:, :end], seen[:, :end], keep[:, :end]) for end in ends], dim=1), state

    def forward_last(self, x: Tensor, keep: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Layer.forward_last`."""
        return self._at_end(*self._read(x, keep), keep), state

    def _read(self, x: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """h and A₁·h, float [batch, length, hidden_size] each; 0 at padding."""
        h, _ = self.recurrence(x, keep, self.recurrence.zero_state(x.shape[0], x))
        return h, self.a_1(h)

    def _at_end(self, h: Tensor, seen: Tensor, keep: Tensor) -> Tensor:
        """The output at the last position, float [batch, 1, embedding_size]."""
        last = h[:, -1:]
        weight = self.v_t(keep * torch.sigmoid(seen + self.a_2(last)))
        local = (weight * h).sum(dim=1, keepdim=True)
        output: Tensor = self.b(torch.cat([local, last], dim=-1))
        return output

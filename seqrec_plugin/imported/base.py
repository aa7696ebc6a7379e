"""What the imported models share: options and weights, translated from RecBole's names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqrec_plugin.models.base import SequenceModel

Weights = Mapping[str, Tensor]


class ImportedModel(SequenceModel):
    """A `SequenceModel` that computes what one of RecBole's models computes from the same weights.

    RecBole's own cannot answer an empty history; `newcomer` says what comes of the formulas here.
    """

    #: Option → its name in RecBole, where that is another.
    RENAMED: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def options_from(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The options that shape the network, from RecBole's configuration.

        Raises:
            KeyError: one of them is missing.
        """
        return {f.name: values[cls.RENAMED.get(f.name, f.name)] for f in dataclasses.fields(cls.Config)}

    @classmethod
    def weights_from(cls, weights: Weights) -> dict[str, Tensor]:
        """This model's weights, from those of RecBole's model.

        Raises:
            KeyError: one of them is missing.
        """
        return {**_item_table(weights["item_embedding.weight"]), **cls.encoder_weights_from(weights)}

    @classmethod
    def encoder_weights_from(cls, weights: Weights) -> dict[str, Tensor]:
        """The weights of the encoder; their names begin with `encoder.`."""
        raise NotImplementedError


def _item_table(embedding: Tensor) -> dict[str, Tensor]:
    """RecBole scores without a bias. Its row of padding is random, never learned and never read: here it is 0."""
    table = embedding.clone()
    table[0] = 0
    return {"item_table.weight": table, "item_table.bias": torch.zeros(len(table))}


def gru_weights(weights: Weights, theirs: str, ours: str) -> dict[str, Tensor]:
    """Layers of `nn.GRU` without bias → a stack of our `GRU`, whose bias column is 0.

    Args:
        weights: RecBole's.
        theirs: name of the `nn.GRU`.
        ours: name of the `Stack`.
    """
    found, layer = {}, 0
    while f"{theirs}.weight_ih_l{layer}" in weights:
        weight = weights[f"{theirs}.weight_ih_l{layer}"]
        cell = f"{ours}.layers.{layer}.cell"
        found[f"{cell}.weight_ih_l0"] = torch.cat([weight, weight.new_zeros(len(weight), 1)], dim=1)
        found[f"{cell}.weight_hh_l0"] = weights[f"{theirs}.weight_hh_l{layer}"]
        layer += 1
    return found

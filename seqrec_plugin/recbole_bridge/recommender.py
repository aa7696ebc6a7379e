"""A sequence model as RecBole knows one."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor

from seqrec_plugin import registry
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.recbole_bridge.options import model_config


@functools.cache
def recommender_class(name: str) -> type[SequenceRecommender]:
    """The RecBole model class of one of our models, always the same class for the same name."""
    model = registry.load(name)
    attributes = {"seqrec_model": name, "__doc__": model.__doc__, "__module__": "seqrec_plugin.recbole_bridge"}
    return type(name, (SequenceRecommender,), attributes)


class SequenceRecommender(SequentialRecommender):  # type: ignore[misc]
    """Translates between RecBole's rows and a `SequenceModel`, which knows nothing of RecBole.

    RecBole pads on the right and gives each row's length; our models take padding on the left.
    """

    input_type = InputType.POINTWISE
    seqrec_model: ClassVar[str]

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        model = registry.load(self.seqrec_model)
        self.network: SequenceModel = model(model_config(self.seqrec_model, config.final_config_dict), self.n_items)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """The vector after the last item.

        Args:
            item_seq: int64 [batch, length], padded on the right.
            item_seq_len: int64 [batch], real items of each row.

        Returns:
            float [batch, embedding_size].
        """
        vectors: Tensor = self.network(pad_left(item_seq, item_seq_len))[0]
        return vectors[:, -1]

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Mean cross-entropy of the next item, for RecBole's rows: one prefix and its target each.

        Our trainer learns from whole windows instead (`SequenceModel.loss`); this serves whoever brings a trainer
        of their own.
        """
        item_seq = pad_left(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        targets = torch.zeros_like(item_seq)
        targets[:, -1] = interaction[self.POS_ITEM_ID]
        return self.network.loss(item_seq, targets)

    def predict(self, interaction: Any) -> Tensor:
        """The score of each row's own item, float [batch]."""
        scores = self.full_sort_predict(interaction)
        own: Tensor = scores.gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)
        return own

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """The scores of all items, float [batch, n_items]."""
        vectors = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return self.network.item_table.scores(vectors)


def pad_left(item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
    """Move the padding of int64 [batch, length] from the right to the left, and drop columns of padding only."""
    longest = max(1, int(item_seq_len.max()))
    source = torch.arange(longest, device=item_seq.device) - (longest - item_seq_len)[:, None]
    return torch.where(source >= 0, item_seq.gather(1, source.clamp(min=0)), 0)

"""A sequence model as RecBole knows one."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor

from seqrec_plugin import registry
from seqrec_plugin.columns import FEATURES, FILLING, NEXT
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.recbole_bridge.options import model_config, numeric_transforms, training_options
from seqrec_plugin.recbole_bridge.sequences import COLUMN


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
    #: Rows that are encoded at once.
    ROWS: ClassVar[int] = 256
    seqrec_model: ClassVar[str]

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        model = registry.load(self.seqrec_model)
        chosen = model_config(self.seqrec_model, config.final_config_dict)
        known: dict[str, Any] = {}
        if model.reads(chosen):
            features = training_options(config.final_config_dict).NUMERIC_FIELDS
            known = {"behaviors": dataset.behaviors, "features": features if FEATURES in model.reads(chosen) else ()}
        if declared := numeric_transforms(config.final_config_dict):
            known["transforms"] = declared
        self.network: SequenceModel = model(chosen, self.n_items, **known)

    def forward(self, interaction: Any) -> Tensor:
        """The vector after the last item of each of RecBole's rows, which are padded on the right.

        Rows of like lengths go together: in a batch most rows are far shorter than the longest.

        Args:
            interaction: with item_seq int64 [batch, length], their lengths int64 [batch], and the columns.

        Returns:
            float [batch, vector_size].
        """
        item_seq, _, columns = self._inputs(interaction)
        lengths = interaction[self.ITEM_SEQ_LEN]
        order = lengths.argsort(stable=True)
        found = []
        for rows in order.split(self.ROWS):
            longest = max(1, int(lengths[rows[-1]]))
            part = {name: value[rows][:, -longest:] for name, value in columns.items()}
            found.append(self.network.last(item_seq[rows][:, -longest:], None, part)[0])
        vectors = torch.cat(found)
        return torch.empty_like(vectors).index_copy(0, order, vectors)

    def _inputs(self, interaction: Any) -> tuple[Tensor, None, dict[str, Tensor]]:
        length = interaction[self.ITEM_SEQ_LEN]
        columns = {}
        for name in self.network.columns:
            values = interaction[COLUMN + name]
            columns[name] = values.unsqueeze(1) if name in NEXT else pad_left(values, length, FILLING[name])
        return pad_left(interaction[self.ITEM_SEQ], length), None, columns

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Mean cross-entropy of the next item, for RecBole's rows: one prefix and its target each.

        Our trainer learns from whole windows instead (`SequenceModel.loss`); this serves whoever brings a trainer
        of their own.
        """
        item_seq, _, columns = self._inputs(interaction)
        targets = torch.zeros_like(item_seq)
        targets[:, -1] = interaction[self.POS_ITEM_ID]
        return self.network.loss(item_seq, targets, columns)

    def predict(self, interaction: Any) -> Tensor:
        """The score of each row's own item, float [batch]; a probability, where the model gives one."""
        if self.network.task == "probability":
            candidates = interaction[self.ITEM_ID].unsqueeze(1) if self.network.takes_candidates else None
            return self.network.probabilities(self.forward(interaction), candidates).squeeze(1)
        scores = self.full_sort_predict(interaction)
        own: Tensor = scores.gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)
        return own

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """The scores of all items, float [batch, n_items]; where the model gives probabilities, these."""
        if self.network.task == "probability":
            vectors = self.forward(interaction)
            everything = torch.arange(self.n_items, device=vectors.device).expand(len(vectors), -1)
            found = self.network.probabilities(vectors, everything if self.network.takes_candidates else None)
            return found.expand(-1, self.n_items)
        return self.network.item_table.scores(self.forward(interaction))


def pad_left(values: Tensor, length: Tensor, filling: float = 0) -> Tensor:
    """Move the padding of [batch, length, any …] from the right to the left, and drop what is padding in every row."""
    longest = max(1, int(length.max()))
    source = torch.arange(longest, device=values.device) - (longest - length)[:, None]
    row = torch.arange(len(values), device=values.device)[:, None]
    real = (source >= 0).reshape(*source.shape, *[1] * (values.dim() - 2))
    return torch.where(real, values[row, source.clamp(min=0)], values.new_tensor(filling))

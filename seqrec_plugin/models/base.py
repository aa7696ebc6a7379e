"""What all sequence models share: the item table, the scores, the loss, the graph's head and tail."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from seqrec_plugin.layers import Emitter, ItemTable, Layer, Names, State
from seqrec_plugin.losses import cross_entropy


class SequenceModel(nn.Module):
    """A history in, one vector per position out, scored against a tied item table.

    A model is a subclass with a frozen config (`Config`, fields made by `option`; `embedding_size` among them) and
    an `encoder` made of layers.

    Args:
        config: an instance of `Config`.
        n_items: rows of the item table, the padding row included.
    """

    Config: ClassVar[type[Any]]
    #: What an empty history gets, for a model that never learned from one.
    newcomer: ClassVar[str] = ""

    def __init__(self, config: Any, n_items: int) -> None:
        super().__init__()
        self.config = config
        self.n_items = n_items
        self.item_table = ItemTable(n_items, config.embedding_size)
        self.encoder = self.build_encoder(config)

    def build_encoder(self, config: Any) -> Layer:
        """Compose the layers; input and output are `embedding_size` wide."""
        raise NotImplementedError

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The width of each tensor of the carried state."""
        return self.encoder.state_sizes

    def forward(self, item_seq: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Encode histories.

        Args:
            item_seq: int64 [batch, length ≥ 1], oldest first, 0 on the left is padding.
            state: what an earlier call returned, float [batch, size] each, or None at the start of a history.

        Returns:
            float [batch, length, embedding_size], one vector after each position, and the state to carry on.
        """
        y, state = self.encoder(*self._begin(item_seq, state))
        return y, state

    def last(self, item_seq: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """As `forward`, but the vector after the last position only: float [batch, embedding_size]."""
        y, state = self.encoder.forward_last(*self._begin(item_seq, state))
        return y[:, -1], state

    def _begin(self, item_seq: Tensor, state: State | None) -> tuple[Tensor, Tensor, State]:
        """What the encoder takes."""
        x = self.item_table(item_seq)
        keep = (item_seq != 0).unsqueeze(-1).to(x.dtype)
        return x, keep, self.encoder.zero_state(item_seq.shape[0], x) if state is None else state

    def loss(self, item_seq: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of the next item over all positions that have a target.

        Args:
            item_seq: int64 [batch, length].
            targets: int64 [batch, length], 0 where a position has nothing to learn.

        Returns:
            float scalar.
        """
        vectors, _ = self(item_seq)
        learn = targets.flatten().nonzero().squeeze(1)
        table = self.item_table
        return cross_entropy(vectors.flatten(0, 1)[learn], table.weight, table.bias, targets.flatten()[learn])

    @torch.no_grad()
    def score(self, item_seq: Tensor) -> Tensor:
        """int64 [batch, length] → float [batch, n_items]: the next item's scores, −inf for padding."""
        return self.item_table.scores(self.last(item_seq)[0])

    @property
    def emits(self) -> bool:
        """Whether the model writes itself as ONNX nodes; else torch's exporter does (`seqrec_plugin.tracing`)."""
        return type(self).emit is not SequenceModel.emit or self.encoder.emits

    def emit(self, graph: Emitter, item_seq: str, state: Names) -> tuple[str, str, Names]:
        """Write the model as ONNX nodes.

        Args:
            graph: the graph under construction.
            item_seq: name of an int64 [batch, length].
            state: name of one float32 [batch, size] for each of `state_sizes`.

        Returns:
            the names of the user embedding [batch, embedding_size], the scores [batch, n_items] and the next state.
        """
        steps = graph.op("Transpose", item_seq, perm=[1, 0])
        real = graph.op("Not", graph.op("Equal", steps, graph.constant(np.int64(0))))
        keep = graph.op("Unsqueeze", graph.op("Cast", real, to=1), graph.constant([2]))
        x, table = self.item_table.emit(graph, steps)
        last, state = self.encoder.emit_last(graph, x, keep, state)
        vector = graph.op("Squeeze", last, graph.constant([0]))
        return vector, self.item_table.emit_scores(graph, vector, table), state

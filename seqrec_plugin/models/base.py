"""What all sequence models share: the item table, the scores, the loss, the graph's head and tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seqrec_plugin import columns as cols
from seqrec_plugin.layers import Emitter, ItemTable, Layer, Names, Numbers, State
from seqrec_plugin.losses import cross_entropy
from seqrec_plugin.sampling import Negatives, sampled_cross_entropy
from seqrec_plugin.transforms import Transform

Columns = Mapping[str, Tensor]


class SequenceModel(nn.Module):
    """A history in, one vector per position out, scored against a tied item table.

    A model is a subclass with a frozen config (`Config`, fields made by `option`; `embedding_size` among them) and
    an `encoder` made of layers. One that reads more than items names these columns (`reads`), adds them to the item
    vectors (`embed`, `emit_embed`) and may bend the encoder's output to what is asked for (`answer`, `emit_answer`).

    Args:
        config: an instance of `Config`.
        n_items: rows of the item table, the padding row included.
        behaviors: the names of the behaviours, for a model that reads them; the first has index 1.
        features: the names of the numeric columns, for a model that reads them.
        transforms: how each of these is treated; one that is not named is scaled to mean 0 and deviation 1.
    """

    Config: ClassVar[type[Any]]
    #: What the model answers: `next_item`, or `probability` (see `models.lstmranker`).
    task: ClassVar[str] = "next_item"
    #: What `seqrec train` and RecBole set for this model where the user says nothing.
    defaults: ClassVar[Mapping[str, Any]] = {}
    #: What an empty history gets, for a model that never learned from one.
    newcomer: ClassVar[str] = ""

    def __init__(
        self,
        config: Any,
        n_items: int,
        *,
        behaviors: Sequence[str] = (),
        features: Sequence[str] = (),
        transforms: Mapping[str, Transform] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.n_items = n_items
        self.behaviors, self.features = tuple(behaviors), tuple(features)
        self.columns = tuple(name for name in self.reads(config) if name != cols.FEATURES or features)
        self.item_table = ItemTable(n_items, config.embedding_size)
        self.encoder = self.build_encoder(config)
        declared = {name: (transforms or {}).get(name, Transform()) for name in self.features}
        self.numbers = Numbers(declared) if cols.FEATURES in self.columns else None

    @classmethod
    def reads(cls, config: Any) -> tuple[str, ...]:
        """The columns that the model reads beside the items, of `columns.NAMES`; features only where there are any."""
        return ()

    def fit_numbers(self, values: npt.NDArray[np.float32]) -> None:
        """Fit how the features are read on those of the training events, float32 [events, features]; NaN is missing.

        Raises:
            BadData: `dataset_invalid` where no event tells a number.
        """
        if self.numbers is not None:
            self.numbers.fit(values)

    def build_encoder(self, config: Any) -> Layer:
        """Compose the layers; input and output are `embedding_size` wide."""
        raise NotImplementedError

    def embed(self, x: Tensor, keep: Tensor, columns: Columns) -> Tensor:
        """What the encoder reads, from the item vectors and the columns.

        Args:
            x: float [batch, length, embedding_size], the item vectors; at padding the newcomer's.
            keep: float [batch, length, 1], 1 at real positions.
            columns: see `forward`; the features as their transforms made them.

        Returns:
            float [batch, length, any]. At padding nothing may be added to x.
        """
        return x

    def answer(self, y: Tensor, columns: Columns) -> Tensor:
        """The encoder's output, bent to what is asked for; float [batch, length, embedding_size] both."""
        return y

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The width of each tensor of the carried state: the smoothed numbers', then the encoder's.

        Where the encoder carries none, the whole history is read at each call, and the numbers' is not carried either.
        """
        own = self.numbers.state_sizes if self.numbers is not None else ()
        return (*own, *self.encoder.state_sizes) if self.encoder.state_sizes else ()

    def zero_state(self, batch: int, like: Tensor) -> State:
        """The state at the start of a history, on the device and in the dtype of `like`."""
        return tuple(like.new_zeros(batch, size) for size in self.state_sizes)

    @property
    def vector_size(self) -> int:
        """The width of the vectors that `forward` gives."""
        size: int = self.config.embedding_size
        return size

    @property
    def takes_candidates(self) -> bool:
        """Whether a model of probabilities is asked about candidate items."""
        return False

    def forward(
        self, item_seq: Tensor, state: State | None = None, columns: Columns | None = None
    ) -> tuple[Tensor, State]:
        """Encode histories.

        Args:
            item_seq: int64 [batch, length ≥ 1], oldest first, 0 on the left is padding.
            state: what an earlier call returned, float [batch, size] each, or None at the start of a history.
            columns: name → [batch, length] or [batch, length, features] for each of `self.columns`; those of the next
                event may be [batch, 1] for all positions.

        Returns:
            float [batch, length, vector_size], one vector after each position, and the state to carry on.
        """
        columns = columns or {}
        x, keep, state, own = self._begin(item_seq, state, columns)
        y, state = self.encoder(x, keep, state)
        return self.answer(y, columns), (*own, *state)

    def last(
        self, item_seq: Tensor, state: State | None = None, columns: Columns | None = None
    ) -> tuple[Tensor, State]:
        """As `forward`, but the vector after the last position only: float [batch, vector_size]."""
        columns = columns or {}
        x, keep, state, own = self._begin(item_seq, state, columns)
        y, state = self.encoder.forward_last(x, keep, state)
        asked = {name: value[:, -1:] for name, value in columns.items() if name in cols.NEXT}
        return self.answer(y, asked)[:, -1], (*own, *state)

    def _begin(self, item_seq: Tensor, state: State | None, columns: Columns) -> tuple[Tensor, Tensor, State, State]:
        """What the encoder takes, and the numbers' next state."""
        x = self.item_table(item_seq)
        keep = (item_seq != 0).unsqueeze(-1).to(x.dtype)
        state = self.zero_state(item_seq.shape[0], x) if state is None else state
        own: State = ()
        if self.numbers is not None:
            n = len(self.numbers.state_sizes)
            before = state[:n] if self.state_sizes else self.numbers.zero_state(item_seq.shape[0], x)
            values, own = self.numbers(columns[cols.FEATURES], keep, before)
            columns = {**columns, cols.FEATURES: values}
            state, own = (state[n:], own) if self.state_sizes else ((), ())
        return self.embed(x, keep, columns), keep, state, own

    def loss(
        self,
        item_seq: Tensor,
        targets: Tensor,
        columns: Columns | None = None,
        negatives: Negatives | None = None,
    ) -> Tensor:
        """Mean cross-entropy of the next item over all positions that have a target.

        Args:
            item_seq: int64 [batch, length].
            targets: int64 [batch, length], 0 where a position has nothing to learn.
            columns: see `forward`; those of the next event are [batch, length].
            negatives: the sample that stands for the catalogue; None sums over all items.

        Returns:
            float scalar.
        """
        vectors, _ = self(item_seq, None, columns)
        learn = targets.flatten().nonzero().squeeze(1)
        vectors, targets = vectors.flatten(0, 1)[learn], targets.flatten()[learn]
        table = self.item_table
        if negatives is None:
            return cross_entropy(vectors, table.weight, table.output_bias, targets)
        return sampled_cross_entropy(vectors, table.weight, table.bias, targets, negatives, table.sparse)

    @torch.no_grad()
    def score(self, item_seq: Tensor, columns: Columns | None = None) -> Tensor:
        """int64 [batch, length] → float [batch, n_items]: the next item's scores, −inf for padding."""
        return self.item_table.scores(self.last(item_seq, None, columns)[0])

    @property
    def emits(self) -> bool:
        """Whether the model writes itself as ONNX nodes; else torch's exporter does (`seqrec_plugin.tracing`)."""
        return type(self).emit is not SequenceModel.emit or self.encoder.emits

    def probabilities(self, vectors: Tensor, candidates: Tensor | None) -> Tensor:
        """For models of probabilities: float [batch, vector_size], int64 [batch, n] or None → float [batch, n or 1]."""
        raise NotImplementedError

    def emit_probabilities(
        self, graph: Emitter, item_seq: str, state: Names, columns: Mapping[str, str], candidates: str | None
    ) -> tuple[str, str, Names]:
        """For models of probabilities: as `emit`, with the probabilities in place of the scores."""
        raise NotImplementedError

    def emit(
        self, graph: Emitter, item_seq: str, state: Names, columns: Mapping[str, str] | None = None
    ) -> tuple[str, str, Names]:
        """Write the model as ONNX nodes.

        Args:
            graph: the graph under construction.
            item_seq: name of an int64 [batch, length].
            state: name of one float32 [batch, size] for each of `state_sizes`.
            columns: column → name of a tensor [batch, length], [batch, length, features], or [batch] for the next
                event's.

        Returns:
            the names of the user embedding [batch, embedding_size], the scores [batch, n_items] and the next state.
        """
        vector, table, state = self.emit_vector(graph, item_seq, state, columns)
        return vector, self.item_table.emit_scores(graph, vector, table), state

    def emit_vector(
        self, graph: Emitter, item_seq: str, state: Names, columns: Mapping[str, str] | None = None
    ) -> tuple[str, str, Names]:
        """As `emit`, up to the user embedding; the names of it, of the item table, and of the next state."""
        steps = graph.op("Transpose", item_seq, perm=[1, 0])
        real = graph.op("Not", graph.op("Equal", steps, graph.constant(np.int64(0))))
        keep = graph.op("Unsqueeze", graph.op("Cast", real, to=1), graph.constant([2]))
        x, table = self.item_table.emit(graph, steps)
        columns = columns or {}
        turned = {
            name: graph.op("Transpose", value, perm=[1, 0, 2] if name == cols.FEATURES else [1, 0])
            for name, value in columns.items()
            if name not in cols.NEXT
        }
        own: Names = ()
        if self.numbers is not None:
            n = len(self.numbers.state_sizes)
            before = state[:n] if self.state_sizes else self._emit_zeros(graph, item_seq, self.numbers.state_sizes)
            turned[cols.FEATURES], own = self.numbers.emit(graph, turned[cols.FEATURES], keep, before)
            state, own = (state[n:], own) if self.state_sizes else ((), ())
        last, state = self.encoder.emit_last(graph, self.emit_embed(graph, x, keep, turned), keep, state)
        vector = graph.op("Squeeze", last, graph.constant([0]))
        asked = {name: value for name, value in columns.items() if name in cols.NEXT}
        return self.emit_answer(graph, vector, asked), table, (*own, *state)

    @staticmethod
    def _emit_zeros(graph: Emitter, item_seq: str, sizes: Sequence[int]) -> Names:
        """A state of zeros, float32 [batch, size] each, where none comes from outside."""
        batch = graph.op("Slice", graph.op("Shape", item_seq), graph.constant([0]), graph.constant([1]))
        shapes = (graph.op("Concat", batch, graph.constant([size]), axis=0) for size in sizes)
        return tuple(graph.op("Expand", graph.constant(np.zeros((1, 1), np.float32)), shape) for shape in shapes)

    def emit_embed(self, graph: Emitter, x: str, keep: str, columns: Mapping[str, str]) -> str:
        """Write `embed`; x is [length, batch, embedding_size], a column [length, batch] (features: one axis more)."""
        return x

    def emit_answer(self, graph: Emitter, vector: str, columns: Mapping[str, str]) -> str:
        """Write `answer` for the last position; the vector is [batch, embedding_size], a column [batch]."""
        return vector

"""LSTMRanker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seqrec_plugin.columns import BEHAVIOR, FEATURES, LABEL
from seqrec_plugin.layers import LSTM, Dropout, Embedding, Emitter, Layer, Names, ReluLSTM, Stack
from seqrec_plugin.layers.base import array
from seqrec_plugin.models.base import Columns, SequenceModel
from seqrec_plugin.models.options import option


@dataclass(frozen=True)
class LSTMRankerConfig:
    """Options of LSTMRanker."""

    embedding_size: int = option(64, "Width of an item's vector.", low=1, high=4096)
    hidden_size: int = option(128, "Width of the LSTM's state.", low=1, high=4096)
    num_layers: int = option(1, "LSTMs one after the other.", low=1, high=16)
    dropout_prob: float = option(0.2, "Dropout of each LSTM's output.", low=0.0, high=0.95)
    activation: str = option("tanh", "What squashes the LSTM's memory.", choices=("tanh", "relu"))
    candidate: bool = option(
        True,
        "Whether the probability is that of acting on a candidate item; else that of the next event's behaviour, "
        "whatever its item.",
    )
    read_behaviors: bool = option(False, "Whether the behaviour of each event (BEHAVIOR_FIELD) is read too.")


class LSTMRanker(SequenceModel):
    """The probability that a user acts next: on a candidate item, or by a behaviour such as buying.

    LSTM → dropout → one sigmoid unit, by binary cross-entropy at every position. With `target_behaviors` an event is
    positive if its behaviour is one of them; without, each event is positive for its own item and negative for another,
    drawn at random. It reads numbers of the events (NUMERIC_FIELDS, as NUMERIC_TRANSFORMS says) as well as ids.

    Paper: Hochreiter & Schmidhuber, Long Short-Term Memory (1997).
    """

    Config = LSTMRankerConfig
    task = "probability"
    defaults: ClassVar[Mapping[str, Any]] = {
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "labeled"},
        "metrics": ["AUC", "LogLoss"],
        "valid_metric": "AUC",
        "epochs": 10,
        "learner": "adam",
        # 64 windows of 50 positions each.
        "train_batch_size": 3200,
    }

    def __init__(self, config: LSTMRankerConfig, n_items: int, **known: Any) -> None:
        super().__init__(config, n_items, **known)
        width, hidden = config.embedding_size, config.hidden_size
        self.behavior = Embedding(len(self.behaviors), width) if config.read_behaviors else None
        self.from_numbers = nn.Linear(len(self.features), width, bias=False) if self.features else None
        self.unit = nn.Linear(hidden, 1)
        self.project = nn.Linear(hidden, width, bias=False) if config.candidate else None
        self.item_table.bias.requires_grad_(config.candidate)

    @classmethod
    def reads(cls, config: LSTMRankerConfig) -> tuple[str, ...]:
        """See `SequenceModel.reads`."""
        return (BEHAVIOR, FEATURES) if config.read_behaviors else (FEATURES,)

    @property
    def vector_size(self) -> int:
        """See `SequenceModel.vector_size`."""
        size: int = self.config.hidden_size
        return size

    @property
    def takes_candidates(self) -> bool:
        """See `SequenceModel.takes_candidates`."""
        return self.project is not None

    def build_encoder(self, config: LSTMRankerConfig) -> Layer:
        """See `SequenceModel.build_encoder`; the output is `hidden_size` wide."""
        cell = ReluLSTM if config.activation == "relu" else LSTM
        widths = [config.embedding_size, *[config.hidden_size] * config.num_layers]
        layers: list[Layer] = []
        for width in widths[:-1]:
            layers += [cell(width, config.hidden_size), Dropout(config.dropout_prob)]
        return Stack(layers)

    def embed(self, x: Tensor, keep: Tensor, columns: Columns) -> Tensor:
        """See `SequenceModel.embed`."""
        if self.behavior is not None:
            x = x + self.behavior(columns[BEHAVIOR])
        return x if self.from_numbers is None else x + self.from_numbers(columns[FEATURES])

    def emit_embed(self, graph: Emitter, x: str, keep: str, columns: Mapping[str, str]) -> str:
        """See `SequenceModel.emit_embed`."""
        if self.behavior is not None:
            x = graph.op("Add", x, self.behavior.emit(graph, columns[BEHAVIOR]))
        if self.from_numbers is None:
            return x
        weight = graph.constant(array(self.from_numbers.weight).T)
        return graph.op("Add", x, graph.op("MatMul", columns[FEATURES], weight))

    def logits(self, vectors: Tensor, candidates: Tensor | None) -> Tensor:
        """The log-odds.

        Args:
            vectors: float [batch, hidden_size].
            candidates: int64 [batch, n], each ≥ 1; None for a model without.

        Returns:
            float [batch, n], or [batch, 1].
        """
        own: Tensor = self.unit(vectors)
        if self.project is None or candidates is None:
            return own
        items = nn.functional.embedding(candidates, self.item_table.weight)
        matched: Tensor = (items @ self.project(vectors).unsqueeze(-1)).squeeze(-1)
        return own + matched + self.item_table.bias[candidates]

    def probabilities(self, vectors: Tensor, candidates: Tensor | None) -> Tensor:
        """See `logits`; the probabilities themselves."""
        return torch.sigmoid(self.logits(vectors, candidates))

    def loss(  # type: ignore[override]  # there is no softmax that a sample could stand for
        self, item_seq: Tensor, targets: Tensor, columns: Columns | None = None
    ) -> Tensor:
        """Mean binary cross-entropy over all positions that have a target.

        Args:
            item_seq: int64 [batch, length].
            targets: int64 [batch, length], 0 where a position has nothing to learn.
            columns: see `SequenceModel.forward`; `columns.LABEL` float [batch, length] says which targets are positive.
        """
        columns = columns or {}
        vectors, _ = self(item_seq, None, columns)
        learn = targets.flatten().nonzero().squeeze(1)
        vectors, items = vectors.flatten(0, 1)[learn], targets.flatten()[learn]
        if LABEL in columns:
            labels = columns[LABEL].flatten()[learn].unsqueeze(1)
            logits = self.logits(vectors, items.unsqueeze(1))
        else:
            others = torch.randint_like(items, 1, self.n_items)
            logits = self.logits(vectors, torch.stack([items, others], dim=1))
            labels = torch.stack([torch.ones_like(items), (others == items).long()], dim=1)
        return nn.functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))

    def emit_probabilities(
        self, graph: Emitter, item_seq: str, state: Names, columns: Mapping[str, str], candidates: str | None
    ) -> tuple[str, str, Names]:
        """Write the model as ONNX nodes.

        Args:
            graph: the graph under construction.
            item_seq, state, columns: see `SequenceModel.emit`.
            candidates: name of an int64 [batch, n], for a model that takes them.

        Returns:
            the names of the user embedding [batch, hidden_size], the probabilities and the next state.
        """
        vector, table, state = self.emit_vector(graph, item_seq, state, columns)
        weight, bias = graph.constant(array(self.unit.weight)), graph.constant(array(self.unit.bias))
        logits = graph.op("Gemm", vector, weight, bias, transB=1)
        if self.project is not None and candidates is not None:
            last = graph.constant([-1])
            projected = graph.op("MatMul", vector, graph.constant(array(self.project.weight).T))
            items = graph.op("Gather", table, candidates, axis=0)
            matched = graph.op("Squeeze", graph.op("MatMul", items, graph.op("Unsqueeze", projected, last)), last)
            own = graph.op("Gather", graph.constant(array(self.item_table.bias)), candidates, axis=0)
            logits = graph.op("Add", graph.op("Add", logits, matched), own)
        return vector, graph.op("Sigmoid", logits), state

"""A model → the bytes of its ONNX files. Needs torch and onnx."""

from __future__ import annotations

import io

import numpy as np
import torch

from seqrec_plugin import tracing
from seqrec_plugin.graph import Graph, Weights
from seqrec_plugin.manifest import CANDIDATES, EXCLUDE, StateTensor, Tensor, tensors
from seqrec_plugin.models.base import SequenceModel


def model_bytes(
    model: SequenceModel, top_k: int, weights: Weights | None = None
) -> tuple[bytes, tuple[Tensor, ...], tuple[Tensor, ...], list[StateTensor]]:
    """The graph's file, and what its inputs, outputs and states are: `export/SPEC.md`, clause 4."""
    return _graph_bytes(model, model.task, top_k, weights)


def encoder_bytes(model: SequenceModel, weights: Weights | None = None) -> bytes:
    """The graph of `encoder.onnx`: from a history to the user embedding and the next state."""
    return _graph_bytes(model, "encoding", 0, weights)[0]


def _graph_bytes(
    model: SequenceModel, task: str, top_k: int, weights: Weights | None
) -> tuple[bytes, tuple[Tensor, ...], tuple[Tensor, ...], list[StateTensor]]:
    graph, traced = Graph(weights), None if model.emits else tracing.trace(model)
    sizes = traced.state_sizes if traced else model.state_sizes
    state = [StateTensor(f"state_{i}", f"next_state_{i}", size) for i, size in enumerate(sizes)]
    inputs, outputs = tensors(
        task,
        model.columns,
        state,
        features=len(model.features),
        top_k=top_k,
        embedding_size=model.vector_size,
        candidates=model.takes_candidates and task == "probability",
    )
    names = {t.name: graph.input(t.name, t.dtype, t.shape) for t in inputs}
    item_seq, states = names["item_seq"], tuple(names[s.input] for s in state)
    columns = {name: names[name] for name in model.columns}
    found: tuple[str, ...]
    if task == "encoding":
        if traced:
            vector, after = traced.emit_vector(graph, item_seq, states)
        else:
            vector, _, after = model.emit_vector(graph, item_seq, states, columns)
        found = (vector, *after)
    elif task == "probability":
        vector, probabilities, after = model.emit_probabilities(graph, item_seq, states, columns, names.get(CANDIDATES))
        found = (probabilities, vector, *after)
    else:
        if traced:
            vector, scores, after = traced.emit(model, graph, item_seq, states)
        else:
            vector, scores, after = model.emit(graph, item_seq, states, columns)
        found = (*_best(graph, scores, names[EXCLUDE], top_k), vector, *after)
    for tensor, source in zip(outputs, found, strict=True):
        graph.output(tensor.name, source, tensor.dtype, tensor.shape)
    return graph.build(), inputs, outputs, state


def _best(graph: Graph, scores: str, exclude: str, top_k: int) -> tuple[str, str]:
    """Write exclusion and top k; the names of items and scores [batch, top_k]."""
    never = graph.constant(np.float32(-np.inf))
    scores = graph.op("ScatterElements", scores, exclude, graph.op("Expand", never, graph.op("Shape", exclude)), axis=1)
    best, index = graph.ops("TopK", scores, graph.constant([top_k]), outputs=2, axis=1)
    return graph.op("Where", graph.op("Equal", best, never), graph.constant(np.int64(0)), index), best


def item_embeddings(model: SequenceModel) -> bytes:
    """`item_embeddings.npy`: float32 [n_items − 1, embedding_size + 1], row i for index i + 1, the bias last.

    With 1 appended to a user embedding the inner product is the score. The row of an item that is never recommended is
    zeros and the lowest float32 there is: databases of vectors take no infinity.
    """
    table = model.item_table
    both = torch.cat([table.weight, table.bias.unsqueeze(1)], dim=1).detach().to(torch.float32)
    both[table.never] = 0
    both[table.never, -1] = torch.finfo(torch.float32).min
    both = both[1:]
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(both.numpy()), allow_pickle=False)
    return buffer.getvalue()

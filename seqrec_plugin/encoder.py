"""A bundle's encoder alone: histories in, user embeddings out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqrec_plugin import bundle as bundles
from seqrec_plugin.bundle import Bundle
from seqrec_plugin.columns import Row, padded
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.history import Encoded, Question, encode, to_question
from seqrec_plugin.inference import MOST_ROWS, Floats, GuardedGraph, Output
from seqrec_plugin.manifest import ENCODER_FILE, ITEMS_FILE
from seqrec_plugin.vocabulary import Vocabulary


class Encoder:
    """A bundle's `encoder.onnx`: histories in, user embeddings out, for whoever searches the items elsewhere.

    With 1 appended, the inner product of an embedding and a row of `item_embeddings.npy` is that item's score.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        if ENCODER_FILE not in bundle.contents:
            raise WrongUsage("bad_value", f"{bundle.path} has no {ENCODER_FILE}.", "Export it again, with --encoder.")
        self.manifest = bundle.manifest
        self.vocabulary = Vocabulary.decode(bundle.contents[ITEMS_FILE], bundle.manifest.n_items)
        content, manifest = bundle.contents[ENCODER_FILE], bundle.manifest.encoder
        self._graph = GuardedGraph(content, manifest, threads, folder=bundle.path, name=ENCODER_FILE)

    @classmethod
    def load(cls, path: str | Path, *, threads: int = 1) -> Encoder:
        """Read a bundle and make its encoder ready; see `Recommender.load`."""
        return cls(bundles.read(path), threads=threads)

    def encode(self, question: Question) -> Encoded:
        """A history as the model reads it: see `history.encode`."""
        return encode(question, self.vocabulary, self.manifest)

    def embed(self, questions: Iterable[Question | Mapping[str, Any]]) -> Floats:
        """The user embeddings of questions (clause 5 of `export/SPEC.md`), float32 [questions, embedding_size].

        Raises:
            BadData: `bad_question` for the first that is bad.
        """
        rows = [self.encode(to_question(question)).row for question in questions]
        parts = [self.run(rows[i : i + MOST_ROWS]).user_embedding for i in range(0, max(1, len(rows)), MOST_ROWS)]
        return np.concatenate(parts)

    def run(self, rows: Sequence[Row], state: Sequence[Floats] | None = None) -> Output:
        """The graph itself, guarded: user embedding and next state; see `Recommender.run`."""
        item_seq, columns = padded(rows, self.manifest.columns)
        return self._graph.run(item_seq, columns, None, state)

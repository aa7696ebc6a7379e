"""What every layer and every model keeps: whole = step by step = resumed at each cut = the emitted graph.

class TestMine(ModelContract):
    def build(self):
        return MyModel(MyModel.Config(embedding_size=8), n_items=30)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor

from seqrec_plugin import tracing
from seqrec_plugin.columns import DTYPES, FEATURES, FILLING, LABEL, NEXT, Row, draw, padded
from seqrec_plugin.graph import Graph
from seqrec_plugin.layers import Layer, State
from seqrec_plugin.models.base import SequenceModel

#: Largest difference between two ways to compute the same, relative, and absolute to 1 or to the largest value beside
#: it: where large terms cancel, float32 leaves an error of their size.
TOLERANCE = 1e-5


def _close(found: Tensor | npt.NDArray[Any], expected: Tensor | npt.NDArray[Any], what: str) -> None:
    a, b = (np.asarray(x.detach() if isinstance(x, Tensor) else x) for x in (found, expected))
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    largest = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0.0)))
    np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE * largest, err_msg=what)


def _shake(module: torch.nn.Module) -> None:
    """Random weights everywhere: zeros and ones of an initialisation would hide a wrong formula."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)


def _session(graph: Graph) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph.build(), options, providers=["CPUExecutionProvider"])


class LayerContract:
    """For one layer. `build` returns it; `width` is the width of its input."""

    width = 6

    def build(self) -> Layer:
        """A layer in evaluation mode or not; weights are shaken here."""
        raise NotImplementedError

    def _layer(self) -> Layer:
        layer = self.build().eval()
        _shake(layer)
        return layer

    def _input(self, batch: int, length: int, padding: int = 0) -> tuple[Tensor, Tensor]:
        x = torch.randn(batch, length, self.width, generator=torch.Generator().manual_seed(1))
        keep = torch.ones(batch, length, 1)
        keep[:, :padding] = 0
        return x, keep

    def test_whole_equals_resumed_at_each_cut(self) -> None:
        """A state carried over any cut changes nothing, one step at a time included."""
        layer, (x, keep) = self._layer(), self._input(3, 7)
        whole, end = layer(x, keep, layer.zero_state(3, x))
        for cut in range(1, 7):
            first, state = layer(x[:, :cut], keep[:, :cut], layer.zero_state(3, x))
            second, state = layer(x[:, cut:], keep[:, cut:], state)
            _close(torch.cat([first, second], dim=1), whole, f"output, cut at {cut}")
            for found, expected in zip(state, end, strict=True):
                _close(found, expected, f"state, cut at {cut}")
        state, steps = layer.zero_state(3, x), []
        for t in range(7):
            step, state = layer(x[:, t : t + 1], keep[:, t : t + 1], state)
            steps.append(step)
        _close(torch.cat(steps, dim=1), whole, "output, step by step")

    def test_padding_leaves_the_state_exactly_zero(self) -> None:
        """Otherwise a padded row of a batch would answer differently from the row alone."""
        layer, (x, keep) = self._layer(), self._input(2, 4, padding=4)
        _, state = layer(x, keep, layer.zero_state(2, x))
        for tensor in state:
            assert float(tensor.detach().abs().max()) == 0.0

    def test_nothing_leaks_from_the_future(self) -> None:
        """Changing a later step leaves earlier outputs as they were."""
        layer, (x, keep) = self._layer(), self._input(2, 6)
        before, _ = layer(x, keep, layer.zero_state(2, x))
        changed = x.clone()
        changed[:, 4:] *= -2
        after, _ = layer(changed, keep, layer.zero_state(2, x))
        _close(after[:, :4], before[:, :4], "output before the change")
        assert not torch.allclose(after[:, 4:], before[:, 4:])

    def test_emitted_graph_equals_torch(self) -> None:
        """In onnxruntime, for several shapes, padded and not, from zero and from a carried state."""
        layer = self._layer()
        graph = Graph()
        x_name = graph.input("x", "float32", ["length", "batch", self.width])
        keep_name = graph.input("keep", "float32", ["length", "batch", 1])
        names = tuple(graph.input(f"state_{i}", "float32", ["batch", s]) for i, s in enumerate(layer.state_sizes))
        y, after = layer.emit(graph, x_name, keep_name, names)
        width = layer(*self._input(1, 1), layer.zero_state(1, torch.zeros(1)))[0].shape[-1]
        graph.output("y", y, "float32", ["length", "batch", width])
        for i, (name, size) in enumerate(zip(after, layer.state_sizes, strict=True)):
            graph.output(f"next_state_{i}", name, "float32", ["batch", size])
        session = _session(graph)
        uses_keep = "keep" in {i.name for i in session.get_inputs()}
        for batch, length, padding in ((1, 1, 0), (1, 1, 1), (3, 5, 0), (3, 5, 2), (4, 9, 0)):
            x, keep = self._input(batch, length, padding)
            state = layer.zero_state(batch, x)
            if not padding:
                state = tuple(
                    torch.rand(batch, s, generator=torch.Generator().manual_seed(2)) for s in layer.state_sizes
                )
            expected, end = layer(x, keep, state)
            feed = {"x": x.transpose(0, 1).numpy()} | {f"state_{i}": s.numpy() for i, s in enumerate(state)}
            if uses_keep:
                feed["keep"] = keep.transpose(0, 1).numpy()
            found, *found_end = session.run(None, feed)
            what = f"batch {batch}, length {length}, padding {padding}"
            _close(found.transpose(1, 0, 2), expected, f"output, {what}")
            for ours, torchs in zip(found_end, end, strict=True):
                _close(ours, torchs, f"state, {what}")


class ModelContract:
    """For one sequence model. `build` returns it, with a catalogue of at least 12 items."""

    def build(self) -> SequenceModel:
        """A model; weights are shaken here."""
        raise NotImplementedError

    def _model(self) -> SequenceModel:
        torch.manual_seed(0)
        model = self.build().eval()
        _shake(model)
        return model

    def _rows(self, model: SequenceModel, lengths: Sequence[int]) -> list[Row]:
        random = np.random.default_rng(3)
        sizes = len(model.behaviors), len(model.features)
        return [Row(random.integers(1, model.n_items, n), draw(model.columns, n, random, *sizes)) for n in lengths]

    def _run(self, model: SequenceModel, rows: Sequence[Row], state: State | None = None) -> tuple[Tensor, State]:
        item_seq, columns = _tensors(model, rows)
        found: tuple[Tensor, State] = model(item_seq, state, columns)
        return found

    def test_whole_equals_resumed_at_each_cut(self) -> None:
        """A history in pieces, with the state carried, gives what the whole gives.

        A model that declares no state (`state_sizes` is empty) has nothing to resume from.
        """
        model = self._model()
        if not model.state_sizes:
            return
        rows = self._rows(model, [8] * 3)
        whole, end = self._run(model, rows)
        for cut in range(1, 8):
            _, state = self._run(model, [row.part(0, cut) for row in rows])
            rest, state = self._run(model, [row.part(cut) for row in rows], state)
            _close(rest[:, -1], whole[:, -1], f"vector, cut at {cut}")
            for found, expected in zip(state, end, strict=True):
                _close(found, expected, f"state, cut at {cut}")

    def test_the_last_vector_by_itself_is_that_of_the_whole(self) -> None:
        """A layer may compute the last position alone, which is all that serving needs."""
        model = self._model()
        item_seq, columns = _tensors(model, self._rows(model, [2, 6, 6]))
        whole, end = model(item_seq, None, columns)
        vector, state = model.last(item_seq, None, columns)
        _close(vector, whole[:, -1], "vector")
        for found, expected in zip(state, end, strict=True):
            _close(found, expected, "state")

    def test_a_batch_of_mixed_lengths_equals_each_alone(self) -> None:
        """Left padding changes neither a row's vectors nor its state."""
        model = self._model()
        rows = self._rows(model, [1, 3, 9])
        batch, end = self._run(model, rows)
        for i, row in enumerate(rows):
            n = len(row.items)
            alone, state = self._run(model, [row])
            _close(batch[i, -n:], alone[0], f"vectors of a history of {n}")
            for found, expected in zip(end, state, strict=True):
                _close(found[i], expected[0], f"state of a history of {n}")

    def test_nothing_leaks_from_the_future(self) -> None:
        """Changing a later event leaves earlier vectors as they were."""
        model = self._model()
        rows = self._rows(model, [8, 8])
        changed = [Row(np.concatenate([r.items[:5], r.items[5:] % (model.n_items - 1) + 1]), r.columns) for r in rows]
        before, after = self._run(model, rows)[0], self._run(model, changed)[0]
        _close(after[:, :5], before[:, :5], "vectors before the change")
        assert not torch.allclose(after[:, 5:], before[:, 5:])

    def test_each_column_is_read(self) -> None:
        """Another value of a column that the model names gives another answer, and no earlier one."""
        model = self._model()
        rows = self._rows(model, [6, 6])
        others = [
            Row(row.items, other.columns) for row, other in zip(rows, self._rows(model, [6] * 4)[2:], strict=True)
        ]
        before = self._run(model, rows)[0]
        for name in model.columns:
            changed = []
            for row, other in zip(rows, others, strict=True):
                value = np.array(other.columns[name])
                if name not in NEXT:
                    value[:3] = row.columns[name][:3]
                changed.append(Row(row.items, {**row.columns, name: value}))
            after = self._run(model, changed)[0]
            assert not torch.allclose(after[:, -1], before[:, -1]), f"{name} is not read"
            if name not in NEXT:
                _close(after[:, :3], before[:, :3], f"vectors before {name} changes")

    def test_an_empty_history_is_padding_and_has_an_answer(self) -> None:
        """However much padding, a newcomer gets the same finite scores, and a zero state."""
        model = self._model()
        nobody, somebody = self._rows(model, [0, 5])
        one, long = self._run(model, [nobody]), self._run(model, [nobody, somebody])
        _close(long[0][:1, -1], one[0][:, -1], "newcomer's vector")
        for tensor in (*one[1], *(s[:1] for s in long[1])):
            assert float(tensor.detach().abs().max()) == 0.0
        answers = _answers(model, one[0][:, -1])
        if model.task == "next_item":
            assert torch.isneginf(answers[:, 0]).all()
            answers = answers[:, 1:]
        assert torch.isfinite(answers).all()

    def test_every_weight_learns(self) -> None:
        """A weight without a gradient is one that the author forgot to use."""
        model = self._model().train()
        item_seq, columns = _tensors(model, self._rows(model, [7] * 8))
        newcomer = torch.zeros(8, 1, dtype=torch.int64)
        item_seq = torch.cat([newcomer, item_seq], dim=1)
        for name, value in columns.items():
            if name in NEXT:
                columns[name] = value.expand(-1, 7)
            else:
                first = torch.full_like(value[:, :1], FILLING[name])
                columns[name] = torch.cat([first, value[:, :-1]], dim=1)
        if model.task == "probability" and not model.takes_candidates:
            columns[LABEL] = (item_seq[:, 1:] % 2).float()
        model.loss(item_seq[:, :-1], item_seq[:, 1:], columns).backward()
        for name, weight in model.named_parameters():
            if not weight.requires_grad:
                continue
            assert weight.grad is not None, f"{name} has no gradient"
            assert float(weight.grad.abs().max()) > 0, f"{name} has a gradient of zero"

    def test_emitted_graph_equals_torch(self) -> None:
        """In onnxruntime: scores, embedding and state, for several shapes, empty, padded and carried.

        Where the model does not emit (`SequenceModel.emits`), the graph is the one that torch's exporter writes, with
        the state that it can carry.
        """
        model = self._model()
        traced = None if model.emits else tracing.trace(model)
        sizes = traced.state_sizes if traced else model.state_sizes
        graph = Graph()
        item_seq_name = graph.input("item_seq", "int64", ["batch", "length"])
        columns = {name: graph.input(name, *_declared(name, len(model.features))) for name in model.columns}
        names = tuple(graph.input(f"state_{i}", "float32", ["batch", s]) for i, s in enumerate(sizes))
        if traced:
            vector, answers, after = traced.emit(model, graph, item_seq_name, names)
        elif model.task == "next_item":
            vector, answers, after = model.emit(graph, item_seq_name, names, columns)
        else:
            candidates = graph.input("candidates", "int64", ["batch", "any"]) if model.takes_candidates else None
            vector, answers, after = model.emit_probabilities(graph, item_seq_name, names, columns, candidates)
        graph.output("vector", vector, "float32", ["batch", model.vector_size])
        graph.output("answers", answers, "float32", ["batch", "any"])
        for i, (name, size) in enumerate(zip(after, sizes, strict=True)):
            graph.output(f"next_state_{i}", name, "float32", ["batch", size])
        session = _session(graph)

        def check(rows: Sequence[Row], state: State, what: str) -> State:
            expected, end = self._run(model, rows, state)
            item_seq, columns = padded(rows, model.columns)
            feed = {"item_seq": item_seq, **columns}
            feed |= {f"state_{i}": s.detach().numpy() for i, s in enumerate(state if sizes else ())}
            if model.takes_candidates:
                feed["candidates"] = np.arange(1, model.n_items)[None].repeat(len(rows), axis=0)
            found_vector, found_answers, *found_end = session.run(None, feed)
            _close(found_vector, expected[:, -1], f"vector, {what}")
            _close(found_answers, _answers(model, expected[:, -1]), f"scores, {what}")
            for ours, torchs in zip(found_end, end[: len(sizes)], strict=True):
                _close(ours, torchs, f"state, {what}")
            return tuple(end)

        def zero(batch: int) -> State:
            return model.zero_state(batch, torch.zeros(1))

        for size, length in ((1, 1), (1, 5), (3, 7), (16, 20)):
            end = check(self._rows(model, [length] * size), zero(size), f"batch {size}, length {length}")
            if sizes:
                check(self._rows(model, [2] * size), end, f"carried from batch {size}, length {length}")
            mixed = [length - length // 2] + [length] * (size - 1)
            check(self._rows(model, mixed), zero(size), f"batch {size}, length {length}, one row padded")
        check(self._rows(model, [0, 0]), zero(2), "empty history")


def _answers(model: SequenceModel, vectors: Tensor) -> Tensor:
    """What is told of each vector: the scores of all items, or the probabilities (of all items as candidates)."""
    if model.task == "next_item":
        return model.item_table.scores(vectors)
    candidates = torch.arange(1, model.n_items).expand(len(vectors), -1) if model.takes_candidates else None
    return model.probabilities(vectors, candidates)


def _tensors(model: SequenceModel, rows: Sequence[Row]) -> tuple[Tensor, dict[str, Tensor]]:
    """As the model's `forward` takes them."""
    item_seq, columns = padded(rows, model.columns)
    return torch.from_numpy(item_seq), {
        name: torch.from_numpy(value).unsqueeze(1) if name in NEXT else torch.from_numpy(value)
        for name, value in columns.items()
    }


def _declared(name: str, features: int) -> tuple[str, list[int | str]]:
    """dtype and shape of a column as an input of the graph."""
    shape: list[int | str] = ["batch"] if name in NEXT else ["batch", "length"]
    return np.dtype(DTYPES[name]).name, [*shape, features] if name == FEATURES else shape

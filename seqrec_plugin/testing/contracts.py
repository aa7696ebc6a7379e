"""What every layer and every model keeps: whole = step by step = resumed at each cut = the emitted graph.

class TestMine(ModelContract):
    def build(self):
        return MyModel(MyModel.Config(embedding_size=8), n_items=30)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor

from seqrec_plugin import tracing
from seqrec_plugin.graph import Graph
from seqrec_plugin.layers import Layer, State
from seqrec_plugin.models.base import SequenceModel

#: Largest difference, absolute and relative, between two ways to compute the same.
TOLERANCE = 1e-5


def _close(found: Tensor | npt.NDArray[Any], expected: Tensor | npt.NDArray[Any], what: str) -> None:
    a, b = (np.asarray(x.detach() if isinstance(x, Tensor) else x) for x in (found, expected))
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, err_msg=what)


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

    def _histories(self, model: SequenceModel, batch: int, length: int) -> Tensor:
        return torch.randint(1, model.n_items, (batch, length), generator=torch.Generator().manual_seed(3))

    def test_whole_equals_resumed_at_each_cut(self) -> None:
        """A history in pieces, with the state carried, gives what the whole gives.

        A model that declares no state (`state_sizes` is empty) has nothing to resume from.
        """
        model = self._model()
        if not model.state_sizes:
            return
        item_seq = self._histories(model, 3, 8)
        whole, end = model(item_seq)
        for cut in range(1, 8):
            _, state = model(item_seq[:, :cut])
            rest, state = model(item_seq[:, cut:], state)
            _close(rest[:, -1], whole[:, -1], f"vector, cut at {cut}")
            for found, expected in zip(state, end, strict=True):
                _close(found, expected, f"state, cut at {cut}")

    def test_the_last_vector_by_itself_is_that_of_the_whole(self) -> None:
        """A layer may compute the last position alone, which is all that serving needs."""
        model = self._model()
        item_seq = self._histories(model, 3, 6)
        item_seq[0, :4] = 0
        whole, end = model(item_seq)
        vector, state = model.last(item_seq)
        _close(vector, whole[:, -1], "vector")
        for found, expected in zip(state, end, strict=True):
            _close(found, expected, "state")

    def test_a_batch_of_mixed_lengths_equals_each_alone(self) -> None:
        """Left padding changes neither a row's vectors nor its state."""
        model = self._model()
        histories = [self._histories(model, 1, n) for n in (1, 3, 9)]
        item_seq = torch.zeros(3, 9, dtype=torch.int64)
        for row, history in zip(item_seq, histories, strict=True):
            row[9 - history.shape[1] :] = history[0]
        batch, end = model(item_seq)
        for i, history in enumerate(histories):
            alone, state = model(history)
            _close(batch[i, -history.shape[1] :], alone[0], f"vectors of a history of {history.shape[1]}")
            for found, expected in zip(end, state, strict=True):
                _close(found[i], expected[0], f"state of a history of {history.shape[1]}")

    def test_nothing_leaks_from_the_future(self) -> None:
        """Changing a later event leaves earlier vectors as they were."""
        model = self._model()
        item_seq = self._histories(model, 2, 8)
        changed = item_seq.clone()
        changed[:, 5:] = changed[:, 5:] % (model.n_items - 1) + 1
        before, after = model(item_seq)[0], model(changed)[0]
        _close(after[:, :5], before[:, :5], "vectors before the change")
        assert not torch.allclose(after[:, 5:], before[:, 5:])

    def test_an_empty_history_is_padding_and_has_an_answer(self) -> None:
        """However much padding, a newcomer gets the same finite scores, and a zero state."""
        model = self._model()
        one, long = (model(torch.zeros(1, n, dtype=torch.int64)) for n in (1, 5))
        _close(long[0][:, -1], one[0][:, -1], "newcomer's vector")
        for tensor in (*one[1], *long[1]):
            assert float(tensor.detach().abs().max()) == 0.0
        scores = model.score(torch.zeros(1, 1, dtype=torch.int64))
        assert torch.isneginf(scores[:, 0]).all()
        assert torch.isfinite(scores[:, 1:]).all()

    def test_every_weight_learns(self) -> None:
        """A weight without a gradient is one that the author forgot to use."""
        model = self._model().train()
        item_seq = torch.cat([torch.zeros(4, 1, dtype=torch.int64), self._histories(model, 4, 6)], dim=1)
        model.loss(item_seq[:, :-1], item_seq[:, 1:]).backward()
        for name, weight in model.named_parameters():
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
        names = tuple(graph.input(f"state_{i}", "float32", ["batch", s]) for i, s in enumerate(sizes))
        if traced:
            vector, scores, after = traced.emit(model, graph, item_seq_name, names)
        else:
            vector, scores, after = model.emit(graph, item_seq_name, names)
        graph.output("vector", vector, "float32", ["batch", model.config.embedding_size])
        graph.output("scores", scores, "float32", ["batch", model.n_items])
        for i, (name, size) in enumerate(zip(after, sizes, strict=True)):
            graph.output(f"next_state_{i}", name, "float32", ["batch", size])
        session = _session(graph)

        def check(item_seq: Tensor, state: State, what: str) -> State:
            expected, end = model(item_seq, state)
            fed = state if sizes else ()
            feed = {"item_seq": item_seq.numpy()} | {f"state_{i}": s.detach().numpy() for i, s in enumerate(fed)}
            found_vector, found_scores, *found_end = session.run(None, feed)
            _close(found_vector, expected[:, -1], f"vector, {what}")
            _close(found_scores, model.item_table.scores(expected[:, -1]), f"scores, {what}")
            for ours, torchs in zip(found_end, end[: len(sizes)], strict=True):
                _close(ours, torchs, f"state, {what}")
            return tuple(end)

        def zero(batch: int) -> State:
            return model.encoder.zero_state(batch, torch.zeros(1))

        for batch, length in ((1, 1), (1, 5), (3, 7), (16, 20)):
            item_seq = self._histories(model, batch, length)
            end = check(item_seq, zero(batch), f"batch {batch}, length {length}")
            if sizes:
                check(self._histories(model, batch, 2), end, f"carried from batch {batch}, length {length}")
            item_seq[0, : length // 2] = 0
            check(item_seq, zero(batch), f"batch {batch}, length {length}, one row padded")
        check(torch.zeros(2, 1, dtype=torch.int64), zero(2), "empty history")

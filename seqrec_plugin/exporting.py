"""Run folder → bundle. Needs torch and onnx, not RecBole."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
import onnx
import torch

from seqrec_plugin import bundle, card, golden, parity, verifying
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.columns import BEHAVIOR, NEXT_BEHAVIOR, Row
from seqrec_plugin.emitting import encoder_bytes, item_embeddings, model_bytes
from seqrec_plugin.errors import Failed, WrongUsage
from seqrec_plugin.evaluating import load_model, rank_validation, set_threads
from seqrec_plugin.graph import IR_VERSION, OPSET, Weights
from seqrec_plugin.layers import Int8Table
from seqrec_plugin.layers.int8_table import MOST_WIDTH
from seqrec_plugin.manifest import (
    CARD_FILE,
    EMBEDDINGS_FILE,
    ENCODER_FILE,
    FORMAT_VERSION,
    GOLDEN_FILE,
    INT8_FILE,
    INT8_GOLDEN_FILE,
    ITEMS_FILE,
    MODEL_FILE,
    WEIGHTS_FILE,
    Int8,
    Manifest,
    Number,
    Parity,
    Provenance,
)
from seqrec_plugin.models.base import SequenceModel
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.titles import match, read
from seqrec_plugin.verifying import Check
from seqrec_plugin.vocabulary import Vocabulary

#: A protobuf file holds less than 2 GiB; the rest of the graph needs some of it.
MOST_INSIDE = 2**31 - 2**26
#: The share of NDCG@10 that the int8 table may cost.
MOST_DROP = 0.01

#: A model's NDCG@10 on events that it was not trained on, and how many these are.
Judge = Callable[[SequenceModel], tuple[float, int]]
Report = Callable[[Check], None]


def export(
    run_path: Path,
    output: Path,
    *,
    top_k: int = 100,
    embeddings: bool = False,
    encoder: bool = False,
    int8: bool = False,
    most_drop: float = MOST_DROP,
    titles: Path | None = None,
    force: bool = False,
    report: Report,
) -> Manifest:
    """Export the best epoch of a run.

    Args:
        run_path: a finished run folder of one of our models.
        output: the bundle's folder, made here, only if every check holds.
        top_k: K of the graph, cut to the catalogue.
        embeddings: write `item_embeddings.npy` too, for a search of one's own.
        encoder: write `encoder.onnx` too, the graph without scores and items.
        int8: write `model_int8.onnx` too.
        most_drop: the share of NDCG@10 that int8 may cost, on the validation part; in a refit on last events.
        titles: a file of titles that count before the run's (see `titles.read`).
        force: replace a bundle that is there already.
        report: told of each check that holds.

    Raises:
        Failed: `check_failed` or `golden_mismatch`; there is no bundle then.
        SeqrecError: the run or the output folder is wrong.
    """
    run = RunFolder.open(run_path)
    set_threads(run.info.threads)
    info, model, vocabulary = run.info, load_model(run), run.vocabulary()

    if int8:
        run.check_not_purged()

    def judge(judged: SequenceModel) -> tuple[float, int]:
        return rank_validation(judged, run.split(), info.max_history)

    if titles is not None:
        found = match(vocabulary, read(titles), titles)
        vocabulary = found.vocabulary
        strange = f"; it names {found.strange} that the model does not know" if found.strange else ""
        report(
            Check("titles", f"{found.titled} of {vocabulary.n_items - 1} items have theirs from {titles.name}{strange}")
        )
    provenance = Provenance(
        model=info.model,
        config=info.model_config,
        dataset=info.dataset,
        data_sha256=info.data_sha256,
        epoch=info.epoch,
        seed=info.seed,
        versions={**info.versions, "onnx": version("onnx"), "onnxruntime": version("onnxruntime")},
        metrics=run.metrics(),
    )
    return write_bundle(
        output,
        model,
        vocabulary,
        max_history=info.max_history,
        exclude_seen=info.exclude_seen,
        provenance=provenance,
        probe=run.probe(),
        target_behaviors=info.target_behaviors if model.task == "probability" else (),
        top_k=top_k,
        embeddings=embeddings,
        encoder=encoder,
        judge=judge if int8 else None,
        most_drop=most_drop,
        force=force,
        report=report,
    )


def write_bundle(
    output: Path,
    model: SequenceModel,
    vocabulary: Vocabulary,
    *,
    max_history: int,
    exclude_seen: bool,
    provenance: Provenance,
    probe: Sequence[Row] = (),
    target_behaviors: Sequence[str] = (),
    top_k: int = 100,
    embeddings: bool = False,
    encoder: bool = False,
    judge: Judge | None = None,
    most_drop: float = MOST_DROP,
    most_inside: int = MOST_INSIDE,
    seed: int = 0,
    force: bool = False,
    report: Report = lambda check: None,
) -> Manifest:
    """Write a bundle and check it, as it lies on disk, against torch.

    Args:
        output: the bundle's folder.
        model: the model, in evaluation mode.
        vocabulary: its items, `model.n_items` with the padding row.
        max_history: the newest so many items of a history are read.
        exclude_seen: whether serving leaves out a user's own items by default.
        provenance: where the weights come from.
        probe: real histories, for the parity check; random ones are added.
        target_behaviors: what the probability is of, for a model of these; empty for acting at all.
        top_k: K of the graph, cut to the catalogue.
        embeddings: write `item_embeddings.npy` too.
        encoder: write `encoder.onnx` too.
        judge: write `model_int8.onnx` too, if this says that its NDCG@10 is good enough.
        most_drop: the share of NDCG@10 that int8 may cost.
        most_inside: bytes of weights up to which they stay in the graphs' own files.
        seed: draws the golden histories.
        force: replace a bundle that is there already.
        report: told of each check that holds.
    """
    if top_k < 1:
        raise WrongUsage("bad_k", f"--top-k is {top_k}, but must be at least 1.")
    if (embeddings or judge) and model.task != "next_item":
        what = "there is nothing to search" if embeddings else "int8 has no ranking to be judged by"
        raise WrongUsage("bad_value", f"A model of probabilities ranks no items, so {what}.")
    if judge and model.vector_size > MOST_WIDTH:
        raise WrongUsage("bad_value", f"int8 serves vectors up to {MOST_WIDTH} wide; these are {model.vector_size}.")
    if not all(torch.isfinite(weight).all() for weight in model.state_dict().values()):
        raise Failed("check_failed", "The weights hold NaN or infinity.", "Train again, with a lower learning_rate.")
    top_k = min(top_k, vocabulary.n_items - 1) if model.task == "next_item" else 0
    probe = [parity.newest(row, max_history) for row in probe] + parity.random_histories(model, max_history, seed)

    with bundle.writing(output, force) as folder:
        weights = Weights(WEIGHTS_FILE) if _size(model) > most_inside else None
        manifest, content = _draft(model, top_k, max_history, exclude_seen, target_behaviors, provenance, weights)
        report(_graph_check(manifest, len(content) + len(weights or b""), model.state_sizes))
        contents = {MODEL_FILE: content, ITEMS_FILE: vocabulary.encode(), GOLDEN_FILE: b"{}", CARD_FILE: b""}
        if embeddings:
            contents[EMBEDDINGS_FILE] = item_embeddings(model)
        if encoder:
            contents[ENCODER_FILE] = encoder_bytes(model, weights)
        rounded = None
        if judge:
            rounded = round_table(model)
            manifest = msgspec.structs.replace(manifest, int8=_judge_int8(model, rounded, judge, most_drop, report))
            contents[INT8_FILE] = model_bytes(rounded, top_k)[0]
            contents[INT8_GOLDEN_FILE] = b"{}"
        if weights:
            contents[WEIGHTS_FILE] = weights.content()
        bundle.fill(folder, manifest, contents)
        recommender = Recommender.load(folder)

        measured = parity.check_parity(model, recommender, probe, report)
        parity.check_carried(recommender, probe, report)

        manifest = msgspec.structs.replace(manifest, parity=measured)
        contents[GOLDEN_FILE] = golden.encode(golden.build(model, vocabulary, manifest, seed))
        if rounded:
            contents[INT8_GOLDEN_FILE] = golden.encode(
                golden.build(rounded, vocabulary, manifest, seed, golden.INT8_TOLERANCE)
            )
        listed = bundle.fill(folder, manifest, contents)
        contents[CARD_FILE] = card.text(listed, vocabulary).encode()
        bundle.fill(folder, manifest, contents)
        for check in verifying.verify(folder):
            report(check)
    return manifest


def round_table(model: SequenceModel) -> SequenceModel:
    """The model with an int8 item table; its other parts are the same objects, which nothing changes."""
    rounded = copy.copy(model)
    rounded._modules = {**model._modules, "item_table": Int8Table(model.item_table)}
    return rounded


def _judge_int8(model: SequenceModel, rounded: SequenceModel, judge: Judge, most_drop: float, report: Report) -> Int8:
    """What int8 costs in ranking; too much is an error."""
    (ndcg, targets), (ndcg_int8, _) = judge(model), judge(rounded)
    drop = (ndcg - ndcg_int8) / ndcg if ndcg > 0 else 0.0
    told = f"NDCG@10 {ndcg_int8:.4f} with int8, {ndcg:.4f} without, on {targets} held-out targets"
    if drop > most_drop:
        raise Failed(
            "check_failed",
            f"{told}: {drop:.1%} are lost, and at most {most_drop:.1%} may be.",
            "Serve model.onnx as it is, or allow more with --int8-max-drop.",
        )
    report(Check("int8 ranks as well", f"{told}: {-drop:+.2%}"))
    return Int8(targets, ndcg, ndcg_int8, drop, most_drop)


def _size(model: SequenceModel) -> int:
    """Bytes of the weights as the graph holds them, in float32."""
    return sum(4 * weight.numel() for weight in model.state_dict().values())


def _draft(
    model: SequenceModel,
    top_k: int,
    max_history: int,
    exclude_seen: bool,
    target_behaviors: Sequence[str],
    provenance: Provenance,
    weights: Weights | None,
) -> tuple[Manifest, bytes]:
    try:
        content, inputs, outputs, state = model_bytes(model, top_k, weights)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise Failed("check_failed", f"The graph is not valid ONNX: {str(error).splitlines()[0]}") from None
    reads_behaviors = {BEHAVIOR, NEXT_BEHAVIOR} & set(model.columns)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        task=model.task,  # type: ignore[arg-type]
        n_items=model.n_items,
        max_history=max_history,
        top_k=top_k,
        embedding_size=model.vector_size,
        unknown_items="dropped",
        exclude_seen=exclude_seen and model.task == "next_item",
        behaviors=model.behaviors if reads_behaviors else (),
        target_behaviors=tuple(target_behaviors),
        features=model.features,
        inputs=inputs,
        outputs=outputs,
        state=tuple(state),
        opset=OPSET,
        ir_version=IR_VERSION,
        files={},
        provenance=msgspec.structs.replace(
            provenance,
            exporter="layers" if model.emits else "torch",
            newcomer=model.newcomer,
            numbers=_numbers(model),
        ),
        parity=Parity(0, 0.0, 0.0, parity.TOLERANCE),
        int8=None,
    )
    return manifest, content


def _numbers(model: SequenceModel) -> dict[str, Number]:
    """How each number is treated, for people."""
    if model.numbers is None:
        return {}
    unknown = model.numbers.unknown.tolist()
    return {
        name: Number(treated, value)
        for (name, treated), value in zip(model.numbers.told().items(), unknown, strict=True)
    }


def _graph_check(manifest: Manifest, size: int, sizes: tuple[int, ...]) -> Check:
    detail = f"opset {OPSET}, {size / 1e6:.2f} MB, onnx checker and shape inference"
    if manifest.provenance.exporter == "torch":
        detail = f"by torch's exporter, {detail}"
        if not manifest.state:
            detail += "; its state cannot be carried" if sizes else "; the model has no state to carry"
    return Check("graph valid", detail)

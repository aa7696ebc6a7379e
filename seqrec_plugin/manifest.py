"""What a bundle says of itself: `manifest.json`, typed and strict. No disk here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from seqrec_plugin import columns as cols
from seqrec_plugin.errors import BadData

FORMAT_VERSION = 0
MODEL_FILE = "model.onnx"
ITEMS_FILE = "items.json"
GOLDEN_FILE = "golden.json"
CARD_FILE = "README.md"
MANIFEST_FILE = "manifest.json"
#: On request.
EMBEDDINGS_FILE = "item_embeddings.npy"
ENCODER_FILE = "encoder.onnx"
INT8_FILE = "model_int8.onnx"
INT8_GOLDEN_FILE = "golden_int8.json"
#: Where one file cannot hold the weights.
WEIGHTS_FILE = "weights.bin"

EXCLUDE = "exclude"
CANDIDATES = "candidates"
PROBABILITIES = "probabilities"


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input or output of the graph. A text in `shape` names an axis that moves."""

    name: str
    dtype: Literal["int64", "float32"]
    shape: tuple[int | str, ...]


class StateTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One carried tensor: `input` [batch, size] goes in (zeros at the start), `output` comes out."""

    input: str
    output: str
    size: int


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the bundle: its length in bytes and the sha256 of its content, in lower-case hex."""

    size: int
    sha256: str


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the graph treats one of `features`, in words, and the value that training read where there was none."""

    treated: str
    unknown: float


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the weights come from, and who wrote the graph. No word about any user.

    `exporter` is `layers`, or `torch` for a model whose layers cannot write themselves. `newcomer` says what an empty
    history gets, where the model never learned from one. `numbers` tells of each of `features`.
    """

    model: str
    config: dict[str, Any]
    dataset: str
    data_sha256: str
    epoch: int
    seed: int
    versions: dict[str, str]
    metrics: dict[str, Any]
    exporter: Literal["layers", "torch"] = "layers"
    newcomer: str = ""
    numbers: dict[str, Number] = {}

    @property
    def trained(self) -> str:
        """Best epoch and seed, for people; of a combined model those of each part."""
        parts = self.config.get("parts")
        try:
            if isinstance(parts, list) and parts:
                return "; ".join(f"{part['model']} epoch {part['epoch'] + 1}, seed {part['seed']}" for part in parts)
        except (KeyError, TypeError):
            pass  # an older release's, or a stranger's: `config` is whatever somebody wrote
        return f"epoch {self.epoch + 1}, seed {self.seed}"


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far onnxruntime was from torch when the bundle was written, on scores, embedding and state."""

    histories: int
    max_absolute: float
    max_relative: float
    tolerance: float


class Int8(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the int8 item table costs in ranking: NDCG@10, history masked, on the same targets.

    `drop` is the share of `ndcg` that is lost, negative where it gained; above `most_drop` nothing would have been
    written.
    """

    targets: int
    ndcg: float
    ndcg_int8: float
    drop: float
    most_drop: float


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contract of one bundle; `export/SPEC.md` says what each field means to a caller."""

    format_version: int
    task: Literal["next_item", "probability"]
    n_items: int
    max_history: int
    top_k: int
    embedding_size: int
    unknown_items: Literal["dropped"]
    exclude_seen: bool
    behaviors: tuple[str, ...]
    target_behaviors: tuple[str, ...]
    features: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[StateTensor, ...]
    opset: int
    ir_version: int
    files: dict[str, File]
    provenance: Provenance
    parity: Parity
    int8: Int8 | None

    @property
    def encoder(self) -> Manifest:
        """What the manifest would say of `encoder.onnx` alone: no exclusions or candidates, no items, no scores."""
        inputs = tuple(tensor for tensor in self.inputs if tensor.name not in (EXCLUDE, CANDIDATES))
        ends = {"user_embedding", *(spec.output for spec in self.state)}
        outputs = tuple(tensor for tensor in self.outputs if tensor.name in ends)
        return msgspec.structs.replace(self, task="encoding", top_k=0, inputs=inputs, outputs=outputs)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the graph reads of each event beside the item."""
        named = {tensor.name for tensor in self.inputs}
        return tuple(name for name in cols.NAMES if name in named)

    @property
    def meaning(self) -> str:
        """What a probability is of, for people."""
        acts = " or ".join(self.target_behaviors)
        if not self.takes_candidates:
            return f"the probability that the next event is {acts}, whatever its item"
        if acts:
            return f"for each candidate, the probability that an event on it, if it came next, would be {acts}"
        return (
            "for each candidate, the probability that it comes next, against one other item drawn evenly; "
            "over the whole catalogue these do not sum to 1"
        )

    @property
    def takes_candidates(self) -> bool:
        """Whether probabilities are of candidate items."""
        return any(tensor.name == CANDIDATES for tensor in self.inputs)


def tensors(
    task: str,
    columns: Sequence[str],
    states: Sequence[StateTensor],
    *,
    features: int,
    top_k: int,
    embedding_size: int,
    candidates: bool,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The inputs and outputs of a graph: clause 4 of `export/SPEC.md`.

    Args:
        task: `next_item` or `probability`; `encoding` for the encoder alone.
        columns: what it reads of each event beside the item, of `columns.NAMES`.
        states: the carried tensors.
        features: how many numbers an event has.
        top_k: K, for `next_item`.
        embedding_size: width of the user embedding.
        candidates: whether probabilities are of candidate items.
    """
    inputs = [Tensor("item_seq", "int64", ("batch", "length"))]
    if task == "next_item":
        inputs.append(Tensor(EXCLUDE, "int64", ("batch", "excluded")))
    elif candidates:
        inputs.append(Tensor(CANDIDATES, "int64", ("batch", "candidates")))
    for name in columns:
        shape: tuple[int | str, ...] = ("batch",) if name in cols.NEXT else ("batch", "length")
        shape += (features,) if name == cols.FEATURES else ()
        inputs.append(Tensor(name, "int64" if cols.DTYPES[name] is np.int64 else "float32", shape))
    inputs += [Tensor(s.input, "float32", ("batch", s.size)) for s in states]
    if task == "next_item":
        outputs = [Tensor("items", "int64", ("batch", top_k)), Tensor("scores", "float32", ("batch", top_k))]
    elif task == "encoding":
        outputs = []
    else:
        outputs = [Tensor(PROBABILITIES, "float32", ("batch", "candidates" if candidates else 1))]
    outputs.append(Tensor("user_embedding", "float32", ("batch", embedding_size)))
    outputs += [Tensor(s.output, "float32", ("batch", s.size)) for s in states]
    return tuple(inputs), tuple(outputs)


class _Version(msgspec.Struct):
    format_version: int


def encode(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`: readable, keys in a fixed order."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode(data: bytes) -> Manifest:
    """Read `manifest.json`.

    Raises:
        BadData: `format_unknown` for another format version, `manifest_invalid` for anything else.
    """
    try:
        version = msgspec.json.decode(data, type=_Version).format_version
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise BadData("manifest_invalid", f"{MANIFEST_FILE} cannot be read: {error}.") from None
    if version != FORMAT_VERSION:
        raise BadData(
            "format_unknown",
            f"The bundle has format version {version}; this release reads version {FORMAT_VERSION}.",
            "Export it again with this release, or install the release that wrote it.",
        )
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (ValueError, RecursionError) as error:
        raise BadData("manifest_invalid", f"{MANIFEST_FILE} is not valid: {error}.") from None
    _check_sense(manifest)
    return manifest


def _check_sense(manifest: Manifest) -> None:
    """Numbers that a typed reader cannot judge field by field."""
    wrong = None
    if manifest.n_items < 2:
        wrong = f"n_items is {manifest.n_items}, but a catalogue has at least one item besides the padding row"
    elif manifest.max_history < 1:
        wrong = f"max_history is {manifest.max_history}, but must be at least 1"
    elif manifest.task == "probability" and manifest.top_k:
        wrong = f"top_k is {manifest.top_k}, but a bundle of probabilities ranks nothing, so it is 0"
    elif manifest.task == "next_item" and not 1 <= manifest.top_k <= manifest.n_items - 1:
        wrong = f"top_k is {manifest.top_k}, but must lie between 1 and n_items - 1 = {manifest.n_items - 1}"
    elif any(state.size < 1 for state in manifest.state):
        wrong = "a state has a size below 1"
    elif any((s.input, s.output) != (f"state_{i}", f"next_state_{i}") for i, s in enumerate(manifest.state)):
        wrong = "the states are not state_0 to next_state_0, state_1 to next_state_1 and so on"
    elif any(len(set(names)) < len(names) for names in (manifest.behaviors, manifest.features)):
        wrong = "a behaviour or a feature is named twice"
    elif bool(manifest.features) != (cols.FEATURES in manifest.columns):
        wrong = "features are named, but the graph reads none, or the other way round"
    elif not manifest.behaviors and {cols.BEHAVIOR, cols.NEXT_BEHAVIOR} & set(manifest.columns):
        wrong = "the graph reads behaviours, but none is named"
    elif len({name in manifest.files for name in (INT8_FILE, INT8_GOLDEN_FILE)} | {manifest.int8 is not None}) > 1:
        wrong = f"{INT8_FILE}, {INT8_GOLDEN_FILE} and int8 come together or not at all"
    if wrong:
        raise BadData("manifest_invalid", f"{MANIFEST_FILE} makes no sense: {wrong}.")

"""A run folder: what a training leaves behind, readable without RecBole and without pickle.

| file | content |
| --- | --- |
| `run.json` | format version, model, data, seed, best epoch, versions, threads |
| `config.yaml` | the effective configuration, each value with its source; it can be trained again as it is |
| `weights.safetensors` | the best epoch's weights |
| `vocabulary.json` | index → item, title (as a bundle's `items.json`) |
| `split.npz` | all events by user and time, and which are for training, validation and test: user data |
| `probe.jsonl` | some real histories without user ids, for the parity check of an export: user data |
| `metrics.json` | valid and test, masked and unmasked |
| `ranks.npz` | the rank of each valid and test target, masked and unmasked: user data; older runs have none |
| `curve.jsonl` | one line an epoch, the seconds of its training and validation among it |
| `log.txt`, `recbole/` | RecBole's log, checkpoint and tensorboard |
| `last.pt`, `origins.json` | while training goes on: everything that `--resume` needs |
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from seqrec_plugin.columns import DTYPES, EventColumns, Row
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.run_info import FORMAT_VERSION, PURGING, Origin, Origins, RunInfo
from seqrec_plugin.split import Split
from seqrec_plugin.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

RUN_FILE = "run.json"
CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "weights.safetensors"
VOCABULARY_FILE = "vocabulary.json"
SPLIT_FILE = "split.npz"
PROBE_FILE = "probe.jsonl"
METRICS_FILE = "metrics.json"
RANKS_FILE = "ranks.npz"
CURVE_FILE = "curve.jsonl"
LOG_FILE = "log.txt"
LAST_FILE = "last.pt"
ORIGINS_FILE = "origins.json"
README_FILE = "README.txt"
RECBOLE_FOLDER = "recbole"
_LISTED = (CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE, SPLIT_FILE, PROBE_FILE, METRICS_FILE, CURVE_FILE, RANKS_FILE)
_OPTIONAL = (RANKS_FILE,)

_NOTE = """This folder is a training run of seqrec. It holds user data (split.npz, ranks.npz, probe.jsonl,
recbole/): keep it where the events themselves may be kept. What `seqrec export` makes of it holds none.
"""


#: `row`, `masked` and `unmasked`; or `row`, `label` and `probability`.
Ranks = dict[str, npt.NDArray[Any]]


class _Probe(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A line of `probe.jsonl`."""

    items: list[int]
    columns: dict[str, Any] = {}


def _row(probe: _Probe) -> Row:
    columns = {name: np.array(value, dtype=DTYPES[name]) for name, value in probe.columns.items()}
    return Row(np.array(probe.items, dtype=np.int64), columns)


class RunFolder:
    """Reads and writes the files of one run; every file is written beside and renamed."""

    def __init__(self, path: Path, replaced: Path | None = None) -> None:
        self.path = path
        self._replaced = replaced

    @classmethod
    def create(cls, path: Path, force: bool = False, resume: bool = False) -> RunFolder:
        """Make or reuse an output folder.

        Args:
            path: the folder.
            force: replace the run that is in it; the old one is put aside until `settle`.
            resume: go on with what is in it.

        Raises:
            WrongUsage: `output_exists` where it is used and neither is asked for.
            BadData: `output_unwritable`, or `run_invalid` where there is nothing to resume.
        """
        cls.check_output(path, force, resume)
        used = path.exists() and (not path.is_dir() or any(path.iterdir()))
        replaced = path.with_name(f".{path.name}.replaced") if used and not resume else None
        try:
            if replaced is not None:
                shutil.rmtree(replaced, ignore_errors=True)
                path.rename(replaced)
            (path / RECBOLE_FOLDER).mkdir(parents=True, exist_ok=True)
            run = cls(path, replaced)
            run.write(README_FILE, _NOTE.encode())
        except OSError as error:
            raise BadData("output_unwritable", f"{path} cannot be written: {error.strerror}.") from None
        return run

    @staticmethod
    def check_output(path: Path, force: bool = False, resume: bool = False) -> None:
        """Whether an output folder can be made or reused: see `create`, which raises the same."""
        is_run = (path / CONFIG_FILE).is_file()
        used = path.exists() and (not path.is_dir() or any(path.iterdir()))
        if resume:
            if not is_run:
                raise BadData("run_invalid", f"{path} holds no run to resume.", "Leave out --resume to start one.")
        elif used and not (force and is_run):
            hint = "Choose another folder, or give --force to replace the run."
            if is_run and not (path / RUN_FILE).is_file():
                hint = "Choose another folder, or give --resume to go on or --force to replace the run."
            if not is_run:
                hint = "Choose another folder; --force replaces only a folder that holds a run."
            raise WrongUsage("output_exists", f"The output folder {path} is already used.", hint)

    def settle(self) -> None:
        """The training has begun: what it replaces may go."""
        if self._replaced is not None:
            shutil.rmtree(self._replaced)
            self._replaced = None

    def abandon(self) -> None:
        """The training cannot begin: leave everything as it was."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._replaced is not None:
            self._replaced.rename(self.path)

    def finish(self, info: RunInfo) -> None:
        """Write `run.json`, with which the run is finished, and drop what only `--resume` needs."""
        there = [name for name in _LISTED if name not in _OPTIONAL or (self.path / name).is_file()]
        files = {name: _sha256(self.path / name) for name in there}
        self.save_json(RUN_FILE, msgspec.structs.replace(info, files=files))
        for name in (LAST_FILE, ORIGINS_FILE):
            (self.path / name).unlink(missing_ok=True)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """A finished run.

        Raises:
            BadData: `run_invalid` where it is none or a file of it is missing, changed or a link;
                `run_format_unknown` for another format version.
        """
        if not path.is_dir():
            raise BadData("run_invalid", f"There is no run folder {path}.")
        if not (path / RUN_FILE).is_file():
            started = (path / CONFIG_FILE).is_file()
            hint = "Its training has not finished: go on with --resume." if started else ""
            if (path / "manifest.json").is_file():
                hint = "It is a bundle: see `seqrec verify` and `seqrec recommend`."
            raise BadData("run_invalid", f"{path} is no finished run: it has no {RUN_FILE}.", hint)
        run = cls(path)
        for name, sha256 in run.info.files.items():
            file = path / name
            if name not in _LISTED or file.is_symlink() or not file.is_file():
                raise BadData("run_invalid", f"{file} is missing, or is no plain file.", "Train again, or restore it.")
            if _sha256(file) != sha256:
                raise BadData("run_invalid", f"{file} is not what training wrote.", "Train again, or restore it.")
        return run

    @property
    def finished(self) -> bool:
        """Whether the training has come to its end."""
        return (self.path / RUN_FILE).is_file()

    @property
    def info(self) -> RunInfo:
        """`run.json`."""
        data = self._read(RUN_FILE)
        try:
            version = msgspec.json.decode(data)["format_version"]
            if version != FORMAT_VERSION:
                raise BadData(
                    "run_format_unknown",
                    f"{self.path} has format version {version}; this release reads version {FORMAT_VERSION}.",
                    "Use the release that wrote it, or train again.",
                )
            return msgspec.json.decode(data, type=RunInfo)
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise BadData("run_invalid", f"{self.path / RUN_FILE} is not valid: {error}.") from None

    def begun_with(self) -> Origins:
        """The runs that an unfinished run came from."""
        if not (self.path / ORIGINS_FILE).is_file():
            return Origins()
        try:
            return msgspec.json.decode(self._read(ORIGINS_FILE), type=Origins)
        except (ValueError, RecursionError) as error:
            raise BadData("run_invalid", f"{self.path / ORIGINS_FILE} cannot be read: {error}.") from None

    @property
    def origin(self) -> Origin:
        """What a run that comes from this one says of it."""
        return Origin(self.path.resolve().name, self.info.files[WEIGHTS_FILE], self.info.epoch)

    def check_not_purged(self) -> None:
        """Whether the run still has its events.

        Raises:
            BadData: `run_invalid`.
        """
        if day := self.info.purged:
            how = f"was purged on {day}" if day != PURGING else "was purged, but not to the end (do it again)"
            raise BadData(
                "run_invalid",
                f"{self.path} {how}: its events are gone, and nothing can be measured on them any more.",
                f"What training measured is in {METRICS_FILE}.",
            )

    def vocabulary(self) -> Vocabulary:
        """Index ↔ item, with titles."""
        return Vocabulary.decode(self._read(VOCABULARY_FILE))

    def metrics(self) -> dict[str, Any]:
        """`metrics.json`."""
        return self._json(METRICS_FILE)

    def weights(self) -> dict[str, Tensor]:
        """The best epoch's weights."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            return load(self._read(WEIGHTS_FILE))
        except SafetensorError as error:
            raise BadData("run_invalid", f"{self.path / WEIGHTS_FILE} cannot be read: {error}.") from None

    def split(self) -> Split:
        """The events and their parts.

        Raises:
            BadData: `run_invalid` where the file cannot be read, or the run was purged.
        """
        self.check_not_purged()
        try:
            with np.load(io.BytesIO(self._read(SPLIT_FILE)), allow_pickle=False) as arrays:
                names = ("items", "offsets", "train", "valid", "test")
                known = {name: arrays[name] for name in ("time", "behavior", "features", "label") if name in arrays}
                wanted = int(arrays["wanted"]) if "wanted" in arrays else 0
                return Split(**{n: arrays[n] for n in names}, columns=EventColumns(**known), wanted=wanted)
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise BadData("run_invalid", f"{self.path / SPLIT_FILE} cannot be read: {error}.") from None

    def ranks(self) -> dict[str, Ranks]:
        """Each target's rank, by part (`valid`, `test`).

        Returns:
            int64 [rows] each: `row` (the number of the target's event, ascending), `masked`, `unmasked`.

        Raises:
            BadData: `run_invalid` where the file cannot be read, or an older release wrote the run without it.
        """
        self.check_not_purged()
        if RANKS_FILE not in self.info.files:
            hint = "Train it again: an older release kept only the means."
            raise BadData("run_invalid", f"{self.path} has no {RANKS_FILE}.", hint)
        try:
            with np.load(io.BytesIO(self._read(RANKS_FILE)), allow_pickle=False) as arrays:
                return {
                    part: {n.removeprefix(f"{part}_"): arrays[n] for n in arrays if n.startswith(part)}
                    for part in ("valid", "test")
                }
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise BadData("run_invalid", f"{self.path / RANKS_FILE} cannot be read: {error}.") from None

    def probe(self) -> list[Row]:
        """Some real histories; none, where the run was purged."""
        if self.info.purged:
            return []
        try:
            found = [msgspec.json.decode(line, type=list[int] | _Probe) for line in self._read(PROBE_FILE).splitlines()]
            return [_row(_Probe(p) if isinstance(p, list) else p) for p in found]
        except (ValueError, KeyError, RecursionError) as error:
            raise BadData("run_invalid", f"{self.path / PROBE_FILE} cannot be read: {error}.") from None

    def curve(self) -> list[dict[str, Any]]:
        """One record an epoch, as far as training came."""
        if not (self.path / CURVE_FILE).is_file():
            return []
        return [msgspec.json.decode(line) for line in self._read(CURVE_FILE).splitlines()]

    def save_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Write the weights; tied or strided ones are stored as they are read."""
        from safetensors.torch import save

        self.write(WEIGHTS_FILE, save({name: w.detach().cpu().contiguous().clone() for name, w in weights.items()}))

    def save_split(self, split: Split) -> None:
        """Write the events and their parts."""
        buffer = io.BytesIO()
        arrays = {name: value for name, value in vars(split).items() if name not in ("columns", "wanted")}
        arrays |= {name: value for name, value in vars(split.columns).items() if value is not None}
        np.savez_compressed(buffer, **arrays, **({"wanted": np.array(split.wanted)} if split.wanted else {}))
        self.write(SPLIT_FILE, buffer.getvalue())

    def save_probe(self, rows: Iterable[Row]) -> None:
        """Write some real histories."""
        self.save_lines(
            PROBE_FILE,
            (_Probe(row.items.tolist(), {n: v.tolist() for n, v in row.columns.items()}) for row in rows),
        )

    def save_ranks(self, ranks: Mapping[str, Ranks]) -> None:
        """Write each target's rank, by part, in the order of the events."""
        arrays: Ranks = {}
        for part, of_part in ranks.items():
            order = np.argsort(of_part["row"], kind="stable")
            arrays |= {f"{part}_{name}": values[order] for name, values in of_part.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        self.write(RANKS_FILE, buffer.getvalue())

    def save_origins(self, origins: Origins) -> None:
        """Write what an unfinished run came from, where it came from any run."""
        if origins != Origins():
            self.write(ORIGINS_FILE, msgspec.json.encode(origins))

    def save_lines(self, name: str, records: Iterable[Any]) -> None:
        """Write JSON lines."""
        self.write(name, b"".join(msgspec.json.encode(record) + b"\n" for record in records))

    def save_json(self, name: str, content: Any) -> None:
        """Write a JSON file for people and programs."""
        self.write(name, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")

    def write(self, name: str, data: bytes) -> None:
        """Write a file beside its place and rename it."""
        beside = self.path / f".{name}.part"
        beside.write_bytes(data)
        os.replace(beside, self.path / name)

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return msgspec.json.decode(self._read(name), type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            raise BadData("run_invalid", f"{self.path / name} cannot be read: {error}.") from None

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise BadData("run_invalid", f"{self.path / name} cannot be read: {error.strerror}.") from None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

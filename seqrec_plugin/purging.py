"""What a run folder holds of users, taken out of it; what an export needs stays."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import msgspec

from seqrec_plugin import checkpoint, machine
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.errors import BadData
from seqrec_plugin.run_info import PURGING

#: What may hold something of users, with what it is.
_OF_USERS = {
    checkpoint.SPLIT_FILE: "all events of all users",
    checkpoint.PROBE_FILE: "some users' whole histories",
    checkpoint.RANKS_FILE: "how well each user's last events were foretold",
    checkpoint.LOG_FILE: "RecBole's log",
    checkpoint.LAST_FILE: "an interrupted training",
    checkpoint.RECBOLE_FOLDER: "RecBole's checkpoint and tensorboard",
}
#: RecBole's own models are not exported, so that nothing needs these.
_WEIGHTS = {checkpoint.WEIGHTS_FILE: "weights, which of some of RecBole's models are of users"}
_KEPT = {
    *(checkpoint.RUN_FILE, checkpoint.CONFIG_FILE, checkpoint.WEIGHTS_FILE, checkpoint.VOCABULARY_FILE),
    *(checkpoint.METRICS_FILE, checkpoint.CURVE_FILE, checkpoint.README_FILE),
}

_NOTE = """This folder is a training run of seqrec. What it held of users was removed by `seqrec purge`:
it can still be exported, refitted and begun from, but not evaluated.
"""


@dataclasses.dataclass(frozen=True)
class Held:
    """A file or folder with something of users: its name, bytes, and what it is."""

    name: str
    size: int
    what: str


def held(run: RunFolder) -> list[Held]:
    """What a run folder holds of users."""
    names = _OF_USERS if run.info.portable else {**_OF_USERS, **_WEIGHTS}
    # Written beside and never renamed, since the process was killed.
    names = names | {path.name: "half of a file" for path in sorted(run.path.glob(".*.part"))}
    there = [(run.path / name, what) for name, what in names.items()]
    return [Held(path.name, _size(path), what) for path, what in there if path.is_symlink() or path.exists()]


def strangers(run: RunFolder) -> list[str]:
    """Names in the folder that no training wrote; they are left as they are."""
    known = {*_KEPT, *(found.name for found in held(run))}
    return sorted(path.name for path in run.path.iterdir() if path.name not in known)


def purge(run: RunFolder) -> list[Held]:
    """Remove what a run folder holds of users.

    The run says that it is being purged before anything goes, and that it is purged when all of it has gone: an
    interrupted purge leaves a folder that opens, and is finished by another.

    Args:
        run: a finished run.

    Returns:
        what was removed.

    Raises:
        BadData: `output_unwritable` where a file cannot be removed.
    """
    gone, info = held(run), run.info
    names = {found.name for found in gone}
    files = {name: sha256 for name, sha256 in info.files.items() if name not in names}
    try:
        run.save_json(checkpoint.RUN_FILE, msgspec.structs.replace(info, files=files, purged=PURGING))
        for found in gone:
            _remove(run.path / found.name)
        run.write(checkpoint.README_FILE, _NOTE.encode())
        run.save_json(checkpoint.RUN_FILE, msgspec.structs.replace(info, files=files, purged=machine.today()))
    except OSError as error:
        raise BadData(
            "output_unwritable", f"{error.filename} cannot be removed: {error.strerror}.", "Then purge the run again."
        ) from None
    return gone


def _size(path: Path) -> int:
    if path.is_symlink():
        return 0
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) or path.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()

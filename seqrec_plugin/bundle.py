"""A bundle on disk: read with every check, write beside and rename. Clauses 1 to 3 of `export/SPEC.md`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from seqrec_plugin import manifest as manifests
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.manifest import (
    EMBEDDINGS_FILE,
    ENCODER_FILE,
    GOLDEN_FILE,
    INT8_FILE,
    ITEMS_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    WEIGHTS_FILE,
    File,
    Manifest,
)

#: The most bytes that a reader accepts of a file, and of any that is not named here.
LIMITS = {
    MANIFEST_FILE: 2**20,
    ITEMS_FILE: 2**30,
    GOLDEN_FILE: 2**30,
    MODEL_FILE: 2**31,
    INT8_FILE: 2**31,
    ENCODER_FILE: 2**31,
    EMBEDDINGS_FILE: 2**36,
    WEIGHTS_FILE: 2**36,
}
OTHER_LIMIT = 2**30

#: What every bundle has.
_NEEDED = (MODEL_FILE, ITEMS_FILE, GOLDEN_FILE)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are all there and are the manifest's.

    Attributes:
        path: its folder.
        manifest: what it says of itself.
        id: the first 16 hex digits of the manifest's sha256; every answer names it.
        contents: file name → the very bytes that were hashed; without `weights.bin`, which is hashed and left on disk.
    """

    path: Path
    manifest: Manifest
    id: str
    contents: dict[str, bytes]


def read(path: str | Path) -> Bundle:
    """Read a bundle, each file once.

    Args:
        path: the bundle's folder.

    Raises:
        BadData: `bundle_missing`, `manifest_invalid`, `format_unknown`, `file_escapes`, `file_unexpected`,
            `file_missing`, `file_changed` or `too_large`.
    """
    path = Path(path)
    if (path / "run.json").is_file() and not (path / MANIFEST_FILE).exists():
        hint = f"Export it first: seqrec export {path} -o BUNDLE"
        raise BadData("bundle_missing", f"{path} is a run folder, not a bundle.", hint)
    present = _present(path)
    if MANIFEST_FILE not in present:
        raise BadData("bundle_missing", f"{path} is no bundle: it has no {MANIFEST_FILE}.")
    head = _read(path, MANIFEST_FILE)
    manifest = manifests.decode(head)
    for name in manifest.files:
        if not _is_plain(name):
            raise BadData("file_escapes", f"{MANIFEST_FILE} lists {name!r}, which is not a plain file name.")
    for name in sorted(present - manifest.files.keys() - {MANIFEST_FILE}):
        raise BadData(
            "file_unexpected",
            f"{path} holds {name!r}, which {MANIFEST_FILE} does not list.",
            "Remove it, or get the bundle again from where it came.",
        )
    for name in (*_NEEDED, *manifest.files):
        if name not in present:
            raise BadData("file_missing", f"{path} lacks the file {name!r}.", "A bundle is one folder: copy all of it.")
    contents = {name: _read(path, name, file) for name, file in manifest.files.items() if name != WEIGHTS_FILE}
    if WEIGHTS_FILE in manifest.files:
        _read(path, WEIGHTS_FILE, manifest.files[WEIGHTS_FILE], keep=False)
    return Bundle(path, manifest, hashlib.sha256(head).hexdigest()[:16], contents)


def _present(path: Path) -> set[str]:
    """The names in a bundle's folder, none of them a link or a folder."""
    try:
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise BadData("bundle_missing", f"There is no bundle at {path}: {error.strerror}.") from None
    for entry in found:
        if entry.is_symlink():
            raise BadData("file_escapes", f"{entry.name!r} in {path} is a link.", "Copy the file itself.")
        if not entry.is_file(follow_symlinks=False):
            raise BadData("file_unexpected", f"{entry.name!r} in {path} is not a file.", "A bundle has no sub-folders.")
    return {entry.name for entry in found}


def _is_plain(name: str) -> bool:
    """Whether a name means a file in the folder itself, on every system."""
    return name not in ("", ".", "..") and not any(c in "/\\:\0" for c in name)


def _read(path: Path, name: str, listed: File | None = None, *, keep: bool = True) -> bytes:
    """The bytes of one file, checked against the limit and what the manifest lists; none if they are not to be kept."""
    digest = hashlib.sha256()
    limit = LIMITS.get(name, OTHER_LIMIT)
    try:
        with (path / name).open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > limit:
                raise BadData("too_large", f"{name} has {size} bytes; a reader accepts {limit}.")
            if listed is not None and size != listed.size:
                raise _changed(name, f"has {size} bytes, but {MANIFEST_FILE} lists {listed.size}")
            data = b""
            if keep:
                data = stream.read(size)
                digest.update(data)
            else:
                while block := stream.read(2**24):
                    digest.update(block)
    except OSError as error:
        raise BadData("file_missing", f"{path / name} cannot be read: {error.strerror}.") from None
    if listed is not None and digest.hexdigest() != listed.sha256:
        raise _changed(name, f"does not have the sha256 that {MANIFEST_FILE} lists")
    return data


def _changed(name: str, how: str) -> BadData:
    return BadData("file_changed", f"{name} {how}.", "Get the bundle again from where it came.")


@contextlib.contextmanager
def writing(
    path: str | Path, force: bool = False, *, what: str = "bundle", foreign: Callable[[Path], str] | None = None
) -> Iterator[Path]:
    """A fresh folder beside `path` that becomes `path` when the block ends well, and is removed when it does not.

    Args:
        path: the folder to make; it may be there already, if it is empty.
        force: replace it at the very end, if it holds a bundle and nothing else.
        what: how what is written is called.
        foreign: says why a folder is not that and nothing else, or an empty text.

    Raises:
        WrongUsage: `output_exists`.
        BadData: `output_unwritable`.
    """
    path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    foreign = foreign or _foreign
    _check_free(path, force, what, foreign)
    mark = secrets.token_hex(4)
    fresh, old = path.parent / f".{path.name}.{mark}.new", path.parent / f".{path.name}.{mark}.old"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield fresh
        _check_free(path, force, what, foreign)  # again: the block may have taken a while
        try:
            if path.exists():
                path.rename(old)
            fresh.rename(path)
        except OSError as error:
            if old.exists() and not path.exists():
                old.rename(path)
            raise _unwritable(path, error) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def fill(folder: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> Manifest:
    """Write a bundle's files, and `manifest.json` last.

    Args:
        folder: an existing folder; files of the same names are overwritten.
        manifest: its `files` are computed here.
        contents: file name → bytes, of all files but `manifest.json`.

    Returns:
        the manifest as written.

    Raises:
        BadData: `output_unwritable`.
    """
    files = {name: File(len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(contents.items())}
    manifest = msgspec.structs.replace(manifest, files=files)
    try:
        for name, data in (*contents.items(), (MANIFEST_FILE, manifests.encode(manifest))):
            (folder / name).write_bytes(data)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return manifest


def _check_free(path: Path, force: bool, what: str, foreign: Callable[[Path], str]) -> None:
    """Refuse an output that would cost the user something other than what `force` gives up."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(path, error) from None
    if not stat.S_ISDIR(mode):
        raise WrongUsage("output_exists", f"The output {path} is a file.", "Choose another folder.")
    if not any(path.iterdir()):
        return
    reason = foreign(path)
    if reason:
        raise WrongUsage(
            "output_exists",
            f"The output folder {path} is already used, and {reason}.",
            f"Choose another folder: only a {what} is ever replaced.",
        )
    if not force:
        raise WrongUsage(
            "output_exists",
            f"The output folder {path} already holds a {what}.",
            "Choose another folder, or give --force to replace it.",
        )


class _Listing(msgspec.Struct):
    """What tells any bundle, also one of another format version."""

    format_version: int
    files: dict[str, File]


def _foreign(path: Path) -> str:
    """Why a folder is not a bundle and nothing else, or an empty text."""
    try:
        listed = msgspec.json.decode((path / MANIFEST_FILE).read_bytes(), type=_Listing).files
    except (OSError, ValueError, RecursionError):
        return "it holds no bundle"
    foreign = sorted({entry.name for entry in path.iterdir()} - listed.keys() - {MANIFEST_FILE})
    return f"{foreign[0]!r} in it is not of a bundle" if foreign else ""


def _unwritable(path: Path, error: OSError) -> BadData:
    return BadData("output_unwritable", f"{path} cannot be written: {error.strerror}.")

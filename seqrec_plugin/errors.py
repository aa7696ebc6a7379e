"""Every error a user can meet: a stable code, one sentence, a hint.

Libraries raise these; only the command line exits. Three families say who must act: `WrongUsage` (the
caller wrote something wrong), `BadData` (a file, a bundle, a state or a question is wrong) and `Failed`
(a check did not hold, or the work cannot go on). The codes of bundles and questions are also the codes of
`export/SPEC.md`, where every client in every language gives the same ones.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable

#: code -> what it means. A code is never renamed; a test holds that each one is raised somewhere.
CODES: dict[str, str] = {
    # wrong usage: exit 2
    "unknown_model": "no model has this name",
    "unknown_key": "no option has this name",
    "bad_value": "an option's value has the wrong type or is out of range",
    "bad_k": "k is not between 1 and the bundle's top_k",
    "output_exists": "the output folder is already used",
    "missing_extra": "a package of an optional extra is not installed",
    "name_clash": "two packages, or a package and RecBole, claim one model name",
    "model_broken": "a third-party model cannot be imported",
    # bad data: exit 3
    "dataset_missing": "a data set's file does not exist",
    "dataset_empty": "a data set holds no events",
    "dataset_invalid": "a data set's file cannot be read as an atomic file",
    "dataset_too_short": "no user has enough events to train on",
    "events_invalid": "files of events, or their columns, cannot be understood",
    "events_rejected": "too many rows of the files of events cannot be read",
    "unknown_user": "no event of this user is in the data",
    "run_invalid": "a run folder is missing, incomplete or damaged",
    "splits_differ": "runs of one table were made over different data or splits",
    "checkpoint_invalid": "a checkpoint cannot be read, or holds what it has no business with",
    "run_format_unknown": "a run folder has a format version not known here",
    "output_unwritable": "the output folder cannot be written",
    "bundle_missing": "there is no bundle at this path",
    "manifest_invalid": "manifest.json is not valid",
    "format_unknown": "the bundle has a format version not known here",
    "file_missing": "a file that the manifest lists is missing",
    "file_changed": "a file's size or sha256 is not the manifest's",
    "file_unexpected": "the folder holds a file that the manifest does not list",
    "file_escapes": "a path is a link or leaves the bundle's folder",
    "too_large": "a file or tensor is larger than a reader accepts",
    "items_invalid": "items.json does not fit the manifest",
    "graph_invalid": "model.onnx cannot be loaded or does not fit the manifest",
    "embeddings_invalid": "item_embeddings.npy cannot be read, or its scores are not the graph's",
    "golden_invalid": "golden.json cannot be read",
    "not_finite": "the model gives NaN or infinity",
    "bad_question": "a question is not as the specification says",
    "bad_index": "an item index is outside 1 to n_items - 1",
    "bad_column": "what the model reads beside the items has the wrong shape, NaN, or an unknown index",
    "bad_state": "a carried state has the wrong shape or holds NaN or infinity",
    # failed: exit 1
    "golden_mismatch": "the bundle does not answer its golden vectors",
    "check_failed": "a check of the export or of the import did not hold",
    "training_failed": "training cannot go on",
}


class SeqrecError(Exception):
    """A user's problem, said in one sentence.

    Args:
        code: one of `CODES`.
        message: what was found and where (file, row, field), one sentence.
        hint: what to do about it, one sentence; may be empty.
    """

    exit_code = 1

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        if code not in CODES:
            raise ValueError(f"{code!r} is not an error code")
        self.code = code
        self.message = message
        self.hint = hint
        super().__init__(f"{message} {hint}".strip())

    def __reduce__(self) -> tuple[type[SeqrecError], tuple[str, str, str]]:
        return type(self), (self.code, self.message, self.hint)


class Failed(SeqrecError):
    """A check did not hold, or the work cannot go on."""

    exit_code = 1


class WrongUsage(SeqrecError):
    """The caller named or chose something wrong: a flag, k, a model, a key."""

    exit_code = 2


class BadData(SeqrecError):
    """A file, a bundle, a state, an index or a question is wrong."""

    exit_code = 3


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest valid name, or with all of them where none is near.

    Args:
        name: what the user wrote.
        known: the valid names.
    """
    names = sorted(known)
    by_lower = {n.lower(): n for n in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {by_lower[close[0]]!r}?"
    if len(names) > 30:
        return f"There are {len(names)} valid names, none of them close."
    return f"Valid names: {', '.join(names)}."


def missing_extra(package: str, extra: str) -> WrongUsage:
    """The error for an optional package that is not installed."""
    if extra == "train" and sys.version_info >= (3, 12):
        return WrongUsage(
            "missing_extra",
            f"Training needs Python 3.11, but this is {sys.version.split()[0]}: RecBole's packages go no further.",
            "Make an environment with Python 3.11 and install 'seqrec-plugin[train]' there.",
        )
    return WrongUsage(
        "missing_extra",
        f"The package {package!r} is not installed.",
        f"Install it with: pip install 'seqrec-plugin[{extra}]'",
    )

"""A bundle → a folder with a page that recommends in the browser: the built page of `export/web` beside the bundle."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from seqrec_plugin import bundle as bundles
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.manifest import ITEMS_FILE, MANIFEST_FILE
from seqrec_plugin.vocabulary import Vocabulary

#: What `make web` built; an installed wheel carries it.
BUILT = Path(__file__).parent / "web_page"
#: Where in the page's folder its bundle lies.
BUNDLE = "bundle"
_INDEX = "index.html"
_NOTICES = "NOTICES-onnxruntime.txt"


def check_built() -> None:
    """Whether a page can be written at all.

    Raises:
        WrongUsage: `missing_extra` where this installation has no built page.
    """
    if not (BUILT / _INDEX).is_file():
        raise WrongUsage(
            "missing_extra",
            "This installation carries no built page: it was installed from a source in which none was built.",
            "Call make web in the repository (it needs Node.js 20 or newer, and npm), or install a released wheel.",
        )


def write_page(bundle: str | Path, page: str | Path, *, force: bool = False) -> None:
    """Write a page that recommends from a bundle, without a server behind it.

    Args:
        bundle: the bundle's folder; it is checked, and copied.
        page: the folder to make.
        force: replace a page that is there already.

    Raises:
        SeqrecError: `missing_extra` without a built page, `bad_value` for a bundle that a page cannot ask,
            `output_exists`, `output_unwritable`, or a code of bundles.
    """
    check_built()
    checked = bundles.read(bundle)
    manifest = checked.manifest
    if manifest.task != "next_item" or manifest.features:
        what = "gives probabilities" if manifest.task != "next_item" else "reads numbers of each event"
        raise WrongUsage(
            "bad_value",
            f"The model in {bundle} {what}, so a page where titles are picked cannot ask it.",
            "A page needs a model that ranks the next item by the items before.",
        )
    if not any(Vocabulary.decode(checked.contents[ITEMS_FILE]).titles or ()):
        raise BadData(
            "items_invalid",
            f"The items in {bundle} have no titles, so there is nothing to search for on a page.",
            "Titles come from the data set's .item file: a column that is called title, name or the like.",
        )
    with bundles.writing(page, force, what="page", foreign=_foreign) as folder:
        try:
            shutil.copytree(BUILT, folder, dirs_exist_ok=True)
            (folder / BUNDLE).mkdir()
            for name, content in checked.contents.items():
                (folder / BUNDLE / name).write_bytes(content)
            shutil.copyfile(Path(bundle) / MANIFEST_FILE, folder / BUNDLE / MANIFEST_FILE)
            notices = _runtime_notices()
            if notices is not None:
                shutil.copyfile(notices, folder / _NOTICES)
        except OSError as error:
            raise BadData("output_unwritable", f"{page} cannot be written: {error.strerror}.") from None


def _foreign(path: Path) -> str:
    """Why a folder is not a page and nothing else, or an empty text."""
    names = {entry.name for entry in path.iterdir()}
    if not {_INDEX, BUNDLE} <= names or not (path / BUNDLE / MANIFEST_FILE).is_file():
        return "it holds no page"
    foreign = sorted(names - {entry.name for entry in BUILT.iterdir()} - {BUNDLE, _NOTICES})
    return f"{foreign[0]!r} in it is not of a page" if foreign else ""


def _runtime_notices() -> Path | None:
    """onnxruntime's notices of what it is built from: its npm package lacks them, its Python package has them."""
    found = importlib.util.find_spec("onnxruntime")
    if found is None or found.origin is None:
        return None
    notices = Path(found.origin).parent / "ThirdPartyNotices.txt"
    return notices if notices.is_file() else None

"""From files of events to a data set: see `prepare`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from seqrec_plugin.preparing import recipe as recipes
from seqrec_plugin.preparing.recipe import Recipe

if TYPE_CHECKING:
    import duckdb

    from seqrec_plugin.preparing.findings import Findings
    from seqrec_plugin.preparing.reading import Read


def prepare(
    files: Sequence[str],
    output: Path,
    recipe: Recipe,
    report: Callable[[str], None],
    *,
    key: bytes | None = None,
    memory: str = "4GB",
    threads: int = 0,
    force: bool = False,
) -> Findings:
    """Make a data set of files of events.

    Args:
        files: paths or globs; their order decides ties in time.
        output: the data set's folder to make; its name is the data set's.
        recipe: what is read, and how it is cleaned.
        report: told of guesses and progress, a line each.
        key: for pseudonyms of the users, where the recipe asks for them.
        memory: that DuckDB may take; beyond it spills to a temporary folder beside the output.
        threads: cores; 0 for all that this process may use.
        force: replace a data set that is in the output folder already.

    Returns:
        what was found and done; the same as in `report.json`.

    Raises:
        WrongUsage: `bad_value`, `output_exists`, `missing_extra`.
        BadData: a code of reading, `dataset_empty` where nothing is left, `output_unwritable` (a full disk, too).
    """
    from seqrec_plugin.preparing import engine, reading, writing

    with (
        writing.folder(output, force) as fresh,
        engine.opened(fresh.parent, memory=memory, threads=threads) as connection,
    ):
        paths = opening.found(files)
        source = msgspec.structs.replace(recipe.source, numbers=_numbers(recipe))
        read = reading.read(connection, paths, source, report)
        name = Path(os.path.realpath(output)).name
        return build(connection, read, recipe, fresh, name, report, key=key, files=files)


def build(
    connection: duckdb.DuckDBPyConnection,
    read: Read,
    recipe: Recipe,
    folder: Path,
    name: str,
    report: Callable[[str], None],
    *,
    key: bytes | None = None,
    files: Sequence[str] = (),
) -> Findings:
    """Clean, write and measure what was read, into an existing folder; see `prepare`."""
    from seqrec_plugin.preparing import cleaning, findings, privacy, writing
    from seqrec_plugin.preparing.report import html

    if key is not None:
        privacy.hide_rejected(connection)
    recipe = msgspec.structs.replace(recipe, source=read.source)
    recipe, steps = cleaning.clean(connection, recipe, report, rejected=read.rejected, key=key)

    report("Writing …")
    fields = writing.fields(recipe)
    writing.write_events(connection, folder / f"{name}.inter", fields)
    if fields.features:
        writing.write_items(connection, folder / f"{name}.item", fields)
    if read.rejected:
        writing.write_rejected(connection, folder / writing.REJECTED_FILE, text=key is None)
    (folder / f"{name}.yaml").write_text(writing.training_defaults(fields, recipe), encoding="utf-8")
    (folder / writing.RECIPE_FILE).write_text(recipes.dump(recipe), encoding="utf-8")

    report("Measuring …")
    found = findings.measure(connection, steps)
    for file, content in zip(writing.REPORT_FILES, (found.encode(), html(found).encode()), strict=True):
        (folder / file).write_bytes(content)
    return found


def _numbers(recipe: Recipe) -> tuple[str, ...] | None:
    """The numeric columns to read: those of `source`, and those that the recipe speaks of besides."""
    named = dict.fromkeys([*(recipe.source.numbers or ()), *recipe.named_numbers])
    return tuple(named) if named or recipe.source.numbers is not None else None

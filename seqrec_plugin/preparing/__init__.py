"""From files of events to a data set: see `prepare`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from seqrec_plugin.errors import missing_extra
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
    from seqrec_plugin.preparing import bounds, opening, reading, writing
    from seqrec_plugin.preparing.engine import engine

    for package in ("duckdb", "jinja2"):  # before an hour of work ends without a report
        if importlib.util.find_spec(package) is None:
            raise missing_extra(package, "prepare")
    bounds.check_times(recipe.times)
    paths = opening.files(files)
    source = msgspec.structs.replace(recipe.source, numbers=_numbers(recipe))
    with writing.folder(output, force) as fresh, engine(fresh.parent, memory, threads) as connection:
        read = reading.read(connection, paths, source, report)
        recipe = msgspec.structs.replace(recipe, source=read.source)
        name = Path(os.path.realpath(output)).name
        return build(connection, read, recipe, fresh, name, report, key=key, files=[path.name for path in paths])


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
    """Clean, measure and write what was read, into a folder that is there; see `prepare`."""
    from seqrec_plugin.preparing import cleaning, findings, naming, privacy, writing
    from seqrec_plugin.preparing.report import html

    if key is not None:
        privacy.hide_rejected(connection)
    recipe, steps = cleaning.clean(connection, recipe, report, rejected=read.rejected, key=key)

    report("Writing …")
    fields = writing.fields(recipe)
    writing.write_events(connection, folder / f"{name}.inter", fields)
    if fields.features:
        writing.write_items(connection, folder / f"{name}.item", fields)
    if read.rejected:
        writing.write_rejected(connection, folder / writing.REJECTED_FILE, text=key is None)
    writing.write(folder / f"{name}.yaml", writing.training_defaults(fields, recipe))
    writing.write(folder / writing.RECIPE_FILE, recipes.dump(recipe))

    report("Measuring …")
    tell = str if key is None else privacy.hidden
    found = findings.measure(
        connection,
        steps,
        name=name,
        files=files,
        positions=recipe.source.time_unit == "position",
        order=tuple(naming.SYNONYMS),
        numbers=recipe.source.numbers or (),
        guesses=[findings.Guess(guess.role, guess.column, tell(guess.why)) for guess in read.guesses],
        notes=[tell(warning) for warning in read.warnings],
    )
    writing.write(folder / writing.REPORT_FILES[0], found.encode().decode())
    writing.write(folder / writing.REPORT_FILES[1], html(found))
    return found


def _numbers(recipe: Recipe) -> tuple[str, ...] | None:
    """The numeric columns to read: those of `source`, and those that the recipe speaks of besides."""
    named = dict.fromkeys([*(recipe.source.numbers or ()), *recipe.named_numbers])
    return tuple(named) if named or recipe.source.numbers is not None else None

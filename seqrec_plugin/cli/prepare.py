"""`seqrec prepare`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from seqrec_plugin.preparing.findings import Findings
    from seqrec_plugin.preparing.recipe import Recipe


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The data set's folder to make.")
@click.option("--recipe", "recipe_file", type=click.Path(path_type=Path), help="YAML: see `seqrec init recipe`.")
@click.option("--from", "known", metavar="NAME", help="A public format: movielens, amazon, taobao …")
@click.option("--user", metavar="COL", help="The column of the users.")
@click.option("--item", metavar="COL", help="The column of the items.")
@click.option("--time", metavar="COL", help="The column of the times.")
@click.option("--behavior", metavar="COL", help="The column of what was done.")
@click.option("--value", metavar="COL", help="A column of numbers: price, dwell time …")
@click.option("--feature", "features", multiple=True, metavar="COL", help="A column about the item; may be repeated.")
@click.option("--columns", metavar="A,B,C", help="The columns of a file that has no header.")
@click.option("--min-users-per-item", type=click.IntRange(min=0), metavar="K", help="Remove items of fewer users.")
@click.option("--pseudonymize", is_flag=True, help="Write a keyed hash of each user id; the key is in SEQREC_KEY.")
@click.option("--key-file", type=click.Path(path_type=Path), help="The key's file, instead of SEQREC_KEY.")
@click.option("--memory", default="4GB", show_default=True, help="What the tables may take; beyond it they spill.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="Cores; 0 is all that this process may use.")
@click.option("--force", is_flag=True, help="Replace a data set that is in the output folder already.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON, as in report.json.")
def command(
    files: tuple[str, ...],
    output: Path,
    recipe_file: Path | None,
    known: str | None,
    pseudonymize: bool,
    key_file: Path | None,
    memory: str,
    threads: int,
    force: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Turn tables of events (CSV, JSON lines, Parquet) into a data set that `seqrec train` takes as it is.

    Columns are found by name and content, and shown; the options name them. What is cleaned stands in a recipe: see
    `seqrec init recipe`. Each step is counted. The folder holds the data set, the recipe as resolved, report.html, and
    the rows that could not be read.

    \b
    Examples:
      seqrec prepare events.csv -o data/shop
      seqrec prepare events.csv -o data/shop --user customer --item sku --time at --force
      seqrec prepare events.csv -o data/hidden --recipe recipe.yaml --pseudonymize --key-file key.txt
    """
    from seqrec_plugin.preparing import prepare, recipe

    chosen = recipe.read(recipe_file) if recipe_file is not None else recipe.Recipe()
    if known is not None:
        chosen = _below(chosen, known, files)
    chosen = _with_flags(chosen, pseudonymize or key_file is not None, flags)
    key = None
    if chosen.pseudonymize:
        from seqrec_plugin.preparing.privacy import read_key

        key = read_key(key_file)
    found = prepare(
        files,
        output,
        chosen,
        lambda line: click.echo(line, err=True),
        key=key,
        memory=memory,
        threads=threads,
        force=force,
    )
    if as_json:
        click.echo(found.encode().decode(), nl=False)
    else:
        _show(found, output)
    folder = output.resolve()
    train = shlex.join(["seqrec", "train", "lstm_ml100k", "--data", str(output), "-o", f"runs/{folder.name}"])
    click.echo(f"Look at {output / 'report.html'}, then, for example: {train}", err=True)


def _below(chosen: Recipe, known: str, files: tuple[str, ...]) -> Recipe:
    """The recipe over what is known of a public format."""
    from msgspec.structs import asdict, replace

    from seqrec_plugin.preparing import formats

    default = asdict(type(chosen.source)())
    own = {name: value for name, value in asdict(chosen.source).items() if value != default[name]}
    meaning = chosen.behaviors.map or formats.behaviors(known)
    return replace(
        chosen,
        source=replace(formats.source(known, files), **own),
        behaviors=replace(chosen.behaviors, map=meaning),
    )


def _with_flags(chosen: Recipe, hidden: bool, flags: dict[str, Any]) -> Recipe:
    """The recipe with what the command line says, which wins."""
    from msgspec.structs import replace

    source = chosen.source
    given = {name: flags[name] for name in ("user", "item", "time", "behavior") if flags[name] is not None}
    if flags["value"] is not None:
        rest = (name for name in source.numbers or () if name != flags["value"])
        given["numbers"] = (flags["value"], *rest)
    if flags["features"]:
        given["features"] = flags["features"]
    if flags["columns"] is not None:
        given |= {"columns": tuple(flags["columns"].split(",")), "header": False}
    few = flags["min_users_per_item"]
    return replace(
        chosen,
        source=replace(source, **given),
        pseudonymize=chosen.pseudonymize or hidden,
        min_users_per_item=chosen.min_users_per_item if few is None else few,
    )


def _show(found: Findings, output: Path) -> None:
    """The steps, with what is left after each, and the files."""
    rows = [("step", "removed", "events", "users", "items")]
    rows += [
        (step.name, f"{step.removed:,}", f"{step.events:,}", f"{step.users:,}", f"{step.items:,}")
        for step in found.steps
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *counts in rows:
        numbers = "".join(f"  {count:>{width}}" for count, width in zip(counts, widths[1:], strict=True))
        click.echo(f"{name:<{widths[0]}}{numbers}")
    click.echo(f"{output}: " + ", ".join(sorted(path.name for path in output.iterdir())))

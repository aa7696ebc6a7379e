"""`seqrec init`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init")
@click.argument("name", required=False)
@click.option("--list", "list_all", is_flag=True, help="List the recipes, each with what it says of itself.")
def command(name: str | None, list_all: bool) -> None:
    """Copy the recipe NAME, a YAML file to train or benchmark from, into the current folder.

    \b
    Example:
      seqrec init --list
      seqrec init lstm_ml100k
    """
    from seqrec_plugin.cli import shipped

    if list_all:
        for recipe, path in shipped.shipped().items():
            click.echo(f"{recipe}  (a benchmark of several models)" if shipped.is_benchmark(path) else recipe)
            for line in shipped.summary(path):
                click.echo(f"    {line}")
    elif name is None:
        raise click.UsageError("Name a recipe, or see them all with --list.")
    else:
        click.echo(_copy(name))


def _copy(name: str) -> Path:
    from seqrec_plugin.cli import shipped
    from seqrec_plugin.errors import BadData, WrongUsage, nearest

    recipes = shipped.shipped()
    if name not in recipes:
        raise WrongUsage("bad_value", f"There is no shipped recipe {name!r}.", nearest(name, recipes))
    target = Path(recipes[name].name)
    try:
        with target.open("xb") as file:
            file.write(recipes[name].read_bytes())
    except FileExistsError:
        raise WrongUsage(
            "output_exists", f"{target} exists here already.", "Remove or rename it, or go to another folder."
        ) from None
    except OSError as error:
        raise BadData("output_unwritable", f"{target} cannot be written: {error.strerror}.") from error
    return target

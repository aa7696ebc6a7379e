"""`seqrec init`: a shipped recipe by its name, or `config`, a configuration made for one model."""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path

import click


class _Init(click.Group):
    """What is made (a subcommand each), and the shipped recipes (each a name that copies it)."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from seqrec_plugin.cli import shipped, with_verbose

        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in shipped.shipped():
            copy = functools.partial(_copy, cmd_name)
            command = click.Command(cmd_name, callback=copy, help=f"Copy the recipe {cmd_name} into this folder.")
        return command and with_verbose(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from seqrec_plugin.cli import shipped
        from seqrec_plugin.errors import WrongUsage, nearest

        name, recipes = args[0], shipped.shipped()
        if not name.startswith("-") and name not in {*self.commands, *recipes}:
            hint = nearest(name, [*self.commands, *recipes])
            raise WrongUsage("bad_value", f"There is no shipped recipe {name!r}.", hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from seqrec_plugin.cli import shipped

        with formatter.section("Made for you"):
            formatter.write_dl([(name, command.get_short_help_str(90)) for name, command in self.commands.items()])
        with formatter.section("Shipped recipes"):
            formatter.write_dl(
                [(name, " ".join(shipped.summary(path)[1:])) for name, path in shipped.shipped().items()]
            )


@click.group(
    "init",
    cls=_Init,
    invoke_without_command=True,
    subcommand_metavar="NAME | config --model MODEL | recipe",
)
@click.option("--list", "list_all", is_flag=True, help="List the recipes, each with what it says of itself.")
@click.pass_context
def command(context: click.Context, list_all: bool) -> None:
    """Write a YAML file to prepare data, train or benchmark from into the current folder.

    NAME copies a recipe that ships with seqrec; `config` writes every option of a model, and `recipe` every step of
    `seqrec prepare`, with what it means. A file that is there is never overwritten.

    \b
    Examples:
      seqrec init --list
      seqrec init lstm_ml100k
      seqrec init config --model LSTM4Rec
    """
    from seqrec_plugin.cli import shipped

    if list_all:
        for recipe, path in shipped.shipped().items():
            click.echo(f"{recipe}  (a benchmark of several models)" if shipped.is_benchmark(path) else recipe)
            for line in shipped.summary(path):
                click.echo(f"    {line}")
        context.exit()
    if context.invoked_subcommand is None:
        raise click.UsageError("Name a recipe (see them all with --list), or `config --model MODEL`.")


@command.command("config")
@click.option("--model", required=True, help="One of `seqrec models`, or a sequential model of RecBole's own.")
@click.option("--dataset", default="ml-100k", show_default=True, help="The data set's name.")
@click.option("--data-path", metavar="DIR", help="The folder that holds the data set's folder.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: MODEL.yaml, here.")
def config(model: str, dataset: str, data_path: str | None, output: Path | None) -> None:
    """Write a complete, commented configuration of one model.

    Every option stands there at its default, with type, meaning and range; the first line is the command that
    trains from it.

    \b
    Examples:
      seqrec init config --model GRU4RecTied
      seqrec init config --model SASRec --dataset films --data-path data -o films_sasrec.yaml
    """
    from seqrec_plugin.recbole_bridge.template import template

    target = output or Path(f"{model}.yaml")
    # A third party's module may print when it is imported; our stdout is data.
    with contextlib.redirect_stdout(sys.stderr):
        text = template(model, target, dataset, data_path)
    _write(target, text.encode())


@command.command("recipe")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", default="recipe.yaml", show_default=True
)
def recipe(output: Path) -> None:
    """Write a recipe for `seqrec prepare`: every step of cleaning, off or gentle, with what it means.

    \b
    Examples:
      seqrec init recipe
      seqrec init recipe -o shop_recipe.yaml
    """
    from seqrec_plugin.preparing.recipe import TEMPLATE

    _write(output, TEMPLATE.encode())


def _copy(name: str) -> None:
    from seqrec_plugin.cli import shipped

    source = shipped.shipped()[name]
    _write(Path(source.name), source.read_bytes())


def _write(target: Path, content: bytes) -> None:
    """Write a file that is not there yet, and print its name."""
    from seqrec_plugin.errors import BadData, WrongUsage

    try:
        file = target.open("xb")
    except FileExistsError:
        raise WrongUsage(
            "output_exists", f"{target} exists here already.", "Remove or rename it, or choose another name or folder."
        ) from None
    except OSError as error:
        raise BadData("output_unwritable", f"{target} cannot be written: {error.strerror}.") from error
    try:
        with file:
            file.write(content)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise BadData("output_unwritable", f"{target} cannot be written: {error.strerror}.") from error
    click.echo(target)

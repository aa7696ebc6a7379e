"""`seqrec`: one thin file a command, loaded when it is called. The only place that exits.

The command `import-recbole` would be the attribute `command` of the module `seqrec_plugin.cli.import_recbole`.
"""

from __future__ import annotations

import errno
import importlib
import traceback
from typing import IO, Any

import click

from seqrec_plugin import distributed
from seqrec_plugin.errors import SeqrecError, missing_extra, nearest

#: Command → its line in the list, in the order in which people need them. The help loads no command.
COMMANDS: dict[str, str] = {
    "init": "Write a file to train from: a recipe, or a model's options.",
    "models": "List the models: name, one line, paper; or one's options.",
    "prepare": "Turn tables of events into a data set, cleaned by a recipe.",
    "train": "Train a model from a recipe into a run folder.",
    "evaluate": "Show a run's metrics, masked and unmasked.",
    "benchmark": "Train several models on one split and compare them.",
    "tune": "Search for a recipe's options on validation.",
    "combine": "Make one run of several, whose scores are the mean of theirs.",
    "import-recbole": "Turn a RecBole checkpoint into a run folder.",
    "export": "Turn a run folder into a bundle, checked step by step.",
    "verify": "Check that a bundle is whole and answers its golden vectors.",
    "inspect": "Show what a bundle says of itself.",
    "recommend": "Recommend items for histories.",
    "score": "Say how probable a next step is, by a bundle of probabilities.",
    "purge": "Remove what a run folder holds of users.",
    "doctor": "Find what is wrong with this installation.",
}

_VERBOSE = "seqrec_plugin.verbose"


class _Told(click.ClickException):
    """An error told in a line or two, with its exit code."""

    def __init__(self, message: str, exit_code: int, prefix: str = "Error: ") -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # the class's is only a default
        self._prefix = prefix

    @property
    def words(self) -> str:
        """What is shown."""
        return f"{self._prefix}{self.message}"

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.words, file=file, err=True)


def _told(error: BaseException) -> _Told:
    """What a user is told of an error."""
    if isinstance(error, ModuleNotFoundError):
        from seqrec_plugin.diagnosing import TRAINING

        package = str(error.name).partition(".")[0]
        if package in TRAINING:
            error = missing_extra(package, "train")
    if isinstance(error, SeqrecError):
        return _Told(str(error), error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return _Told("Interrupted.", 130, prefix="")
    reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".: ")
    return _Told(f"This is a bug in seqrec: {reason}. Run again with --verbose to see where.", 1)


def _once(told: click.ClickException) -> click.ClickException | click.exceptions.Exit:
    """Of several processes, one tells an error and the others end without a word."""
    if isinstance(told, _Told):
        words = distributed.tell(told.words)
        return click.exceptions.Exit(told.exit_code) if words is None else _Told(words, told.exit_code, prefix="")
    return told if distributed.local_rank() == 0 else click.exceptions.Exit(told.exit_code)


def _set_verbose(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[_VERBOSE] = value or context.meta.get(_VERBOSE, False)


def _verbose_option() -> click.Option:
    return click.Option(
        ["--verbose"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_verbose,
        help="Show where an error comes from.",
    )


def with_verbose(command: click.Command) -> click.Command:
    """The command with `--verbose`: people look for it after the command too."""
    if all(parameter.name != "verbose" for parameter in command.params):
        command.params.append(_verbose_option())
    return command


class _Commands(click.Group):
    """Loads a command when it is called, and tells every error in one way."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        return with_verbose(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if distributed.launched() and name in COMMANDS and name != "train":
            raise click.UsageError(f"torchrun started several processes, but `seqrec {name}` is for one.", ctx)
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(f"There is no command {name!r}. {nearest(name, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise _once(error) from None
        except (click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader has gone (`| head`): click ends without a word
            if ctx.meta.get(_VERBOSE):
                traceback.print_exception(error)
            raise _once(_told(error)) from error


@click.group(
    cls=_Commands,
    params=[_verbose_option()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="seqrec-plugin", prog_name="seqrec", message="%(prog)s %(version)s")
def main() -> None:
    """Train recurrent sequence models in RecBole, and carry them anywhere as ONNX.

    \b
    The main road, from the MovieLens data that comes with RecBole:
      seqrec train lstm_ml100k -o runs/demo
      seqrec export runs/demo -o bundles/demo
      seqrec recommend bundles/demo --history 50,172,181 --titles
    """

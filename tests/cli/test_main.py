"""The frame: help, exit codes, how errors are told."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from seqrec_plugin import cli, errors

HEAVY = ("torch", "recbole", "onnx", "onnxruntime", "numpy", "pandas", "rich")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Call `seqrec doctor`, whose body is replaced by one that raises."""

    def call(error: BaseException | None, *args: str) -> Result:
        @click.command()
        def command() -> None:
            if error is not None:
                raise error

        module = importlib.import_module("seqrec_plugin.cli.doctor")
        monkeypatch.setattr(module, "command", command)
        return CliRunner().invoke(cli.main, args or ("doctor",))

    return call


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_is_there_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli.main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"seqrec {name}" in result.output.split("Example")[1]
    assert "--verbose" in result.output


def test_help_is_light() -> None:
    code = (
        "import sys; from seqrec_plugin.cli import main; "
        "main(['--help'], standalone_mode=False); "
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in cli.COMMANDS)
    assert "HEAVY []" in done.stdout


def test_version() -> None:
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.exit_code == 0 and result.output.startswith("seqrec 0.")


def test_unknown_command_names_the_nearest() -> None:
    result = CliRunner().invoke(cli.main, ["evalaute", "x"])
    assert result.exit_code == 2
    assert "Did you mean 'evaluate'?" in result.stderr


@pytest.mark.parametrize("args", [["--nonsense"], ["models", "--nonsense"], ["models", "extra"]])
def test_wrong_usage_exits_2(args: list[str]) -> None:
    assert CliRunner().invoke(cli.main, args).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Failed("check_failed", "A check failed.", "Look."), 1),
        (errors.WrongUsage("bad_k", "k is 0.", "Look."), 2),
        (errors.BadData("bundle_missing", "No bundle.", "Look."), 3),
    ],
)
def test_our_errors_are_one_line_with_their_exit_code(run, error: errors.SeqrecError, code: int) -> None:
    result = run(error)
    assert result.exit_code == code
    assert result.stderr == f"Error: {error.message} Look.\n"
    assert result.stdout == ""


def test_a_missing_package_names_the_extra(run) -> None:
    result = run(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert result.exit_code == 2
    assert "[train]" in result.stderr


def test_an_unexpected_error_says_that_it_is_a_bug(run) -> None:
    result = run(ZeroDivisionError("by zero\nand more"))
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: This is a bug in seqrec: ZeroDivisionError: by zero and more. Run again with --verbose to see where.\n"
    )


@pytest.mark.parametrize("args", [("--verbose", "doctor"), ("doctor", "--verbose")])
def test_verbose_shows_where(run, args: tuple[str, ...]) -> None:
    result = run(errors.BadData("bundle_missing", "No bundle."), *args)
    assert result.exit_code == 3
    assert "Traceback" in result.stderr and result.stderr.endswith("Error: No bundle.\n")


def test_interrupted(run) -> None:
    result = run(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.stderr.strip() == "Interrupted."


def test_a_reader_that_went_away_hears_nothing(run) -> None:
    result = run(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert result.exit_code == 1
    assert result.output == ""


def test_a_commands_own_exit_code_stands(run) -> None:
    assert run(click.exceptions.Exit(1)).exit_code == 1
    assert run(None).exit_code == 0

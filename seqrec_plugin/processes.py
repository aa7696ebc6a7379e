"""A process of our own that does one run's work, and ends when we end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any


@contextlib.contextmanager
def child(
    command: Sequence[str],
    stdout: IO[Any] | int,
    stderr: IO[Any] | int,
    *,
    patience: float = 60,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A process that is waited for; left by an exception, it is interrupted, and killed if it goes on.

    It has a session of its own, so that Ctrl-C reaches it once, from here.

    Args:
        command, stdout, stderr: as for `subprocess.Popen`.
        patience: seconds in which an interrupted process may save what it has; 0 kills it at once.
        environment: variables that it has beside ours.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        env=None if environment is None else {**os.environ, **environment},
    )
    try:
        yield process
        process.wait()
    except BaseException:
        try:
            if patience:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=patience)  # it writes a word, and must not wait for a reader
        finally:
            process.kill()
            process.wait()
        raise


def ended(process: subprocess.Popen[str], last: str) -> str:
    """Why an ended process failed, by the last line that it wrote to stderr; empty where it did not."""
    code = process.returncode
    if code == 0:
        return ""
    if code < 0:
        return f"ended by signal {-code} ({signal.Signals(-code).name})"
    return last.strip().removeprefix("Error: ") or f"exit code {code}"

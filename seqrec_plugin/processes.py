"""A process of our own that does one run's work, and ends when we end."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import IO, Any

#: Seconds in which an interrupted run may save what it has.
_PATIENCE = 60


@contextlib.contextmanager
def child(command: Sequence[str], stdout: IO[Any] | int, stderr: IO[Any] | int) -> Iterator[subprocess.Popen[str]]:
    """A process that is waited for; left by an exception, it is interrupted first.

    It has a session of its own, so that Ctrl-C reaches it once, from here.
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
    )
    try:
        yield process
        process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_PATIENCE)  # it writes a word, and must not wait for a reader
        finally:
            process.kill()
        raise


def ended(process: subprocess.Popen[str], last: str) -> str:
    """Why an ended process failed, by the last line that it wrote to stderr; empty where it did not."""
    code = process.returncode
    if code == 0:
        return ""
    if code < 0:
        return f"ended by signal {-code} ({signal.Signals(-code).name})"
    return last.strip().removeprefix("Error: ") or f"exit code {code}"

"""How training shows itself: a bar for humans, plain lines where there is no terminal. All on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from seqrec_plugin import distributed


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """The processes that torchrun started train together until the block ends, and only the first is heard."""
    with distributed.started(), contextlib.ExitStack() as stack:
        if not distributed.first():
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def reporter(epochs: int, validated: bool = True) -> _Bar | _Lines:
    """A bar where stderr is a terminal, else plain lines; a context manager around the training."""
    return _Bar(epochs, validated) if sys.stderr.isatty() else _Lines(epochs)


def _line(record: dict[str, Any], epochs: int, best: float) -> str:
    if "score" not in record:
        return f"epoch {record['epoch'] + 1:>3}/{epochs}  loss {record['loss']:.4f}  {record['seconds']:.1f} s"
    mark = "  best so far" if record["score"] >= best else ""
    return (
        f"epoch {record['epoch'] + 1:>3}/{epochs}  loss {record['loss']:.4f}  "
        f"{record['metric']} {record['score']:.4f}  {record['seconds']:.1f} s{mark}"
    )


class _Lines:
    def __init__(self, epochs: int) -> None:
        self.epochs, self.best = epochs, float("-inf")

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def epoch_begins(self, epoch: int, batches: int) -> None:
        pass

    def batch_ends(self) -> None:
        pass

    def says(self, text: str) -> None:
        click.echo(text, err=True)

    def epoch_ends(self, record: dict[str, Any]) -> None:
        click.echo(_line(record, self.epochs, self.best), err=True)
        self.best = max(self.best, record.get("score", self.best))


class _Bar:
    def __init__(self, epochs: int, validated: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.epochs, self.best = epochs, float("-inf")
        first = "validation NDCG@10 after the first epoch" if validated else "on all events"
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[last]}"),
            TimeElapsedColumn(),
            TextColumn("at most"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.task = self.progress.add_task("", total=None, epoch=1, last=first)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def epoch_begins(self, epoch: int, batches: int) -> None:
        if not self.progress.live.is_started:
            self.progress.start()
            self.progress.update(self.task, total=batches * (self.epochs - epoch))
        self.progress.update(self.task, epoch=epoch + 1)

    def batch_ends(self) -> None:
        self.progress.advance(self.task)

    def says(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False)

    def epoch_ends(self, record: dict[str, Any]) -> None:
        last = f"loss {record['loss']:.3f}"
        if "score" in record:
            self.best = max(self.best, record["score"])
            last += f"  {record['metric']} {record['score']:.4f} (best {self.best:.4f})"
        self.progress.update(self.task, last=last)

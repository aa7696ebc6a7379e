"""What `seqrec recommend` and `seqrec score` share: whose history is meant, and how answers are shown."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from seqrec_plugin.runtime import Answer, Recommender

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        "--history",
        metavar="IDS",
        help="Items that the user had, oldest first, with commas; '' for a newcomer. Ids that hold commas: use JSON.",
    ),
    click.option(
        "--history-file", metavar="FILE", type=click.File("rb"), help="One question a line, as JSON; - is stdin."
    ),
    click.option("--user", metavar="ID", help="A user whose history is in a data set: see --dataset-dir."),
    click.option(
        "--dataset-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where the data set's .inter file is."
    ),
    click.option("--dataset", metavar="NAME", help="Which data set, where --dataset-dir holds several."),
    click.option("--time-field", metavar="NAME", default="timestamp", help="The data set's field of times."),
    click.option("--behavior-field", metavar="NAME", default="behavior", help="The data set's field of behaviours."),
    click.option(
        "--time", metavar="SECONDS", help="When each item of --history was, in seconds, with commas; one more is now."
    ),
    click.option(
        "--behavior", metavar="NAMES", help="What was done with each item of --history; one more is wanted next."
    ),
    click.option("--features", metavar="JSON", help="Numbers of each item of --history: an object, name to list."),
    click.option("--titles", is_flag=True, help="Show titles."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    click.option("--threads", type=int, default=1, show_default=True, help="Cores for one call."),
]


def past_options(command: F) -> F:
    """Add the options that say whose history is meant."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_past(past: dict[str, Any]) -> bool:
    """Whether many questions come by file or stdin; a usage error where the options contradict each other."""
    given = [key for key in ("history", "history_file", "user") if past[key] is not None]
    if len(given) > 1:
        raise click.UsageError("Give only one of --history, --history-file and --user.")
    if (past["user"] is None) != (past["dataset_dir"] is None):
        raise click.UsageError("--user and --dataset-dir go together.")
    if past["dataset"] is not None and past["dataset_dir"] is None:
        raise click.UsageError("--dataset goes with --dataset-dir.")
    for key in ("time", "behavior", "features"):
        if past[key] is not None and past["history"] is None and (past["user"] is None or key == "features"):
            raise click.UsageError(f"--{key} goes with --history; in JSON each question has its own.")
        if past[key] is not None and past["user"] is not None and len(ids(past[key])) != 1:
            raise click.UsageError(f"With --user, --{key} holds one entry: that of the event that is asked for.")
    many = past["history"] is None and past["user"] is None
    if many and past["history_file"] is None and sys.stdin.isatty():
        raise click.UsageError("Give --history, --history-file or --user, or questions on stdin.")
    return many


def question(recommender: Recommender, past: dict[str, Any]) -> dict[str, Any]:
    """One question, as the arguments of `recommend` and `score`."""
    if past["user"] is not None:
        from seqrec_plugin.atomic import AtomicHistories, dataset_file
        from seqrec_plugin.columns import BEHAVIOR, NEXT_BEHAVIOR
        from seqrec_plugin.history import asked_of

        manifest = recommender.manifest
        histories = AtomicHistories(
            dataset_file(str(past["dataset_dir"]), past["dataset"]),
            time_field=past["time_field"],
            behavior_field=past["behavior_field"] if {BEHAVIOR, NEXT_BEHAVIOR} & set(manifest.columns) else None,
            features=manifest.features,
        )
        found = asked_of(histories.history(past["user"]), manifest)
    else:
        found = {"history": ids(past["history"])}
    if past["time"] is not None and (past["user"] is None or "time" in found):
        found["time"] = [*found.get("time", []), *(_number(text) for text in ids(past["time"]))]
    if past["behavior"] is not None and (past["user"] is None or "behavior" in found):
        found["behavior"] = [*found.get("behavior", []), *ids(past["behavior"])]
    if past["features"] is not None:
        try:
            found["features"] = dict(json.loads(past["features"]))
        except (ValueError, TypeError):
            raise click.UsageError("--features takes JSON such as '{\"price\": [1.5, 2]}'.") from None
    return found


def answer_many(stream: IO[bytes], titles: bool, answers_of: Callable[[list[bytes]], list[Answer]]) -> None:
    """Answer each line of a stream by a line of JSON; exit 3 where one was bad."""
    bad = total = 0
    for lines in _lines(stream):
        answers = answers_of(lines)
        click.echo("\n".join(to_json(answer, titles) for answer in answers))
        bad, total = bad + sum(answer.failed for answer in answers), total + len(answers)
    if bad:
        click.echo(f"{bad} of {total} questions were bad: see their status and message.", err=True)
        raise click.exceptions.Exit(3)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"--time holds {text!r}, which is no number of seconds.") from None


def printable(text: str) -> str:
    """Text of a bundle for a terminal: nothing in it can move the cursor or break the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def ids(text: str) -> list[str]:
    """The ids of a text with commas."""
    return text.split(",") if text else []


def _lines(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Lines as they come: those of a slow pipe one by one, those of a file many at a time; blank ones left out."""
    read = getattr(stream, "read1", stream.read)  # read1 returns what is there
    rest, first = b"", True
    while data := read(1 << 16):
        if first:
            data, first = data.removeprefix(b"\xef\xbb\xbf"), False
        *lines, rest = (rest + data).split(b"\n")
        if lines := [line for line in lines if line.strip()]:
            yield lines
    if rest.strip():
        yield [rest]


def to_json(answer: Answer, titles: bool) -> str:
    """An answer as one line of JSON."""
    import msgspec

    if not titles:
        items = tuple(msgspec.structs.replace(item, title=None) for item in answer.items)
        answer = msgspec.structs.replace(answer, items=items)
    return msgspec.json.encode(answer).decode()


def show(answer: Answer, titles: bool, max_history: int, head: str = "score") -> None:
    """A table on stdout, and on stderr what a reader should know of it."""
    if answer.status == "newcomer":
        click.echo("No known item in the history: this is what a newcomer gets.", err=True)
    if answer.unknown:
        click.echo(f"Unknown items, left out: {', '.join(map(repr, answer.unknown))}.", err=True)
    if answer.truncated:
        click.echo(f"Only the newest {max_history} items of the history were read.", err=True)
    if not answer.items:
        click.echo("No item remains." if head == "score" else "None of the candidates is known.", err=True)
        return
    rows = [("rank", "item", head, "title")]
    for rank, item in enumerate(answer.items, start=1):
        rows.append((str(rank), printable(item.item), f"{item.score:.4f}", printable(item.title or "")))
    width = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for place, token, score, title in rows:
        line = f"{place:>{width[0]}}  {token}{' ' * (width[1] - _width(token))}  {score:>{width[2]}}"
        click.echo((f"{line}  {title}" if titles else line).rstrip())


def _width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)

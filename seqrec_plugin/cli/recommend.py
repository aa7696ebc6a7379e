"""`seqrec recommend`."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from seqrec_plugin.runtime import Answer

_PLACE = click.Path(path_type=Path)


@click.command("recommend")
@click.argument("bundle", type=_PLACE)
@click.option(
    "--history",
    metavar="IDS",
    help="Items that the user had, oldest first, with commas; '' for a newcomer. Ids that hold commas: use JSON.",
)
@click.option("--history-file", metavar="FILE", type=click.File("rb"), help="One question a line, as JSON; - is stdin.")
@click.option("--user", metavar="ID", help="A user whose history is in a data set: see --dataset-dir.")
@click.option("--dataset-dir", type=_PLACE, metavar="DIR", help="Where the data set's .inter file is.")
@click.option("--dataset", metavar="NAME", help="Which data set, where --dataset-dir holds several.")
@click.option("-k", type=int, help="How many items, at most the bundle's top_k.  [default: 10]")
@click.option("--exclude", metavar="IDS", default="", help="Items that must not come, with commas.")
@click.option("--include-seen/--exclude-seen", default=None, help="Whether items of the history may come again.")
@click.option("--titles", is_flag=True, help="Show titles.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--threads", type=int, default=1, show_default=True, help="Cores for one call.")
def command(
    bundle: Path,
    history: str | None,
    history_file: IO[bytes] | None,
    user: str | None,
    dataset_dir: Path | None,
    dataset: str | None,
    k: int | None,
    exclude: str,
    include_seen: bool | None,
    titles: bool,
    as_json: bool,
    threads: int,
) -> None:
    """Recommend items for a history, a user, or many questions.

    One question gives a table, or one JSON object with --json. Many, from --history-file or stdin, give one JSON
    answer a line, in their order; a bad one gets its error, the others go on, and the exit code is 3.

    \b
    Examples:
      seqrec recommend bundles/demo --history 50,172,181 --titles
      seqrec recommend bundles/demo --user 42 --dataset-dir data/ml-100k -k 5
      echo '{"history": ["50", 172], "k": 3}' | seqrec recommend bundles/demo
    """
    if sum(given is not None for given in (history, history_file, user)) > 1:
        raise click.UsageError("Give only one of --history, --history-file and --user.")
    if (user is None) != (dataset_dir is None):
        raise click.UsageError("--user and --dataset-dir go together.")
    if dataset is not None and dataset_dir is None:
        raise click.UsageError("--dataset goes with --dataset-dir.")
    many = history is None and user is None
    if many and exclude:
        raise click.UsageError("--exclude goes with --history or --user; in JSON each question has its own.")
    if many and history_file is None and sys.stdin.isatty():
        raise click.UsageError("Give --history, --history-file or --user, or questions on stdin.")

    from seqrec_plugin.runtime import Recommender

    recommender = Recommender.load(bundle, threads=threads)
    k = recommender.checked_k(k)  # before a file of users or questions is read
    if titles and recommender.vocabulary.titles is None:
        click.echo("This bundle has no titles.", err=True)
    if many:
        stream = history_file or sys.stdin.buffer
        bad = total = 0
        for lines in _lines(stream):
            answers = recommender.recommend_batch(lines, k=k, include_seen=include_seen)
            click.echo("\n".join(_json(answer, titles) for answer in answers))
            bad, total = bad + sum(answer.failed for answer in answers), total + len(answers)
        if bad:
            click.echo(f"{bad} of {total} questions were bad: see their status and message.", err=True)
            raise click.exceptions.Exit(3)
        return

    if user is None:
        tokens = _ids(history or "")
    else:
        from seqrec_plugin.atomic import AtomicHistories, dataset_file

        histories = AtomicHistories(dataset_file(str(dataset_dir), dataset))
        tokens = [event.item for event in histories.history(user)]
    strange = [item for item in _ids(exclude) if recommender.vocabulary.index(item) is None]
    if strange:
        click.echo(f"Unknown items in --exclude: {', '.join(map(repr, strange))}.", err=True)
    answer = recommender.recommend(tokens, k=k, exclude=_ids(exclude), include_seen=include_seen)
    if as_json:
        click.echo(_json(answer, titles))
    else:
        _show(answer, titles, recommender.manifest.max_history)


def printable(text: str) -> str:
    """Text of a bundle for a terminal: nothing in it can move the cursor or break the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _ids(text: str) -> list[str]:
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


def _json(answer: Answer, titles: bool) -> str:
    import msgspec

    if not titles:
        items = tuple(msgspec.structs.replace(item, title=None) for item in answer.items)
        answer = msgspec.structs.replace(answer, items=items)
    return msgspec.json.encode(answer).decode()


def _show(answer: Answer, titles: bool, max_history: int) -> None:
    """A table on stdout, and on stderr what a reader should know of it."""
    if answer.status == "newcomer":
        click.echo("No known item in the history: this is what a newcomer gets.", err=True)
    if answer.unknown:
        click.echo(f"Unknown items, left out: {', '.join(map(repr, answer.unknown))}.", err=True)
    if answer.truncated:
        click.echo(f"Only the newest {max_history} items of the history were read.", err=True)
    if not answer.items:
        click.echo("No item remains after exclusion.", err=True)
        return
    rows = [("rank", "item", "score", "title")]
    for rank, item in enumerate(answer.items, start=1):
        rows.append((str(rank), printable(item.item), f"{item.score:.4f}", printable(item.title or "")))
    width = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for place, token, score, title in rows:
        line = f"{place:>{width[0]}}  {token}{' ' * (width[1] - _width(token))}  {score:>{width[2]}}"
        click.echo((f"{line}  {title}" if titles else line).rstrip())


def _width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)

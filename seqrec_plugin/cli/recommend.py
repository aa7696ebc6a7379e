"""`seqrec recommend`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from seqrec_plugin.cli.asking import answer_many, check_past, ids, past_options, question, show, to_json


@click.command("recommend")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-k", type=int, help="How many items, at most the bundle's top_k.  [default: 10]")
@click.option("--exclude", metavar="IDS", default="", help="Items that must not come, with commas.")
@click.option("--include-seen/--exclude-seen", default=None, help="Whether items of the history may come again.")
@click.option("--int8", is_flag=True, help="Ask model_int8.onnx, where the bundle has it.")
@past_options
def command(
    bundle: Path,
    k: int | None,
    exclude: str,
    include_seen: bool | None,
    int8: bool,
    titles: bool,
    as_json: bool,
    threads: int,
    **past: Any,
) -> None:
    """Recommend items for a history, a user, or many questions.

    One question gives a table, or one JSON object with --json. Many, from --history-file or stdin, give one JSON
    answer a line, in their order; a bad one gets its error, the others go on, and the exit code is 3.

    \b
    Examples:
      seqrec recommend bundles/demo --history 50,172,181 --titles
      seqrec recommend bundles/demo --user 42 --dataset-dir data/ml-100k -k 5
      echo '{"history": ["50", 172], "k": 3}' | seqrec recommend bundles/demo

    A model that reads times, behaviours or numbers is told them, one entry an item and perhaps one more for the event
    that is asked for: --history 50,172 --time 1700000000,1700000060 --behavior view,view,buy (buy is what is wanted).
    """
    many = check_past(past)
    if many and exclude:
        raise click.UsageError("--exclude goes with --history or --user; in JSON each question has its own.")

    from seqrec_plugin.errors import WrongUsage
    from seqrec_plugin.runtime import Recommender

    recommender = Recommender.load(bundle, threads=threads, int8=int8)
    if recommender.manifest.task != "next_item":
        raise WrongUsage("bad_value", f"{bundle} gives probabilities, and recommends nothing.", "Use seqrec score.")
    k = recommender.checked_k(k)  # before a file of users or questions is read
    if titles and recommender.vocabulary.titles is None:
        click.echo("This bundle has no titles.", err=True)
    if many:
        stream = past["history_file"] or sys.stdin.buffer
        answer_many(stream, titles, lambda lines: recommender.recommend_batch(lines, k=k, include_seen=include_seen))
        return
    asked = question(recommender, past)
    strange = [item for item in ids(exclude) if recommender.vocabulary.index(item) is None]
    if strange:
        click.echo(f"Unknown items in --exclude: {', '.join(map(repr, strange))}.", err=True)
    answer = recommender.recommend(**asked, k=k, exclude=ids(exclude), include_seen=include_seen)
    if as_json:
        click.echo(to_json(answer, titles))
    else:
        show(answer, titles, recommender.manifest.max_history)

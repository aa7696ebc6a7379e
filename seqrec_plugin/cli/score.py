"""`seqrec score`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from seqrec_plugin.cli.asking import answer_many, check_past, ids, past_options, question, show, to_json


@click.command("score")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--candidates", metavar="IDS", help="The items that are asked about, with commas.")
@past_options
def command(bundle: Path, candidates: str | None, titles: bool, as_json: bool, threads: int, **past: Any) -> None:
    """Say how probable it is that a user acts next, by a bundle of probabilities (LSTMRanker).

    Histories are given as to `seqrec recommend`. A table has the likeliest candidate first; JSON keeps the order asked.

    \b
    Examples:
      seqrec train ranker_ml100k -o runs/ranker
      seqrec export runs/ranker -o bundles/ranker
      seqrec score bundles/ranker --history 50,172 --candidates 181,96
      echo '{"history": ["50"], "candidates": ["181"]}' | seqrec score bundles/ranker
    """
    many = check_past(past)
    if many and candidates:
        raise click.UsageError("--candidates goes with --history or --user; in JSON each question has its own.")

    import msgspec

    from seqrec_plugin.errors import WrongUsage
    from seqrec_plugin.runtime import Recommender

    recommender = Recommender.load(bundle, threads=threads)
    if recommender.manifest.task != "probability":
        raise WrongUsage("bad_value", f"{bundle} ranks items, and gives no probabilities.", "Use seqrec recommend.")
    if many:
        answer_many(past["history_file"] or sys.stdin.buffer, titles, recommender.recommend_batch)
        return
    asked = None if candidates is None else ids(candidates)
    answer = recommender.score(**question(recommender, past), candidates=asked)
    if as_json:
        click.echo(to_json(answer, titles))
    elif answer.probability is not None:
        click.echo(f"{answer.probability:.4f}")
    else:
        if answer.unknown_candidates:
            click.echo(f"Unknown candidates, left out: {', '.join(map(repr, answer.unknown_candidates))}.", err=True)
        best = sorted(answer.items, key=lambda item: -item.score)
        ranked = msgspec.structs.replace(answer, items=tuple(best))
        show(ranked, titles, recommender.manifest.max_history, head="probability")

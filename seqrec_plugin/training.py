"""Configuration → RecBole run → run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqrec_plugin import checkpoint, distributed, estimating, machine, registry, starting
from seqrec_plugin.building import build, contained, evaluate, retired, split_of, vocabulary_of, words
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.columns import Row
from seqrec_plugin.curve import Curve, Enough
from seqrec_plugin.errors import BadData, Failed, SeqrecError, WrongUsage
from seqrec_plugin.estimating import Estimate, Watch
from seqrec_plugin.evaluating import set_threads
from seqrec_plugin.recbole_bridge.data_files import check_data, data_file, titles_of
from seqrec_plugin.recbole_bridge.options import numeric_transforms, training_options
from seqrec_plugin.recbole_bridge.settings import Resolved
from seqrec_plugin.run_info import FORMAT_VERSION, RunInfo
from seqrec_plugin.split import Split
from seqrec_plugin.starting import FRESH, Start

if TYPE_CHECKING:
    from seqrec_plugin.recbole_bridge.trainer import BaselineTrainer, Reporter

#: Where fewer targets than this repeat an earlier item of their user, serving leaves out what was seen.
RARE_REPEATS = 0.05

#: Real histories kept for the parity check of an export.
PROBES = 256


def train(
    resolved: Resolved,
    output: Path,
    reporter: Reporter,
    *,
    resume: bool = False,
    force: bool = False,
    start: Start = FRESH,
) -> RunFolder:
    """Train a model and leave a run folder.

    Of several processes (see `distributed`) each calls it, and the first one alone writes the run.

    Args:
        resolved: the effective configuration.
        output: the run folder, made here.
        reporter: told of the progress.
        resume: go on with an interrupted run in `output`, to the same result as an uninterrupted one.
        force: replace a run that is in `output` already.
        start: what to start from; of a refit, `resolved` is the `configuration` (see `starting`).

    Raises:
        SeqrecError: the data, the configuration or the training is wrong; see the codes.
    """
    start.check(output)
    data_sha256, titles = _check(resolved, start), titles_of(resolved)
    first = distributed.first()
    run = RunFolder.create(distributed.own_folder(output), force and first, resume and first)
    if resume and first:
        _check_same(run, resolved, start)
    if distributed.share(run.finished):
        return RunFolder(output)
    threads = set_threads(resolved.values["threads"])
    started = time.monotonic()
    with contained(run):
        try:
            run.write(checkpoint.CONFIG_FILE, resolved.to_yaml().encode())
            run.save_origins(start.origins)
            with _strangers_bugs(resolved.model):
                trainer, dataset, parts = build(resolved, run, start)
        except BaseException:
            if not resume:
                run.abandon()
            raise
        run.settle()
        if resume:
            distributed.share_file(run.path / checkpoint.LAST_FILE)
        if resume and (run.path / checkpoint.LAST_FILE).is_file():
            trainer.resume(run.path / checkpoint.LAST_FILE)
        with _strangers_bugs(resolved.model):
            valid = _choosing(parts[1], resolved) if start.refit is None else None
            told = estimating.before(trainer, parts[0], valid)
            reporter.says(told.sizes)
            if valid is not None and valid.sample_size < parts[1].sample_size:
                reporter.says(
                    f"The best epoch is chosen by {valid.sample_size:,} of {parts[1].sample_size:,} validation rows "
                    "(valid_sample); the table at the end is of all."
                )
            trainer.reporter = curve = Curve(run, trainer, reporter, resume, Watch(told))
            trainer.fit(parts[0], valid, callback_fn=curve.trained if valid is None else curve.validated)
        results, ranks = _measured(trainer, parts, start.refit)
        if not first:
            return RunFolder(output)
        split = split_of(trainer, dataset, parts)

    config = trainer.config
    info = RunInfo(
        format_version=FORMAT_VERSION,
        model=resolved.model,
        ours=resolved.ours,
        model_config=dataclasses.asdict(trainer.model.network.config) if resolved.ours else {},
        dataset=resolved.dataset,
        data_sha256=data_sha256,
        n_items=int(dataset.item_num),
        max_history=int(config["MAX_ITEM_LIST_LENGTH"]),
        exclude_seen=_excludes_seen(split, start.refit),
        seed=int(config["seed"]),
        epoch=curve.best_epoch,
        order="exact time, ties in file order" if config["exact_time"] else "RecBole's (time as float32)",
        threads=threads,
        seconds=round(time.monotonic() - started, 2),
        versions=versions(),
        columns=trainer.model.network.columns if resolved.ours else (),
        behaviors=trainer.model.network.behaviors if resolved.ours else (),
        target_behaviors=training_options(config.final_config_dict).target_behaviors,
        features=trainer.model.network.features if resolved.ours else (),
        transforms=numeric_transforms(config.final_config_dict) if resolved.ours else {},
        parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        peak_memory=machine.peak_memory(),
        cut=trainer.cut,
        machine=machine.processor(),
        date=machine.today(),
        origins=start.origins,
        retired=retired(dataset, start.initial),
        processes=distributed.processes(),
    )
    weights = trainer.model.network if resolved.ours else trainer.model
    run.save_weights(weights.state_dict())
    run.write(checkpoint.VOCABULARY_FILE, vocabulary_of(dataset, titles).encode())
    run.save_split(split)
    run.save_probe(probe_of(split, trainer.model.network.columns if resolved.ours else (), info.seed))
    run.save_json(checkpoint.METRICS_FILE, {"order": info.order, **_beginning(info, start.initial), **results})
    if ranks:
        run.save_ranks(ranks)
    run.finish(info)
    return run


def estimate(resolved: Resolved, start: Start = FRESH) -> Estimate:
    """What a training would take: memory, and time by its first steps. It leaves nothing.

    Args:
        resolved, start: as for `train`.

    Raises:
        SeqrecError: as `train` before its first epoch has ended.
    """
    _check(resolved, start)
    set_threads(resolved.values["threads"])
    with tempfile.TemporaryDirectory(prefix="seqrec-") as folder:
        run = RunFolder.create(Path(folder) / "run")
        with contained(run), _strangers_bugs(resolved.model):
            trainer, _, parts = build(resolved, run, start)
            trainer.last_file = None
            watch = Watch(
                estimating.before(trainer, parts[0], _choosing(parts[1], resolved) if start.refit is None else None)
            )
            trainer.reporter = Curve(run, trainer, _Nobody(), False, watch, only_estimate=True)
            with contextlib.suppress(Enough):
                trainer.fit(parts[0])
    return watch.estimate


def validate(resolved: Resolved, tell: Callable[[dict[str, Any]], None]) -> None:
    """Train and validate a model, and no more: its test part is never looked at. It leaves nothing.

    Args:
        resolved: the effective configuration.
        tell: gets the record of each epoch, as `curve.jsonl` has it.

    Raises:
        SeqrecError: as `train`.
    """
    _check(resolved, FRESH)
    set_threads(resolved.values["threads"])
    with tempfile.TemporaryDirectory(prefix="seqrec-") as folder:
        run = RunFolder.create(Path(folder) / "run")
        with contained(run), _strangers_bugs(resolved.model):
            trainer, _, parts = build(resolved, run)
            trainer.last_file = None
            valid = _choosing(parts[1], resolved)
            watch = Watch(estimating.before(trainer, parts[0], valid))
            trainer.reporter = curve = Curve(run, trainer, _Listener(tell), False, watch)
            trainer.fit(parts[0], valid, callback_fn=curve.validated)


def _choosing(valid: Any, resolved: Resolved) -> Any:
    """The loader of the validation rows that choose the best epoch."""
    from seqrec_plugin.recbole_bridge.sample import Sample

    rows = resolved.values["valid_sample"]
    return Sample(valid, rows, resolved.values["seed"]) if 0 < rows < valid.sample_size else valid


class _Nobody:
    """A reporter that nobody hears."""

    def epoch_begins(self, epoch: int, batches: int) -> None:
        """See `Reporter`."""

    def batch_ends(self) -> None:
        """See `Reporter`."""

    def epoch_ends(self, record: dict[str, Any]) -> None:
        """See `Reporter`."""

    def says(self, text: str) -> None:
        """See `Reporter`."""


class _Listener(_Nobody):
    """A reporter that hears the end of each epoch only."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell

    def epoch_ends(self, record: dict[str, Any]) -> None:
        """See `Reporter`."""
        self._tell(record)


def _check(resolved: Resolved, start: Start) -> str:
    """Whether data and runs will do, before anything is made; returns the data's sha256."""
    if distributed.processes() > 1 and not resolved.ours:
        raise WrongUsage(
            "bad_value",
            f"{resolved.model} is RecBole's own, and trains in one process.",
            "Leave out torchrun; several processes are for the models of `seqrec models`.",
        )
    data_sha256 = check_data(resolved)
    _check_alike(data_sha256, resolved)
    if start.refit is not None:
        starting.check_same_data(start.refit, data_sha256, data_file(resolved))
    if start.initial is not None:
        starting.check_fits(start.initial, resolved)
    return data_sha256


def _check_alike(data_sha256: str, resolved: Resolved) -> None:
    """Several processes must have the same data and options, on whatever machine they are."""
    options = hashlib.sha256(resolved.to_yaml().encode()).hexdigest()
    found = distributed.gather([data_sha256, options])
    for rank, (data, chosen) in enumerate(found):
        if data != found[0][0]:
            file = data_file(resolved)
            raise BadData("dataset_invalid", f"{file} is not the same file in process {rank} as in process 0.")
        if chosen != found[0][1]:
            raise WrongUsage("bad_value", f"Process {rank} has other options than process 0.", "Give all the same.")


def _measured(trainer: BaselineTrainer, parts: Any, refit: RunFolder | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metrics and ranks of valid and test; of a refit, which has nothing held out, those of its run."""
    if refit is not None:
        return before_refit(refit), {}
    results, ranks = {}, {}
    for part, data in (("valid", parts[1]), ("test", parts[2])):
        results[part] = evaluate(trainer, data, part == "valid")
        ranks[part] = trainer.ranks
    return results, ranks


def before_refit(run: RunFolder) -> dict[str, Any]:
    """What the metrics of a refit say: those of the run that it is a refit of."""
    before = {part: found for part, found in run.metrics().items() if part in ("valid", "test")}
    return {"before_refit": {"run": run.path.resolve().name, "epoch": run.info.epoch, **before}}


def _beginning(info: RunInfo, initial: RunFolder | None) -> dict[str, Any]:
    """What the metrics say of a warm start: its run, and how many items are new or retired."""
    if initial is None:
        return {}
    new, before = info.n_items - initial.info.n_items, initial.path.resolve().name
    return {"began_from": {"run": before, "epoch": initial.info.epoch, "new_items": new, "retired": len(info.retired)}}


def _excludes_seen(split: Split, refit: RunFolder | None) -> bool:
    """Whether serving leaves out what a user has seen: where repeats are rare; a refit serves as its run did.

    What was viewed is bought later: where behaviours are told apart, a seen item may come again.
    """
    if refit is not None:
        return refit.info.exclude_seen
    return split.columns.behavior is None and share_of_repeats(split) < RARE_REPEATS


@contextlib.contextmanager
def _strangers_bugs(model: str) -> Iterator[None]:
    """What a third party's model raises is told as that model's."""
    package = registry.package(model)
    try:
        yield
    except SeqrecError:
        raise
    except Exception as error:
        if package is None:
            raise
        raise Failed(
            "training_failed",
            f"The model {model} of the package {package!r} failed: {words(error)}.",
            "Its package may have a test by seqrec_plugin.testing.ModelContract, which finds such things.",
        ) from error


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    from importlib.metadata import version

    names = ("seqrec-plugin", "recbole", "torch", "numpy", "pandas")
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}


def _check_same(run: RunFolder, resolved: Resolved, start: Start) -> None:
    """A resumed run must be the same run."""
    before = run.info.origins if run.finished else run.begun_with()
    for option, was, now in (
        ("--refit", before.refit_of, start.origins.refit_of),
        ("--init-from", before.began_from, start.origins.began_from),
    ):
        if was != now:
            what = f"with {option} {was.run}" if was is not None else f"without {option}"
            raise WrongUsage("bad_value", f"{run.path} was started {what}.", "Resume it in the same way.")
    changed = starting.changed_keys(run, resolved)
    if changed:
        raise WrongUsage(
            "bad_value",
            f"{run.path} was started with other values of {', '.join(changed)}.",
            "Resume with the same configuration, or start a new run.",
        )


def share_of_repeats(split: Split) -> float:
    """How many of the training targets repeat an earlier item of their user."""
    user = np.searchsorted(split.offsets, np.arange(len(split.items)), side="right")
    pair = user * (split.items.max() + 1) + split.items
    first = np.zeros(len(pair), dtype=bool)
    first[np.unique(pair, return_index=True)[1]] = True
    return float(1 - first[split.train].mean())


def probe_of(split: Split, names: Sequence[str], seed: int) -> list[Row]:
    """Some users' whole histories, drawn by seed."""
    users = np.random.default_rng(seed).permutation(len(split.offsets) - 1)[:PROBES]
    events = [slice(int(split.offsets[u]), int(split.offsets[u + 1])) for u in users]
    return [Row(split.items[part], split.columns.row(names, part, split.wanted)) for part in events]

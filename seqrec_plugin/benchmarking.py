"""Several models on one split: a plan → one process a run → `benchmark.json` and `benchmark.md`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqrec_plugin import checkpoint, comparing, machine, starting, tabulating
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.comparing import Candidate, Outcome
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.planning import Entry, Plan
from seqrec_plugin.processes import child, ended
from seqrec_plugin.recbole_bridge import data_files
from seqrec_plugin.replacing import replace

JSON_FILE, MARKDOWN_FILE = "benchmark.json", "benchmark.md"
FORMAT_VERSION = 0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One run of a benchmark; `state` is `new`, `begun`, `done`, or `changed` where it must be made anew."""

    entry: Entry
    seed: int
    folder: Path
    state: str

    @property
    def name(self) -> str:
        """Its folder, relative to the benchmark's."""
        return f"{self.entry.label}/seed-{self.seed}"

    def write_config(self) -> Path:
        """The configuration that `seqrec train` gets, beside the run folder."""
        values = {**self.entry.given, "seed": self.seed}
        # JSON is YAML, and quotes a text that looks like a number.
        lines = [f"{key}: {json.dumps(value, ensure_ascii=False, default=str)}\n" for key, value in values.items()]
        file = self.folder.with_name(f"{self.folder.name}.yaml")
        replace(file, "".join(lines))
        return file


def jobs(plan: Plan, output: Path, *, force: bool = False) -> list[Job]:
    """Every run that a plan asks for, and how far it is.

    Args:
        plan: what to run.
        output: the benchmark's folder; need not exist.
        force: make runs anew whose configuration or data have changed.

    Raises:
        WrongUsage: `bad_value` where a run that is there has another configuration, with its keys.
        BadData: `run_invalid`, `dataset_missing`.
    """
    found = []
    of_any = next(entry.resolved for entry in plan.entries if entry.resolved is not None)
    fingerprint = data_files.sha256(data_files.data_file(of_any))
    for entry in plan.entries:
        for seed in entry.seeds:
            folder = output / entry.label / f"seed-{seed}"
            state = "new"
            if (folder / checkpoint.CONFIG_FILE).is_file():
                run = RunFolder(folder)
                changed = starting.changed_keys(run, entry.with_seed(seed))
                if run.finished:  # then the data are known by their hash, wherever they lie
                    changed = [key for key in changed if key != "data_path"]
                    if RunFolder.open(folder).info.data_sha256 != fingerprint:
                        changed.append("the data")
                state = "changed" if changed else "done" if run.finished else "begun"
                if changed and not force:
                    raise WrongUsage(
                        "bad_value",
                        f"{folder} was made with other values of {', '.join(changed)}.",
                        "Give --force to make such runs anew, or another output folder.",
                    )
            found.append(Job(entry, seed, folder, state))
    return found


class Benchmark:
    """A plan at work in its folder.

    Args:
        plan: what to run.
        output: the folder, made here.
        command: what the user typed, for the table's head.
        shown: the metrics of the table; the first is the one that is tested.
        against: the label of the model that the others are tested against; None for the first.
        only: labels of the models to run; the others are left as they are. Empty for all.
        force: see `jobs`.

    Raises:
        SeqrecError: as `jobs`; `bad_value`, `output_unwritable`.
    """

    def __init__(
        self,
        plan: Plan,
        output: Path,
        *,
        command: str,
        shown: Sequence[str],
        against: str | None = None,
        only: Sequence[str] = (),
        force: bool = False,
    ) -> None:
        self.plan, self.output = plan, output
        self._command, self._shown = command, list(shown)
        self._against = plan.entry(against).label if against is not None else plan.entries[0].label
        self._only = {plan.entry(label).label for label in only}
        for name in shown:
            comparing.check(name)
        self._jobs = jobs(plan, output, force=force)
        self._reasons: dict[str, str] = {}
        self._anew: set[str] = set()
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadData("output_unwritable", f"{output} cannot be written: {error.strerror}.") from None
        self.result = self._write()

    def run(self, tell: Tell) -> None:
        """Make what is missing, one process a run, and write the tables after each.

        Args:
            tell: gets each line of progress.

        Raises:
            BadData: `splits_differ`.
            KeyboardInterrupt: after the run at work has saved itself.
        """
        missing = [job for job in self._jobs if job.state != "done"]
        wanted = [job for job in missing if not self._only or job.entry.label in self._only]
        done = len(self._jobs) - len(missing)
        tell(f"{self.plan.name}: {len(self._jobs)} runs, {done} done already, {len(wanted)} to do")
        for entry in self.plan.entries:
            if entry.resolved is not None and entry.resolved.left_out and any(job.entry is entry for job in wanted):
                tell(f"{entry.label}: without what it has no option for: {', '.join(entry.resolved.left_out)}")
        for number, job in enumerate(wanted, start=1):
            tell(f"[{number}/{len(wanted)}] {job.name}{self._left(wanted[number - 1 :])}")
            reason = _train(job, tell)
            self._anew.add(job.name)
            if reason:
                self._reasons[job.name] = reason
                tell(f"  {job.name} failed: {reason}")
            self.result = self._write()

    @property
    def failures(self) -> dict[str, str]:
        """Run → why it did not finish."""
        return dict(self._reasons)

    def _write(self) -> dict[str, Any]:
        candidates = []
        for entry in self.plan.entries:
            mine = [job for job in self._jobs if job.entry is entry]
            candidates.append(Candidate(entry.label, entry.model, tuple(map(self._outcome, mine))))
        result = comparing.compare(candidates, self._shown, self._against)
        runs = [run for model in result["models"] for run in model["runs"] if run["state"] == "finished"]
        first = next(entry.resolved for entry in self.plan.entries if entry.resolved is not None)
        versions: dict[str, list[str]] = {}
        for run in runs:
            for name, version in run["versions"].items():
                versions[name] = sorted({*versions.get(name, []), version})
        dates = sorted({run["date"] for run in runs} or {machine.today()})
        result = {
            "format_version": FORMAT_VERSION,
            "name": self.plan.name,
            "command": self._command,
            "machine": sorted({run["machine"] for run in runs} or {machine.processor()}),
            "threads": sorted({run["threads"] for run in runs}),
            "date": sorted({dates[0], dates[-1]}),
            "versions": versions,
            "seeds": sorted({job.seed for job in self._jobs}),
            "valid_metric": first.values["valid_metric"],
            **result,
        }
        replace(self.output / JSON_FILE, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        replace(self.output / MARKDOWN_FILE, tabulating.to_markdown(result))
        return result

    def _outcome(self, job: Job) -> Outcome:
        reason = self._reasons.get(job.name, "")
        current = job.state != "changed" or job.name in self._anew
        if current and not reason and RunFolder(job.folder).finished:
            return Outcome(job.seed, job.name, RunFolder.open(job.folder))
        return Outcome(job.seed, job.name, None, reason or ("not run yet" if current else "of another configuration"))

    def _left(self, wanted: Sequence[Job]) -> str:
        """How long the runs to do may take: as long as the model's other runs, or as its time limit."""
        total = 0.0
        for job in wanted:
            (model,) = (model for model in self.result["models"] if model["label"] == job.entry.label)
            known = [run["seconds"] for run in model["runs"] if run.get("seconds")]
            seconds = sum(known) / len(known) if known else float(job.entry.given.get("time_limit") or 0)
            if not seconds:
                return ""
            total += seconds
        return f", some {total / 60:.0f} min to go" if total >= 60 else ", less than a minute to go"


def _train(job: Job, tell: Tell) -> str:
    """Train one run in a process of its own; returns why it failed, or nothing."""
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "seqrec_plugin.cli", "train", str(job.write_config()), "-o", str(job.folder)]
    command += ["--json"]  # its own table would only stand in the way
    command += {"begun": ["--resume"], "changed": ["--force"]}.get(job.state, [])
    last = ""
    with child(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            line = line.rstrip()
            # Not the configuration, which is in the run's config.yaml, nor the error, which is told by the caller.
            if line and not line.startswith(("  ", "Error: ")):
                tell(f"  {line}")
            last = line.strip() or last
    return ended(process, last)

"""What is wrong with this installation, and what to do about it.

Standard library only: it must run where numpy is broken. `gather` looks at the machine; each check is a function from
these facts to findings, so that any machine can be written down in a test.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

Level = Literal["error", "warning", "note"]

#: Package → the module that a user of it imports. `recbole.quick_start` is what pulls in ray.
SERVING = {"click": "click", "msgspec": "msgspec", "PyYAML": "yaml", "numpy": "numpy", "onnxruntime": "onnxruntime"}
TRAINING = {
    "torch": "torch",
    "recbole": "recbole.quick_start",
    "pandas": "pandas",
    "scipy": "scipy.sparse",
    "onnx": "onnx",
    "safetensors": "safetensors",
    "rich": "rich",
}
_ALSO = ("seqrec-plugin", "ray", "setuptools", "optuna")

_FRESH = "python3.11 -m venv .venv && .venv/bin/pip install 'seqrec-plugin[train]'"
_REINSTALL = "pip install --upgrade 'seqrec-plugin[train]'"
_IMPORT_SECONDS = 120
# What lies in the current folder is no installed package's module. The reason is the last line of stderr, cut short:
# numpy's runs over twenty lines.
_IMPORT = """
import sys
sys.path = [folder for folder in sys.path if folder]
try:
    import {module}
except BaseException as error:
    sys.exit(" ".join(f"{{type(error).__name__}}: {{error}}".split())[:300])
"""
#: Up to so many cores a second OpenMP thread that spins can cost more than it brings.
_FEW_CORES = 4


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing: an error keeps training or serving from working, a warning slows or endangers it."""

    level: Level
    what: str
    fix: str = ""


@dataclass(frozen=True)
class Facts:
    """What the checks look at.

    Args:
        python: version of the interpreter.
        system: as `platform.system()` says it.
        versions: package → its version, None where it is not installed.
        broken: package → why its module does not import; only for installed ones.
        cores: those that this process may use.
        quota: how many cores' worth of time the control group grants, None for all.
        environ: environment variables.
    """

    python: tuple[int, int, int] = (3, 11, 0)
    system: str = "Linux"
    versions: Mapping[str, str | None] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    cores: int = 8
    quota: float | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    def has(self, package: str) -> bool:
        """Whether a package is installed."""
        return self.versions.get(package) is not None

    def at_least(self, package: str, *version: int) -> bool:
        """Whether a package is installed in this version or a later one."""
        found = self.versions.get(package)
        return found is not None and _numbers(found) >= version

    @property
    def wants_training(self) -> bool:
        """Whether some of [train] is here, and not only a library that serving may have brought by itself."""
        return self.has("torch") or self.has("recbole")


def gather(root: Path = Path("/"), serving_only: bool = False) -> Facts:
    """Look at this machine. Takes some seconds: each package is imported in a process of its own.

    Args:
        root: where `/proc` and `/sys` are.
        serving_only: leave out what only training needs.
    """
    packages = [*SERVING, "seqrec-plugin"] if serving_only else [*SERVING, *TRAINING, *_ALSO]
    versions = {package: _version(package) for package in packages}
    modules = {package: module for package, module in (SERVING | TRAINING).items() if versions.get(package)}
    # Two at a time: more would only wait for each other, and for memory.
    with ThreadPoolExecutor(max_workers=2) as pool:
        reasons = dict(zip(modules, pool.map(import_problem, modules.values()), strict=True))
    return Facts(
        python=sys.version_info[:3],
        system=platform.system(),
        versions=versions,
        broken={package: reason for package, reason in reasons.items() if reason},
        cores=_cores(),
        quota=cpu_quota(root),
        environ=dict(os.environ),
    )


def diagnose(facts: Facts, serving_only: bool = False) -> list[Finding]:
    """All findings, the worst first; those on training alone may be left out."""
    checks = SERVING_CHECKS if serving_only else CHECKS
    found = [finding for check in checks for finding in check(facts)]
    order: dict[Level, int] = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def import_problem(module: str, seconds: float = _IMPORT_SECONDS) -> str | None:
    """Why a module does not import, tried in a process of its own, so that a crash ends only that; None if it does."""
    code = _IMPORT.format(module=module)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done after {seconds:g} seconds"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"the process was ended by signal {-done.returncode}"
    lines = done.stderr.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {done.returncode}")


def cpu_quota(root: Path = Path("/")) -> float | None:
    """How many cores' worth of time the control group (version 2 or 1) of this process grants; None for all."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    mount = root / "sys/fs/cgroup"
    quotas = []
    for line in groups:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = mount / controllers if controllers else mount
        # A limit on any group above holds too; in a container the path may name a folder outside of it.
        folder = base / path.strip("/")
        for group in (folder, *folder.parents):
            quotas.append(_quota(group))
            if group == base:
                break
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(group: Path) -> float | None:
    try:
        if (group / "cpu.max").is_file():
            limit, period = (group / "cpu.max").read_text().split()
        else:
            limit = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        return None if limit in ("max", "-1") else int(limit) / int(period)
    except (OSError, ValueError):
        return None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """2.13.0+cpu → (2, 13, 0)."""
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _serving(facts: Facts) -> Iterator[Finding]:
    missing = [package for package in SERVING if not facts.has(package)]
    if missing:
        yield Finding("error", f"serving: not installed: {', '.join(missing)}", "pip install seqrec-plugin")


def _training(facts: Facts) -> Iterator[Finding]:
    missing = [package for package in TRAINING if not facts.has(package)]
    if not facts.wants_training:
        # On a later Python `_python` says what to do; pip there installs nothing for [train].
        fix = "pip install 'seqrec-plugin[train]'" if facts.python < (3, 12) else _FRESH
        yield Finding("error", "training: not installed (serving does not need it)", fix)
    elif missing:
        yield Finding("error", f"training: not installed: {', '.join(missing)}", _REINSTALL)


def _python(facts: Facts) -> Iterator[Finding]:
    found = ".".join(map(str, facts.python[:2]))
    if facts.python >= (3, 12):
        level: Level = "error" if facts.wants_training else "note"
        yield Finding(
            level,
            f"training needs Python 3.11, and this is {found}: RecBole needs ray 2.6, which has no wheel past 3.11",
            _FRESH,
        )
    elif facts.python < (3, 11):
        yield Finding(
            "note", f"training is tested on Python 3.11, and this is {found}", "Use Python 3.11 if anything is odd."
        )


def _system(facts: Facts) -> Iterator[Finding]:
    if facts.system == "Windows":
        yield Finding("note", "training is not tested on Windows; serving is meant to work", "Train on Linux or macOS.")


def _onnxruntime(facts: Facts) -> Iterator[Finding]:
    if facts.python >= (3, 11):
        return
    what = "onnxruntime has no wheel for Python 3.10 from 1.24 on"
    if not facts.has("onnxruntime"):
        yield Finding("error", what, "pip install 'onnxruntime<1.24', or use Python 3.11 or later")
    else:
        yield Finding("note", what, "Stay below 1.24, or use Python 3.11 or later.")


def _numpy(facts: Facts) -> Iterator[Finding]:
    if facts.has("recbole") and facts.at_least("numpy", 2):
        version = facts.versions["numpy"]
        yield Finding("error", f"numpy {version}: RecBole uses names that numpy 2 removed", "pip install 'numpy<2'")


def _pandas(facts: Facts) -> Iterator[Finding]:
    if facts.has("recbole") and facts.at_least("pandas", 3):
        version = facts.versions["pandas"]
        yield Finding("error", f"pandas {version}: RecBole relies on what pandas 3 changed", "pip install 'pandas<3'")


def _setuptools(facts: Facts) -> Iterator[Finding]:
    if not facts.has("ray"):
        return
    fix = "pip install 'setuptools<81'"
    if not facts.has("setuptools"):
        yield Finding("error", "setuptools is not installed: ray imports its pkg_resources", fix)
    elif facts.at_least("setuptools", 81):
        version = facts.versions["setuptools"]
        yield Finding("error", f"setuptools {version}: ray imports pkg_resources, which later setuptools drop", fix)


def _recbole(facts: Facts) -> Iterator[Finding]:
    version = facts.versions.get("recbole")
    if version not in (None, "1.2.1"):
        yield Finding("error", f"recbole {version}: the plugin knows 1.2.1", "pip install 'recbole==1.2.1'")


def _torch(facts: Facts) -> Iterator[Finding]:
    if facts.has("torch") and not facts.at_least("torch", 2, 6):
        version = facts.versions["torch"]
        yield Finding("error", f"torch {version}: training is built for 2.6 and later", "pip install 'torch>=2.6'")
    elif facts.has("torch") and facts.has("recbole"):
        yield Finding(
            "note",
            "torch.load, from 2.6 on, refuses the checkpoints that a plain RecBole writes for its own models",
            "Nothing to do for our models and for `seqrec train`: those checkpoints load safely.",
        )


def _imports(facts: Facts) -> Iterator[Finding]:
    for package, reason in facts.broken.items():
        part = "training" if package in TRAINING else "serving"
        release = f"{package}=={str(facts.versions.get(package)).partition('+')[0]}"
        module = (SERVING | TRAINING)[package]
        yield Finding(
            "error",
            f"{part}: `import {module}` fails: {reason}",
            f"Where no other error explains it: pip install --force-reinstall --no-deps {release}",
        )


def _threads(facts: Facts) -> Iterator[Finding]:
    usable = facts.cores if facts.quota is None else min(facts.cores, facts.quota)
    whole = max(1, int(usable))
    setting = facts.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    fix = f"export OMP_NUM_THREADS={whole}"
    if setting and not setting.isdigit():
        yield Finding("warning", f"OMP_NUM_THREADS is {setting!r}, which is not a number", fix)
    elif setting and int(setting) > usable:
        yield Finding("warning", f"OMP_NUM_THREADS is {setting}, but only {usable:g} cores may be used", fix)
    elif not setting and usable < facts.cores:
        yield Finding(
            "warning",
            f"the control group grants {usable:g} of {facts.cores} cores, but libraries start {facts.cores} threads",
            fix,
        )
    spins = facts.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE"
    if facts.wants_training and spins and setting != "1" and 1 < usable <= _FEW_CORES:
        yield Finding(
            "note",
            f"only {usable:g} cores: OpenMP threads that spin while they wait can make an epoch ten times slower",
            "`seqrec train` sees to it; for a script of your own: export OMP_WAIT_POLICY=PASSIVE",
        )


#: All checks. Each stands alone; a new one is added here.
CHECKS: tuple[Callable[[Facts], Iterable[Finding]], ...] = (
    _serving,
    _training,
    _python,
    _system,
    _onnxruntime,
    _numpy,
    _pandas,
    _setuptools,
    _recbole,
    _torch,
    _imports,
    _threads,
)
SERVING_CHECKS = (_serving, _onnxruntime, _imports)

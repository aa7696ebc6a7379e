"""Where something was measured: processor, versions, date, memory; standard library only."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from importlib.metadata import version


def describe(threads: int | None = None) -> str:
    """One line for a person: processor, cores, versions and date."""
    parts = [
        processor(),
        f"threads {threads}" if threads else "",
        f"Python {platform.python_version()}, torch {version('torch')}, onnxruntime {version('onnxruntime')}",
        today(),
    ]
    return " · ".join(part for part in parts if part)


def processor() -> str:
    """Processor and cores."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux: the platform's own word has to do
    return f"{model}, {os.cpu_count()} cores"


def today() -> str:
    """The date, as ISO 8601 has it."""
    return datetime.date.today().isoformat()


def memory() -> int:
    """The bytes of memory that this process holds now; 0 where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return 0


def peak_memory() -> int:
    """The most bytes of memory that this process has held."""
    try:  # Linux counts in ru_maxrss the memory of the process that started this one, too
        with open("/proc/self/status", encoding="utf-8") as file:
            return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak

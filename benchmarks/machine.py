"""The line that every benchmark prints about where it ran."""

import datetime
import os
import platform
from importlib.metadata import version


def describe(threads: int | None = None) -> str:
    """Processor, cores, versions and date."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux: the platform's own word has to do
    parts = [
        f"{model}, {os.cpu_count()} cores",
        f"threads {threads}" if threads else "",
        f"Python {platform.python_version()}, torch {version('torch')}, onnxruntime {version('onnxruntime')}",
        datetime.date.today().isoformat(),
    ]
    return " · ".join(part for part in parts if part)

"""What every measurement says about its machine, and how its figures are written."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path


def machine() -> str:
    """Processor, cores, memory, kernel, Python and load, as one line."""
    model = _field("/proc/cpuinfo", "model name") or platform.machine()
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0] or 0) / 1048576
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{len(os.sched_getaffinity(0))} cores ({model}), {memory:.0f} GB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load average {load}"
    )


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0"


def milliseconds(seconds: Sequence[float]) -> str:
    """``median (10th to 90th percentile)`` in ms."""
    if len(seconds) < 2:
        return ", ".join(f"{1000 * value:.1f}" for value in seconds) or "none"
    tenths = statistics.quantiles(seconds, n=10, method="inclusive")
    return f"{1000 * statistics.median(seconds):.1f} ({1000 * tenths[0]:.1f} to {1000 * tenths[-1]:.1f})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)

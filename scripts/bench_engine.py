"""Measures engines alone, side by side, and prints Markdown: ``scripts/bench engine [--sizes 50,200,500,1000]``.

A model and an evaluator that answer at once, so that what is left is the engine: ours with the backend ``process``
(isolates nothing, as the peers do) and with Docker; OpenEvolve and ShinkaEvolve from PyPI, each in an environment of
its own below the user's cache. Engines take turns, so that a change of the machine's load meets all of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_facts import machine, table

DRIVERS = Path(__file__).parent / "bench_engines"
PEERS = {"openevolve": "openevolve==0.4.0", "shinka": "shinka-evolve==0.0.7"}
ENGINES = ("process", "docker", "openevolve", "shinka")
NAMES = {
    "process": "hyperagent, `process`",
    "docker": "hyperagent, Docker",
    "openevolve": "OpenEvolve 0.4.0",
    "shinka": "ShinkaEvolve 0.0.7",
}


@dataclass(frozen=True)
class Run:
    """One engine at one size. ``stamps``: seconds since 1970 at which variants were finished, in order."""

    engine: str
    variants: int
    stamps: Sequence[float]
    processor: float
    memory_mb: float
    disk_mb: float
    files: int

    @property
    def rate(self) -> float:
        """Variants per second between the first and the last: start-up is not the engine's speed."""
        return (len(self.stamps) - 1) / (self.stamps[-1] - self.stamps[0])

    @property
    def growth(self) -> float:
        """Time that the last tenth took over the time of the first tenth."""
        tenth = max(1, len(self.stamps) // 10)
        return (self.stamps[-1] - self.stamps[-1 - tenth]) / max(1e-9, self.stamps[tenth] - self.stamps[0])


def python_of(engine: str) -> str:
    """The interpreter for an engine's driver; a peer's environment is made where there is none."""
    if engine not in PEERS:
        return sys.executable
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hyperagent" / "peers"
    home = cache / PEERS[engine].replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        print(f"installing {PEERS[engine]} in {home} ...", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEERS[engine]], check=True)
        (home / "complete").touch()
    return str(python)


def measure(engine: str, variants: int, workers: int) -> Run:
    """Run one engine's driver in a process and a folder of its own.

    Raises:
        RuntimeError: It failed, or made no two variants.
    """
    driver = DRIVERS / f"drive_{engine if engine in PEERS else 'ours'}.py"
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{engine}-"))
    try:
        command = [python_of(engine), str(driver), str(variants), str(workers), engine, str(folder)]
        before = os.times()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            watch = _Memory(process.pid)
            output, errors = process.communicate()
            most = watch.end()
        after = os.times()
        stamps = sorted(float(word) for word in output.split() if word.replace(".", "").isdigit())
        if process.returncode or len(stamps) < 2:
            raise RuntimeError(f"{driver.name} ended with {process.returncode}: {errors[-2000:]}")
        used = after.children_user + after.children_system - before.children_user - before.children_system
        sizes = [file.stat().st_size for file in (folder / "archive").rglob("*") if file.is_file()]
        return Run(engine, len(stamps), stamps, used, most / 2**20, sum(sizes) / 1e6, len(sizes))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Memory:
    """The most resident memory (bytes) of a process and all below it; pages that they share count in each of them."""

    def __init__(self, pid: int) -> None:
        self._pid, self._most, self._ended = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self._most = max(self._most, self._now())

    def _now(self) -> int:
        parents, pages = {}, {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            parents[int(stat.parent.name)] = int(fields[1])
            pages[int(stat.parent.name)] = int(fields[21])
        ours = {self._pid}
        for _ in range(16):  # deeper than any tree of processes here
            ours |= {pid for pid, parent in parents.items() if parent in ours}
        return sum(pages.get(pid, 0) for pid in ours) * os.sysconf("SC_PAGESIZE")

    def end(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._most


def report(runs: Sequence[Run]) -> str:
    """Medians over the repeats of each engine and size."""
    rows = []
    for key in dict.fromkeys((run.engine, run.variants) for run in runs):
        same = [run for run in runs if (run.engine, run.variants) == key]

        def median(values: Sequence[float]) -> float:
            return statistics.median(values)

        rows.append(
            (
                NAMES[key[0]],
                f"{key[1]:,}",
                f"{median([run.rate for run in same]):.1f}",
                f"{median([1000 * run.processor / run.variants for run in same]):.0f}",
                f"{median([run.growth for run in same]):.2f}",
                f"{median([run.memory_mb for run in same]):.0f}",
                f"{median([run.disk_mb for run in same]):.1f} MB, {median([run.files for run in same]):,.0f} files",
            )
        )
    head = ("engine", "variants", "variants/s", "CPU ms each", "last tenth ÷ first", "resident MB", "left on disk")
    return table(head, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="50,200,500,1000", help="numbers of variants, separated by commas")
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each; medians are printed (default 1)")
    parser.add_argument("--workers", type=int, default=2, help="(default 2)")
    arguments = parser.parse_args()
    engines = arguments.engines.split(",")
    if unknown := set(engines) - set(ENGINES):
        parser.error(f"no engine {', '.join(sorted(unknown))}")
    for engine in engines:
        python_of(engine)
    print(machine())
    began, runs = time.monotonic(), []
    for size in map(int, arguments.sizes.split(",")):
        for _ in range(arguments.repeats):
            for engine in engines:
                runs.append(measure(engine, size, arguments.workers))
                print(f"{engine} {size}: {runs[-1].rate:.1f}/s", file=sys.stderr)
    print(f"\n{report(runs)}\n\n{arguments.workers} workers, {time.monotonic() - began:.0f} s, {machine()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

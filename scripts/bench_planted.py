"""Tells searches apart on a planted landscape, and prints Markdown: ``scripts/bench planted``.

Every mode runs with the same budget and seeds on ``benchmarks/planted``, once with a double that is of some help and
once with one that is none. Exit code 1 where ``dgm-h`` does not beat its ablations at p < 0.05, or where the useless
double seems to help: either can happen. Programs run in this process, so the figures are about searches alone.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from bench_facts import machine, table

from hyperagent import assembly
from hyperagent.assembly.comparing import Comparison, compared
from hyperagent.config import load_config
from hyperagent.types import Interval, Progress

CONFIG = Path(__file__).parent.parent / "benchmarks" / "planted" / "planted.toml"
ABLATIONS = ("no-archive", "no-self-improve", "best-of-n")
ALL = (*ABLATIONS, "dgm")
USELESS = ("name=useless", "models.model=planted/useless", "budget.variants=20")
USELESS_REPEATS = 5
Part = tuple[Path, int, int, Sequence[str], Sequence[str]]
"""Archive, first seed, number of seeds, modes, settings."""


class Silent:
    """An observer that has no one to tell."""

    def progress(self, progress: Progress) -> None: ...

    def message(self, text: str) -> None: ...


def part(work: Part) -> Comparison:
    """The comparison of some seeds, in an archive of its own."""
    path, first, count, modes, settings = work
    config = load_config(CONFIG, environment={}, settings=[*settings, f"seed={first}"])
    archive = assembly.open_archive(path, write=True, create=True)
    try:
        runner = assembly.ModeComparison(config, archive, Silent(), modes=modes, repeats=count, split="test")
        return runner.run()
    finally:
        archive.close()


def comparison(home: Path, repeats: int, jobs: int, modes: Sequence[str], settings: Sequence[str] = ()) -> Comparison:
    """All seeds, shared out over ``jobs`` processes."""
    size = math.ceil(repeats / jobs)
    firsts = range(1, repeats + 1, size)
    parts = [(home / f"seeds-{n}", n, min(size, repeats + 1 - n), modes, settings) for n in firsts]
    if jobs == 1:
        done = [part(parts[0])]
    else:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            done = list(pool.map(part, parts))
    names = [one.mode for one in done[0].modes]
    merged = {name: [repeat for one in done for repeat in one.modes[place].repeats] for place, name in enumerate(names)}
    return compared(merged, "test")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="seeds of every mode (default 20)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the seeds (default 1)")
    parser.add_argument("--archive", type=Path, help="folder to keep the campaigns in, and to go on with")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="planted-") as temporary:
        home = arguments.archive or Path(temporary)
        began, cpu = time.monotonic(), time.process_time()
        found = comparison(home, arguments.repeats, arguments.jobs, ABLATIONS)
        useless = comparison(home, min(USELESS_REPEATS, arguments.repeats), 1, ALL, USELESS)
        seconds, worked = time.monotonic() - began, time.process_time() - cpu
    print(
        f"{machine()}\n\n{arguments.repeats} repeats, {seconds:.0f} s ({worked:.0f} s of processor in this process)\n"
    )
    print(report(found), "\n\n## A useless model\n", report(useless), sep="\n")
    failed = faults(found, useless)
    print("\n".join(["", *(f"NOT SHOWN: {fault}" for fault in failed)]))
    return 1 if failed else 0


def report(found: Comparison) -> str:
    rows = [
        (one.mode, len(one.repeats), cell(one.median), cell(one.start), f"{one.gain.p_value:.2g}")
        for one in found.modes
    ]
    pairs = []
    for pair in found.pairs:
        test = pair.test
        names = f"{pair.reference} - {pair.other}"
        adjusted = f"{pair.adjusted:.2g}"
        pairs.append((names, cell(pair.difference), f"{test.wins} : {test.losses}", f"{test.p_value:.2g}", adjusted))
    first = table(("mode", "repeats", "median score", "generation 0", "p of the gain"), rows)
    return first + "\n\n" + table(("paired by seed", "median difference", "won : lost", "p", "p (Holm)"), pairs)


def cell(value: Interval) -> str:
    return f"{value.estimate:.2f} [{value.low:.2f}, {value.high:.2f}]"


def faults(found: Comparison, useless: Comparison) -> list[str]:
    """Which of the claims do not hold."""
    wanted = [pair for pair in found.pairs if pair.other in ABLATIONS]
    lost = [pair for pair in wanted if pair.test.p_value >= 0.05 or pair.test.wins <= pair.test.losses]
    gained = [one for one in useless.modes if one.gain.wins]
    return [f"{p.reference} beats {p.other} (p = {p.test.p_value:.2g})" for p in lost] + [
        f"a useless model gains nothing in mode {one.mode} ({one.gain.wins} repeats gained)" for one in gained
    ]


if __name__ == "__main__":
    sys.exit(main())

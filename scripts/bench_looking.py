"""How long the verbs that look take: medians of whole processes, wall clock and processor time.

scripts/make_archive.py DIR --variants 5000 --tasks 20
scripts/bench_looking.py DIR [CAMPAIGN] [REPEATS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

VERBS = ("ls", "ls {campaign}", "status {campaign}", "lineage {campaign}", "show {campaign}/{step}")


def timed(words: Sequence[str]) -> tuple[float, float]:
    """Wall-clock and processor seconds of one run."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "hyperagent", *words], check=True, capture_output=True)
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def main(words: Sequence[str]) -> int:
    archive, campaign = words[0], words[1] if len(words) > 1 else "made"
    repeats = int(words[2]) if len(words) > 2 else 5
    print(f"{'verb':<24}{'wall':>8}{'processor':>11}   seconds, medians of {repeats}")
    for verb in ("--version", *VERBS):
        line = verb.format(campaign=campaign, step=1).split()
        where = [] if verb == "--version" else ["--archive", archive]
        found = [timed([*line, *where]) for _ in range(repeats)]
        print(f"{verb:<24}{median(wall for wall, _ in found):>8.2f}{median(used for _, used in found):>11.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

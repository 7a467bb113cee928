"""Run jobs in pooled Docker sandboxes while containers, tasks and the driver are killed, and count what is left.

The driver is killed with SIGKILL at random instants during the first half of the jobs; one driver then lives through
the second half, and its memory and descriptors are read after every job. Containers are killed from outside all the
time, waiting ones too, and some tasks kill themselves, their fork server, or are killed for their time or memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench_facts import machine, table

from hyperagent.errors import SandboxLost
from hyperagent.sandbox import DockerSandbox, reaper
from hyperagent.sandbox.docker import Engine
from hyperagent.sandbox.doors import DOORS
from hyperagent.types import JobSpec, Limits, RunRequest

OWNER = "soak-sandbox"
WORKERS = 2
SETTLED = 0.3
"""Share of the last driver's jobs after which its memory must not grow any more."""
MOST_GROWTH_MB = 10.0
MOST_DESCRIPTORS = 4
LIMITS = Limits(memory_mb=128, processes=32, tmpfs_mb=32)
AGENT = b"""
import os, signal, time

class TaskAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, inputs):
        deed = inputs["deed"]
        if deed == "itself":
            os.kill(os.getpid(), signal.SIGKILL)
        elif deed == "its fork server":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        elif deed == "its time":
            time.sleep(60)
        elif deed == "its memory":
            hoard = []
            while True:
                hoard.append(bytearray(b"x") * (1 << 22))
        elif deed == "daemon":
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
        return "done", ""
"""
DEEDS = {"nothing": 12, "itself": 1, "its fork server": 1, "its time": 1, "its memory": 1, "daemon": 2}


# -- the driver: a process of its own


def drive(jobs: int, seed: int) -> None:
    """Run jobs; one JSON line each on stdout: how it ended, memory (MB) and descriptors of this process."""
    sandbox = DockerSandbox(OWNER, pool=-1)
    sandbox.prepare()
    lock = threading.Lock()

    def one(number: int) -> None:
        deed = random.Random(seed + number).choices([*DEEDS], [*DEEDS.values()])[0]
        try:
            spec = JobSpec(f"soak/{number}", {"task_agent.py": AGENT}, limits=LIMITS)
            with sandbox.session(spec) as session:
                ended = session.run(RunRequest("task", {"inputs": {"deed": deed}}, 1.0 if deed == "its time" else 20.0))
            status: str = ended.status
        except SandboxLost:
            status = "lost"
        with lock:
            print(json.dumps({"deed": deed, "status": status, "mb": memory(), "fds": descriptors()}), flush=True)

    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(one, number) for number in range(jobs)]:
            done.result()
    sandbox.reap()


def memory() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# -- the soak


@dataclass
class Tally:
    ended: Counter[str] = field(default_factory=Counter)
    drivers_killed: int = 0
    containers_killed: int = 0
    left_by_drivers: int = 0
    mb: list[float] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)

    @property
    def jobs(self) -> int:
        return sum(self.ended.values())

    def read(self, line: str) -> None:
        found: Mapping[str, object] = json.loads(line)
        self.ended[f"{found['status']} (kills {found['deed']})"] += 1
        self.mb.append(float(str(found["mb"])))
        self.fds.append(int(str(found["fds"])))


@contextlib.contextmanager
def sniper(tally: Tally, draws: random.Random, every: float) -> Iterator[None]:
    """Kills a random container of the soak every so many seconds."""
    stop = threading.Event()

    def hunt() -> None:
        engine = Engine()
        while not stop.wait(draws.uniform(0.5, 1.5) * every):
            with contextlib.suppress(SandboxLost):
                found = engine.list(f"{reaper.OWNER}={OWNER}")
                if found:
                    engine.remove(draws.choice(found)[0])
                    tally.containers_killed += 1
        engine.leave()

    thread = threading.Thread(target=hunt)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def start_driver(jobs: int, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--drive", "--jobs", str(jobs), "--seed", str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed_drivers(tally: Tally, jobs: int, draws: random.Random) -> None:
    """Drivers that die at random instants, until together they have finished so many jobs."""
    while tally.jobs < jobs:
        driver = start_driver(jobs, draws.randrange(1 << 30))
        assert driver.stdout is not None
        until = draws.randrange(1, 20)
        with driver, driver.stdout:
            for number, line in enumerate(driver.stdout, 1):
                tally.read(line)
                if number >= until or tally.jobs >= jobs:
                    time.sleep(draws.uniform(0.0, 0.5))
                    driver.kill()
                    tally.drivers_killed += 1
                    break
        tally.left_by_drivers += len(Engine().list(f"{reaper.OWNER}={OWNER}"))
    tally.mb.clear()
    tally.fds.clear()


def lasting_driver(tally: Tally, jobs: int, seed: int) -> None:
    with start_driver(jobs, seed) as driver:
        assert driver.stdout is not None
        for line in driver.stdout:
            tally.read(line)
    if driver.returncode:
        raise SystemExit(f"the driver ended with {driver.returncode}")


def left() -> int:
    """Containers and model directories of the soak that still exist."""
    markers = Path(tempfile.gettempdir()).glob(f"{DOORS}*/driver")
    mine = [marker for marker in markers if marker.read_text().startswith(OWNER + "\n")]
    return len(Engine().list(f"{reaper.OWNER}={OWNER}")) + len(mine)


def report(tally: Tally, seconds: float, orphans: int) -> list[str]:
    """Prints the table; returns what was promised and not kept."""
    settled = int(len(tally.mb) * SETTLED)
    growth = max(tally.mb[settled:]) - min(tally.mb[settled:])
    descriptors_ = max(tally.fds[settled:]) - min(tally.fds[settled:])
    rows: list[tuple[object, object]] = [
        ("jobs", f"{tally.jobs} in {seconds:.0f} s"),
        *sorted((f"ended: {name}", count) for name, count in tally.ended.items()),
        ("containers killed from outside", tally.containers_killed),
        ("drivers killed", tally.drivers_killed),
        ("containers that killed drivers left, for the next start", tally.left_by_drivers),
        ("containers and folders left after the next start", orphans),
        ("memory of the last driver, first to last job", f"{tally.mb[0]:.1f} to {tally.mb[-1]:.1f} MB"),
        ("its range once settled", f"{growth:.1f} MB"),
        ("its descriptors once settled", f"{min(tally.fds[settled:])} to {max(tally.fds[settled:])}"),
    ]
    print(f"Run with `scripts/soak sandbox --jobs {tally.jobs}` on {machine()}.\n")
    print(table(("what", "figure"), rows))
    wrong = []
    if orphans:
        wrong.append(f"{orphans} containers or folders are left")
    if growth > MOST_GROWTH_MB:
        wrong.append(f"the driver's memory moved by {growth:.1f} MB")
    if descriptors_ > MOST_DESCRIPTORS * (WORKERS + 1):
        wrong.append(f"the number of open descriptors moved by {descriptors_}")
    unkilled = [name for name in tally.ended if name.startswith("killed") and "kills it" not in name]
    if unkilled:
        wrong.append(f"programs were blamed for what they did not do: {unkilled}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak sandbox", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="at least 20")
    parser.add_argument("--seed", type=int, default=1, help="of every choice")
    parser.add_argument("--every", type=float, default=2.0, help="mean seconds between two kills of containers")
    parser.add_argument("--drive", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        drive(options.jobs, options.seed)
        return 0
    jobs, draws, tally = max(20, options.jobs), random.Random(options.seed), Tally()
    began = time.monotonic()
    with sniper(tally, random.Random(options.seed), options.every):
        killed_drivers(tally, jobs // 2, draws)
        lasting_driver(tally, jobs - tally.jobs, options.seed)
    seconds = time.monotonic() - began
    sandbox = DockerSandbox(OWNER)
    sandbox.prepare()
    wrong = report(tally, seconds, left())
    for line in wrong:
        print(f"BROKEN: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

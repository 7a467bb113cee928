"""Kill -9 a whole run at random instants, resume it to the end, and check what the archive promises.

After every kill: each outcome that was stored is still there, unchanged, once; what was spent has not shrunk. At the
end: the campaign is finished, rows, git and blobs agree, ``git fsck`` is clean, and no container is left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperagent import assembly
from hyperagent.errors import ArchiveDamaged, NotFoundError
from hyperagent.types import Outcome

SETTINGS = (
    "models.model=local/smollm2-135m",
    "models.mutation=random/uniform",
    "benchmarks.0.screen=4",
    "benchmarks.0.validation=16",
    "benchmarks.0.train=8",
)


class Broken(AssertionError):
    """A promise was not kept."""


@dataclass(frozen=True)
class Snapshot:
    """What a campaign had stored at one instant. ``outcomes``: (variant step, benchmark, split, task) -> outcome."""

    state: str
    outcomes: Mapping[tuple[int, str, str, str], Outcome]
    tokens: int
    calls: int

    def follows(self, before: Snapshot) -> None:
        """Raises Broken where something of ``before`` is gone or changed."""
        for key, outcome in before.outcomes.items():
            if self.outcomes.get(key) != outcome:
                raise Broken(f"outcome {key} was {outcome} and is {self.outcomes.get(key)}")
        if self.tokens < before.tokens or self.calls < before.calls:
            raise Broken(f"spend shrank: {before.tokens} tokens, {before.calls} calls -> {self.tokens}, {self.calls}")


def look(path: Path, name: str) -> Snapshot:
    """Read a campaign as any second process does."""
    try:
        archive = assembly.open_archive(path)
    except (NotFoundError, ArchiveDamaged):
        # Not made yet, or cut off while it was being made; an archive that was there before and is not now shows as
        # lost outcomes.
        return Snapshot("none", {}, 0, 0)
    try:
        campaign = archive.campaign(name)
    except NotFoundError:
        archive.close()
        return Snapshot("none", {}, 0, 0)
    outcomes: dict[tuple[int, str, str, str], Outcome] = {}
    for variant in archive.variants(campaign.id):
        for evaluation in archive.evaluations(variant.id):
            for outcome in archive.outcomes(evaluation.id):
                key = (variant.step, evaluation.benchmark, evaluation.split, outcome.task)
                if key in outcomes:
                    raise Broken(f"task {key} was evaluated twice")
                outcomes[key] = outcome
    spend = archive.spend(campaign.id)
    archive.close()
    return Snapshot(campaign.state, outcomes, spend.tokens, spend.calls)


def session(archive: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a session of the campaign in a process group of its own."""
    command = [sys.executable, "-m", "hyperagent", "--archive", str(archive), *words, "--plain"]
    with (archive.parent / "soak.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the engine, its model process and everything else it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def containers_left(archive: Path) -> int:
    """Containers of this archive that still exist; the count a person would get from ``docker ps -a``."""
    import docker

    from hyperagent.assembly.wiring import owner_of

    client = docker.APIClient()
    try:
        return len(client.containers(all=True, filters={"label": f"hyperagent.owner={owner_of(archive)}"}))
    finally:
        client.close()


def soak(
    home: Path,
    kills: int,
    settings: Sequence[str],
    wait: Callable[[subprocess.Popen[bytes], int], None],
    say: Callable[[str], None],
) -> Snapshot:
    """Run, kill ``kills`` times, finish.

    Args:
        home: A directory for archive, config and log.
        wait: Returns when session number ``n`` (from 0) shall be killed, or has ended.
    """
    archive, config = home / "archive", home / "soak.toml"
    config.write_text('name = "soak"\n')
    first = ["run", str(config), *(word for one in settings for word in ("--set", one))]
    before = look(archive, "soak")
    for number in range(kills):
        process = session(archive, first if before.state == "none" else ["resume", "soak"])
        wait(process, number)
        ended = process.poll()
        kill(process)
        now = look(archive, "soak")
        now.follows(before)
        fate = "killed" if ended is None else f"ended by itself with {ended}"
        say(f"session {number + 1}: {fate}; {len(now.outcomes)} outcomes, {now.calls} calls, {now.tokens} tokens")
        before = now
    words = first if before.state == "none" else ["resume", "soak"]
    process = session(archive, words)
    if process.wait() != 0:
        raise Broken(f"the last session ended with {process.returncode}: see {home / 'soak.log'}")
    last = look(archive, "soak")
    last.follows(before)
    check_end(archive, last)
    say(f"finished: {len(last.outcomes)} outcomes, {last.calls} calls, {last.tokens} tokens; archive sound")
    return last


def check_end(archive: Path, last: Snapshot) -> None:
    """Raises Broken unless the campaign is finished, the archive is sound and nothing is left running."""
    if last.state != "finished":
        raise Broken(f"the campaign is {last.state}, not finished")
    home = assembly.open_archive(archive)
    problems = home.verify()
    home.close()
    if problems:
        raise Broken(f"the archive is damaged: {problems}")
    fsck = subprocess.run(
        ["git", "-C", str(archive / "lineage.git"), "fsck", "--strict"], capture_output=True, text=True, check=False
    )
    if fsck.returncode or "error" in fsck.stderr:
        raise Broken(f"git fsck: {fsck.stderr}")
    if left := containers_left(archive):
        raise Broken(f"{left} containers are left")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--variants", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1, help="of the instants at which the run is killed")
    parser.add_argument("--longest", type=float, default=15.0, help="seconds that a session may live at most")
    parser.add_argument("--home", type=Path, required=True, help="an empty directory; archive and log stay there")
    options = parser.parse_args()
    options.home.mkdir(parents=True, exist_ok=True)
    draws = random.Random(options.seed)

    def wait(process: subprocess.Popen[bytes], number: int) -> None:
        until = time.monotonic() + draws.uniform(0.5, options.longest)
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.01)

    try:
        settings = (*SETTINGS, f"budget.variants={options.variants}")
        soak(options.home, options.kills, settings, wait, lambda text: print(text, flush=True))
    except Broken as broken:
        print(f"BROKEN: {broken}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

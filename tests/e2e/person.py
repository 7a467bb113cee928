"""Drives the command line as a person does: real processes, real Docker, a real local model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker

from hyperagent.assembly.wiring import owner_of

SMALL = (
    "models.model=local/smollm2-135m",
    "models.mutation=random/uniform",
    "benchmarks.0.screen=3",
    "benchmarks.0.validation=6",
    "benchmarks.0.train=4",
    "benchmarks.0.test=4",
)
"""A campaign of minutes, not hours: few tasks, edits drawn at random (the tasks are solved by a real model)."""


class Person:
    """Someone at a terminal with one archive.

    Args:
        home: A directory for the archive and the config file.
        source: Data set of the benchmark; the generator needs no data on the machine.
    """

    def __init__(self, home: Path, source: str = "generated") -> None:
        self.home = home
        self.source = source
        self.environment = {
            **os.environ,
            "HYPERAGENT_ARCHIVE": str(home / "archive"),
            "NO_COLOR": "1",
            "COLUMNS": "120",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "hyperagent", *words]

    def types(self, *words: str, code: int = 0, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Run one command and check its exit code."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def asks(self, *words: str, code: int = 0) -> Any:
        """Run one command with ``--json`` and read its answer."""
        return json.loads(self.types(*words, "--json", code=code).stdout)

    def settings(self, *more: str) -> list[str]:
        return [word for one in (*SMALL, f"benchmarks.0.source={self.source}", *more) for word in ("--set", one)]

    def starts(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command in the background, in a process group of its own."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.home,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def kill_everything(process: subprocess.Popen[bytes]) -> None:
    """``kill -9`` the whole run at once: the engine, its model process, everything it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def containers(archive: Path) -> list[str]:
    """Ids of all containers, running or not, that belong to an archive."""
    client = docker.APIClient()
    try:
        found = client.containers(all=True, filters={"label": f"hyperagent.owner={owner_of(archive)}"})
    finally:
        client.close()
    return [one["Id"] for one in found]

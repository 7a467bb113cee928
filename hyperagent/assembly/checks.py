"""What ``doctor`` looks at: does this machine have what a campaign needs, and if not, what mends it?"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hyperagent.errors import HyperagentError, UsageError
from hyperagent.protocols import Sandbox
from hyperagent.types import SandboxInfo

if TYPE_CHECKING:
    from hyperagent.sandbox.attacks import Finding as Finding

LEAST_FREE_GB = 2.0


@dataclass(frozen=True)
class Check:
    """One line of ``doctor``. ``missing`` means that campaigns cannot run; ``fix`` says what to do about it."""

    name: str
    state: Literal["ok", "warn", "missing"]
    detail: str
    fix: str = ""


def doctor(archive: Path) -> Sequence[Check]:
    """All checks, none of which changes anything."""
    checks = [_python(), _git(), _sqlite(), _disk(archive), _lock(archive)]
    return [*checks, *sandbox_checks(), *_models(), _benchmarks()]


def sandbox_checks() -> Sequence[Check]:
    """Docker engine, bubblewrap, and a run inside a real sandbox of the one that ``auto`` would take."""
    from hyperagent.sandbox import BubblewrapSandbox, DockerSandbox, bubblewrap_status, docker_status

    docker, bubblewrap = docker_status(), bubblewrap_status()
    if docker[0]:
        also = [Check("bubblewrap", "ok", bubblewrap[1])] if bubblewrap[0] else []
        probe = _attempt("sandbox", lambda: _sandbox_probe(DockerSandbox("doctor")), "hyperagent sandbox build")
        return [Check("docker", "ok", docker[1]), *also, probe]
    if not bubblewrap[0]:
        return [Check("docker", "missing", *docker[1:]), Check("bubblewrap", "missing", *bubblewrap[1:])]
    return [
        Check("docker", "warn", *docker[1:]),
        Check("bubblewrap", "ok", bubblewrap[1]),
        _attempt("sandbox", lambda: _sandbox_probe(BubblewrapSandbox("doctor")), "start a Docker engine"),
    ]


def _sandbox_probe(sandbox: Sandbox) -> str:
    from hyperagent.types import JobSpec, RunRequest

    sandbox.prepare()
    program = {
        "task_agent.py": b"class TaskAgent:\n    def __init__(self, model, chat_history_file):\n        pass\n"
        b"    def forward(self, inputs):\n        return 'ready', ''\n",
        "program.toml": b"",
    }
    with sandbox.session(JobSpec("doctor", program)) as session:
        result = session.run(RunRequest("task", {"model": "", "inputs": {}}, 30))
    if result.value != "ready":
        raise HyperagentError(f"a program in the sandbox ended with {result.status}: {result.error}")
    return f"{sandbox.info.backend}: {sandbox.info.isolation}; image {sandbox.info.image[:40]}"


@dataclass(frozen=True)
class AttackReport:
    """What every attack on a sandbox came to."""

    sandbox: SandboxInfo
    findings: Sequence[Finding]


def attack_sandbox(backend: str, report: Callable[[int, int], None]) -> AttackReport:
    """Run the attacks of ``hyperagent/sandbox/attacks`` against this machine's sandbox.

    Args:
        backend: ``docker``, ``bubblewrap``, ``runsc`` (gVisor as the Docker engine's runtime) or ``auto``.
        report: Gets how many attacks are over, of how many.

    Raises:
        SandboxUnavailable: There is no such sandbox here.
        UsageError: Another name.
    """
    from hyperagent.sandbox.attacks import ATTACKS, applicable, run_suite

    sandbox = _sandbox_named(backend)
    sandbox.prepare()
    try:
        attacks, done = applicable(ATTACKS, sandbox), itertools.count(1)
        findings = run_suite(sandbox, attacks, lambda finding: report(next(done), len(attacks)))
    finally:
        sandbox.reap()
    return AttackReport(sandbox.info, findings)


def _sandbox_named(backend: str) -> Sandbox:
    from hyperagent.sandbox import BubblewrapSandbox, DockerSandbox, docker_status

    if backend == "auto":
        backend = "docker" if docker_status()[0] else "bubblewrap"
    makers: dict[str, Callable[[], Sandbox]] = {
        "docker": lambda: DockerSandbox("attacks"),
        "bubblewrap": lambda: BubblewrapSandbox("attacks"),
        "runsc": lambda: DockerSandbox("attacks", runtime="runsc"),
    }
    if backend not in makers:
        raise UsageError(f"no sandbox is called {backend!r}", hint=f"one of {', '.join(makers)}, auto")
    return makers[backend]()


def _attempt(name: str, probe: Callable[[], str], fix: str) -> Check:
    try:
        return Check(name, "ok", probe())
    except HyperagentError as error:
        return Check(name, "missing", error.message, error.hint or fix)


def _python() -> Check:
    version = platform.python_version()
    state: Literal["ok", "missing"] = "ok" if sys.version_info >= (3, 11) else "missing"
    return Check("python", state, version, "" if state == "ok" else "install Python 3.11 or later")


def _git() -> Check:
    path = shutil.which("git")
    if path is None:
        return Check("git", "missing", "not found on PATH", "install git (Debian: apt-get install git)")
    out = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return Check("git", "ok", out.stdout.strip().removeprefix("git version "))


def _sqlite() -> Check:
    from hyperagent.archive import sqlite_warning

    warning = sqlite_warning()
    return Check("sqlite", "warn" if warning else "ok", f"{sqlite3.sqlite_version} {warning}".strip())


def _disk(archive: Path) -> Check:
    place = archive
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    if not os.access(place, os.W_OK):
        return Check("disk", "missing", f"{place} is not writable", "choose another place with --archive")
    if free < LEAST_FREE_GB:
        return Check("disk", "warn", f"{free:.1f} GB free at {place}", "free some space or use --archive elsewhere")
    return Check("disk", "ok", f"{free:.0f} GB free at {place}")


def _lock(archive: Path) -> Check:
    from hyperagent.archive import lock_holder

    holder = lock_holder(archive)
    if holder is None:
        return Check("archive", "ok", f"{archive}: nobody writes to it")
    return Check("archive", "warn", f"{archive}: process {holder.get('pid')} writes to it", "hyperagent stop")


def _models() -> Sequence[Check]:
    from hyperagent.assembly.supplies import models

    rows = models()
    present = [row.name for row in rows if row.present]
    if present:
        return [Check("models", "ok", f"local weights: {', '.join(present)}")]
    smallest = min(rows, key=lambda row: row.size_mb)
    fix = f"hyperagent model pull {smallest.name} ({smallest.size_mb} MB), or name a provider's model in the config"
    return [Check("models", "warn", "no local weights", fix)]


def _benchmarks() -> Check:
    from hyperagent.assembly.supplies import benchmarks, describe_benchmark

    names = sorted(benchmarks())
    if not names:
        return Check("benchmarks", "missing", "no benchmark pack found", "reinstall the package")
    packs = [describe_benchmark(name) for name in names]
    generated = [pack.name for pack in packs if pack.source == "generated"]
    found = ", ".join(f"{pack.name} ({pack.source})" for pack in packs)
    if generated:
        return Check("benchmarks", "warn", found, f"hyperagent benchmark fetch {generated[0]}")
    return Check("benchmarks", "ok", found)

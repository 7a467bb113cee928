"""What a sandbox may do, as data: container options, the seccomp profile, where the shipped files lie."""

from __future__ import annotations

import compileall
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hyperagent.errors import SandboxUnavailable
from hyperagent.types import Json, Limits

STATUSES = ("ok", "error", "timeout", "memory", "killed", "output")
USER = "65534:65534"
BASE = "/tmp"
RUNTIME = "/opt/hyperagent"
MODEL_DIRECTORY = "/run/model"
MODEL_SOCKET = "model.sock"
MODEL_PORT = 8080
COMMAND = ("python3", "-s", "-P", "-B", f"{RUNTIME}/runner.py")
"""Not ``-I``: that would ignore PYTHONHASHSEED, and a replay must meet the same set order."""
ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
}
_INODES = 16_384
_SHARED_MEMORY_MB = 16
_THREADS_OF_A_PROCESS = 8
"""gVisor's kernel is a process of the container: its own threads, a few for each process inside, count, too."""


def runtime_directory() -> Path:
    return Path(__file__).resolve().parent.parent / "runtime"


@cache
def data_directory() -> Path:
    """``sandboxes/``: beside the package in a checkout, inside it in an installed wheel.

    Raises:
        SandboxUnavailable: The installation is incomplete.
    """
    package = Path(__file__).resolve().parent.parent
    for candidate in (package.parent / "sandboxes", package / "_data" / "sandboxes"):
        if (candidate / "seccomp.json").is_file():
            return candidate
    raise SandboxUnavailable(
        "the sandbox definitions (sandboxes/seccomp.json) are missing from this installation",
        hint="reinstall the package",
    )


@cache
def seccomp_profile() -> str:
    """The allow-list of system calls, as JSON text."""
    return (data_directory() / "seccomp.json").read_text()


def mounts(model_directory: Path | None) -> dict[str, str]:
    """Target -> host path of every bind mount, all read-only."""
    binds = {RUNTIME: str(runtime_directory()), "/etc/hosts": str(data_directory() / "hosts")}
    if model_directory is not None:
        binds[MODEL_DIRECTORY] = str(model_directory.resolve())
    return binds


def check_readable() -> None:
    """The sandbox's user is nobody: it must be allowed to read the mounted files.

    Raises:
        SandboxUnavailable: A mounted file is closed to others.
    """
    files = [*runtime_directory().glob("*.py"), data_directory() / "hosts"]
    for path, bits in [(runtime_directory(), 0o5), *((file, 0o4) for file in files)]:
        if os.stat(path).st_mode & bits != bits:
            raise SandboxUnavailable(
                f"{path} is not readable for everyone, so a sandbox cannot read it",
                hint=f"chmod -R o+rX {runtime_directory()} {data_directory()}",
            )


def compile_runtime() -> None:
    """Byte code of the runtime beside its source: saves every sandbox whose Python is this version 10 ms of compiling.

    Where it cannot be written, or another version reads it, the source is compiled as before.
    """
    compileall.compile_dir(runtime_directory(), quiet=2)


def host_options(limits: Limits, runtime: str = "") -> dict[str, Json]:
    """Keyword arguments of docker-py's ``create_host_config``; the hardening that no job can loosen.

    No init of the engine's: the runner is the first process itself. It adopts and ends orphans anyway, and what the
    kernel shields from every signal of its own namespace should be what watches the program.

    Args:
        runtime: OCI runtime, as the engine knows it (``runsc``); empty = the engine's default.
    """
    memory = limits.memory_mb << 20
    return {
        **({"runtime": runtime} if runtime else {}),
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={seccomp_profile()}"],
        "pids_limit": limits.processes * (_THREADS_OF_A_PROCESS if runtime.startswith("runsc") else 1),
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(limits.cpus * 1e9),
        "tmpfs": {BASE: f"rw,exec,nosuid,nodev,mode=1777,size={limits.tmpfs_mb}m,nr_inodes={_INODES}"},
        "shm_size": _SHARED_MEMORY_MB << 20,
        "log_config": {"Type": "none", "Config": {}},
        "ipc_mode": "private",
        "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}, {"Name": "nofile", "Soft": 1024, "Hard": 1024}],
    }

"""Whose leftovers are whose: a driver is a process, named by its pid, its start time and the boot it lives in."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

OWNER, DRIVER, JOB = "hyperagent.owner", "hyperagent.driver", "hyperagent.job"


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> str:
    """Clock ticks from boot to the start of a process; raises OSError where there is none."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def driver_name() -> str:
    """``boot:pid:start`` of this process; not cached, a fork is another driver."""
    return f"{_boot()}:{os.getpid()}:{_start_time(os.getpid())}"


def is_alive(driver: str) -> bool:
    """Whether the process of that name still runs. A reused pid or another boot is not it."""
    boot, _, rest = driver.partition(":")
    pid, _, start = rest.partition(":")
    if boot != _boot() or not pid.isdigit():
        return False
    try:
        return _start_time(int(pid)) == start
    except OSError:
        return False


def labels(owner: str, job: str) -> dict[str, str]:
    return {OWNER: owner, DRIVER: driver_name(), JOB: job}


def is_leftover(found: Mapping[str, str] | None, owner: str) -> bool:
    """Whether a container with these labels belongs to that owner and to a driver that is gone."""
    found = found or {}
    return found.get(OWNER) == owner and not is_alive(found.get(DRIVER, ""))


def make_folder(prefix: str, owner: str) -> Path:
    """A new temporary folder that every user may enter, marked as this driver's."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    (folder / "driver").write_text(f"{owner}\n{driver_name()}")
    return folder


def reap_folders(prefix: str, owner: str) -> int:
    """Remove what dead drivers of that owner made with :func:`make_folder`; returns how many there were."""
    count = 0
    for marker in Path(tempfile.gettempdir()).glob(f"{prefix}*/driver"):
        with contextlib.suppress(OSError, ValueError):
            whose, driver = marker.read_text().split("\n")
            if is_leftover({OWNER: whose, DRIVER: driver}, owner):
                shutil.rmtree(marker.parent, ignore_errors=True)
                count += 1
    return count

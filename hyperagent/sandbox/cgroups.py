"""Control groups for a sandbox that no container engine makes them for: v2 where delegated, v1 where writable."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperagent.errors import SandboxLost
from hyperagent.sandbox import reaper
from hyperagent.types import Limits

CONTROLLERS = ("memory", "pids", "cpu")
VIEW = "/sys/fs/cgroup"
"""Where the runtime looks for its group's counters."""
_PREFIX = "hyperagent-"
_PERIOD = 100_000
_REMOVE_SECONDS = 2.0


@dataclass(frozen=True)
class Cgroups:
    """Where this process may make groups.

    Attributes:
        version: 1 or 2.
        places: Controller -> folder in which a group is made; only controllers that work.
    """

    version: int
    places: Mapping[str, Path]

    def group(self, owner: str, name: str, limits: Limits) -> Group:
        """Make a group with these limits.

        Raises:
            SandboxLost: It cannot be made.
        """
        driver = "-".join(reaper.driver_name().split(":")[1:])
        group = Group(self, f"{_PREFIX}{owner}-{driver}-{name}")
        try:
            group.make(limits)
        except OSError as error:
            group.remove()
            raise SandboxLost(f"a control group cannot be made: {error}") from error
        return group

    def reap(self, owner: str) -> int:
        """Remove the groups of that owner whose driver is gone, with all that still runs in them."""
        boot = reaper.driver_name().partition(":")[0]
        names = {found.name for place in set(self.places.values()) for found in place.glob(f"{_PREFIX}{owner}-*-*-*")}
        gone = [name for name in names if not reaper.is_alive(":".join([boot, *name.rsplit("-", 3)[1:3]]))]
        for name in gone:
            Group(self, name).remove()
        return len(gone)


class Group:
    """One sandbox's group, in as many folders as its hierarchies have."""

    def __init__(self, cgroups: Cgroups, name: str) -> None:
        self._version = cgroups.version
        self._folders = {controller: place / name for controller, place in cgroups.places.items()}

    def make(self, limits: Limits) -> None:
        """Raises OSError."""
        for folder in set(self._folders.values()):
            folder.mkdir()
        for controller, folder in self._folders.items():
            for file, value, needed in _settings(self._version, controller, limits):
                if needed or (folder / file).exists():
                    _write(folder / file, value)

    def add(self, pid: int) -> None:
        """Move a process in; its children follow. Raises OSError."""
        for folder in set(self._folders.values()):
            _write(folder / "cgroup.procs", str(pid))

    def mounts(self) -> dict[str, str]:
        """Target -> host path: where the runtime counts the kernel's kills for lack of memory."""
        if "memory" not in self._folders:
            return {}
        return {VIEW if self._version == 2 else f"{VIEW}/memory": str(self._folders["memory"])}

    def remove(self) -> None:
        """Kill what is inside and remove the group; what cannot be removed is left to the next :meth:`Cgroups.reap`."""
        deadline = time.monotonic() + _REMOVE_SECONDS
        for folder in set(self._folders.values()):
            while not _removed(folder) and time.monotonic() < deadline:
                _kill(folder)
                time.sleep(0.002)  # dying takes the kernel a moment


def find(base: Path = Path(VIEW), membership: Path = Path("/proc/self/cgroup")) -> Cgroups | None:
    """The groups that this process may make, tried out; None where there are none."""
    try:
        own = _memberships(membership.read_text())
    except OSError:
        return None
    if not (base / "cgroup.controllers").is_file():
        places = {name: _existing(base / name, own.get(name, "/")) for name in CONTROLLERS}
        return _working(1, {name: place for name, place in places.items() if place.is_dir()})
    here = _existing(base, own.get("", "/"))
    # A group that holds processes has no groups with controllers below it: its parent may have, where that is ours.
    for place in dict.fromkeys((here, here.parent if here != base else base)):
        for name in CONTROLLERS:
            with contextlib.suppress(OSError):
                _write(place / "cgroup.subtree_control", f"+{name}")
        found = _working(2, dict.fromkeys(CONTROLLERS, place))
        if found is not None:
            return found
    return None


def _working(version: int, places: Mapping[str, Path]) -> Cgroups | None:
    """Those of the controllers under which a limited group can be made and entered."""
    working = {}
    for controller, place in places.items():
        group = Group(Cgroups(version, {controller: place}), f"{_PREFIX}probe-{os.getpid()}-{controller}")
        try:
            group.make(Limits())
            if os.access(place / "cgroup.procs", os.W_OK):  # moving a process needs it of the common parent
                working[controller] = place
        except OSError:
            continue
        finally:
            group.remove()
    return Cgroups(version, working) if working else None


def _memberships(text: str) -> dict[str, str]:
    """Controller -> this process's group, from ``/proc/self/cgroup``; "" is version 2."""
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _existing(base: Path, path: str) -> Path:
    """The group's folder; the base itself where a container shows only its own part of the tree."""
    folder = base / path.strip("/")
    return folder if folder.is_dir() else base


def _settings(version: int, controller: str, limits: Limits) -> Iterable[tuple[str, str, bool]]:
    """File, value, and whether a kernel always has it (swap accounting is optional)."""
    memory, quota = str(limits.memory_mb << 20), max(1000, int(limits.cpus * _PERIOD))
    if controller == "pids":
        return [("pids.max", str(limits.processes), True)]
    if version == 1:
        if controller == "cpu":
            return [("cpu.cfs_period_us", str(_PERIOD), True), ("cpu.cfs_quota_us", str(quota), True)]
        return [("memory.limit_in_bytes", memory, True), ("memory.memsw.limit_in_bytes", memory, False)]
    if controller == "cpu":
        return [("cpu.max", f"{quota} {_PERIOD}", True)]
    return [("memory.max", memory, True), ("memory.swap.max", "0", False)]


def _write(path: Path, text: str) -> None:
    """Not ``write_text``: that would make a file where the kernel offers none."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _kill(folder: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        for pid in (folder / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)

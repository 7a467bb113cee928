"""Keeping runs apart: nothing of one run, process or file, may reach the next."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_ROUNDS = 200
_OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def set_dumpable(allowed: bool) -> None:
    """An undumpable process keeps its descriptors and memory from other processes of the same user."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, int(allowed), 0, 0, 0)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Orphans of a run become children of this process, so that a double fork hides nothing from :func:`sweep`."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _processes() -> dict[int, tuple[int, str]]:
    """Pid -> (parent's pid, state letter) of every visible process."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except (OSError, ValueError):  # gone meanwhile
                continue
            found[int(name)] = (int(parent), state.decode())
    return found


def _descendants(keep: int) -> dict[int, str]:
    """Descendants of this process but for ``keep``, each with its state letter."""
    processes, me = _processes(), os.getpid()
    family: set[int] = {me, keep}
    grown = True
    while grown:
        children = {pid for pid, (parent, _) in processes.items() if parent in family} - family
        grown = bool(children)
        family |= children
    return {pid: processes[pid][1] for pid in family - {me, keep} if pid in processes}


def seems_childless(keep: int) -> bool:
    """Whether the kernel lists no child of this process but ``keep``. A child that ends meanwhile can hide another."""
    try:
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children", "rb") as file:
                if set(map(int, file.read().split())) - {keep}:
                    return False
    except OSError:  # a kernel built without these lists, or a thread that has just ended
        return False
    return True


def sweep(keep: int, note: Callable[[resource.struct_rusage], None] = lambda usage: None) -> bool:
    """Kill every process a run left behind, except the fork server ``keep``; True when none is left.

    Stops all before it kills them: what a fork bomb starts between two looks then shrinks to nothing.

    Args:
        note: Gets what each process had used that nobody but this one waited for.
    """
    for round_ in range(_ROUNDS):
        family = _descendants(keep)
        if not family:
            return True
        for step in (signal.SIGSTOP, signal.SIGKILL):
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, step)
        for pid in family:
            with contextlib.suppress(ChildProcessError):
                gone, _, usage = os.wait4(pid, os.WNOHANG)
                if gone:
                    note(usage)
        if round_ > 2:
            time.sleep(0.005)  # dying takes the kernel a moment
    return False


def wipe(folder: str) -> None:
    """Empty a folder whatever a program made in it.

    Raises:
        OSError: Something could not be removed.
    """
    with contextlib.suppress(PermissionError):  # where the folder is ours, a run can have closed it
        os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | stat.S_IRWXU)
    for entry in list(os.scandir(folder)):
        try:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        except (OSError, RecursionError):  # closed directories, or nested deeper than Python recurses
            subprocess.run(["chmod", "-R", "u+rwx", "--", entry.path], check=False)
            subprocess.run(["rm", "-rf", "--", entry.path], check=False)
            if os.path.lexists(entry.path):
                raise OSError("a run left files that cannot be removed") from None


def oom_kills() -> int:
    """How often the kernel killed a process of this memory group; 0 where it does not say."""
    for path in _OOM_COUNTERS:
        with contextlib.suppress(OSError, ValueError), open(path) as file:
            for line in file:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0

"""Changing what is not theirs: system files, the runtime, user ids, clocks."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

from .common import Given, files_below, in_child, opens, read

_SYSTEM = ("/", "/bin", "/sbin", "/usr", "/usr/bin", "/usr/lib", "/lib", "/etc", "/usr/local/bin", "/run", "/var")
_WRITABLE = ("/tmp", "/dev")
"""Folders of the sandbox's own; their names lie in the root folder, which is not."""
_RUNTIME = ("/opt/hyperagent", "/run/model")


def _changes(folders: Iterable[str]) -> list[str]:
    """Deletes and renames in folders, each in a form that changes nothing: a name to itself, a file made before."""
    found = []
    for folder in filter(os.path.isdir, folders):
        with contextlib.suppress(OSError):
            descriptor, made = tempfile.mkstemp(dir=folder)
            os.close(descriptor)
            os.unlink(made)
            found.append(f"made a file in {folder}")
        for name in os.listdir(folder)[:200]:
            path = os.path.join(folder, name)
            if path in _WRITABLE:
                continue
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            for what, step in _same(path, mode):
                with contextlib.suppress(OSError, NotImplementedError):
                    step()
                    found.append(f"may {what} {path}")
            if not os.path.isdir(path) and os.access(path, os.R_OK) and opens(path, os.O_WRONLY):
                found.append(f"may write {path}")
    return found[:5]


def _same(path: str, mode: int) -> list[tuple[str, Callable[[], Any]]]:
    """Steps that need the right to delete, to change the mode or the times, and leave everything as it is."""
    link = os.path.islink(path)
    return [("rename", lambda: os.rename(path, path))] + ([] if link else [("chmod", lambda: os.chmod(path, mode))])


def system_files(given: Given) -> list[str]:
    """Deleting ``/bin`` and the rest of the system."""
    return _changes(_SYSTEM)


def runtime_files(given: Given) -> list[str]:
    """The runtime's code, its byte code, the hosts file."""
    folders = [*_RUNTIME, *(os.path.join(top, "__pycache__") for top in _RUNTIME)]
    return _changes(folders) + [f"may write {path}" for path in ("/etc/hosts",) if opens(path, os.O_WRONLY)]


def temporary_folders(given: Given) -> list[str]:
    """The writable folders, closed to everybody: the runner empties them for the next run."""
    for folder in ("/tmp", "/dev/shm", os.environ["TMPDIR"], os.getcwd()):
        with contextlib.suppress(OSError):
            if os.stat(folder).st_uid == os.getuid():
                os.chmod(folder, 0)
    with contextlib.suppress(OSError):
        os.rename(os.environ["TMPDIR"], "/tmp/elsewhere")
    return []


def setuid(given: Given) -> list[str]:
    """Becoming root: by asking, by giving root a set-user-id file, by a file of root's that has the bit."""
    steps: dict[str, Callable[[], Any]] = {
        "setuid(0)": lambda: os.setuid(0),
        "setresuid(0, 0, 0)": lambda: os.setresuid(0, 0, 0),
        "setgid(0)": lambda: os.setgid(0),
        "setgroups([0])": lambda: os.setgroups([0]),
    }
    found = [what for what, step in steps.items() if in_child(functools.partial(_done, step))]
    ours = os.path.join(os.environ["TMPDIR"], "ours")
    os.close(os.open(ours, os.O_CREAT | os.O_WRONLY, 0o755))
    os.chmod(ours, 0o6755)
    with contextlib.suppress(OSError):
        os.chown(ours, 0, 0)
        found.append("gave a file to root")
    if b"NoNewPrivs:\t1\n" not in read("/proc/self/status"):
        found += [f"{entry.path} would run as another user" for entry in files_below("/") if _sets_user(entry.path)]
    return found[:5]


def _done(step: Callable[[], Any]) -> bool:
    step()
    return True


def _sets_user(path: str) -> bool:
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        return stat.S_ISREG(status.st_mode) and bool(status.st_mode & (stat.S_ISUID | stat.S_ISGID))
    return False


def clock(given: Given) -> list[str]:
    """A second that shall not count: ``time`` patched in the program. The host compares what it is told."""
    sleep = time.sleep
    time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
    sleep(1.0)
    return []


def clock_stopped(given: Given) -> list[str]:
    """A run without an end whose own clocks stand still and whose alarms are off."""
    time.time = time.monotonic = lambda: 0.0
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGXCPU, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        signal.alarm(0)

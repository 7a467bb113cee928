"""What several attacks need."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

Given = dict[str, Any]
"""What the host tells an attack:

label, target: Paths of a file on the host to read, and of one to write.
folder: The host folder that holds them.
addresses, port, udp_port, abstract, greeting: Where the host listens, and what it counts as a visitor's word.
victim: Pid, on the host, of a process of the same user.
marker: A word for the command line of processes that mean to stay.
workspace: Folder whose content is copied out, where there is one.
processes, memory_mb, tmpfs_mb: The limits to break.
"""
BAIT = re.compile(rb"canary-[0-9a-f]{32}")
"""How a secret of the host looks; the pattern does not match itself."""
REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS)


def opens(path: str, flags: int) -> bool:
    """Whether a file can be opened; nothing is read, written or cut."""
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError:
        return False
    return True


def read(path: str, size: int = 1 << 20) -> bytes:
    """What a file begins with; nothing where it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            return os.read(descriptor, size)
        finally:
            os.close(descriptor)
    return b""


def in_child(step: Callable[[], bool]) -> bool:
    """Whether a step got through in a process of its own, which may die of it."""
    pid = os.fork()
    if pid == 0:
        code = 0
        with contextlib.suppress(BaseException):
            code = int(step())
        os._exit(code)
    status = os.waitpid(pid, 0)[1]
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1


def pids() -> list[int]:
    """Every visible process but this one."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def runner() -> int:
    """The runner's pid: the parent of the fork server, which is this process's."""
    return parent(os.getppid())


def files_below(top: str, skipped: tuple[str, ...] = ("/proc", "/sys")) -> Iterator[os.DirEntry[str]]:
    """Everything that is not a folder, no link followed."""
    stack = [top]
    while stack:
        with contextlib.suppress(OSError):
            for entry in os.scandir(stack.pop()):
                if entry.is_dir(follow_symlinks=False):
                    if entry.path not in skipped:
                        stack.append(entry.path)
                else:
                    yield entry

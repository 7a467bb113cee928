"""Untrusted code in a child process of its own, spoken to in plain data only.

The child runs as the same user as the examiner, so what keeps them apart is this: it gets no descriptor but its
channel, no environment of the examiner's, and nothing on disk but what the examiner puts there; the examiner makes
itself undumpable, which closes its memory, descriptors, environment and ``ptrace`` to processes of its own user. What
the child can still do is kill the examiner: then there is no verdict, and no verdict is no score.

Standard library only; Linux only. Not safe for several threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import ClassVar

import plain
from plain import Plain

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_CHILD_SUBREAPER = 1, 4, 36
_KEPT = ("PATH", "LANG", "PYTHONPATH")
_ROUNDS = 100
_LIBC = ctypes.CDLL(None)


class CaptiveError(Exception):
    """The untrusted code did not answer; its process is dead."""


class CaptiveTimeout(CaptiveError):
    """It took too long."""


class CaptiveGone(CaptiveError):
    """Its process ended."""


class CaptiveGarbage(CaptiveError):
    """What it wrote is no message."""


class Captive:
    """A child process that runs ``python -s -B -u script arguments`` and answers through :func:`plain.serve`.

    Args:
        script: Path of the file to run; its folder is where the child imports from first.
        folder: The child's working directory.
        environment: Variables beside ``PATH``, ``LANG``, ``PYTHONPATH`` and ``PYTHONHASHSEED=0``.
        memory_mb: Address space of each of its processes; 0 = as the caller's.
        most_bytes: The longest reply that is read.

    Raises:
        OSError: It cannot be started.
    """

    _open: ClassVar[set[int]] = set()

    def __init__(
        self,
        script: str,
        arguments: Sequence[str] = (),
        *,
        folder: str,
        environment: Mapping[str, str] | None = None,
        memory_mb: int = 0,
        most_bytes: int = plain.MOST_BYTES,
    ) -> None:
        _LIBC.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
        _LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what it leaves behind comes to us, so close() finds it
        self._spared = _family(os.getpid(), set())
        self._most = most_bytes
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-B", "-u", script, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={**kept, "PYTHONHASHSEED": "0", **(environment or {}), plain.CHANNEL: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                preexec_fn=_limits(memory_mb),
            )
        except OSError:
            self._channel.close()
            raise
        finally:
            theirs.close()
        self._open.add(self._process.pid)

    def __enter__(self) -> Captive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def ask(self, message: Plain, seconds: float) -> Plain:
        """One request, one reply. After any error the child is dead and every further request fails.

        Raises:
            CaptiveTimeout, CaptiveGone, CaptiveGarbage: See there.
            TypeError, ValueError: The message is not plain.
        """
        data = plain.frame(message)
        deadline = time.monotonic() + seconds
        try:
            self._send(data, deadline)
            (size,) = struct.unpack("<I", self._receive(4, deadline))
            if size > self._most:
                raise CaptiveGarbage(f"a reply of {size} bytes; at most {self._most} are read")
            return plain.decode(self._receive(size, deadline))
        except ValueError as error:
            self.close()
            raise CaptiveGarbage(str(error)) from error
        except OSError as error:
            raise CaptiveGone(self._end()) from error
        except CaptiveError:
            self.close()
            raise

    def close(self) -> None:
        """Kill the child and everything that it started, daemons included.

        A daemon has become a child of this process by then, like any other: what was there before the child is spared.
        """
        self._open.discard(self._process.pid)
        self._channel.close()
        for _ in range(_ROUNDS):
            family = _family(os.getpid(), self._open | self._spared)
            for step in (signal.SIGSTOP, signal.SIGKILL):  # all stand still before the first dies: none slips away
                for pid in family:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, step)
            for pid in family - {self._process.pid}:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if not family:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.01)

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._wait(select.POLLOUT, deadline)
            with contextlib.suppress(BlockingIOError):
                view = view[self._channel.send(view) :]

    def _receive(self, size: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self._wait(select.POLLIN, deadline)
            part = self._channel.recv(min(size - len(parts), 1 << 20))
            if not part:
                raise CaptiveGone(self._end())
            parts += part
        return bytes(parts)

    def _wait(self, events: int, deadline: float) -> None:
        if self._channel.fileno() < 0:
            raise CaptiveGone("it is dead already")
        poll = select.poll()
        poll.register(self._channel, events)
        if not poll.poll(1000 * max(0.0, deadline - time.monotonic())):
            raise CaptiveTimeout("no answer in time")

    def _end(self) -> str:
        """Close, and say how it ended."""
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):  # its channel may be closed, and it alive
            code = self._process.wait(0.2)
        self.close()
        if code is None:
            return "it closed its channel"
        return f"it died of signal {-code}" if code < 0 else f"it exited with code {code}"


def _limits(memory_mb: int) -> Callable[[], None]:
    def apply() -> None:
        _LIBC.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory_mb:
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            space = memory_mb << 20 if hard == resource.RLIM_INFINITY else min(memory_mb << 20, hard)
            resource.setrlimit(resource.RLIMIT_AS, (space, space))

    return apply


def _family(root: int, spared: set[int]) -> set[int]:
    """Living descendants of a process, but for ``spared`` ones and theirs."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError):  # gone meanwhile
                continue
            children.setdefault(parent, []).append(int(name))
    family: set[int] = set()
    ahead = [root]
    while ahead:
        found = [pid for pid in children.get(ahead.pop(), ()) if pid not in spared]
        family.update(found)
        ahead += found
    return family

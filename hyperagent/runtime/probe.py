"""A program that looks whether its sandbox holds: run as a task, by the same way as any other program.

Its prediction is the list of what is wrong, in words. Nothing here needs the rest of the runtime.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

_AF_VSOCK = 40
_PR_GET_NO_NEW_PRIVS = 39
_CLONE_NEWUSER = 0x10000000
_PTRACE_ATTACH = 16
_NUMBERS = {
    "x86_64": {"io_uring_setup": 425, "keyctl": 250, "bpf": 321, "mount": 165, "unshare": 272, "ptrace": 101},
    "aarch64": {"io_uring_setup": 425, "keyctl": 219, "bpf": 280, "mount": 40, "unshare": 97, "ptrace": 117},
}
"""System call numbers, as in the kernel's tables."""
_REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS)
_NOWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses for documentation (RFC 5737, RFC 3849)."""


class TaskAgent:
    """``inputs``: ``{"seccomp": whether the profile is this kernel's business, "read_only": [paths]}``."""

    def __init__(self, model: str, chat_history_file: str) -> None:
        """Nothing of a model is needed."""

    def forward(self, inputs: dict[str, Any]) -> tuple[list[str], str]:
        wrong = [*_identity(), *_neighbours(), *_places(inputs["read_only"]), *_network(), *_needed()]
        if inputs["seccomp"]:
            wrong += _system_calls()
        return wrong, ""


def _identity() -> Iterator[str]:
    if 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid(), *os.getgroups()):
        yield "programs run as root or in its group"
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if int(status.get(name, "0"), 16):
            yield f"programs have capabilities ({name} {status[name]})"
    if ctypes.CDLL(None).prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
        yield "programs can gain privileges (no-new-privileges is not set)"


def _neighbours() -> Iterator[str]:
    """Who can open the descriptors of runner or fork server can read the next request and answer in their place."""
    for pid in {1, os.getppid()}:
        try:
            os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        yield f"programs can open the descriptors of process {pid}, which watches them"


def _places(read_only: list[str]) -> Iterator[str]:
    """By the table of mounts: gVisor's ``statvfs`` says nothing of read-only."""
    with open("/proc/self/mounts") as file:
        mounts = {line.split()[1]: line.split()[3].split(",") for line in file}  # the last one is on top
    for path in read_only:
        over = [place for place in mounts if (path + "/").startswith(place.rstrip("/") + "/")]
        if "ro" not in mounts[max(over, key=len)]:
            yield f"{path} is not read-only"


def _network() -> Iterator[str]:
    for family, address in _NOWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))  # sends nothing, but needs a route
        except OSError:
            continue
        yield f"there is a network: {address} has a route"


def _needed() -> Iterator[str]:
    """What programs must be able to do."""
    ran: list[int] = []
    thread = threading.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join()
    if not ran:
        yield "threads do not run"
    child = os.fork()
    if child == 0:
        os._exit(7)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 7:
        yield "fork does not work"
    for command in (["git", "--version"], ["sh", "-c", "true"], [sys.executable, "-c", "pass"]):
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            yield f"{command[0]} does not run: {error}"


def _system_calls() -> Iterator[str]:
    with open("/proc/self/status") as file:
        if "Seccomp:\t2\n" not in file:
            yield "no seccomp profile is active"
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        yield f"the seccomp profile knows no {platform.machine()}"
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: int) -> Callable[[], int]:
        return lambda: int(libc.syscall(numbers[name], *(ctypes.c_long(value) for value in arguments)))

    victim = os.fork()
    if victim == 0:
        signal.pause()
        os._exit(0)
    attempts = {
        "io_uring_setup": call("io_uring_setup", 1, 0),
        "keyctl": call("keyctl", 0, -3, 0),
        "bpf": call("bpf", 0, 0, 0),
        "mount": call("mount", 0, 0, 0, 0, 0),
        "ptrace of another process": call("ptrace", _PTRACE_ATTACH, victim, 0, 0),
        "unshare": call("unshare", _CLONE_NEWUSER),  # the last one: where it is not refused, this is another user
    }
    try:
        for name, attempt in attempts.items():
            if attempt() != -1 or ctypes.get_errno() not in _REFUSALS:
                yield f"the system call {name} is not refused"
    finally:
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    try:
        socket.socket(_AF_VSOCK, socket.SOCK_STREAM).close()
        yield "AF_VSOCK sockets are not refused"
    except OSError as error:
        if error.errno not in (*_REFUSALS, errno.EAFNOSUPPORT):
            yield "AF_VSOCK sockets are not refused"

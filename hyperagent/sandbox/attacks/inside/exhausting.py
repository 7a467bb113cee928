"""Using up what others need: processes, memory, space, output. Each stops by itself far above the limit."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import threading
import time

from .common import Given

_LIFE = 10
"""Seconds after which whatever was started here ends by itself."""


def processes(given: Given) -> list[str]:
    """A fork bomb: every child forks on, up to eight times what is allowed."""
    most = 8 * given["processes"]
    counter = mmap.mmap(-1, mmap.PAGESIZE)
    until = time.monotonic() + 1.5
    signal.alarm(_LIFE)
    while time.monotonic() < until and struct.unpack_from("I", counter)[0] < most:
        with contextlib.suppress(OSError):
            if os.fork() == 0:
                signal.alarm(_LIFE)
                continue
            struct.pack_into("I", counter, 0, struct.unpack_from("I", counter)[0] + 1)
    if os.getpgrp() != os.getpid():
        while True:
            signal.pause()
    alive = sum(name.isdigit() for name in os.listdir("/proc"))
    return [f"{alive} processes at once, {given['processes']} are allowed"] if alive > given["processes"] else []


def threads(given: Given) -> list[str]:
    """Threads count like processes. Small stacks, so that the address space is not what ends it."""
    threading.stack_size(1 << 16)
    stop, started = threading.Event(), 0
    with contextlib.suppress(RuntimeError):
        while started < 4 * given["processes"]:
            threading.Thread(target=stop.wait, args=(_LIFE,), daemon=True).start()
            started += 1
    stop.set()
    return [f"{started} threads, {given['processes']} are allowed"] if started >= given["processes"] else []


def memory(given: Given) -> list[str]:
    """A memory bomb in one process."""
    hoard = []
    for _ in range(4 * given["memory_mb"]):
        hoard.append(bytearray(b"x") * (1 << 20))
    return [f"took {len(hoard)} MB, {given['memory_mb']} are allowed"]


def memory_of_many(given: Given) -> list[str]:
    """A memory bomb of six processes, each below the limit."""
    each = given["memory_mb"] // 2
    ready, done = os.pipe()
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            signal.alarm(_LIFE)
            kept = mmap.mmap(-1, each << 20)
            for offset in range(0, each << 20, mmap.PAGESIZE):
                kept[offset] = 1
            os.write(done, b"x")
            signal.pause()
        children.append(child)
    os.close(done)
    until, alive = time.monotonic() + 4, 0
    os.set_blocking(ready, False)
    while alive < len(children) and time.monotonic() < until:
        time.sleep(0.05)
        with contextlib.suppress(BlockingIOError):
            alive += len(os.read(ready, 16))
        children = [child for child in children if os.waitpid(child, os.WNOHANG)[0] == 0]
    for child in children:
        os.kill(child, signal.SIGKILL)
    taken = len(children) * each
    held = alive >= 6 and len(children) == 6
    return [f"six processes hold {taken} MB, {given['memory_mb']} are allowed"] if held else []


def space(given: Given) -> list[str]:
    """Filling every place that can be written."""
    found = []
    for folder in (os.environ["TMPDIR"], "/dev/shm", "/tmp", "/var/tmp", "/dev", "/run"):
        written, path = 0, os.path.join(folder, "fill")
        with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
            while written < 4 * given["tmpfs_mb"] << 20:
                written += file.write(bytes(1 << 20))
        with contextlib.suppress(OSError):
            os.unlink(path)
        if written > given["tmpfs_mb"] << 20:
            found.append(f"wrote {written >> 20} MB to {folder}, {given['tmpfs_mb']} are allowed")
    return found


def inodes(given: Given) -> list[str]:
    """Empty files take no space that a size limit would count."""
    count, most = 0, 200_000
    os.chdir(os.environ["TMPDIR"])
    with contextlib.suppress(OSError):
        while count < most:
            os.close(os.open(str(count), os.O_CREAT | os.O_WRONLY))
            count += 1
    return [f"made {count} files"] if count == most else []


def output(given: Given) -> list[str]:
    """An output without an end; 256 MB here."""
    for _ in range(4096):
        os.write(1 + _ % 2, b"x" * 65536)
    return ["256 MB of output were taken"]


def answer(given: Given) -> list[str]:
    """A prediction of 64 MB."""
    return ["x" * (64 << 20)]


def descriptors(given: Given) -> list[str]:
    """As many open files as there may be."""
    kept: list[int] = []
    with contextlib.suppress(OSError):
        while len(kept) < 5000:
            kept.append(os.dup(0))
    return [f"{len(kept)} open files"] if len(kept) >= 5000 else []

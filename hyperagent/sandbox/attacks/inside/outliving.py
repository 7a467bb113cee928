"""Staying, taking the runner along, speaking in its place."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time

from .common import Given, pids, runner

_STAY = """
import os, signal, sys, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.alarm(0)
end = time.monotonic() + 30
while time.monotonic() < end:
    try: open(os.path.join('/tmp', 'run', 'beacon'), 'w').close()
    except OSError: pass
    time.sleep(0.01)
"""
"""Ends by itself, for a machine where nothing ends it."""


def daemon(given: Given) -> list[str]:
    """Double fork, own session, every signal ignored, still writing; the run itself ends at once."""
    return _stay(given)


def daemon_of_a_hang(given: Given) -> list[str]:
    """The same behind a run that never ends and ignores SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _stay(given)
    while True:
        time.sleep(1)


def _stay(given: Given) -> list[str]:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            subprocess.Popen([sys.executable, "-c", _STAY, given["marker"]], start_new_session=True)
        os._exit(0)
    time.sleep(0.3)
    return []


def first_process(given: Given) -> list[str]:
    """PID 1 of the sandbox: killed, stopped, interrupted, asked to end."""
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGABRT, signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(OSError):
            os.kill(1, number)
    time.sleep(1)
    return []


def kill_runner(given: Given) -> list[str]:
    with contextlib.suppress(OSError):
        os.kill(runner(), signal.SIGKILL)
    time.sleep(1)
    return []


def stop_runner(given: Given) -> list[str]:
    """A runner that is stopped answers nothing and ends nothing."""
    with contextlib.suppress(OSError):
        os.kill(runner(), signal.SIGSTOP)
    time.sleep(60)
    return ["the run was over its time"]


def kill_all(given: Given) -> list[str]:
    """Everything that this user may kill. Only within a namespace of processes, for the sake of other machines."""
    if given["victim"] in pids():
        return ["the processes of the host are visible"]
    os.kill(-1, signal.SIGKILL)
    time.sleep(5)
    return []


def squeeze_runner(given: Given) -> list[str]:
    """Limits and priority of the runner and the fork server: no files, no processor time, the lowest priority."""
    for pid in (os.getppid(), runner()):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, 19)
        for which, value in ((resource.RLIMIT_NOFILE, 0), (resource.RLIMIT_CPU, 1), (resource.RLIMIT_FSIZE, 0)):
            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(pid, which, (value, value))
    return []


def close_descriptors(given: Given) -> list[str]:
    """Its own descriptors, the one of its answer among them."""
    os.closerange(0, 4096)
    return []


def _forged(value: object) -> bytes:
    """An answer as the runner writes it, but for the nonce, which no program is told."""
    header = {"status": "ok", "value": value, "error": "", "transcript": "", "stdout": "", "seconds": 0, "peak_mb": 0}
    text = json.dumps({**header, "nonce": "0" * 32}).encode()
    return struct.pack("!II", len(text), 0) + text


def forge_frames(given: Given) -> list[str]:
    """Answers written to every descriptor, its own and those of every process that lets itself be opened."""
    for number in range(64):
        with contextlib.suppress(OSError):
            os.set_blocking(number, False)
            os.write(number, _forged(["forged"]))
    for pid in pids():
        for number in range(16):
            with contextlib.suppress(OSError):
                descriptor = os.open(f"/proc/{pid}/fd/{number}", os.O_WRONLY | os.O_NONBLOCK)
                os.write(descriptor, _forged(["forged"]))
                os.close(descriptor)
    return []

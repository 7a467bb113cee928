"""The fork server: preloads what programs usually import, never sees a payload, forks one fresh process per run.

Messages on its socket, one packet each: the runner sends the descriptors ``(payload, result, output)``; the fork
server answers ``{"pid": n}`` and, when that process has ended, ``{"status": wait status, "maxrss": KiB}``.
``warm``, without descriptors, is answered in kind, as soon as it can be.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket

from . import child, guard

_PRELOADED = """
argparse ast base64 collections copy csv ctypes dataclasses datetime decimal difflib enum fractions functools
glob hashlib html heapq http.client importlib inspect io itertools json logging math operator pathlib pickle
pprint queue random re resource shlex shutil socket ssl statistics string subprocess tempfile textwrap threading
time tokenize tomllib traceback types typing unicodedata urllib.error urllib.parse urllib.request uuid
"""
_WARM = b"warm"


def start(close: tuple[int, ...]) -> tuple[int, socket.socket]:
    """Fork the fork server off this still clean process; returns its pid and the socket to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    ours.close()
    for descriptor in close:  # the host's frames are none of a program's business
        os.close(descriptor)
    guard.die_with_parent()
    _serve(theirs)
    os._exit(0)


def wait(control: socket.socket) -> None:
    """Return when the fork server at the other end has loaded everything.

    Raises:
        EOFError: It has ended.
    """
    control.send(_WARM)
    if control.recv(len(_WARM)) != _WARM:
        raise EOFError


def _serve(control: socket.socket) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # imports leave little to collect, and much to look through
    for name in _PRELOADED.split():
        try:
            importlib.import_module(name)
        except ImportError:  # a Python built without it; programs meet the same
            continue
    gc.enable()
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, the shared pages
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 16, 3)
        if not message:
            return
        if message == _WARM:
            control.send(_WARM)
            continue
        try:
            pid = os.fork()
        except OSError:  # no process to be had: answer nothing, the runner gives this session up
            return
        if pid == 0:
            child.main(*descriptors)
            os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(json.dumps({"pid": pid}).encode())
        _, status, usage = os.wait4(pid, 0)
        control.send(json.dumps({"status": status, "maxrss": usage.ru_maxrss}).encode())

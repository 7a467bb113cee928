"""One writer per archive: a kernel lock that dies with its holder, and a note of who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
import weakref
from pathlib import Path
from typing import Any

from hyperagent.errors import ArchiveLocked, PrerequisiteError

LOCK_NAME = "writer.lock"
PROBE_PATIENCE = 0.5
"""Seconds a writer waits where the lock is taken but no live process claims it: a reader is probing it just then."""


class WriterLock:
    """The exclusive right to write to one archive, held from construction to :meth:`release`.

    Raises:
        ArchiveLocked: Another process (or another part of this one) holds it.
        PrerequisiteError: The folder cannot be written.
    """

    def __init__(self, home: Path) -> None:
        try:
            self._descriptor = os.open(home / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise PrerequisiteError(
                f"the archive {home} cannot be written: {error.strerror}", hint="check the folder's permissions"
            ) from error
        try:
            self._acquire(home)
        except BaseException:
            os.close(self._descriptor)
            raise
        note = {"pid": os.getpid(), "started": time.time(), "host": socket.gethostname(), "command": _command()}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(note).encode(), 0)
        _held.add(self)

    def _acquire(self, home: Path) -> None:
        deadline = time.monotonic() + PROBE_PATIENCE
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                note = _read_note(home)
                if (note is not None and _alive(note)) or time.monotonic() > deadline:
                    raise _locked(home, note) from None
                time.sleep(0.01)

    def release(self) -> None:
        """Give the right back; a second call does nothing."""
        if self in _held:
            _held.discard(self)
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)

    def forget(self) -> None:
        """Close this process's copy without freeing the lock (used after a fork, in the child)."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


_held: weakref.WeakSet[WriterLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()
    _held.clear()


# A forked child shares the lock with its parent and would keep the archive locked after the parent's death.
os.register_at_fork(after_in_child=_forget_all)


def lock_holder(home: Path) -> dict[str, Any] | None:
    """Who writes to the archive: ``{pid, started, host, command}``; None where nobody does. Never blocks."""
    note = _read_note(home)
    if note is None or not _alive(note):
        return None
    try:
        descriptor = os.open(home / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return note
    finally:
        os.close(descriptor)
    return None


def _command() -> str:
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else "python"


def _read_note(home: Path) -> dict[str, Any] | None:
    try:
        note = json.loads((home / LOCK_NAME).read_bytes())
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) and isinstance(note.get("pid"), int) else None


def _alive(note: dict[str, Any]) -> bool:
    if note.get("host") != socket.gethostname():
        return True
    try:
        os.kill(note["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _locked(home: Path, note: dict[str, Any] | None) -> ArchiveLocked:
    if note is None:
        who = "another process"
    else:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(float(note.get("started", 0))))
        who = f"process {note['pid']} on {note.get('host')} (`{note.get('command')}`, since {since})"
    return ArchiveLocked(
        f"{who} is writing to the archive {home}", hint="wait for it to end, or stop it with `hyperagent stop`"
    )

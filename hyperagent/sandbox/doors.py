"""Directories that are mounted into containers before it is known which job's model they will talk to.

When the job is known, its socket gets a second name in the container's directory. What the container sees is still the
one socket of its own job, in a directory that nobody else has: the path stays the identity.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from pathlib import Path

from hyperagent.sandbox import reaper
from hyperagent.sandbox.policy import MODEL_SOCKET

DOORS = "hyperagent-doors-"


class Doors:
    """The directories of one driver, below one folder. Safe to use from several threads."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._lock = threading.Lock()
        self._folder: Path | None = None

    def new(self) -> Path:
        """A new directory, empty and open to the sandbox's user."""
        with self._lock:
            door = Path(tempfile.mkdtemp(dir=self._place()))
            door.chmod(0o755)
            return door

    def can_admit(self, model_directory: Path | None) -> bool:
        """Whether a job's socket can get a name in one of these: a hard link does not leave its file system."""
        if model_directory is None:
            return True
        with self._lock, contextlib.suppress(OSError):
            return os.stat(self._place()).st_dev == os.stat(model_directory).st_dev
        return False

    def close(self) -> None:
        """Remove the folder, unless some container still has its directory in it."""
        with self._lock:
            if self._folder is not None and not any(entry.is_dir() for entry in os.scandir(self._folder)):
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = reaper.make_folder(DOORS, self._owner)
        return self._folder


def admit(door: Path, model_directory: Path) -> None:
    """Give a job's socket its second name. Raises OSError where that cannot be."""
    os.link(model_directory / MODEL_SOCKET, door / MODEL_SOCKET)


def remove(door: Path | None) -> None:
    """Never raises."""
    if door is not None:
        shutil.rmtree(door, ignore_errors=True)

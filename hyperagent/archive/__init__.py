"""The archive: every campaign, variant, outcome and model call of one home, in SQLite, git and compressed files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hyperagent.archive.lock import lock_holder

if TYPE_CHECKING:
    from hyperagent.archive.store import Store

__all__ = ["lock_holder", "open_archive", "sqlite_warning"]


def open_archive(path: Path, *, write: bool = False, create: bool = False) -> Store:
    """Open the archive in the folder ``path``.

    Args:
        write: As its one writer; the right is held until ``close`` or the end of the process.
        create: Make it where there is none.

    Raises:
        NotFoundError: There is no archive, and ``create`` is False.
        ArchiveLocked: ``write``, and another process writes.
        ArchiveDamaged: What is there is no archive, or not one of this release.
        PrerequisiteError: No git, no space, or no permission.
    """
    # Loading SQLAlchemy and GitPython takes longer than all of `hyperagent --help` may.
    from hyperagent.archive.store import DATABASE_NAME, Store

    if create and not write:
        if not (path / DATABASE_NAME).is_file():
            Store(path, write=True, create=True).close()
        create = False
    return Store(path, write=write, create=create)


def sqlite_warning() -> str:
    """A sentence where this Python's SQLite has the WAL-reset bug, else the empty string."""
    from hyperagent.archive.health import sqlite_warning

    return sqlite_warning()

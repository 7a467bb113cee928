"""Content-addressed bytes: small ones in the database, others in ``blobs/ab/cdef...``; all of them compressed.

``abcdef...`` is the SHA-256 of the uncompressed bytes. Small ones are rows because a recorded call is then one
durable transaction instead of five flushes of the disk, and a long campaign does not leave thousands of tiny files.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from hyperagent.errors import ArchiveDamaged, PrerequisiteError

TEMPORARY = "tmp_obj_"
"""Prefix of files that are being written; git ignores files so named among its objects."""


INLINE_LIMIT = 16_384
"""Largest compressed size, in bytes, that is kept in the database."""


def write_durably(file: Path, data: bytes, *, scratch: Path | None = None, sync_folder: bool = True) -> None:
    """Create or replace ``file`` so that a crash at any instant leaves the old state or the new one, never half.

    Args:
        scratch: Folder of the same file system for the unfinished file; None = beside ``file``.
        sync_folder: False where another file is written after this one, and only that one makes this one count.

    Raises:
        PrerequisiteError: No space, or no permission.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, dir=scratch or file.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.fsync(stream.fileno())
            os.replace(name, file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        if sync_folder:
            _sync_folder(file.parent)
    except OSError as error:
        raise PrerequisiteError(
            f"cannot write {file}: {error.strerror}", hint="check free disk space and the folder's permissions"
        ) from error


def write_all_durably(files: Mapping[Path, bytes], *, scratch: Path) -> None:
    """Create or replace several files, of which the last makes the others count. Durable when it returns.

    All are flushed at the same time, then take their names in order: a disk does not take longer for five than for
    one, and a file system that keeps the order of renames (as for one file after another) never shows the last alone.

    Raises:
        PrerequisiteError: No space, or no permission.
    """
    *_, last = files
    unfinished: dict[Path, str] = {}
    try:
        try:
            for file, data in files.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                descriptor, unfinished[file] = tempfile.mkstemp(prefix=TEMPORARY, dir=scratch)
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(data)
                    os.fchmod(stream.fileno(), 0o644)
            list(_flushers().map(_flush, unfinished.values()))
            for file in files:
                os.replace(unfinished[file], file)
                del unfinished[file]
        finally:
            for name in unfinished.values():
                Path(name).unlink(missing_ok=True)
        _sync_folder(last.parent)
    except OSError as error:
        raise PrerequisiteError(
            f"cannot write {last}: {error.strerror}", hint="check free disk space and the folder's permissions"
        ) from error


@cache
def _flushers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, thread_name_prefix="flush")


def _flush(name: str) -> None:
    descriptor = os.open(name, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> int:
    """Delete what interrupted writes left below ``folder``; returns how many files that were."""
    leftovers = list(folder.rglob(TEMPORARY + "*"))
    for file in leftovers:
        file.unlink(missing_ok=True)
    return len(leftovers)


def sync_folder(folder: Path) -> None:
    """Make the names of files in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_sync_folder = sync_folder  # under a name that is no parameter of write_durably


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Blobs:
    """The bytes of one archive. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pack(self, data: bytes) -> bytes | None:
        """What the blob's row must hold: the compressed bytes, or None where they were written to a file (durably)."""
        packed = zlib.compress(data, 6)
        if len(packed) <= INLINE_LIMIT:
            return packed
        file = self._file(digest_of(data))
        if not file.exists():
            write_durably(file, packed)
        return None

    def unpack(self, digest: str, packed: bytes | None) -> bytes:
        """The bytes of that digest, ``packed`` being what :meth:`pack` returned for them.

        Raises:
            ArchiveDamaged: Missing, or not the bytes that were stored.
        """
        try:
            data = zlib.decompress(self._file(digest).read_bytes() if packed is None else packed)
        except FileNotFoundError:
            raise damaged_blob(digest, "is missing") from None
        except (zlib.error, OSError) as error:
            raise damaged_blob(digest, f"cannot be unpacked ({error})") from error
        if digest_of(data) != digest:
            raise damaged_blob(digest, "holds other bytes than were stored")
        return data

    def _file(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest[2:]


def damaged_blob(digest: str, what: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"blob {digest} {what}", hint="restore the archive from a backup")

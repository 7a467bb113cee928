"""Program trees in and out of files. What a program leaves behind is hostile: regular files only, nothing followed."""

from __future__ import annotations

import io
import os
import stat
import tarfile

MAX_FILES = 500
_DROPPED_DIRECTORIES = (".git", "__pycache__")
_MAX_DEPTH = 16


class TooLarge(Exception):
    """A tree is over its size, file count or depth."""


def read_tar(data: bytes) -> dict[str, bytes]:
    """The files of a tar that the host packed."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                files[member.name] = content.read()
    return files


def write(folder: str, files: dict[str, bytes], *, read_only: bool = False) -> None:
    """Write files into a new folder."""
    os.mkdir(folder)
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    if read_only:
        for parent, _, names in os.walk(folder, topdown=False):
            for name in names:
                os.chmod(os.path.join(parent, name), 0o444)
            os.chmod(parent, 0o555)


def read_regular(path: str, limit: int) -> bytes | None:
    """The last ``limit`` bytes of a regular file; None for anything else (link, fifo, device, nothing)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        file.seek(max(0, status.st_size - limit))
        return file.read(limit)


def collect(folder: str, limit: int) -> bytes:
    """Tar of the regular files below a folder, links, special files, caches and ``.git`` left out.

    Raises:
        TooLarge: More than ``limit`` bytes, more than 500 files, or more than 16 levels.
    """
    total, count = 0, 0
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        stack = [("", 0)]
        while stack:
            prefix, depth = stack.pop()
            if depth > _MAX_DEPTH:
                raise TooLarge(f"the program is nested more than {_MAX_DEPTH} folders deep")
            for entry in sorted(os.scandir(os.path.join(folder, prefix)), key=lambda item: item.name):
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _DROPPED_DIRECTORIES:
                        stack.append((name + "/", depth + 1))
                    continue
                if not entry.is_file(follow_symlinks=False) or name.endswith(".pyc"):
                    continue
                total += entry.stat(follow_symlinks=False).st_size
                count += 1
                if total > limit or count > MAX_FILES:
                    raise TooLarge(f"the program is larger than {limit} bytes or {MAX_FILES} files")
                content = read_regular(entry.path, limit) or b""
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()

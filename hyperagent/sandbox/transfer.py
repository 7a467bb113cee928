"""Program trees as tar, safely: members are read in memory, nothing is ever extracted on the host."""

from __future__ import annotations

import io
import tarfile
from pathlib import PurePosixPath

from hyperagent.types import ProgramTree

MAX_FILES = 500
_MAX_NAME_BYTES = 512
_TAR_OVERHEAD = 4096
"""Most bytes of headers and padding per file: a ustar header, a pax header with its records, padding to 512."""


def pack(tree: ProgramTree) -> bytes:
    """Deterministic tar: sorted names, no times, no owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(tree):
            member = tarfile.TarInfo(name)
            member.size = len(tree[name])
            archive.addfile(member, io.BytesIO(tree[name]))
    return buffer.getvalue()


def stream_cap(max_bytes: int, max_files: int = MAX_FILES) -> int:
    """Most bytes the tar of a tree of ``max_bytes`` in ``max_files`` files can take."""
    return max_bytes + max_files * _TAR_OVERHEAD + 3 * tarfile.RECORDSIZE


def unpack(data: bytes, max_bytes: int, max_files: int = MAX_FILES) -> ProgramTree:
    """Read a hostile tar. Byte-code caches are dropped.

    Raises:
        ValueError: It holds anything but regular files under normal relative names, or is too large. Names the member.
    """
    if len(data) > stream_cap(max_bytes, max_files):
        raise ValueError(f"the archive is larger than {max_bytes} bytes")
    tree: dict[str, bytes] = {}
    total, members = 0, 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                members += 1
                if members > 2 * max_files:
                    raise ValueError(f"{member.name!r}: more than {2 * max_files} archive members")
                if member.isdir():
                    _check_name(member.name)
                    continue
                _check_member(member, tree, max_bytes - total)
                content = archive.extractfile(member)
                body = content.read() if content else b""
                if len(body) != member.size:
                    raise ValueError(f"{member.name!r}: the archive ends inside this member")
                if not is_cache(member.name):
                    total += len(body)
                    tree[member.name] = body
                    if len(tree) > max_files:
                        raise ValueError(f"{member.name!r}: more than {max_files} files")
    except (tarfile.TarError, EOFError, OverflowError) as error:
        raise ValueError(f"not a readable archive: {error}") from error
    _check_nesting(tree)
    return tree


def is_cache(name: str) -> bool:
    """Whether a path is byte code, which no program tree keeps."""
    return name.endswith(".pyc") or "__pycache__" in PurePosixPath(name).parts


def _check_member(member: tarfile.TarInfo, tree: ProgramTree, room: int) -> None:
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        raise ValueError(f"{member.name!r}: not a regular file")
    _check_name(member.name)
    if member.name in tree:
        raise ValueError(f"{member.name!r}: twice in the archive")
    if not 0 <= member.size <= room:
        raise ValueError(f"{member.name!r}: the tree is larger than allowed")


def _check_name(name: str) -> None:
    try:
        raw = name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{name!r}: the name is not UTF-8") from error
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{name!r}: not a normal relative path")
    if any(part.lower() == ".git" for part in parts):
        raise ValueError(f"{name!r}: git's own folder is not part of a program")
    if len(raw) > _MAX_NAME_BYTES or "\\" in name or any(ord(character) < 32 for character in name):
        raise ValueError(f"{name!r}: too long a name, or one with control characters or backslashes")


def _check_nesting(tree: ProgramTree) -> None:
    for name in tree:
        for parent in PurePosixPath(name).parents:
            if str(parent) in tree:
                raise ValueError(f"{name!r}: lies below a member that is a file")

"""The bundle: one file that carries a campaign from one archive to another.

A zip file, so that ``unzip -l`` shows what is in it::

    manifest.json        format, schema version, counts, and size and SHA-256 of every other member
    rows/<table>.jsonl   the rows, one JSON object a line; an event also tells the digest of the one ``previous`` to it
    git/<id>             the objects of the programs' commits, header and content, as git hashes them
    blobs/<sha256>       recorded calls, transcripts, evidence

Equal archives give equal bytes: fixed times, sorted members, canonical JSON. A bundle comes from anywhere, so
:class:`Bundle` believes nothing in it: no member is read beyond the size that the manifest promises, and none is
handed out before its hash was compared.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from hyperagent.archive.digests import canonical
from hyperagent.archive.migrations import VERSION
from hyperagent.errors import ArchiveDamaged, NotFoundError
from hyperagent.types import Json

FORMAT = "hyperagent-bundle"
TABLES = ("campaign", "variant", "evaluation", "outcome", "model_call", "event", "promotion")
"""In the order in which rows can be stored: what a row refers to comes before it."""
MANIFEST = "manifest.json"
MOST_BYTES = {"manifest": 1 << 28, "rows": 1 << 30, "git": 1 << 26, "blobs": 1 << 28}
"""Most bytes of one member, by its folder."""
MOST_IN_ALL = 1 << 36
_NAME = re.compile(rf"rows/({'|'.join(TABLES)})\.jsonl|git/[0-9a-f]{{40}}|blobs/[0-9a-f]{{64}}")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)
"""What ``zipfile`` raises for files that are broken, encrypted, or made by somebody who tries things."""


@dataclass(frozen=True)
class Member:
    """One file of a bundle that is being written; ``read`` gives its bytes when they are wanted."""

    name: str
    size: int
    sha256: str
    read: Callable[[], bytes]


def member(name: str, data: bytes) -> Member:
    return Member(name, len(data), hashlib.sha256(data).hexdigest(), lambda: data)


def write_bundle(file: BinaryIO, about: Mapping[str, Json], members: Sequence[Member]) -> Mapping[str, Json]:
    """Write a bundle; returns its manifest.

    Args:
        about: What the manifest says beside format, version and members.
    """
    listed = {one.name: {"size": one.size, "sha256": one.sha256} for one in members}
    manifest = {**about, "format": FORMAT, "version": VERSION, "members": listed}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True, compresslevel=6) as packed:
        for one in [member(MANIFEST, canonical(manifest).encode()), *sorted(members, key=lambda one: one.name)]:
            entry = zipfile.ZipInfo(one.name)  # its time is fixed: 1980-01-01
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            data = one.read()
            if len(data) != one.size:
                raise ArchiveDamaged(
                    f"{one.name} has {len(data)} bytes, not {one.size}", hint="see `hyperagent verify`"
                )
            packed.writestr(entry, data)
    return manifest


class Bundle:
    """A bundle that is being read. Use as a context manager.

    Raises:
        NotFoundError: No such file.
        ArchiveDamaged: No bundle, one of a newer release, or one whose parts are not what its manifest says.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise NotFoundError(
                f"the bundle {path} cannot be read: {error.strerror}", hint="name another file"
            ) from None
        except _BROKEN as error:
            raise damaged(f"{path} is no bundle: {error}") from None
        try:
            self._entries = self._listed()
            self.manifest = self._manifest()
            self._check_members()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def names(self, folder: str) -> list[str]:
        """What the members of a folder are called, without the folder; sorted."""
        return sorted(name.removeprefix(folder + "/") for name in self._members if name.startswith(folder + "/"))

    def sha256(self, name: str) -> str:
        """What :meth:`read` compares the member with."""
        return str(self._members[name]["sha256"])

    def read(self, name: str) -> bytes:
        """The bytes of a member, which are those that the manifest names."""
        promised = self._members.get(name)
        if promised is None:
            raise damaged(f"the bundle {self._path} lacks {name}")
        data = self._bytes(name, promised["size"])
        if hashlib.sha256(data).hexdigest() != promised["sha256"]:
            raise damaged(f"{name} in the bundle {self._path} is not what its manifest says")
        return data

    # -- below

    @property
    def _members(self) -> Mapping[str, Mapping[str, Json]]:
        return cast("Mapping[str, Mapping[str, Json]]", self.manifest["members"])

    def _listed(self) -> dict[str, zipfile.ZipInfo]:
        entries = self._zip.infolist()
        found = {entry.filename: entry for entry in entries}
        if len(found) != len(entries):
            raise damaged(f"the bundle {self._path} holds a member twice")
        if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
            raise damaged(f"the bundle {self._path} is compressed in a way that bundles are not")
        return found

    def _manifest(self) -> dict[str, Json]:
        entry = self._entries.get(MANIFEST)
        if entry is None or entry.file_size > MOST_BYTES["manifest"]:
            raise damaged(f"{self._path} is no bundle: it has no manifest")
        found = parsed(self._bytes(MANIFEST, entry.file_size), MANIFEST)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise damaged(f"{self._path} is no bundle: its manifest is of something else")
        version = found.get("version")
        if version != VERSION:
            raise ArchiveDamaged(
                f"the bundle {self._path} has schema version {str(version)[:20]}, this release reads {VERSION}",
                hint="use the hyperagent release that made it",
            )
        return found

    def _check_members(self) -> None:
        members = self.manifest.get("members")
        if not isinstance(members, dict):
            raise damaged(f"the manifest of {self._path} lists no members")
        if {*members, MANIFEST} != set(self._entries):
            raise damaged(f"the members of {self._path} are not those that its manifest lists")
        total = 0
        for name, one in members.items():
            if not _NAME.fullmatch(name):
                raise damaged(f"the bundle {self._path} holds {name[:80]!r}, which is no part of a bundle")
            size = one.get("size") if isinstance(one, dict) else None
            if type(size) is not int or not isinstance(one.get("sha256"), str):
                raise damaged(f"the manifest of {self._path} does not say what {name} is")
            total += size
            if not 0 <= size <= MOST_BYTES[name.split("/")[0]] or total > MOST_IN_ALL:
                raise damaged(f"{name} in the bundle {self._path} is too large")
            if self._entries[name].file_size != size:
                raise damaged(f"{name} in the bundle {self._path} has another size than its manifest says")
        if lacking := [table for table in TABLES if f"rows/{table}.jsonl" not in members]:
            raise damaged(f"the bundle {self._path} lacks the rows of {lacking[0]}")

    def _bytes(self, name: str, size: int) -> bytes:
        try:
            with self._zip.open(self._entries[name]) as stream:
                data = stream.read(size + 1)
        except (OSError, *_BROKEN) as error:
            raise damaged(f"{name} in the bundle {self._path} cannot be read: {error}") from None
        if len(data) != size:
            raise damaged(f"{name} in the bundle {self._path} has another size than its manifest says")
        return data


def parsed(data: bytes | str, what: str) -> Json:
    """JSON of a bundle.

    Raises:
        ArchiveDamaged: Broken, nested too deeply, or with NaN or infinity in it.
    """

    def refuse(constant: str) -> Json:
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise damaged(f"{what} in the bundle is broken JSON: {error}") from None


def damaged(what: str) -> ArchiveDamaged:
    return ArchiveDamaged(what, hint="nothing was imported; ask for the bundle again")

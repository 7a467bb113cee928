"""The assembled image as a folder in the cache: what a sandbox without a container engine has for its root."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hyperagent.errors import SandboxUnavailable
from hyperagent.sandbox import assemble
from hyperagent.sandbox.image import image_tags
from hyperagent.sandbox.packages import PLACE

NOBODY = 65534
_MOUNT_POINTS = (PLACE.lstrip("/"), "sys/fs/cgroup/memory")
"""Folders to mount on, beyond the image's own: the root is read-only by then."""
_DIGEST = "digest"


@dataclass(frozen=True)
class Root:
    """``image`` names the files: the tag of the recipe and the SHA-256 of the tar that it made."""

    folder: Path
    image: str


def ensure_root() -> Root:
    """The root file system, assembled where it is missing.

    Raises:
        SandboxUnavailable: A needed tool is missing, or there is no place for it.
    """
    tag = image_tags()[1]
    made = _keep(tag, _assemble)
    return Root(made / "root", f"{tag}@sha256:{(made / _DIGEST).read_text()}")


def visible(path: Path) -> Path:
    """The file or folder itself where the sandbox's user can get at it, else a copy in the cache.

    Programs never run as root: where the driver is root, bubblewrap starts as nobody, who may not enter /root.

    Raises:
        SandboxUnavailable: The copy cannot be made.
    """
    if open_to_nobody(path):
        return path
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    facts = [f"{file.relative_to(path)} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    name = f"{path.name}-{hashlib.sha256(os.linesep.join([str(path), *facts]).encode()).hexdigest()[:12]}"
    return _keep(name, lambda folder: _copy(path, folder)) / path.name


def open_to_nobody(path: Path) -> bool:
    """Whether nobody may read it and enter all folders above it; always true where the driver is not root."""
    if os.geteuid() != 0:
        return True
    path = path.resolve()
    own = 0o5 if path.is_dir() else 0o4
    return path.stat().st_mode & own == own and all(parent.stat().st_mode & 0o1 for parent in path.parents)


@cache
def _unwritable_hint() -> str:
    return "set HYPERAGENT_CACHE to a folder that everybody may enter" if os.geteuid() == 0 else "set HYPERAGENT_CACHE"


def _cache() -> Path:
    """Root's home is closed to the sandbox's user, so root's cache lies elsewhere."""
    base = os.environ.get("HYPERAGENT_CACHE")
    if base:
        return Path(base).expanduser() / "bubblewrap"
    home = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    return home / "hyperagent" / "bubblewrap"


def _keep(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache; made beside it and moved there, so that it is whole or not there."""
    folder = _cache() / name
    if folder.is_dir():
        return folder
    made = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
        made.chmod(0o755)
        make(made)
        try:
            os.replace(made, folder)
        except OSError:  # another process was faster, with the same content
            if not folder.is_dir():
                raise
    except (OSError, tarfile.TarError, assemble.CannotAssemble) as error:
        raise SandboxUnavailable(f"{folder} cannot be made: {error}", hint=_unwritable_hint()) from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
    if not open_to_nobody(folder):
        raise SandboxUnavailable(f"{folder} is closed to the sandbox's user", hint=_unwritable_hint())
    return folder


def _assemble(folder: Path) -> None:
    tar = folder / "image.tar"
    assemble.write_image(tar)
    with tar.open("rb") as file:
        (folder / _DIGEST).write_text(hashlib.file_digest(file, "sha256").hexdigest())
    with tarfile.open(tar) as archive:
        archive.extraction_filter = getattr(tarfile, "tar_filter", None)  # ours, with absolute links; new in 3.11.4
        archive.extractall(folder / "root")
    tar.unlink()
    for name in _MOUNT_POINTS:
        (folder / "root" / name).mkdir(parents=True, exist_ok=True)


def _copy(path: Path, folder: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, folder / path.name, symlinks=True)
    else:
        shutil.copy2(path, folder / path.name)
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            place = Path(parent, name)
            if not place.is_symlink():
                place.chmod(place.stat().st_mode | (0o555 if place.is_dir() else 0o444))

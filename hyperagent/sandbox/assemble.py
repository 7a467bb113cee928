"""An image without a registry: this machine's Python, its standard library, a few tools and their shared libraries."""

from __future__ import annotations

import io
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import cache_from_source
from pathlib import Path

PREFIX = "/opt/python"
TOOLS = """
bash sh git grep egrep sed awk find xargs diff cmp patch tar gzip which
basename cat chmod cp cut date dirname echo env expr false head id join ln ls md5sum mkdir mktemp mv nl od paste printf
pwd readlink realpath rm rmdir seq sha256sum sleep sort stat tail tee test timeout touch tr true uname uniq wc yes [
"""
_REQUIRED = ("bash", "sh", "git", "rm", "find")
_LEFT_OUT = {
    "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "dist-packages",
    "pydoc_data", "__pycache__", "distutils", "_sysconfigdata",
}  # fmt: skip
_TEST_MODULES = ("_test", "_xx", "xx", "_ctypes_test", "_tkinter")
_FILES = {
    "etc/passwd": b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
    "etc/hosts": b"127.0.0.1 localhost\n",
}
_WHEEL_LIBRARIES = (
    "libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libresolv.so.2", "libgcc_s.so.1",
    "libstdc++.so.6", "libatomic.so.1",
)  # fmt: skip
"""What wheels for Linux may expect of any system (the manylinux policy, without X11 and OpenGL)."""
_DIRECTORIES = ("tmp", "proc", "sys", "dev", "run/model", "opt/hyperagent", "root", "var/tmp")


class CannotAssemble(Exception):
    """This machine lacks something that the image needs."""


class _Image:
    """A tar being written: parents are made, nothing is added twice."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._added: set[str] = set()

    def directory(self, name: str, mode: int = 0o755) -> None:
        if name in ("", ".") or name in self._added:
            return
        self.directory(os.path.dirname(name))
        member = tarfile.TarInfo(name)
        member.type, member.mode = tarfile.DIRTYPE, mode
        self._add(member)

    def link(self, name: str, target: str) -> None:
        if name not in self._added:
            self.directory(os.path.dirname(name))
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            self._add(member)

    def data(self, name: str, data: bytes, *, mode: int = 0o644, mtime: int = 0) -> None:
        if name not in self._added:
            self.directory(os.path.dirname(name))
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), mode, mtime
            self._add(member, data)

    def file(self, name: str, source: Path) -> None:
        """Add a host file's content; the modification time stays, byte code is matched by it."""
        if name not in self._added:
            status = source.stat()
            mode = 0o755 if status.st_mode & 0o111 else 0o644
            self.data(name, source.read_bytes(), mode=mode, mtime=int(status.st_mtime))

    def _add(self, member: tarfile.TarInfo, data: bytes = b"") -> None:
        self._added.add(member.name)
        self._archive.addfile(member, io.BytesIO(data) if member.isreg() else None)


def write_image(path: Path) -> None:
    """Write the root file system as a tar.

    Raises:
        CannotAssemble: A needed tool is missing.
        OSError: Reading or writing failed.
    """
    with tarfile.open(path, "w") as archive:
        image = _Image(archive)
        for name in ("bin", "sbin", "lib", "lib64"):
            if os.path.islink(f"/{name}"):
                image.link(name, os.readlink(f"/{name}").lstrip("/"))
                image.directory(os.readlink(f"/{name}").lstrip("/"))
        for name in _DIRECTORIES:
            image.directory(name, 0o1777 if name.endswith("tmp") else 0o755)
        for name, content in _FILES.items():
            image.data(name, content)
        binaries = [*_add_tools(image), *_add_python(image)]
        _add_libraries(image, binaries)


def _place(path: str) -> str:
    """Where a host path lies in the image: the same place, folders' links resolved as the image has them."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)).lstrip("/")


def _add_tools(image: _Image) -> Iterator[Path]:
    for tool in TOOLS.split():
        found = shutil.which(tool, path="/usr/bin:/bin:/usr/local/bin")
        if found is None:
            if tool in _REQUIRED:
                raise CannotAssemble(f"this machine has no {tool}")
            continue
        source = Path(found).resolve()
        image.file("usr/bin/" + tool, source)
        yield source


def _add_python(image: _Image) -> Iterator[Path]:
    """The base interpreter and its standard library under one prefix, where it finds itself by its own location."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    image.file(f"{PREFIX[1:]}/bin/{version}", interpreter)
    for name in ("python3", "python"):
        image.link(f"usr/bin/{name}", f"{PREFIX}/bin/{version}")
    yield interpreter
    library = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}))
    target = f"{PREFIX[1:]}/lib/{version}"
    with tempfile.TemporaryDirectory(prefix="hyperagent-pyc-") as folder:
        for source in _library_files(library):
            name = f"{target}/{source.relative_to(library)}"
            image.file(name, source)
            if source.suffix == ".so":
                yield source
            elif source.suffix == ".py":
                image.file(cache_from_source(name), _byte_code(source, Path(folder), "/" + name))


def _library_files(library: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(library):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith("config-"))
        for name in sorted(names):
            if not name.endswith((".py", ".so")) or (name.endswith(".so") and name.startswith(_TEST_MODULES)):
                continue
            source = Path(parent, name)
            if source.exists():
                yield source


def _byte_code(source: Path, folder: Path, shown: str) -> Path:
    """The host's byte code where it has some, else our own."""
    ready = Path(cache_from_source(str(source)))
    if ready.is_file() and ready.stat().st_mtime >= source.stat().st_mtime:
        return ready
    made = folder / "module.pyc"
    made.unlink(missing_ok=True)
    try:
        py_compile.compile(str(source), cfile=str(made), dfile=shown, doraise=True)
    except py_compile.PyCompileError as error:
        raise CannotAssemble(f"{source} does not compile: {error}") from error
    return made


def _add_libraries(image: _Image, binaries: Iterable[Path]) -> None:
    """Shared libraries of all binaries; those off the loader's path go beside the C library, where it looks."""
    found = _libraries(binaries)
    system = next((os.path.dirname(path) for path in found if os.path.basename(path).startswith("libc.so")), "/lib")
    wheels = (os.path.join(system, name) for name in _WHEEL_LIBRARIES)
    for path in sorted(found | {path for path in wheels if os.path.isfile(path)}):
        standard = path.startswith(("/lib", "/usr/lib"))
        place = path if standard else os.path.join(system, os.path.basename(path))
        image.file(_place(place), Path(path).resolve())


def _libraries(binaries: Iterable[Path]) -> set[str]:
    """Absolute paths that ``ldd`` names."""
    listed = subprocess.run(
        ["ldd", *map(str, binaries)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    ).stdout
    words = (word for line in listed.splitlines() if not line.endswith(":") for word in line.split())
    return {word for word in words if word.startswith("/") and os.path.isfile(word)}

"""Leaving things in the folder that is copied out."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import stat
import subprocess
import sys
import tarfile
import zipfile

from .common import Given

_SWAP = """
import os, signal, sys, time
for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
os.chdir(sys.argv[2])
end = time.monotonic() + 20
while time.monotonic() < end:
    for make in (lambda n: os.symlink(sys.argv[3], n), lambda n: open(n, 'w').close(),
                 lambda n: os.link('kept', n), os.mkdir, os.mkfifo):
        try:
            make('new'); os.rename('new', 'swapped')
        except OSError:
            for clear in (os.unlink, os.rmdir):
                for name in ('new', 'swapped'):
                    try: clear(name)
                    except OSError: pass
"""


def links(given: Given) -> list[str]:
    """Symbolic links to the host's files and to the sandbox's own, as file, as folder, in a ring; hard links."""
    os.chdir(given["workspace"])
    for name, target in {"label": given["label"], "up": "../../../../etc/passwd", "ring": "ring"}.items():
        os.symlink(target, name)
    os.symlink(given["folder"], "folder")
    os.symlink("/", "root")
    for target in ("/etc/passwd", "/etc/hostname", "/proc/self/environ"):
        with contextlib.suppress(OSError):
            os.link(target, os.path.basename(target))
    return []


def swaps(given: Given) -> list[str]:
    """File, link, hard link, folder and fifo take turns under one name while the copy is made."""
    command = [sys.executable, "-c", _SWAP, given["marker"], given["workspace"], given["label"]]
    for _ in range(3):
        subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return []


def special_files(given: Given) -> list[str]:
    """A fifo that blocks its reader, a socket, devices: a disk, the memory."""
    os.chdir(given["workspace"])
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    found = []
    for name, kind, device in (("disk", stat.S_IFBLK, (8, 0)), ("memory", stat.S_IFCHR, (1, 1))):
        with contextlib.suppress(OSError):
            os.mknod(name, kind | 0o666, os.makedev(*device))
            os.unlink(name)
            found.append(f"made a device ({name})")
    return found


def sparse(given: Given) -> list[str]:
    """10 GB in one file that takes no space; where that is refused, in sixteen."""
    os.chdir(given["workspace"])
    with open("huge", "wb") as file, contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 10 << 30)
    for number in range(16):
        with open(f"large{number}", "wb") as file, contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), 700 << 20)
    return []


def bombs(given: Given) -> list[str]:
    """Archives that unpack to a hundred times the space there is: unpacked here as far as that goes, and left."""
    os.chdir(given["workspace"])
    zeros = bytes(4 << 20)
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(32):
            archive.writestr(f"{number}", zeros)
    with tarfile.open("bomb.tar.gz", "w:gz", compresslevel=1) as tar:
        for name in ("../escaped", "/escaped", *map(str, range(16))):
            member = tarfile.TarInfo(name)
            member.size = len(zeros)
            tar.addfile(member, io.BytesIO(zeros))
    target = os.path.join(os.environ["TMPDIR"], "unpacked")
    with contextlib.suppress(OSError), zipfile.ZipFile("bomb.zip") as archive:
        archive.extractall(target)
        return [f"{sum(item.file_size for item in archive.infolist()) >> 20} MB were unpacked"]
    return []


def names(given: Given) -> list[str]:
    """Names that mean something to whoever takes them for paths."""
    os.chdir(given["workspace"])
    for name in ("..\\..\\escaped", "C:\\escaped", "new\nline", "-rf", "$(escaped)", "\x1b[2J", b"\xff\xfe"):
        with contextlib.suppress(OSError), open(name, "w"):
            pass
    return []


def deep(given: Given) -> list[str]:
    """A folder two thousand levels deep, and folders that are closed to their owner."""
    os.chdir(given["workspace"])
    os.makedirs("closed/within")
    os.chmod("closed", 0)
    for _ in range(2000):
        os.mkdir("d")
        os.chdir("d")
    return []

"""What the host looks for in the result of a run."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Sequence

from hyperagent.sandbox.transfer import unpack
from hyperagent.types import RunResult

_BAIT = re.compile(rb"canary-[0-9a-f]{32}")
_NORMAL = re.compile(r"[^/\\\x00-\x1f]+(/[^/\\\x00-\x1f]+)*")


def counted_in_full(ended: RunResult) -> Sequence[str]:
    """The second that a program's own clocks denied is on the bill."""
    return [] if ended.seconds >= 1.0 else [f"only {ended.seconds:.2f} s of more than one were counted"]


def no_forgery(ended: RunResult) -> Sequence[str]:
    """An answer from elsewhere than the program's own result was taken for the runner's."""
    return ["a forged frame was taken for the runner's"] if ended.value == ["forged"] else []


def plain_files(ended: RunResult) -> Sequence[str]:
    """What was copied out is regular, normally named, small, and nobody else's content."""
    found = []
    for name, data in (ended.tree or {}).items():
        if not _NORMAL.fullmatch(name) or ".." in name.split("/"):
            found.append(f"a file named {name!r} came out")
        if _BAIT.search(data) or b"root:" in data:
            found.append(f"{name!r} holds what lies elsewhere")
        if len(data) > 1_000_000:
            found.append(f"{name!r} has {len(data)} bytes")
    return found


def only_kept(ended: RunResult) -> Sequence[str]:
    """Links, fifos, sockets and devices stay behind; the ordinary file comes out as it was."""
    found = list(plain_files(ended))
    if ended.status == "ok":
        names = set(ended.tree or {})
        if not names <= {"kept", "swapped", "passwd", "hostname", "environ"}:
            found.append(f"came out: {sorted(names)}")
        if (ended.tree or {}).get("kept") != b"kept":
            found.append("the ordinary file did not come out")
    return found


def bombs_unopened(ended: RunResult) -> Sequence[str]:
    """Archives come out as the bytes that they are."""
    names = set(ended.tree or {})
    return [
        *plain_files(ended),
        *([f"came out: {sorted(names)}"] if names - {"kept", "bomb.zip", "bomb.tar.gz"} else []),
    ]


def hostile_archives_refused(ended: RunResult) -> Sequence[str]:
    """The archive that a broken runner could send: the host's reader refuses each of its members by itself."""
    kinds = {
        "../escaped": tarfile.REGTYPE,
        "/escaped": tarfile.REGTYPE,
        "a/../../escaped": tarfile.REGTYPE,
        "link": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "fifo": tarfile.FIFOTYPE,
        "disk": tarfile.BLKTYPE,
        "memory": tarfile.CHRTYPE,
    }
    return [
        *plain_files(ended),
        *(f"a member {name!r} was taken" for name, kind in kinds.items() if _taken(name, kind)),
    ]


def _taken(name: str, kind: bytes) -> bool:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    try:
        unpack(buffer.getvalue(), 1 << 20)
    except ValueError:
        return False
    return True

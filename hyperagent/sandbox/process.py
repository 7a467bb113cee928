"""The same runner as a plain child process. It isolates nothing: for tests and like-for-like benchmarks only."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.sandbox import policy, reaper
from hyperagent.sandbox.packages import installed
from hyperagent.sandbox.session import FramedSession, OpenSessions
from hyperagent.types import JobSpec, Json, RunRequest, RunResult, SandboxInfo

WARNING = (
    "the process backend isolates nothing: programs run as you, with your files and your network; "
    "use it for tests and benchmarks only"
)
_PREFIX = "hyperagent-process-"
_CLOSE_SECONDS = 5.0
_SHOWN = "/tmp"
"""What programs' folder is called in their texts."""


class ProcessSandbox:
    """A :class:`~hyperagent.protocols.Sandbox` without any isolation.

    Args:
        owner: Names the archive whose leftovers :meth:`reap` removes.
        keep: Most idle runners that are kept for the next job; :meth:`reap` ends them.
    """

    def __init__(self, owner: str, *, keep: int = 0) -> None:
        self._owner = owner
        self._keep = keep
        self._idle: list[_Runner] = []
        self._guard = threading.Lock()
        self._packages: dict[tuple[str, ...], Path] = {}
        self._sessions = OpenSessions()

    @property
    def info(self) -> SandboxInfo:
        return SandboxInfo(backend="process", isolation="none", image=self.image(), warnings=(WARNING,))

    def image(self, packages: tuple[str, ...] = ()) -> str:
        name = "python-" + ".".join(map(str, sys.version_info[:3]))
        return f"{name}+packages-{self._packages[packages].name}" if packages in self._packages else name

    def prepare(self, packages: Iterable[tuple[str, ...]] = ()) -> None:
        if not sys.platform.startswith("linux"):
            raise SandboxUnavailable("the process backend needs Linux", hint="use sandbox.backend = docker")
        for wanted in filter(None, packages):
            self._packages[wanted] = installed(wanted, ".".join(map(str, sys.version_info[:2])))
        self.reap()

    def abort(self) -> None:
        self._sessions.abort()

    def reap(self) -> int:
        """End idle runners; remove the folders of dead drivers, whose runners ended when their stdin closed."""
        with self._guard:
            idle, self._idle = self._idle, []
        for runner in idle:
            runner.end()
        count = 0
        for marker in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/driver"):
            with contextlib.suppress(OSError, ValueError):
                owner, driver = marker.read_text().split("\n")
                if reaper.is_leftover({reaper.OWNER: owner, reaper.DRIVER: driver}, self._owner):
                    shutil.rmtree(marker.parent, ignore_errors=True)
                    count += 1
        return count

    @contextmanager
    def session(self, spec: JobSpec) -> Iterator[FramedSession]:
        if spec.packages and spec.packages not in self._packages:
            raise SandboxLost(f"the sandbox was not prepared for {', '.join(spec.packages)}", hint="call prepare()")
        runner, whole = self._take(spec.packages), False
        try:
            session = ProcessSession(runner.transport, spec, runner.base)
            session.open(spec, runner.settings(spec))
            with self._sessions.during(session):
                yield session
            whole = bool(self._keep) and not spec.packages and session.close()
        finally:
            with self._guard:
                kept = whole and len(self._idle) < self._keep
                if kept:
                    self._idle.append(runner)
            if not kept:
                runner.end()

    def _take(self, packages: tuple[str, ...]) -> _Runner:
        with self._guard:
            while self._idle and not packages:
                runner = self._idle.pop()
                if runner.transport.is_alive():
                    return runner
                runner.end()
        return _Runner(self._owner, self._packages.get(packages))


class _Runner:
    """A runner and its folder."""

    def __init__(self, owner: str, packages: Path | None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.base = str(self._folder / "tmp")
        try:
            (self._folder / "tmp").mkdir()
            (self._folder / "driver").write_text(f"{owner}\n{reaper.driver_name()}")
            self.transport = ProcessTransport(self._folder, packages)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def settings(self, spec: JobSpec) -> dict[str, Json]:
        """Of its next job. The door to the model keeps its name, so that one forwarder serves all jobs."""
        door = self._folder / "door"
        door.unlink(missing_ok=True)
        if spec.model_directory is not None:
            door.symlink_to(spec.model_directory / policy.MODEL_SOCKET)
        socket = str(door) if spec.model_directory is not None else ""
        return {"base": self.base, "shared_memory": "", "model_socket": socket, "port": 0, "alone": False}

    def end(self) -> None:
        self.transport.__exit__()
        shutil.rmtree(self._folder, ignore_errors=True)


class ProcessSession(FramedSession):
    """A session in whose texts the drawn name of its folder does not show, so that a second run has the same texts."""

    def __init__(self, transport: ProcessTransport, spec: JobSpec, base: str) -> None:
        super().__init__(transport, spec)
        self._base = base

    def run(self, request: RunRequest) -> RunResult:
        found = super().run(request)
        error, transcript = (text.replace(self._base, _SHOWN) for text in (found.error, found.transcript))
        return replace(found, error=error, transcript=transcript)


class ProcessTransport:
    """Pipes to a runner that is a child of this process. ``packages``: a folder to import from, too."""

    def __init__(self, folder: Path, packages: Path | None = None) -> None:
        python = getattr(
            sys, "_base_executable", sys.executable
        )  # a virtual environment's packages are not the image's
        environment = {**policy.ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)}
        if packages is not None:
            environment["PYTHONPATH"] = str(packages)
        runner = policy.runtime_directory() / "runner.py"
        try:
            self._process = subprocess.Popen(
                [python, "-s", "-P", "-B", str(runner)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxLost(f"the runner could not be started: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        for stream in (self._stdin, self._stdout):
            os.set_blocking(stream.fileno(), False)

    def __enter__(self) -> ProcessTransport:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._stdin.close()  # the runner clears up after itself and ends
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_SECONDS)
        self.destroy()
        self._stdout.close()

    def send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            _wait(self._stdin.fileno(), select.POLLOUT, deadline)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._stdin.fileno(), view) :]

    def receive(self, size: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            _wait(self._stdout.fileno(), select.POLLIN, deadline)
            part = os.read(self._stdout.fileno(), min(size - len(parts), 1 << 20))
            if not part:
                raise EOFError("the runner has ended")
            parts += part
        return bytes(parts)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def abort(self) -> None:
        """Kill the runner's whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def destroy(self) -> None:
        """Kill the runner's whole process group and wait for its end."""
        self.abort()
        self._process.wait()

    def verdict(self) -> str:
        try:
            return f"the runner ended with code {self._process.wait(_CLOSE_SECONDS)}"
        except subprocess.TimeoutExpired:
            return "the runner's answers are garbled"


def _wait(descriptor: int, events: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, events)
    if not poll.poll(1000 * max(0.0, deadline - time.monotonic())):
        raise TimeoutError("the runner does not answer")

"""The Docker backend: one fresh hardened container per session, frames over its attached stdin and stdout.

A container serves one job. The pool only starts it before the job is there.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.sandbox import policy, probe, reaper
from hyperagent.sandbox.doors import DOORS, Doors, admit, remove
from hyperagent.sandbox.image import ensure_image, image_python
from hyperagent.sandbox.packages import PLACE, derived_image
from hyperagent.sandbox.pool import Pool, most
from hyperagent.sandbox.session import FramedSession, OpenSessions, warm_up
from hyperagent.types import JobSpec, Limits, SandboxInfo

if TYPE_CHECKING:
    from hyperagent.sandbox.docker import Engine

_CHUNK = struct.Struct("!BxxxI")
_STDOUT = 1
_DYING_SECONDS = 3.0


@dataclass(frozen=True)
class _Kind:
    """What a container is made for, whichever job it will serve. ``limits`` without what only its runner enforces."""

    image: str
    packages: bool
    limits: Limits


class DockerSandbox:
    """A :class:`~hyperagent.protocols.Sandbox` on a Docker engine.

    Args:
        owner: Names one archive; :meth:`reap` removes leftovers of this owner only.
        image: Image to use as it is; empty = the one that :func:`build_image` makes, made when missing.
        client: The engine; None = the one that ``DOCKER_HOST`` or the default socket names.
        pool: Most containers kept started ahead of the jobs that will use them, one job each; negative = as many as
            make sense on this machine (:func:`~hyperagent.sandbox.pool.most`). :meth:`reap` empties the pool.
        runtime: OCI runtime of the engine to use, like ``runsc``; empty = its default.
    """

    def __init__(
        self, owner: str, image: str = "", client: Engine | None = None, *, pool: int = 0, runtime: str = ""
    ) -> None:
        if client is None:
            from hyperagent.sandbox.docker import Engine  # docker-py is slow to import

            client = Engine()
        self._owner = owner
        self._image = image
        self._engine = client
        self._runtime = runtime
        self._image_id = ""
        self._version = ""
        self._derived: dict[tuple[str, ...], str] = {}
        self._sessions = OpenSessions()
        self._doors = Doors(owner)
        self._pool: Pool[_Kind, DockerTransport] = Pool(self._warm, most() if pool < 0 else pool, leave=client.leave)

    @property
    def info(self) -> SandboxInfo:
        isolation = f"container/{self._runtime}" if self._runtime else "container"
        return SandboxInfo(backend="docker", isolation=isolation, image=self.image())

    def image(self, packages: tuple[str, ...] = ()) -> str:
        if packages in self._derived:
            return f"{self._image}+packages@{self._derived[packages]}"
        return f"{self._image}@{self._image_id}" if self._image_id else self._image

    def prepare(self, packages: Iterable[tuple[str, ...]] = ()) -> None:
        self._version = self._engine.check()
        policy.check_readable()
        policy.compile_runtime()
        policy.seccomp_profile()
        self._check_runtime()
        if self._image:
            found = self._engine.image_id(self._image)
            if found is None:
                raise SandboxUnavailable(
                    f"there is no image {self._image}",
                    hint="pull it, or leave sandbox.image empty to have one built",
                )
            self._image_id = found
        else:
            self._image, self._image_id = ensure_image(self._engine)
        for wanted in packages:
            if wanted and wanted not in self._derived:
                self._derived[wanted] = self._with_packages(wanted)
        self.reap()
        probe.check_once(self, (self._image_id, self._version, self._runtime), self._runtime)

    def _check_runtime(self) -> None:
        if self._runtime and self._runtime not in (known := self._engine.runtimes()):
            raise SandboxUnavailable(
                f"the Docker engine has no runtime {self._runtime}, it has {', '.join(known)}",
                hint="enter it in the engine's daemon.json (gVisor: `runsc install`) and restart the engine, "
                "or leave sandbox.runtime empty",
            )

    def _with_packages(self, packages: tuple[str, ...]) -> str:
        python = image_python(self._image)
        if not python:
            raise SandboxUnavailable(
                f"the image {self._image} is your own: what else it would need is unknown",
                hint=f"leave sandbox.image empty; the benchmark needs {', '.join(packages)}",
            )
        return derived_image(self._engine, self._image, self._image_id, packages, python)

    def abort(self) -> None:
        self._sessions.abort()

    def reap(self) -> int:
        """See :class:`~hyperagent.protocols.Sandbox`; the pool is emptied first, and fills again on demand."""
        self._pool.empty()
        self._doors.close()
        count = reaper.reap_folders(DOORS, self._owner)
        for container, labels in self._engine.list(f"{reaper.OWNER}={self._owner}"):
            if reaper.is_leftover(labels, self._owner):
                self._engine.remove(container)
                count += 1
        return count

    @contextmanager
    def session(self, spec: JobSpec) -> Iterator[FramedSession]:
        if not self._image_id:
            raise SandboxLost("the sandbox was not prepared", hint="call prepare() first")
        transport, session = self._opened(self._kind(spec), spec)
        try:
            with self._sessions.during(session):
                yield session
        finally:
            transport.hang_up()
            self._pool.discard(transport)

    def _kind(self, spec: JobSpec) -> _Kind:
        if spec.packages and spec.packages not in self._derived:
            raise SandboxLost(f"the sandbox was not prepared for {', '.join(spec.packages)}", hint="call prepare()")
        image = self._derived.get(spec.packages, self._image_id)
        return _Kind(image, bool(spec.packages), replace(spec.limits, output_bytes=0))

    def _opened(self, kind: _Kind, spec: JobSpec) -> tuple[DockerTransport, FramedSession]:
        """A container of the pool, else one that is made now."""
        warm = self._pool.take(kind) if self._pool.size and self._doors.can_admit(spec.model_directory) else None
        if warm is not None:
            try:
                warm.admit(spec.model_directory)
                return warm, _open(warm, spec)
            except (SandboxLost, OSError):  # it died while it waited, or cannot have the socket: no job was in it
                self._pool.discard(warm)
        cold = self._start(kind, spec.job, spec.model_directory)
        return cold, _open(cold, spec)

    def _warm(self, kind: _Kind) -> DockerTransport:
        door = self._doors.new()
        transport = self._start(kind, "pool", door, door)
        try:
            warm_up(transport)
        except BaseException:
            transport.destroy()
            raise
        return transport

    def _start(self, kind: _Kind, job: str, model_directory: Path | None, door: Path | None = None) -> DockerTransport:
        """A container that has been started. ``door``: is removed with it, whatever happens."""
        try:
            container = self._engine.create(
                kind.image,
                policy.COMMAND,
                user=policy.USER,
                environment={**policy.ENVIRONMENT, **({"PYTHONPATH": PLACE} if kind.packages else {})},
                labels=reaper.labels(self._owner, job),
                mounts=policy.mounts(model_directory),
                options=policy.host_options(kind.limits, self._runtime),
            )
        except BaseException:
            remove(door)
            raise
        transport = DockerTransport(self._engine, container, door)
        try:
            transport.start()
        except BaseException:
            transport.destroy()
            raise
        return transport


def _open(transport: DockerTransport, spec: JobSpec) -> FramedSession:
    session = FramedSession(transport, spec)
    settings = {
        "base": policy.BASE,
        "shared_memory": "/dev/shm",
        "model_socket": f"{policy.MODEL_DIRECTORY}/{policy.MODEL_SOCKET}" if spec.model_directory else "",
        "port": policy.MODEL_PORT,
    }
    try:
        session.open(spec, settings)
    except BaseException:
        transport.destroy()
        raise
    return session


class DockerTransport:
    """The attached stream of one container.

    Args:
        door: Its own directory for a model's socket, removed with it; None = it has none, or the job's.
    """

    def __init__(self, engine: Engine, container: str, door: Path | None = None) -> None:
        self._door = door
        self._engine = engine
        self._container = container
        self._socket: socket.socket | None = None
        self._pending = bytearray()
        self._began = time.time()
        self._removed = False

    def start(self) -> None:
        """Attach first: what the runner says at once must not be missed."""
        self._socket = self._engine.attach(self._container)
        self._engine.start(self._container)

    def send(self, data: bytes, deadline: float) -> None:
        self._ready(deadline).sendall(data)

    def receive(self, size: int, deadline: float) -> bytes:
        while len(self._pending) < size:
            kind, length = _CHUNK.unpack(self._take(_CHUNK.size, deadline))
            while length:
                part = self._take(min(length, 1 << 20), deadline)
                length -= len(part)
                if kind == _STDOUT:
                    self._pending += part
        data = bytes(self._pending[:size])
        del self._pending[:size]
        return data

    def _take(self, size: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._ready(deadline).recv(size - len(parts))
            if not part:
                raise EOFError("the runner has ended")
            parts += part
        return bytes(parts)

    def _ready(self, deadline: float) -> socket.socket:
        left = deadline - time.monotonic()
        if left <= 0 or self._socket is None:
            raise TimeoutError("the runner does not answer")
        self._socket.settimeout(left)
        return self._socket

    def abort(self) -> None:
        """From another thread: remove the container, which ends the stream; the session's own thread closes it."""
        with contextlib.suppress(SandboxLost):
            self._engine.remove(self._container)
            self._removed = True

    def admit(self, model_directory: Path | None) -> None:
        """Let a job's model socket be found behind the door. Raises OSError where that cannot be."""
        if model_directory is not None and self._door is not None:
            admit(self._door, model_directory)

    def is_alive(self) -> bool:
        """Whether nothing has ended the stream while nothing was asked."""
        if self._socket is None:
            return False
        try:
            self._socket.settimeout(0)
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # its end, or words that nobody has asked for

    def hang_up(self) -> None:
        """Close the stream, at which the runner ends its programs and itself."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def destroy(self) -> None:
        """Close the stream first (an undrained attach blocks the kill), then kill and remove."""
        self.hang_up()
        if not self._removed:
            with contextlib.suppress(SandboxLost):  # the engine is gone: the next prepare() reaps it
                self._engine.remove(self._container)
                self._removed = True
        remove(self._door)

    def verdict(self) -> str:
        """A container that ended without anybody's ``kill`` was ended from inside; anything else is infrastructure.

        The engine forgets its events when it restarts, so a container that died with it has no ``die`` event.
        """
        deadline = time.monotonic() + _DYING_SECONDS
        while True:
            state = self._engine.state(self._container)
            if state.get("Running") and time.monotonic() < deadline:
                time.sleep(0.05)  # the stream closes a moment before the engine notices the end
                continue
            break
        if state.get("Running"):
            return "its answers are garbled"
        actions = self._engine.events(self._container, self._began)
        if "kill" in actions or "die" not in actions:
            raise SandboxLost(
                "a container was ended from outside, or its engine was restarted",
                hint="check the engine with `hyperagent sandbox doctor`, then `hyperagent resume`",
            )
        return "out of memory" if state.get("OOMKilled") else f"the runner ended with code {state.get('ExitCode')}"

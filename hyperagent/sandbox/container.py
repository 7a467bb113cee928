"""The Docker backend: one fresh hardened container per session, frames over its attached stdin and stdout."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.sandbox import policy, reaper
from hyperagent.sandbox.image import ensure_image
from hyperagent.sandbox.session import FramedSession, OpenSessions
from hyperagent.types import JobSpec, SandboxInfo

if TYPE_CHECKING:
    from hyperagent.sandbox.docker import Engine

_CHUNK = struct.Struct("!BxxxI")
_STDOUT = 1
_DYING_SECONDS = 3.0


class DockerSandbox:
    """A :class:`~hyperagent.protocols.Sandbox` on a Docker engine.

    Args:
        owner: Names one archive; :meth:`reap` removes leftovers of this owner only.
        image: Image to use as it is; empty = the one that :func:`build_image` makes, made when missing.
        client: The engine; None = the one that ``DOCKER_HOST`` or the default socket names.
    """

    def __init__(self, owner: str, image: str = "", client: Engine | None = None) -> None:
        if client is None:
            from hyperagent.sandbox.docker import Engine  # docker-py is slow to import

            client = Engine()
        self._owner = owner
        self._image = image
        self._engine = client
        self._image_id = ""
        self._version = ""
        self._sessions = OpenSessions()

    @property
    def info(self) -> SandboxInfo:
        image = f"{self._image}@{self._image_id}" if self._image_id else self._image
        return SandboxInfo(backend="docker", isolation="container", image=image)

    def prepare(self) -> None:
        self._version = self._engine.check()
        policy.check_readable()
        policy.seccomp_profile()
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
        self.reap()

    def abort(self) -> None:
        self._sessions.abort()

    def reap(self) -> int:
        count = 0
        for container, labels in self._engine.list(f"{reaper.OWNER}={self._owner}"):
            if reaper.is_leftover(labels, self._owner):
                self._engine.remove(container)
                count += 1
        return count

    @contextmanager
    def session(self, spec: JobSpec) -> Iterator[FramedSession]:
        if not self._image_id:
            raise SandboxLost("the sandbox was not prepared", hint="call prepare() first")
        transport = DockerTransport(self._engine, self._create(spec))
        try:
            transport.start()
            session = FramedSession(transport, spec)
            settings = {
                "base": policy.BASE,
                "shared_memory": "/dev/shm",
                "model_socket": f"{policy.MODEL_DIRECTORY}/{policy.MODEL_SOCKET}" if spec.model_directory else "",
                "port": policy.MODEL_PORT,
            }
            session.open(spec, settings)
            with self._sessions.during(session):
                yield session
        finally:
            transport.destroy()

    def _create(self, spec: JobSpec) -> str:
        return self._engine.create(
            self._image_id,
            policy.COMMAND,
            user=policy.USER,
            environment=policy.ENVIRONMENT,
            labels=reaper.labels(self._owner, spec.job),
            mounts=policy.mounts(spec.model_directory),
            options=policy.host_options(spec.limits),
        )


class DockerTransport:
    """The attached stream of one container."""

    def __init__(self, engine: Engine, container: str) -> None:
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

    def destroy(self) -> None:
        """Close the stream first (an undrained attach blocks the kill), then kill and remove."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if not self._removed:
            with contextlib.suppress(SandboxLost):  # the engine is gone: the next prepare() reaps it
                self._engine.remove(self._container)
                self._removed = True

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

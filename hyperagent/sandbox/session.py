"""The host's side of a session, whatever carries its bytes: frames out, frames in, a clock of its own."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Protocol, cast

from hyperagent.errors import SandboxLost
from hyperagent.sandbox.frames import BrokenFrame, encode_frame, read_frame
from hyperagent.sandbox.policy import STATUSES
from hyperagent.sandbox.transfer import pack, stream_cap, unpack
from hyperagent.types import JobSpec, Json, RunRequest, RunResult

OPEN_SECONDS = 60.0
GRACE_SECONDS = 5.0
"""How much longer than the runner the host waits before it kills the whole sandbox."""
_TEXT_BYTES = 8 << 20
"""Room for transcript, output tail and error in a header, JSON escapes included."""


class Transport(Protocol):
    """The bytes of one sandbox."""

    def send(self, data: bytes, deadline: float) -> None:
        """Raises OSError (TimeoutError past the deadline, a ``time.monotonic()`` value)."""

    def receive(self, size: int, deadline: float) -> bytes:
        """Exactly ``size`` bytes; raises EOFError, OSError (TimeoutError past the deadline)."""

    def abort(self) -> None:
        """Kill everything inside, from another thread than the one that reads. Never raises."""

    def destroy(self) -> None:
        """Kill everything inside, at once, and let go of it. Never raises."""

    def verdict(self) -> str:
        """Why the stream broke, in a few words, where that was the program's doing.

        Raises:
            SandboxLost: It was not.
        """


def exchange(
    transport: Transport, header: Mapping[str, Json], body: bytes, deadline: float, limit: int
) -> tuple[dict[str, Json], bytes]:
    """Send one frame, read its answer; the nonce keeps a program from answering in the runner's place.

    Raises:
        OSError, EOFError, BrokenFrame: See :class:`Transport`; the answer is garbled or larger than ``limit`` allows.
    """
    nonce = secrets.token_hex(16)
    transport.send(encode_frame({**header, "nonce": nonce}, body), deadline)
    answer, data = read_frame(
        lambda size: transport.receive(size, deadline),
        max_header=2 * limit + _TEXT_BYTES,
        max_body=stream_cap(limit),
    )
    if answer.get("nonce") != nonce:
        raise BrokenFrame("the answer is not the runner's")
    return answer, data


def warm_up(transport: Transport) -> None:
    """Wait until the runner and its fork server are up, before it is known which job they will serve.

    Raises:
        SandboxLost: They did not get ready.
    """
    try:
        exchange(transport, {"kind": "warm"}, b"", time.monotonic() + OPEN_SECONDS, 0)
    except (OSError, EOFError, BrokenFrame) as error:
        raise SandboxLost(
            f"a sandbox did not start: {error or type(error).__name__}",
            hint="`hyperagent sandbox doctor` checks the engine and the image",
        ) from error


class OpenSessions:
    """The sessions of one backend that are open now, so that another thread can end them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: set[FramedSession] = set()

    @contextmanager
    def during(self, session: FramedSession) -> Iterator[FramedSession]:
        with self._lock:
            self._sessions.add(session)
        try:
            yield session
        finally:
            with self._lock:
                self._sessions.discard(session)

    def abort(self) -> None:
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.abort()


class FramedSession:
    """A :class:`~hyperagent.protocols.Session` over a transport."""

    def __init__(self, transport: Transport, spec: JobSpec) -> None:
        self._transport = transport
        self._job = spec.job
        self._limit = spec.limits.output_bytes
        self._broken = ""
        self._aborted = False

    def abort(self) -> None:
        """End the session from another thread; a run in it raises SandboxLost."""
        self._aborted = True
        self._transport.abort()

    def open(self, spec: JobSpec, settings: Mapping[str, Json]) -> None:
        """Hand the runner its settings and files and wait until it is ready.

        Raises:
            SandboxLost: It did not get ready.
        """
        files = {f"program/{name}": data for name, data in spec.program.items()}
        files |= {f"evidence/{name}": data for name, data in spec.evidence.items()}
        files |= {f"subject/{name}": data for name, data in (spec.subject or {}).items()}
        common = {
            "output_bytes": self._limit,
            "address_space_mb": 2 * spec.limits.memory_mb + 256,
            "cpus": spec.limits.cpus,
            "environment": dict(spec.environment),
        }
        deadline = time.monotonic() + OPEN_SECONDS
        try:
            self._exchange({**common, **settings}, pack(files), deadline)
        except (OSError, EOFError, BrokenFrame) as error:
            raise SandboxLost(
                f"the sandbox of job {spec.job} did not start: {error or type(error).__name__}",
                hint="`hyperagent sandbox doctor` checks the engine and the image",
            ) from error

    def close(self) -> bool:
        """End the job but not the runner; True where it is as good as new."""
        if self._broken or self._aborted:
            return False
        try:
            self._exchange({"kind": "close"}, b"", time.monotonic() + GRACE_SECONDS)
        except (OSError, EOFError, BrokenFrame):
            return False
        return not self._aborted

    def run(self, request: RunRequest) -> RunResult:
        if self._broken:
            return RunResult(status="killed", error=self._broken)
        began = time.monotonic()
        header = {"kind": request.kind, "arguments": dict(request.arguments), "seconds": request.seconds}
        try:
            body = b""
            if request.workspace is not None:
                header["workspace"] = True
                body = pack(request.workspace)
            answer, body = self._exchange(header, body, began + request.seconds + GRACE_SECONDS)
            return self._result(request, answer, body)
        except (OSError, EOFError, BrokenFrame) as error:
            if self._aborted:
                raise SandboxLost("the session was aborted") from error
            return self._failed(error, time.monotonic() - began)

    def _failed(self, error: Exception, seconds: float) -> RunResult:
        """What a run without an answer comes to. Raises SandboxLost where the program is not to blame."""
        if isinstance(error, TimeoutError):
            self._give_up("the sandbox was killed because an earlier run in it could not be stopped")
            return RunResult(status="timeout", error="the run could not be stopped from inside", seconds=seconds)
        try:
            reason = self._transport.verdict()
        finally:
            self._give_up("an earlier run destroyed the sandbox")
        text = f"the program destroyed its sandbox: {reason or error or type(error).__name__}"
        return RunResult(status="killed", error=text, seconds=seconds)

    def _give_up(self, reason: str) -> None:
        self._broken = reason
        self._transport.destroy()

    def _exchange(self, header: Mapping[str, Json], body: bytes, deadline: float) -> tuple[dict[str, Json], bytes]:
        return exchange(self._transport, header, body, deadline, self._limit)

    def _result(self, request: RunRequest, answer: dict[str, Json], body: bytes) -> RunResult:
        status = answer.get("status")
        numbers = [answer.get(name) for name in ("seconds", "peak_mb")]
        texts = [answer.get(name, "") for name in ("error", "transcript", "stdout")]
        if (
            status not in STATUSES
            or not all(isinstance(text, str) for text in texts)
            or not all(isinstance(number, (int, float)) for number in numbers)
        ):
            raise BrokenFrame("the answer has the wrong shape")
        tree = None
        if (request.kind == "meta" or request.workspace is not None) and status == "ok":
            try:
                tree = MappingProxyType(dict(unpack(body, self._limit)))
            except ValueError as error:
                status, texts[0] = "output", f"the files left behind cannot be taken: {error}"
        return RunResult(
            status=cast(Any, status),
            value=answer.get("value") if status == "ok" else None,
            tree=tree,
            error=texts[0],
            transcript=texts[1],
            stdout=texts[2],
            seconds=float(cast(float, numbers[0])),
            peak_mb=float(cast(float, numbers[1])),
        )

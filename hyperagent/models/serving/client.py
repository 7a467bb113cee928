"""``local/NAME`` answered by a served model: the client that a campaign uses in place of :class:`LocalModels`."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from email.message import Message
from types import TracebackType

from hyperagent.errors import ModelLost, ModelRequestInvalid, ModelUnavailable
from hyperagent.models.local import reply_of
from hyperagent.models.serving.face import HOST
from hyperagent.models.serving.process import ModelServer
from hyperagent.types import ChatReply, ChatRequest, Json

_CRASH_LIMIT = 2
"""Ends of a server in a row after which the model counts as unusable here."""
_LONGEST = 16_000_000


class ServedModels:
    """Client for ``local/NAME``. Starts a server with the first call for a model; :meth:`close` ends all.

    Args:
        start: Catalogue name -> a server that answers; raises ModelUnavailable.
    """

    def __init__(self, start: Callable[[str], ModelServer]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._servers: dict[str, ModelServer] = {}
        self._crashes: dict[str, int] = {}

    def __enter__(self) -> ServedModels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """See :class:`~hyperagent.protocols.ModelClient`. ``timeout`` in seconds, after the server's start."""
        name = request.model.removeprefix("local/")
        server = self._running(name)
        body = json.dumps({"model": name, "messages": list(request.messages), **request.parameters}).encode()
        try:
            status, headers, data = _post(server.order.port, body, timeout)
        except TimeoutError:
            raise ModelLost(f"{request.model}: no reply in {timeout:g} s") from None
        except (OSError, http.client.HTTPException, ValueError):
            self._crashed(name, server)
            raise ModelLost(f"{request.model}: its server broke the connection") from None
        reply = _read(request.model, status, headers, data)
        with self._lock:
            self._crashes[name] = 0
        return reply

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        return 0.0

    def close(self) -> None:
        """End all servers."""
        with self._lock:
            servers, self._servers = self._servers, {}
        for server in servers.values():
            server.close()

    def _running(self, name: str) -> ModelServer:
        with self._lock:  # whoever comes while it starts waits for it
            if name not in self._servers:
                if self._crashes.get(name, 0) >= _CRASH_LIMIT:
                    raise ModelUnavailable(
                        f"the server of local/{name} has ended {self._crashes[name]} times in a row",
                        hint="its log says why; a smaller batch may help: see docs/models.md",
                    )
                self._servers[name] = self._start(name)
            return self._servers[name]

    def _crashed(self, name: str, server: ModelServer) -> None:
        """Forget a server that is gone. One that still answers has only broken one connection."""
        if server.running and server.healthy():
            return
        with self._lock:
            if self._servers.get(name) is not server:  # another call has seen it first
                return
            del self._servers[name]
            self._crashes[name] = self._crashes.get(name, 0) + 1
        server.close()


def _post(port: int, body: bytes, timeout: float) -> tuple[int, Message, Json]:
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        data = response.read(_LONGEST + 1)
        if len(data) > _LONGEST:
            raise ValueError("the reply has no end")
        return response.status, response.headers, json.loads(data)
    finally:
        connection.close()


def _read(model: str, status: int, headers: Message, data: Json) -> ChatReply:
    """Raises what the status means; see :class:`~hyperagent.protocols.ModelClient`."""
    if status == 200:
        try:
            return reply_of(model, data)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ModelLost(f"{model}: its server's reply holds no message") from None
    error = data.get("error", data) if isinstance(data, dict) else {}
    said = str(error.get("message", "unknown error") if isinstance(error, dict) else error)[:300]
    if status in (400, 413, 422):
        raise ModelRequestInvalid(f"{model}: {said}")
    lost = ModelLost(f"{model}: {status}: {said}")
    wait = headers.get("Retry-After", "")
    lost.retry_after = float(wait) if wait.isdigit() else None
    raise lost

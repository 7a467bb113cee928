"""A small threaded HTTP/1.1 server on a Unix socket. Who may answer what is the responder's business."""

from __future__ import annotations

import os
import selectors
import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

from hyperagent.models.wire import error_body

BODY_LIMIT = 4_000_000
"""Most bytes of a request body."""
CONNECTION_LIMIT = 128
"""Most connections at once; a program that opens more has the newest closed."""
KEPT_CONNECTIONS = 32
"""Most connections kept open for a further request: idle ones must not take the place of those that have one."""


class Answer(NamedTuple):
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Responder = Callable[[str, str, bytes, int], Answer]
"""``(method, path, body, epoch) -> Answer``; ``epoch`` is the server's epoch in which the connection was accepted."""


class Doorkeeper(socketserver.BaseServer):
    """What a :class:`Handler` asks of its server. A server without epochs and without crowds is this one."""

    responder: Responder

    def epoch_of(self, connection: socket.socket) -> int:
        return 0

    def crowded(self) -> bool:
        """Whether so many are connected that an answered connection should make room for another."""
        return False


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer, Doorkeeper):
    """Serves ``responder`` at ``path`` until :meth:`stop`.

    An *epoch* separates one task's connections from the next one's: :meth:`new_epoch` closes every connection made so
    far, those still waiting in the listen queue too, and numbers later ones anew. A late request of a dying process
    can therefore never be taken for one of its successor.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, path: Path, responder: Responder, *, mode: int = 0o600) -> None:
        self.responder = responder
        self._lock = threading.Lock()
        self._epoch = 0
        self._open: dict[socket.socket, int] = {}
        super().__init__(str(path), Handler)
        os.chmod(path, mode)
        self.socket.setblocking(False)
        self._stopping = False
        self._waker, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="model-door", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        # serve_forever() polls; this sleeps until somebody knocks or stop() closes the waker.
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while not self._stopping:
                selector.select()
                self.handle_request()

    def get_request(self) -> tuple[socket.socket, str]:
        with self._lock:
            connection, _ = self.socket.accept()
            connection.setblocking(True)
            if len(self._open) >= CONNECTION_LIMIT:
                connection.close()
                raise ConnectionAbortedError("too many connections")
            self._open[connection] = self._epoch
            return connection, ""

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        with self._lock:
            if isinstance(request, socket.socket):
                self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke off is the program's affair; the base class would print a traceback."""

    def epoch_of(self, connection: socket.socket) -> int:
        with self._lock:
            return self._open.get(connection, -1)

    def crowded(self) -> bool:
        """Whether so many are connected that an answered connection should make room for another."""
        with self._lock:
            return len(self._open) > KEPT_CONNECTIONS

    def new_epoch(self) -> int:
        """Close all connections and start numbering anew; returns the new epoch."""
        with self._lock:
            self._drain()
            for connection in self._open:
                _hang_up(connection)
            self._epoch += 1
            return self._epoch

    def _drain(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:  # nothing is waiting
                return
            connection.close()

    def stop(self) -> None:
        """Close the door and every connection. Handlers that are answering end by themselves."""
        self._stopping = True
        self._waker.close()
        self._thread.join()
        self._wake.close()
        self.new_epoch()
        self.server_close()


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # the other end was quicker
        return


class Handler(BaseHTTPRequestHandler):
    """Takes requests apart and answers with what its server's responder makes of them."""

    server: Doorkeeper
    protocol_version = "HTTP/1.1"
    server_version = "hyperagent"
    sys_version = ""
    # Headers and body leave as one packet each way: Nagle does not exist on Unix sockets, but each write costs a wake.
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.epoch = self.server.epoch_of(self.request)

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(411, "the request needs a Content-Length", "length_required")
        elif int(length) > BODY_LIMIT:
            self._refuse(413, f"the request body is larger than {BODY_LIMIT} bytes", "request_too_large")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):  # else the connection broke off: nobody is left to answer
                self._respond(body)

    def _respond(self, body: bytes) -> None:
        path = self.path.partition("?")[0].rstrip("/")
        self._send(self.server.responder(self.command, path, body, self.epoch))

    def _refuse(self, status: int, message: str, code: str) -> None:
        self.close_connection = True  # an unread body would be taken for the next request
        self._send(Answer(status, error_body(message, code)))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Malformed requests get the same JSON errors as all others (the base class would send HTML)."""
        self._refuse(code, message or "malformed request", "invalid_request")

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        if self.close_connection or self.server.crowded():
            self.send_header("Connection", "close")  # which closes it after this answer, too
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Constant, because a program may keep what it reads and a replay must read the same."""
        return "Thu, 01 Jan 1970 00:00:00 GMT"

    def address_string(self) -> str:
        return "program"

    def log_message(self, format: str, *args: object) -> None:
        """Silent: what a program asks for is recorded by the broker, not logged."""

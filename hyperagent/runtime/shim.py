"""Loopback TCP to Unix socket: programs speak HTTP to 127.0.0.1, the model's door is a socket file.

One thread serves all connections: a thread each would count against the program's own limit of processes.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

_CONNECTIONS = 64
"""At once. More wait in the listen queue; the door closes connections after their answer when there are many."""
_CHUNK = 65536


def start(socket_path: str, port: int) -> int:
    """Listen on 127.0.0.1 (port 0 = any free one) and forward each connection; returns the port."""
    server = socket.create_server(("127.0.0.1", port), backlog=512)
    threading.Thread(target=Forwarder(server, socket_path).run, daemon=True).start()
    return int(server.getsockname()[1])


class _End:
    """One end of a forwarded connection."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.socket = end
        self.peer = self
        self.unsent = bytearray()  # for this end; nothing more is read from its peer until it is empty
        self.finished = False  # nothing more comes from this end
        self.told = False  # this end knows that nothing more comes from its peer


class Forwarder:
    """Copies both ways, passing half-closes on; an exchange is over when the server's end has finished."""

    def __init__(self, server: socket.socket, socket_path: str) -> None:
        server.setblocking(False)
        self._server = server
        self._socket_path = socket_path
        self._selector = selectors.DefaultSelector()
        self._connections = 0

    def run(self) -> None:
        self._listen(True)
        while True:
            for key, events in self._selector.select():
                end: _End | None = key.data
                if end is None:
                    self._accept()
                elif end.socket.fileno() >= 0:  # else its connection has ended in this very round
                    self._serve(end, events)

    def _listen(self, wanted: bool) -> None:
        if wanted:
            self._selector.register(self._server, selectors.EVENT_READ)
        else:
            self._selector.unregister(self._server)

    def _accept(self) -> None:
        try:
            taken, _ = self._server.accept()
        except OSError:  # whoever knocked has gone again
            return
        upstream = socket.socket(socket.AF_UNIX)
        try:
            upstream.connect(self._socket_path)
        except OSError:
            taken.close()
            upstream.close()
            return
        client, door = _End(taken), _End(upstream)
        client.peer, door.peer = door, client
        for end in (client, door):
            self._selector.register(end.socket, selectors.EVENT_READ, end)
        self._connections += 1
        if self._connections == _CONNECTIONS:
            self._listen(False)

    def _serve(self, end: _End, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                self._take(end)
            over = self._give(end) or self._give(end.peer)
        except OSError:  # reset: nothing more can be said either way
            over = True
        if over:
            self._close(end)
            return
        for one in (end, end.peer):
            self._watch(one)

    def _take(self, end: _End) -> None:
        if end.finished or end.peer.unsent:
            return
        with contextlib.suppress(BlockingIOError):
            data = end.socket.recv(_CHUNK)
            end.peer.unsent += data
            end.finished = not data

    def _give(self, end: _End) -> bool:
        """Send what waits for this end; True where the exchange is over: the door has finished, and all is said."""
        with contextlib.suppress(BlockingIOError):
            while end.unsent:
                del end.unsent[: end.socket.send(end.unsent)]
        if end.unsent or not end.peer.finished:
            return False
        if end.peer.socket.family == socket.AF_UNIX:
            return True
        if not end.told:
            end.socket.shutdown(socket.SHUT_WR)
            end.told = True
        return False

    def _watch(self, end: _End) -> None:
        events = selectors.EVENT_WRITE if end.unsent else 0
        if not end.finished and not end.peer.unsent:
            events |= selectors.EVENT_READ
        registered = self._selector.get_map().get(end.socket)
        if registered is None:
            if events:
                self._selector.register(end.socket, events, end)
        elif not events:
            self._selector.unregister(end.socket)
        elif registered.events != events:
            self._selector.modify(end.socket, events, end)

    def _close(self, end: _End) -> None:
        for one in (end, end.peer):
            if one.socket in self._selector.get_map():
                self._selector.unregister(one.socket)
            one.socket.close()
        if self._connections == _CONNECTIONS:
            self._listen(True)
        self._connections -= 1

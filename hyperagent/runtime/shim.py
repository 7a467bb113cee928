"""Loopback TCP to Unix socket: programs speak HTTP to 127.0.0.1, the model's door is a socket file."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

_CONNECTIONS = 16


def start(socket_path: str, port: int) -> int:
    """Listen on 127.0.0.1 (port 0 = any free one) and forward each connection; returns the port."""
    server = socket.create_server(("127.0.0.1", port), backlog=64)
    slots = threading.BoundedSemaphore(_CONNECTIONS)
    threading.Thread(target=_accept, args=(server, socket_path, slots), daemon=True).start()
    return int(server.getsockname()[1])


def _accept(server: socket.socket, socket_path: str, slots: threading.BoundedSemaphore) -> None:
    while True:
        slots.acquire()
        client, _ = server.accept()
        try:
            threading.Thread(target=_forward, args=(client, socket_path, slots), daemon=True).start()
        except RuntimeError:  # no thread to be had: a fork bomb has taken the process limit
            client.close()
            slots.release()


def _forward(client: socket.socket, socket_path: str, slots: threading.BoundedSemaphore) -> None:
    try:
        with client, socket.socket(socket.AF_UNIX) as upstream, contextlib.suppress(OSError):
            upstream.connect(socket_path)
            _pump(client, upstream)
    finally:
        slots.release()


def _pump(client: socket.socket, upstream: socket.socket) -> None:
    """Copy both ways until both ends have finished, passing half-closes on."""
    other = {client: upstream, upstream: client}
    open_ends = [client, upstream]
    while open_ends:
        for end in select.select(open_ends, [], [])[0]:
            data = end.recv(65536)
            if data:
                other[end].sendall(data)
                continue
            open_ends.remove(end)
            if end is upstream:  # the server has finished: so has the exchange
                return
            upstream.shutdown(socket.SHUT_WR)

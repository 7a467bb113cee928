"""The one door that leads out: the model's socket."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import urllib.parse

from .common import Given

_FILE = "/run/model/model.sock"


def _tcp() -> tuple[str, int]:
    parts = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
    return parts.hostname or "127.0.0.1", parts.port or 80


def _connections(count: int) -> list[socket.socket]:
    """Open connections to the door, by its loopback address and by its file."""
    made = []
    for number in range(count):
        connection = socket.socket(socket.AF_UNIX if number % 2 else socket.AF_INET)
        connection.settimeout(0.5)
        try:
            connection.connect(_FILE if number % 2 else _tcp())
        except OSError:
            connection.close()
        else:
            made.append(connection)
    return made


def hold(given: Given) -> list[str]:
    """A hundred connections that say nothing, and are left open at the end."""
    kept = _connections(100)
    for connection in kept[::2]:
        with contextlib.suppress(OSError):
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    time.sleep(0.5)
    os._exit(0)


def garbage(given: Given) -> list[str]:
    """16 MB that are no request, endless headers, lengths that lie."""
    for number, connection in enumerate(_connections(12)):
        with contextlib.suppress(OSError):
            if number % 3 == 0:
                connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n")
            for _ in range(40):
                connection.sendall((b"X: y\r\n" if number % 3 == 1 else b"\xff\x00") * 16384)
        connection.close()
    return []


def takeover(given: Given) -> list[str]:
    """Another file in the socket's place, another listener on its port."""
    found = []
    with contextlib.suppress(OSError):
        os.rename(_FILE, _FILE)
        found.append("may rename the model's socket")
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as listener:
        listener.bind("/run/model/other.sock")
        os.unlink("/run/model/other.sock")
        found.append("may make a socket beside the model's")
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(_tcp())
        listener.listen()
        found.append("may listen on the model's port")
    return found


def works(given: Given) -> list[str]:
    """No attack: what must be possible after one."""
    with socket.create_connection(_tcp(), 5) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := connection.recv(4096):
            answer += part
    return [] if b"still here" in answer else [f"the model's door answers {answer[:60]!r}"]

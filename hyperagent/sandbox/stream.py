"""The host's end of a runner that is a child process, each step with a deadline.

A socket, not pipes: those can be opened anew through ``/proc/PID/fd`` by whoever runs as the same user.
"""

from __future__ import annotations

import select
import socket
import time

_LAST_WORDS = 65536


class Stream:
    """Both ways to a child process; what it says on stderr is only read once it has ended.

    Attributes:
        remote: For its stdin and its stdout.
        errors: For its stderr.
    """

    def __init__(self) -> None:
        self._socket, self.remote = socket.socketpair()
        self._said, self.errors = socket.socketpair()
        for ours in (self._socket, self._said):
            ours.setblocking(False)

    def handed_over(self) -> None:
        """The child has its ends: close them here, or its end would not be seen."""
        self.remote.close()
        self.errors.close()

    def send(self, data: bytes, deadline: float) -> None:
        """Raises EOFError with the process's last words, OSError (TimeoutError past the deadline)."""
        view = memoryview(data)
        while view:
            wait_ready(self._socket.fileno(), select.POLLOUT, deadline)
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                raise self._ended() from None

    def receive(self, size: int, deadline: float) -> bytes:
        """Raises EOFError with the process's last words, OSError (TimeoutError past the deadline)."""
        parts = bytearray()
        while len(parts) < size:
            wait_ready(self._socket.fileno(), select.POLLIN, deadline)
            try:
                part = self._socket.recv(min(size - len(parts), 1 << 20))
            except ConnectionResetError:  # it ended without reading all that it was sent
                part = b""
            if not part:
                raise self._ended()
            parts += part
        return bytes(parts)

    def _ended(self) -> EOFError:
        return EOFError(self.last_words() or "the runner has ended")

    def last_words(self) -> str:
        """The last line on stderr; empty where there is none."""
        try:
            text = self._said.recv(_LAST_WORDS).decode("utf-8", "replace").strip()
        except OSError:  # nothing there
            return ""
        return text.splitlines()[-1] if text else ""

    def close(self) -> None:
        self.handed_over()
        self._socket.close()
        self._said.close()


def wait_ready(descriptor: int, events: int, deadline: float) -> None:
    """Raises TimeoutError past the deadline (a ``time.monotonic()`` value)."""
    poll = select.poll()
    poll.register(descriptor, events)
    if not poll.poll(1000 * max(0.0, deadline - time.monotonic())):
        raise TimeoutError("the runner does not answer")

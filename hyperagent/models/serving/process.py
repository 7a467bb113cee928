"""Starts a model server in a process of its own, waits until it answers, and ends it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from hyperagent.errors import ModelUnavailable, UsageError
from hyperagent.models.serving.face import HOST
from hyperagent.models.serving.order import Order

START_SECONDS = 1800.0
"""Longest wait for a server: vLLM compiles, and a first start converts the weights."""
_POLL_SECONDS = 0.1
_STOP_SECONDS = 10.0
_LOG_LIMIT = 10_000_000
_LAST = 4096


def choose_port(wished: int = 0) -> int:
    """A free port on loopback; ``wished`` where it is not 0.

    Raises:
        UsageError: The port that was wished is taken, or may not be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: a port just left is free
        try:
            probe.bind((HOST, wished))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "0 to 65535"
            raise UsageError(
                f"port {wished} on {HOST} cannot be used: {why}",
                hint="choose another --port, or 0 for any that is free",
            ) from None
        return int(probe.getsockname()[1])


def server_command(order: Order) -> list[str]:
    return [sys.executable, "-m", "hyperagent.models.serving.main", order.to_json()]


class ModelServer:
    """A running server. Use as a context manager or call :meth:`close`; it also ends when this process dies.

    Args:
        order: What to serve, and where.
        log: File that its output is appended to; emptied first where it has grown beyond 10 MB.
        command: Makes the command of the process; it must end when its standard input ends.
        seconds: Longest wait until it answers.

    Raises:
        ModelUnavailable: It ended, or did not answer in time; the message holds the log's last lines.
    """

    def __init__(
        self,
        order: Order,
        log: Path,
        *,
        command: Callable[[Order], Sequence[str]] = server_command,
        seconds: float = START_SECONDS,
    ) -> None:
        self.order = order
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with _open_log(log) as output:
            self._began = output.tell()
            self._process = subprocess.Popen(
                command(order),
                env={**os.environ, "PYTHONPATH": _python_path()},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the parent's to handle: requests in flight are finished
            )
        try:
            self._wait(seconds)
        except BaseException:
            self.close()
            raise

    @property
    def base_url(self) -> str:
        """What a client takes as ``api_base``."""
        return f"http://{HOST}:{self.order.port}/v1"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def healthy(self, timeout: float = 5.0) -> bool:
        """Whether ``GET /health`` is answered with 200."""
        connection = http.client.HTTPConnection(HOST, self.order.port, timeout=timeout)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait(self) -> None:
        """Until the server ends by itself.

        Raises:
            ModelUnavailable: It has ended; nothing but :meth:`close` should end it.
        """
        self._process.wait()
        raise ModelUnavailable(f"the server of {self.order.name} has ended: {self.last_words()}", hint=self._hint())

    def last_words(self) -> str:
        """The last lines of what this server wrote to its log."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._began, size - _LAST))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return " | ".join(line.strip() for line in lines[-3:]) or "it wrote nothing"

    def close(self) -> None:
        """End the server and everything it has started."""
        process = self._process
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> ModelServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.healthy():
            if not self.running:
                raise ModelUnavailable(
                    f"the server of {self.order.name} does not start: {self.last_words()}", hint=self._hint()
                )
            if time.monotonic() > end:
                raise ModelUnavailable(
                    f"the server of {self.order.name} does not answer after {seconds:g} s: {self.last_words()}",
                    hint=self._hint(),
                )
            time.sleep(_POLL_SECONDS)

    def _hint(self) -> str:
        return f"its log is {self.log}"


def _open_log(path: Path) -> BinaryIO:
    try:
        file = path.open("ab")
    except OSError as error:
        raise UsageError(f"the log {path} cannot be written: {error.strerror}", hint="choose another --log") from None
    if file.tell() > _LOG_LIMIT:
        file.truncate(0)
    file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
    file.flush()
    return file


def _python_path() -> str:
    package_root = str(Path(__file__).resolve().parents[3])
    return os.pathsep.join([package_root, *filter(None, [os.environ.get("PYTHONPATH")])])

"""One run seen from outside: start the process, feed it, watch clock and output, clear up, say how it ended."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import time
from typing import Any

from . import guard

_TAIL = 64 * 1024
_KILL_SECONDS = 10.0
_CHUNK = 65536


class RunnerBroken(Exception):
    """The program destroyed the fork server or cannot be killed: this sandbox is at its end."""


class HostGone(Exception):
    """Nobody reads the answers any more."""


class Ended:
    """How the process ended; ``reason`` is why the runner killed it, if it did; ``maxrss`` is in KiB."""

    def __init__(self) -> None:  # no dataclass: importing that takes longer than all the rest of this file
        self.reason = ""
        self.status = 0
        self.maxrss = 0
        self.seconds = 0.0
        self.out_of_memory = False
        self.result = bytearray()
        self.output = bytearray()

    def note(self, usage: resource.struct_rusage) -> None:
        """Count a process of the run that its parent left to the runner."""
        self.maxrss = max(self.maxrss, usage.ru_maxrss)

    def describe(self) -> dict[str, Any]:
        """The run's header without transcript and tree."""
        answer = self._status()
        stdout = bytes(self.output[-_TAIL:]).decode("utf-8", "replace")
        return {**answer, "stdout": stdout, "seconds": self.seconds, "peak_mb": self.maxrss / 1024}

    def _status(self) -> dict[str, Any]:
        if self.reason == "timeout":
            return {"status": "timeout", "error": "the run was over its wall-clock limit"}
        if self.reason == "output":
            return {"status": "output", "error": "the program wrote more than it may"}
        if os.WIFSIGNALED(self.status):
            if os.WTERMSIG(self.status) == signal.SIGXCPU:
                return {"status": "timeout", "error": "the run was over its limit of processor time"}
            if self.out_of_memory and os.WTERMSIG(self.status) == signal.SIGKILL:
                return {"status": "memory", "error": "the kernel killed the program for its memory use"}
            return {"status": "killed", "error": f"the program died of signal {os.WTERMSIG(self.status)}"}
        try:
            answer = json.loads(self.result)
        except (ValueError, RecursionError):
            code = os.waitstatus_to_exitcode(self.status)
            return {"status": "error", "error": f"the program exited with code {code} without an answer"}
        if not isinstance(answer, dict) or answer.get("status") not in ("ok", "error", "memory"):
            return {"status": "error", "error": "the program wrote garbage in place of its answer"}
        return {"status": answer["status"], "value": answer.get("value"), "error": str(answer.get("error", ""))}


class Process:
    """One run of the program, from its start to the last trace of it.

    Args:
        alone: Whether the runner stands in a sandbox, so that it must be certain that nothing of the run is left.
    """

    def __init__(self, zygote: socket.socket, zygote_pid: int, host: int, limit: int, alone: bool = True) -> None:
        self._zygote, self._zygote_pid, self._host, self._limit = zygote, zygote_pid, host, limit
        self._alone = alone
        self._ended = Ended()
        self._written = 0

    def run(self, payload: bytes, seconds: float) -> Ended:
        """Run to the end.

        Raises:
            RunnerBroken, HostGone: See there.
        """
        began, kills = time.monotonic(), guard.oom_kills()
        payload_read, self._payload = os.pipe()
        self._result, result_write = os.pipe()
        self._output, output_write = os.pipe()
        theirs = (payload_read, result_write, output_write)
        ours = (self._payload, self._result, self._output)
        try:
            for descriptor in ours:
                os.set_blocking(descriptor, False)
            try:
                socket.send_fds(self._zygote, [b"run"], theirs)
            except OSError as error:
                raise RunnerBroken from error
            finally:
                for descriptor in theirs:
                    os.close(descriptor)
            self._watch(memoryview(payload), began + seconds)
            self._drain(self._result)
            self._drain(self._output)
        finally:
            for descriptor in (self._payload, self._result, self._output):
                if descriptor >= 0:
                    os.close(descriptor)
        self._ended.seconds = time.monotonic() - began
        self._ended.out_of_memory = guard.oom_kills() > kills
        return self._ended

    def _watch(self, payload: memoryview, deadline: float) -> None:
        """Serve the process's pipes until it has ended, then kill whatever it left."""
        poll = select.poll()
        poll.register(self._payload, select.POLLOUT)
        poll.register(self._result, select.POLLIN)
        poll.register(self._output, select.POLLIN)
        poll.register(self._zygote, select.POLLIN)
        poll.register(self._host, 0)  # only its hang-up
        while True:
            left = deadline - time.monotonic()
            if left <= 0 and not self._stop("timeout"):
                raise RunnerBroken
            if left <= -_KILL_SECONDS:
                raise RunnerBroken
            for descriptor, events in poll.poll(1000 * max(0.0, min(left, 60.0)) if left > 0 else 100):
                if descriptor == self._host and events & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                    guard.sweep(self._zygote_pid)
                    raise HostGone
                if descriptor == self._payload:
                    payload = self._feed(payload, events)
                    if not payload:
                        poll.unregister(self._payload)
                        os.close(self._payload)
                        self._payload = -1
                elif descriptor == self._zygote.fileno():
                    if self._heard():
                        # Outside of a namespace a look at all processes of the machine costs more than the run.
                        if (self._alone or not guard.seems_childless(self._zygote_pid)) and not self._sweep():
                            raise RunnerBroken
                        return
                elif not self._read(descriptor):
                    poll.unregister(descriptor)

    def _feed(self, payload: memoryview, events: int) -> memoryview:
        if events & select.POLLERR:  # it closed its end: whatever it then does is its answer
            return payload[:0]
        try:
            return payload[os.write(self._payload, payload[:_CHUNK]) :]
        except BlockingIOError:
            return payload
        except BrokenPipeError:
            return payload[:0]

    def _heard(self) -> bool:
        """A message of the fork server; True when it says that the process has ended."""
        data = self._zygote.recv(4096)
        if not data:
            guard.sweep(self._zygote_pid)
            raise RunnerBroken
        message = json.loads(data)
        if "status" in message:
            self._ended.status = message["status"]
            self._ended.maxrss = max(self._ended.maxrss, message["maxrss"])
            return True
        return False

    def _read(self, descriptor: int) -> bool:
        """Take what is there; False at the end of the stream."""
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        ended = self._ended
        if descriptor == self._result:
            ended.result += data
        else:
            self._written += len(data)
            ended.output += data
            if len(ended.output) > 4 * _TAIL:
                del ended.output[:-_TAIL]
        if max(len(ended.result), self._written) > self._limit:
            self._stop("output")
            return False
        return bool(data)

    def _drain(self, descriptor: int) -> None:
        """Read what the ended process left in a pipe (at most its capacity: no writer is left)."""
        while True:
            try:
                data = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                return
            target = self._ended.result if descriptor == self._result else self._ended.output
            target += data

    def _stop(self, reason: str) -> bool:
        """Kill the run for a reason; True when nothing of it is left."""
        self._ended.reason = self._ended.reason or reason
        return self._sweep()

    def _sweep(self) -> bool:
        return guard.sweep(self._zygote_pid, self._ended.note)

"""The runner's main loop: one ``open`` frame, then one answer for each ``run`` frame, until stdin ends.

Before ``open`` a ``warm`` frame may come, which is answered when everything is loaded. After a ``close`` frame another
``open`` may come; only the process backend, which isolates nothing, lets a runner serve more than one job.

Every answer carries the request's nonce: a program that finds the way to this process's stdout cannot forge one.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sys
from typing import Any

from . import guard, job, shim, trees, wire, zygote

_TRANSCRIPT = 1 << 20
FOLDERS = ("run", "program", "repo", "evidence", "workspace")


class Runner:
    """The state of one session: the program's files, the fork server, the settings of the ``open`` frame.

    Settings: ``base`` (folder that is emptied for each run), ``output_bytes``, ``address_space_mb``, ``cpus``,
    ``environment``, ``model_socket`` (path or ""), ``port`` (loopback port of the model; 0 = any).
    """

    def __init__(self, host: int, server: tuple[int, socket.socket], settings: dict[str, Any], body: bytes) -> None:
        self._host = host
        self._zygote_pid, self._zygote = server
        self._settings = settings
        files = trees.read_tar(body)
        self._program = _below("program/", files)
        self._evidence = _below("evidence/", files)
        self._subject = _below("subject/", files) or self._program
        self._paths = {name: os.path.join(settings["base"], name) for name in FOLDERS}
        self._environment = self._make_environment()

    def _make_environment(self) -> dict[str, str]:
        settings = self._settings
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": self._paths["run"],
            "TMPDIR": self._paths["run"],
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if "PYTHONPATH" in os.environ:  # packages of the benchmark, for the program's own children, too
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        if settings["model_socket"]:
            url = f"http://127.0.0.1:{_port_to(settings['model_socket'], settings['port'])}/v1"
            environment |= {"OPENAI_BASE_URL": url, "OPENAI_API_BASE": url, "OPENAI_API_KEY": "placeholder"}
        environment.update(settings["environment"])
        return environment

    def run(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """One run; the answer's header and, for an edited program or a workspace, its tar."""
        self._furnish(request["kind"])
        left_in = self._paths["repo"] if request["kind"] == "meta" else ""
        if request.get("workspace"):
            left_in = self._paths["workspace"]
            trees.write(left_in, trees.read_tar(body))
            request["arguments"].setdefault("inputs", {})["workspace"] = left_in
        chat = os.path.join(self._paths["run"], "chat.md")
        payload = {
            "kind": request["kind"],
            "arguments": request["arguments"],
            "environment": self._environment,
            "address_space_mb": self._settings["address_space_mb"],
            "cpu_seconds": math.ceil(request["seconds"] * max(1.0, self._settings["cpus"])) + 1,
            "chat": chat,
            **{name: self._paths[name] for name in ("program", "repo", "evidence")},
        }
        limit = self._settings["output_bytes"]
        alone = self._settings.get("alone", True)
        process = job.Process(self._zygote, self._zygote_pid, self._host, limit, alone)
        answer = process.run(json.dumps(payload).encode("ascii"), request["seconds"]).describe()
        transcript = trees.read_regular(chat, _TRANSCRIPT) or b""
        answer["transcript"] = transcript.decode("utf-8", "replace")
        body = b""
        if left_in and answer["status"] == "ok":
            try:
                body = trees.collect(left_in, limit)
            except (trees.TooLarge, OSError, UnicodeError) as error:
                answer |= {
                    "status": "output",
                    "error": f"the files left behind cannot be taken: {error}",
                    "value": None,
                }
        return answer, body

    def _furnish(self, kind: str) -> None:
        """Fresh folders: a run sees nothing of the runs before it."""
        guard.wipe(self._settings["base"])
        if self._settings["shared_memory"]:
            guard.wipe(self._settings["shared_memory"])
        os.mkdir(self._paths["run"])
        trees.write(self._paths["program"], self._program)
        if kind == "meta":
            trees.write(self._paths["repo"], self._subject)
            trees.write(self._paths["evidence"], self._evidence, read_only=True)

    def close(self) -> None:
        """Leave nothing of the job behind: its processes ended with its runs."""
        guard.wipe(self._settings["base"])


_PORTS: dict[str, int] = {}


def _port_to(socket_path: str, port: int) -> int:
    """A door that an earlier job of this runner had serves the next one, too: its forwarder never ends."""
    if socket_path not in _PORTS:
        _PORTS[socket_path] = shim.start(socket_path, port)
    return _PORTS[socket_path]


def _below(prefix: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.removeprefix(prefix): data for name, data in files.items() if name.startswith(prefix)}


def _take_streams() -> tuple[int, int]:
    """Move the host's streams away from 0 and 1, where every child would inherit them."""
    host_in, host_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return host_in, host_out


def _serve(runner: Runner, host_in: int, host_out: int) -> None:
    """Run after run, until the job is closed."""
    while True:
        request, body = wire.read_frame(host_in)
        if request["kind"] == "close":
            runner.close()
            wire.write_frame(host_out, {"nonce": request["nonce"], "ready": True})
            return
        answer, body = runner.run(request, body)
        wire.write_frame(host_out, {**answer, "nonce": request["nonce"]}, body)


def main() -> None:
    """Serve until the host hangs up. Ends with code 1 when the program has broken what the next run would need."""
    guard.set_dumpable(False)
    guard.adopt_orphans()
    # As the first process of a namespace it gets no signal from inside that it has no handler for. Python installs one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    host_in, host_out = _take_streams()
    server = zygote.start(close=(host_in, host_out))
    try:
        while True:
            settings, body = wire.read_frame(host_in)
            if settings.get("kind") == "warm":  # waiting in a pool: nobody knows yet for which job
                zygote.wait(server[1])
                wire.write_frame(host_out, {"nonce": settings["nonce"], "ready": True})
                continue
            runner = Runner(host_in, server, settings, body)
            wire.write_frame(host_out, {"nonce": settings["nonce"], "ready": True})
            _serve(runner, host_in, host_out)
    except (EOFError, BrokenPipeError, job.HostGone):
        return
    except (job.RunnerBroken, OSError) as error:
        sys.exit(f"runner: {error!r}")
    finally:
        guard.sweep(server[0])
        os.kill(server[0], signal.SIGKILL)
        os.waitpid(server[0], 0)  # so that what the runs used counts for whoever waits for this process

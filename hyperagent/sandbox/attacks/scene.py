"""What lies on the host for an attack to find: a secret, files, listeners, a process, a model's door.

All of it is temporary, and all of it says afterwards whether something got to it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

from hyperagent.types import Json

_NOBODY = 65534
_VARIABLE = "HYPERAGENT_ATTACK_SECRET_KEY"
_CLOCK_SECONDS = 60.0
_DYING_SECONDS = 3.0
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nstill here"
_SETTINGS = ("core_pattern", "modprobe", "hostname", "randomize_va_space")
_HEARD_BYTES, _REQUEST_BYTES = 64, 65536
_HEAR_SECONDS = 0.2


class Scene:
    """A context manager: everything stands inside it, nothing is left after it. For one thread."""

    def __init__(self) -> None:
        self.bait = f"canary-{secrets.token_hex(16)}"
        self.marker = f"attack-{secrets.token_hex(8)}"
        self._greeting = secrets.token_hex(8)
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Scene:
        with contextlib.ExitStack() as undo:
            self.folder = Path(tempfile.mkdtemp(prefix="hyperagent-attacks-"))
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._furnish()
            os.environ[_VARIABLE] = self.bait
            undo.callback(os.environ.pop, _VARIABLE, None)
            self._listener = undo.enter_context(_Listener(self.folder, self._greeting, self.model_directory))
            self._victim = self._start_victim()
            undo.callback(self._end_victim)
            self._before = _machine()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @property
    def model_directory(self) -> Path:
        """Holds ``model.sock``, where a server gives one short answer to everything."""
        return self.folder / "model"

    def _furnish(self) -> None:
        """Open to every user: what keeps a program away must be its sandbox."""
        self.folder.chmod(0o755)
        self.model_directory.mkdir()
        self.model_directory.chmod(0o755)
        (self.folder / "label").write_text(self.bait)
        (self.folder / "label").chmod(0o644)
        (self.folder / "target").write_text("untouched")
        (self.folder / "target").chmod(0o666)

    def _start_victim(self) -> subprocess.Popen[bytes]:
        """A process of the user that a sandbox without its own users runs as, with the secret in its environment."""
        down = {"user": _NOBODY, "group": _NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            ["/bin/sh", "-c", "read line", self.marker],
            stdin=subprocess.PIPE,
            cwd="/",
            **down,
        )

    def _end_victim(self) -> None:
        self._victim.kill()
        self._victim.wait()
        if self._victim.stdin:
            self._victim.stdin.close()

    def inputs(self) -> dict[str, Json]:
        """What an attack is told; never the secret."""
        return {
            "label": str(self.folder / "label"),
            "target": str(self.folder / "target"),
            "folder": str(self.folder),
            "victim": self._victim.pid,
            "marker": self.marker,
            "greeting": self._greeting,
            **self._listener.places,
        }

    def harm(self) -> list[str]:
        """What has happened to the host, in words; nothing where it is as it was."""
        found = []
        if (self.folder / "label").read_text() != self.bait or (self.folder / "target").read_text() != "untouched":
            found.append("a file of the host was changed")
        names = {entry.name for entry in os.scandir(self.folder)}
        if names != {"label", "target", "model", "host.sock"}:
            found.append(f"files were made on the host: {sorted(names)}")
        if self._victim.poll() is not None:
            found.append("a process of the host was killed")
        if visitors := self._listener.visitors():
            found.append(f"the host's listener was reached by {', '.join(visitors)}")
        now = _machine()
        if now[1:] != self._before[1:]:
            found.append("a setting of the host's kernel was changed")
        if abs(now[0] - self._before[0]) > _CLOCK_SECONDS:
            found.append("the host's clock was set")
        return found

    def survivors(self) -> list[int]:
        """Pids, on the host, of processes that an attack left; the host sees into the sandboxes."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != self._victim.pid:
                with contextlib.suppress(OSError):
                    if self.marker.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                        found.append(int(name))
        return found

    def end_survivors(self) -> list[int]:
        """The same, a moment later, which dying may take; whoever then still lives is killed here."""
        until = time.monotonic() + _DYING_SECONDS
        while (found := self.survivors()) and time.monotonic() < until:
            time.sleep(0.05)
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return found


def _machine() -> tuple[float, tuple[str, ...]]:
    """Offset of the wall clock from the monotonic one, in seconds; some settings of the kernel."""
    settings = []
    for name in _SETTINGS:
        with contextlib.suppress(OSError):
            settings.append(Path(f"/proc/sys/kernel/{name}").read_text())
    return time.time() - time.monotonic(), tuple(settings)


def addresses() -> list[str]:
    """Every address of this machine, loopback first."""
    found = ["127.0.0.1", "::1"]
    with contextlib.suppress(OSError):
        previous = ""
        for line in Path("/proc/net/fib_trie").read_text().splitlines():
            if "/32 host LOCAL" in line and previous not in found:
                found.append(previous)
            previous = line.split()[-1]
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0]))
            if address not in found and not address.startswith("fe80:"):
                found.append(address)
    return found


class _Listener:
    """Listens on every address of the host and in its folder, notes who says the greeting; and is the model.

    One thread, one answer per connection, which is then closed: nothing that a program sends can occupy it.
    """

    def __init__(self, folder: Path, greeting: str, model_directory: Path) -> None:
        self._folder, self._greeting, self._model_directory = folder, greeting.encode(), model_directory
        self._visitors: list[str] = []
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="attack-listener")
        self.places: dict[str, Json] = {}

    def __enter__(self) -> _Listener:
        both = socket.has_dualstack_ipv6()
        family, any_address = (socket.AF_INET6, "::") if both else (socket.AF_INET, "0.0.0.0")
        tcp = socket.create_server((any_address, 0), family=family, dualstack_ipv6=both)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        if both:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        udp.bind((any_address, 0))
        abstract = f"hyperagent-{secrets.token_hex(8)}"
        local = [self._local(f"\0{abstract}"), self._local(str(self._folder / "host.sock"))]
        model = self._local(str(self._model_directory / "model.sock"))
        self._all = {tcp: "TCP", udp: "UDP", local[0]: "a local name", local[1]: "a local file", model: "model"}
        for listener, name in self._all.items():
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, name)
        self._selector.register(self._stopped, selectors.EVENT_READ, "stop")
        self.places = {
            "addresses": list(addresses()),
            "port": tcp.getsockname()[1],
            "udp_port": udp.getsockname()[1],
            "abstract": abstract,
        }
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.send(b"x")
        self._thread.join()
        self._selector.close()
        for listener in (*self._all, self._stop, self._stopped):
            listener.close()

    @staticmethod
    def _local(name: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(name)
        if not name.startswith("\0"):
            os.chmod(name, 0o666)
        listener.listen(64)
        return listener

    def visitors(self) -> list[str]:
        """By which ways somebody said the greeting since this was asked last."""
        found, self._visitors = self._visitors, []
        return found

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data == "stop":
                    return
                with contextlib.suppress(OSError):
                    self._answer(key.fileobj, str(key.data))

    def _answer(self, listener: object, name: str) -> None:
        assert isinstance(listener, socket.socket)
        if name == "UDP":
            self._note(listener.recv(_HEARD_BYTES), name)
            return
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(_HEAR_SECONDS)
            said = connection.recv(_REQUEST_BYTES)
            if name == "model" and said:
                connection.sendall(_REPLY)
            elif name != "model":
                self._note(said, name)

    def _note(self, said: bytes, name: str) -> None:
        if said == self._greeting:
            self._visitors.append(name)

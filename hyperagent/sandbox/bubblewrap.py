"""The bubblewrap backend: namespaces without a daemon and without root, the same files and filter as in a container."""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.sandbox import cgroups, policy, probe, reaper
from hyperagent.sandbox.bwrap import Bwrap, BwrapTransport, find_bwrap
from hyperagent.sandbox.doors import DOORS, Doors, admit, remove
from hyperagent.sandbox.limits import Limiter, counts_per_namespace
from hyperagent.sandbox.packages import PLACE, digest, installed
from hyperagent.sandbox.rootfs import Root, ensure_root, open_to_nobody, visible
from hyperagent.sandbox.seccomp import UnknownProfile, compile_profile
from hyperagent.sandbox.session import FramedSession, OpenSessions
from hyperagent.types import JobSpec, Limits, SandboxInfo

_MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats", "/proc/sched_debug")
"""What a container engine hides, too."""
_SHARED_MEMORY_MB = 16
_PYTHON = ".".join(platform.python_version_tuple()[:2])
_SETTINGS = {"base": policy.BASE, "shared_memory": "/dev/shm", "port": policy.MODEL_PORT}


class BubblewrapSandbox:
    """A :class:`~hyperagent.protocols.Sandbox` of Linux namespaces.

    The thread that opens a session must live as long as that: the sandbox dies with it.

    Args:
        owner: Names one archive; :meth:`reap` removes leftovers of this owner only.
        limiter: How limits are kept; None = by the best that this machine offers.
    """

    def __init__(self, owner: str, limiter: Limiter | None = None) -> None:
        self._owner = owner
        self._limiter = limiter
        self._bwrap: Bwrap | None = None
        self._root: Root | None = None
        self._seccomp = b""
        self._mounts: dict[str, str] = {}
        self._packages: dict[tuple[str, ...], Path] = {}
        self._numbers = itertools.count(1)
        self._sessions = OpenSessions()
        self._doors = Doors(owner)

    @property
    def info(self) -> SandboxInfo:
        if self._root is None or self._limiter is None:
            return SandboxInfo(backend="bubblewrap", isolation="namespaces")
        isolation = f"namespaces, seccomp; {self._limiter.describe()}".rstrip("; ")
        return SandboxInfo("bubblewrap", isolation, self.image(), self._limiter.warnings())

    def image(self, packages: tuple[str, ...] = ()) -> str:
        image = self._root.image if self._root else ""
        if packages not in self._packages:
            return image
        return f"{image}+packages-{digest(packages, _PYTHON)}"

    def prepare(self, packages: Iterable[tuple[str, ...]] = ()) -> None:
        self._bwrap = find_bwrap()
        try:
            self._seccomp = compile_profile(policy.seccomp_profile(), platform.machine())
        except UnknownProfile as error:
            raise SandboxUnavailable(str(error), hint="use sandbox.backend = docker") from error
        self._mounts = {target: str(visible(Path(source))) for target, source in policy.mounts(None).items()}
        self._root = ensure_root()
        for wanted in filter(None, packages):
            self._packages[wanted] = visible(installed(wanted, _PYTHON))
        if self._limiter is None:
            self._limiter = Limiter(cgroups.find(), counts_per_namespace())
        self.reap()
        probe.check_once(self, (self._bwrap, self._root, self._limiter.describe()))

    def abort(self) -> None:
        self._sessions.abort()

    def reap(self) -> int:
        """Remove what dead drivers left: control groups and folders. Their sandboxes died with them."""
        self._doors.close()
        groups = self._limiter.cgroups if self._limiter else cgroups.find()
        return reaper.reap_folders(DOORS, self._owner) + (groups.reap(self._owner) if groups else 0)

    @contextmanager
    def session(self, spec: JobSpec) -> Iterator[FramedSession]:
        transport = self._start(spec)
        try:
            session = FramedSession(transport, spec)
            socket = f"{policy.MODEL_DIRECTORY}/{policy.MODEL_SOCKET}" if spec.model_directory else ""
            session.open(spec, {**_SETTINGS, "model_socket": socket})
            with self._sessions.during(session):
                yield session
        finally:
            transport.destroy()

    def _start(self, spec: JobSpec) -> BwrapTransport:
        if self._bwrap is None or self._root is None or self._limiter is None:
            raise SandboxLost("the sandbox was not prepared", hint="call prepare() first")
        if spec.packages and spec.packages not in self._packages:
            raise SandboxLost(f"the sandbox was not prepared for {', '.join(spec.packages)}", hint="call prepare()")
        environment = dict(policy.ENVIRONMENT)
        with ExitStack() as undo:
            mounts = self._mounts | self._model_mount(spec.model_directory, undo)
            if spec.packages:
                mounts[PLACE] = str(self._packages[spec.packages])
                environment["PYTHONPATH"] = PLACE
            group = None
            if self._limiter.cgroups:
                group = self._limiter.cgroups.group(self._owner, str(next(self._numbers)), spec.limits)
                undo.callback(group.remove)
                mounts |= group.mounts()
            command = self._limiter.command(policy.COMMAND, spec.limits)
            return BwrapTransport(
                self._bwrap,
                [*arguments(self._root.folder, mounts, environment, spec.limits), "--", *command],
                self._seccomp,
                confine=group.add if group else lambda pid: None,
                leave=undo.pop_all().close,
            )

    def _model_mount(self, directory: Path | None, undo: ExitStack) -> dict[str, str]:
        """The folder with the model's socket, or where the sandbox's user cannot reach it, one with a link to that."""
        if directory is None:
            return {}
        if not open_to_nobody(directory):
            door = self._doors.new()
            undo.callback(remove, door)
            try:
                admit(door, directory)
            except OSError as error:
                raise SandboxLost(f"the sandbox's user may not enter {directory}: {error}") from error
            directory = door
        return {policy.MODEL_DIRECTORY: str(directory.resolve())}


def arguments(root: Path, mounts: Mapping[str, str], environment: Mapping[str, str], limits: Limits) -> list[str]:
    """The file system and the environment of one sandbox, as bubblewrap is told."""
    said = ["--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev"]
    said += ["--perms", "1777", "--size", str(_SHARED_MEMORY_MB << 20), "--tmpfs", "/dev/shm"]
    said += ["--remount-ro", "/dev", "--perms", "1777", "--size", str(limits.tmpfs_mb << 20), "--tmpfs", policy.BASE]
    for target in filter(os.path.exists, _MASKED):
        said += ["--ro-bind", "/dev/null", target]
    for target, source in mounts.items():
        said += ["--ro-bind", source, target]
    for name, value in environment.items():
        said += ["--setenv", name, value]
    return [*said, "--chdir", "/"]

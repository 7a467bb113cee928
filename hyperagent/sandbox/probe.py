"""Looks from inside whether a backend's sandboxes hold what they promise, before the first program runs in one."""

from __future__ import annotations

import threading
from collections.abc import Hashable

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.protocols import Sandbox
from hyperagent.sandbox import policy
from hyperagent.types import JobSpec, RunRequest, RunResult

_SECONDS = 60.0
_TRIES = 3
_OTHER_KERNELS = ("runsc",)
"""Runtimes that serve system calls themselves; the profile is the host kernel's and says nothing about theirs."""
_passed: set[Hashable] = set()
_lock = threading.Lock()


def check_once(sandbox: Sandbox, what: Hashable, runtime: str = "") -> None:
    """:func:`check`, once per process for equal ``what`` (image, engine ...)."""
    with _lock:
        if what not in _passed:
            check(sandbox, runtime)
            _passed.add(what)


def check(sandbox: Sandbox, runtime: str = "") -> None:
    """Run ``runtime/probe.py`` as a program.

    Raises:
        SandboxUnavailable: Something is missing; the message says what.
    """
    program = {"task_agent.py": (policy.runtime_directory() / "probe.py").read_bytes()}
    inputs = {
        "seccomp": not runtime.startswith(_OTHER_KERNELS),
        "read_only": ["/", policy.RUNTIME, policy.MODEL_DIRECTORY],
    }
    result = _run(sandbox, JobSpec("probe", program), RunRequest("task", {"inputs": inputs}, _SECONDS))
    if result.status != "ok" or not isinstance(result.value, list):
        raise SandboxUnavailable(f"the probe in the sandbox ended with {result.status}: {result.error[-300:]}")
    if result.value:
        raise SandboxUnavailable(
            f"the sandbox does not hold: {'; '.join(map(str, result.value))}",
            hint="the engine ignores part of what it is told; check its version, its kernel and its security options"
            + (f", or leave sandbox.runtime empty: this {runtime} lacks what the others have" if runtime else ""),
        )


def _run(sandbox: Sandbox, spec: JobSpec, request: RunRequest) -> RunResult:
    for attempt in range(_TRIES):
        try:
            with sandbox.session(spec) as session:
                return session.run(request)
        except SandboxLost as error:
            if attempt == _TRIES - 1:
                raise SandboxUnavailable(f"no sandbox could be started: {error.message}", hint=error.hint) from error
    raise AssertionError("unreachable: the last try returns or raises")

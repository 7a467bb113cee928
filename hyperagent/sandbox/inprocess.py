"""Programs in the engine's own process: a double for synthetic landscapes, far cheaper than a sandbox.

It isolates nothing and cannot even end a run, so ``assembly`` hands it out only where no model can write code: edits
come from a shipped double or are drawn at random from a schema, and the program decides which forms they take.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import tomllib
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyperagent.errors import SandboxUnavailable
from hyperagent.sandbox import policy
from hyperagent.types import JobSpec, Json, ProgramTree, RunRequest, RunResult, SandboxInfo

WARNING = "the inprocess backend runs programs inside the engine itself: for synthetic landscapes only"
_ENTRIES = {"task": "task_agent:TaskAgent", "meta": "meta_agent:MetaAgent"}
_RUNNING = threading.RLock()
"""Imports, environment and import path belong to the whole process: one run at a time."""


class InProcessSandbox:
    """A :class:`~hyperagent.protocols.Sandbox` that is none. One run at a time, no limits of time or memory."""

    @property
    def info(self) -> SandboxInfo:
        return SandboxInfo(backend="inprocess", isolation="none", image=self.image(), warnings=(WARNING,))

    def image(self, packages: tuple[str, ...] = ()) -> str:
        return "python-" + ".".join(map(str, sys.version_info[:3]))

    def prepare(self, packages: Iterable[tuple[str, ...]] = ()) -> None:
        if any(packages):
            raise SandboxUnavailable("the inprocess backend holds no packages", hint="use another sandbox.backend")

    def abort(self) -> None:
        """Nothing can be ended from outside; a run ends by itself."""

    def reap(self) -> int:
        return 0

    @contextmanager
    def session(self, spec: JobSpec) -> Iterator[InProcessSession]:
        folder = Path(tempfile.mkdtemp(prefix="hyperagent-inprocess-"))
        try:
            yield InProcessSession(folder, spec)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class InProcessSession:
    """Runs of one job, each from fresh folders and freshly imported modules."""

    def __init__(self, folder: Path, spec: JobSpec) -> None:
        self._folder = folder
        self._spec = spec
        _write(folder / "program", spec.program)

    def run(self, request: RunRequest) -> RunResult:
        run, repo = self._folder / "run", self._folder / "repo"
        for fresh in (run, repo, self._folder / "evidence"):
            shutil.rmtree(fresh, ignore_errors=True)
        run.mkdir()
        if request.kind == "meta":
            _write(repo, self._spec.program if self._spec.subject is None else self._spec.subject)
            _write(self._folder / "evidence", self._spec.evidence)
        began, output, chat = time.monotonic(), io.StringIO(), run / "chat.md"
        value: Json = None
        status, error = "ok", ""
        with _RUNNING, self._furnished(), contextlib.redirect_stdout(output):
            try:
                value = self._answer(request, str(chat), repo)
            except BaseException as failure:  # noqa: BLE001 - what a program raises is its result, as behind a process
                status, error = "error", "".join(traceback.format_exception(failure))[-4000:]
        return RunResult(
            status=status,  # type: ignore[arg-type]
            value=value,
            tree=_read(repo) if request.kind == "meta" and status == "ok" else None,
            error=error,
            transcript=chat.read_text(encoding="utf-8", errors="replace") if chat.is_file() else "",
            stdout=output.getvalue(),
            seconds=time.monotonic() - began,
        )

    def _answer(self, request: RunRequest, chat: str, repo: Path) -> Json:
        arguments = request.arguments
        model = str(arguments.get("model", ""))
        if request.kind == "check":
            for path in sorted((self._folder / "program").rglob("*.py")):
                compile(path.read_bytes(), path.name, "exec", dont_inherit=True)
            return {"loaded": [self._agent(kind).__name__ for kind in _ENTRIES]}
        agent = self._agent(request.kind)(model=model, chat_history_file=chat)
        if request.kind == "meta":
            said = agent.forward(str(repo), str(self._folder / "evidence"), arguments.get("iterations_left"))
            return said if isinstance(said, (str, dict)) else None
        answer = agent.forward(arguments.get("inputs", {}))
        return answer[0] if isinstance(answer, tuple) and answer else answer

    def _agent(self, kind: str) -> Callable[..., Any]:
        entries = dict(_ENTRIES)
        manifest = self._folder / "program" / "program.toml"
        if manifest.is_file():
            entries.update(tomllib.loads(manifest.read_text(encoding="utf-8")).get("entry", {}))
        module, _, name = entries[kind].partition(":")
        found = getattr(importlib.import_module(module), name, None)
        if not isinstance(found, type) or not callable(getattr(found, "forward", None)):
            raise TypeError(f"entry point {kind} = {entries[kind]!r} is not a module:Class with a forward method")
        return found

    @contextmanager
    def _furnished(self) -> Iterator[None]:
        """The program's import path, environment and draws; afterwards the process is as it was."""
        program = str(self._folder / "program")
        before, path, draws = set(sys.modules), list(sys.path), random.getstate()
        written = sys.dont_write_bytecode
        sys.dont_write_bytecode = True
        sys.path.insert(0, program)
        added = dict(self._spec.environment)
        if self._spec.model_directory is not None:
            url = f"http://127.0.0.1:{_DOOR.lead_to(self._spec.model_directory / policy.MODEL_SOCKET)}/v1"
            added |= {"OPENAI_BASE_URL": url, "OPENAI_API_BASE": url, "OPENAI_API_KEY": "placeholder"}
        environment = {name: os.environ.get(name) for name in added}
        os.environ.update(added)
        random.seed(0)
        try:
            yield
        finally:
            sys.dont_write_bytecode = written
            sys.path[:] = path
            for name, value in environment.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            random.setstate(draws)
            for name in set(sys.modules) - before:
                if str(getattr(sys.modules[name], "__file__", None) or "").startswith(program + os.sep):
                    del sys.modules[name]
            sys.path_importer_cache.pop(program, None)


class _Door:
    """One loopback port for the whole process, which leads to the model's socket of whichever run it is now."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._port = 0

    def lead_to(self, target: Path) -> int:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ha-door-"))
            self._port = _shim().start(str(self._folder / "door"), 0)
        link = self._folder / "door"
        fresh = self._folder / "next"
        fresh.symlink_to(target)
        fresh.replace(link)
        return self._port


_DOOR = _Door()


def _shim() -> Any:
    """The runtime's forwarder, loaded by path as every runner loads it: nothing here imports the runtime."""
    spec = importlib.util.spec_from_file_location("_sandbox_shim", policy.runtime_directory() / "shim.py")
    if spec is None or spec.loader is None:
        raise SandboxUnavailable("the runtime's forwarder cannot be loaded", hint="install the package again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write(folder: Path, tree: ProgramTree) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _read(folder: Path) -> ProgramTree:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

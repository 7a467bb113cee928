"""One run: the process that becomes the program. The program may overwrite all of it, so nothing trusts it."""

from __future__ import annotations

import importlib
import json
import os
import random
import resource
import sys
import tomllib
import traceback
from typing import Any

from . import guard

_ENTRIES = {
    "task": "task_agent:TaskAgent",
    "meta": "meta_agent:MetaAgent",
    "select": "parent_selection:ParentSelector",
}
_NEEDED = ("task", "meta")
_ERROR_CHARACTERS = 4000
_MAX_FILE_MB = 1024


def main(payload: int, result: int, output: int) -> None:
    """Take the descriptors, run the payload, write the result; never returns."""
    os.setsid()
    guard.die_with_parent()
    null = os.open(os.devnull, os.O_RDWR)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    _close_all_but(payload, result)
    guard.set_dumpable(True)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # when memory runs out the program goes, not the runner
    with open(payload, "rb") as stream:
        job = json.load(stream)
    _furnish(job)
    answer = _answer(job)
    for stream_ in (sys.stdout, sys.stderr):
        try:
            stream_.flush()
        except (OSError, ValueError, AttributeError):  # the program closed or replaced it
            continue
    _write(result, answer)
    os._exit(0)


def _close_all_but(*kept: int) -> None:
    low = 3
    for descriptor in (*sorted(kept), 4096):
        os.closerange(low, descriptor)
        low = descriptor + 1


def _furnish(job: dict[str, Any]) -> None:
    """Environment, limits, working directory and import path of the program."""
    os.environ.clear()
    os.environ.update(job["environment"])
    space = job["address_space_mb"] << 20
    limits = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, _MAX_FILE_MB << 20), (resource.RLIMIT_AS, space))
    for which, value in limits:
        resource.setrlimit(which, (value, value))
    # The wall clock ends a run first, for good. This ends what has slipped away from it, wherever that may be.
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu_seconds"], job["cpu_seconds"] + 1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    os.umask(0o022)
    os.chdir(job["program"])
    sys.path.insert(0, job["program"])
    sys.argv = ["program"]
    random.seed(0)  # a replay must meet the same draws; forking has just reseeded from the system


def _answer(job: dict[str, Any]) -> bytes:
    """The result as JSON text: ``{"status": "ok", "value": ...}`` or a status and the last lines of the traceback."""
    try:
        value = {"task": _task, "meta": _meta, "check": _check, "select": _select}[job["kind"]](job)
        text = json.dumps({"status": "ok", "value": value}, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except MemoryError:
        return b'{"status": "memory", "error": "MemoryError: the program is over its memory limit"}'
    except BaseException as error:  # noqa: BLE001 - the process boundary: whatever a program raises is its result
        lines = traceback.format_exception(error)
        text = "".join(lines)[-_ERROR_CHARACTERS:]
        return json.dumps({"status": "error", "error": text}).encode("ascii")


def _entries() -> dict[str, str]:
    entries = dict(_ENTRIES)
    if os.path.isfile("program.toml"):
        with open("program.toml", "rb") as file:
            entries.update(tomllib.load(file).get("entry", {}))
    return entries


def _agent_class(kind: str) -> Any:
    """The class behind an entry point.

    Raises:
        TypeError: It is no ``module:Class`` with a ``forward``.
    """
    entry = _entries()[kind]
    module, _, name = str(entry).partition(":")
    found = getattr(importlib.import_module(module), name, None) if name else None
    if not isinstance(found, type) or not callable(getattr(found, "forward", None)):
        raise TypeError(f"entry point {kind} = {entry!r} is not a module:Class with a forward method")
    return found


def _task(job: dict[str, Any]) -> Any:
    arguments = job["arguments"]
    agent = _agent_class("task")(model=arguments.get("model", ""), chat_history_file=job["chat"])
    answer = agent.forward(arguments.get("inputs", {}))
    return answer[0] if isinstance(answer, tuple) and answer else answer


def _meta(job: dict[str, Any]) -> Any:
    arguments = job["arguments"]
    agent = _agent_class("meta")(model=arguments.get("model", ""), chat_history_file=job["chat"])
    answer = agent.forward(job["repo"], job["evidence"], arguments.get("iterations_left"))
    return answer if isinstance(answer, (str, dict)) else None


def _select(job: dict[str, Any]) -> Any:
    arguments = job["arguments"]
    return _agent_class("select")().forward(arguments.get("variants", []), arguments.get("random", 0.0))


def _check(job: dict[str, Any]) -> Any:
    """Compile every module, load the entry points that a program must have."""
    modules = []
    for parent, folders, names in os.walk("."):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                path = os.path.relpath(os.path.join(parent, name))
                with open(path, "rb") as file:
                    compile(file.read(), path, "exec", dont_inherit=True)
                modules.append(path)
    for kind in _NEEDED:
        _agent_class(kind)
    return {"modules": modules}


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

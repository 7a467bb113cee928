"""The one model process that all jobs share: ``python -m hyperagent.models.local_server SOCKET THREADS``.

It loads each model once, on first use, answers on a Unix socket in a directory that only its owner can enter, and ends
when its standard input is closed, which happens however its parent dies. (The kernel's parent-death signal would fire
already when the *thread* that started it ends.)
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from hyperagent.models import wire
from hyperagent.models.http import Answer, UnixServer

_PROMPT_CACHE_MB = 2048
"""Host memory for the states of earlier prompts: a prompt that starts like an earlier one costs only its own rest."""
_SILENT = -1


class _Servers:
    """Models by the paths of weights and adapter; loading is serialised, answering is not."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, str], Any] = {}

    def get(self, path: str, context: int, slots: int, adapter: str = "") -> Any:
        with self._lock:
            if (path, adapter) not in self._loaded:
                self._loaded[path, adapter] = self._load(path, context, slots, adapter)
            return self._loaded[path, adapter]

    def _load(self, path: str, context: int, slots: int, adapter: str) -> Any:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = path
        if adapter:
            parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(adapter, 1.0)]
        parameters.n_ctx = context * slots
        parameters.n_parallel = slots
        parameters.cpuparams.n_threads = self._threads
        parameters.cpuparams_batch.n_threads = self._threads
        parameters.cache_ram_mib = _PROMPT_CACHE_MB
        parameters.warmup = False
        parameters.verbosity = _SILENT
        return xllamacpp.Server(parameters)


def _answer(servers: _Servers, body: bytes) -> Answer:
    order = json.loads(body)
    try:
        server = servers.get(order["path"], order["context"], order["slots"], order.get("adapter", ""))
    except RuntimeError as error:
        return Answer(422, wire.error_body(f"{order['path']} cannot be loaded: {error}", "weights"))
    try:
        reply = server.handle_chat_completions({**order["request"], "cache_prompt": True})
    except (RuntimeError, ValueError) as error:
        return Answer(400, wire.error_body(str(error), "invalid_request"))
    return Answer(200, json.dumps(reply).encode())


def main(arguments: list[str]) -> None:
    """Serve until standard input ends."""
    path, threads = Path(arguments[0]), int(arguments[1])
    servers = _Servers(threads)
    UnixServer(path, lambda method, route, body, epoch: _answer(servers, body))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # a completion in progress would hold up an ordinary exit; nobody waits for it any more


if __name__ == "__main__":
    main(sys.argv[1:])

"""``local/NAME``: models on this machine's CPU, served by one process that all jobs share."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType

from hyperagent.errors import ModelLost, ModelRequestInvalid, ModelUnavailable, NotFoundError
from hyperagent.models.adapters import usable_weights
from hyperagent.models.catalogue import known_model, model_directory
from hyperagent.types import ChatReply, ChatRequest, Json

_CRASH_LIMIT = 2
"""Crashes in a row after which the model counts as unusable here."""
_STOP_SECONDS = 5.0


def default_threads() -> int:
    """Processor threads of a model: half the processors, at least 2, at most 8."""
    return min(8, max(2, (os.cpu_count() or 2) // 2))


class LocalModels:
    """Client for ``local/NAME``. Starts the model process with the first call; :meth:`close` ends it.

    Replies at temperature 0 may differ in rare words with what the process has served before (cached prompts are
    computed in other batches); replay therefore reads recorded calls.

    Args:
        directory: Where the weights are; default: :func:`~hyperagent.models.catalogue.model_directory`.
        threads: Processor threads per model; default: half the processors, at least 2 (measured on two processors:
            about 200 prompt tokens/s with 2 threads, 114 with 1), at most 8.
        candidates: Adapters (``NAME+adapter``) that can be used although they are not offered: to evaluate them.
    """

    def __init__(self, directory: Path | None = None, threads: int = 0, candidates: Collection[str] = ()) -> None:
        self._directory = directory or model_directory()
        self._candidates = candidates
        self._adapters: dict[str, str] = {}
        self._threads = threads or default_threads()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._home: Path | None = None
        self._crashes = 0

    def __enter__(self) -> LocalModels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """See :class:`~hyperagent.protocols.ModelClient`. ``timeout`` in seconds, the loading of the model included."""
        name = request.model.removeprefix("local/")
        order = self._order(name, request)
        process, path = self._running(name)
        try:
            status, body = _post(path, order, timeout)
        except TimeoutError:
            raise ModelLost(f"{request.model}: no reply in {timeout:g} s") from None
        except (OSError, http.client.HTTPException, ValueError):
            self._crashed(process)
            raise ModelLost(f"{request.model}: the model process died; it is started again") from None
        if status == 422:
            raise ModelUnavailable(f"{request.model}: {_message(body)}", hint=_pull_hint(name.partition("+")[0]))
        reply = reply_of(request.model, body)
        with self._lock:
            self._crashes = 0
        return reply

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        return 0.0

    def close(self) -> None:
        """End the model process."""
        with self._lock:
            self._stop()

    # -- the process -----------------------------------------------------------------------------

    def _order(self, name: str, request: ChatRequest) -> bytes:
        try:
            model = known_model(name.partition("+")[0])
        except NotFoundError as error:
            raise ModelUnavailable(error.message, hint=error.hint) from None
        weights = self._directory / model.file
        if not weights.is_file():
            raise ModelUnavailable(
                f"the weights of {model.name} are not in {self._directory}", hint=_pull_hint(model.name)
            )
        body = {"messages": list(request.messages), **request.parameters}
        order = {"path": str(weights), "context": model.context, "slots": model.slots, "request": body}
        return json.dumps({**order, "adapter": self._adapter(name)}).encode()

    def _adapter(self, name: str) -> str:
        """The adapter's file, checked once; empty for a model as it is."""
        if "+" not in name:
            return ""
        if name not in self._adapters:
            self._adapters[name] = str(usable_weights(name, self._directory, insist=name in self._candidates))
        return self._adapters[name]

    def _running(self, name: str) -> tuple[subprocess.Popen[bytes], Path]:
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._stop()
            if self._process is None:
                if self._crashes >= _CRASH_LIMIT:
                    raise ModelUnavailable(
                        f"the process of local/{name} died {self._crashes} times in a row",
                        hint="Is there enough memory? Try local/smollm2-135m, or see `hyperagent doctor`.",
                    )
                self._start()
            assert self._process is not None
            assert self._home is not None
            return self._process, self._home / "s"

    def _start(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="ha-model-"))  # mode 0700: the door's only lock
        command = [sys.executable, "-m", "hyperagent.models.local_server", str(self._home / "s"), str(self._threads)]
        package_root = str(Path(__file__).resolve().parents[2])
        paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the engine's to handle: calls in flight are finished
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self._stop()
            raise ModelUnavailable(
                "the local model process does not start", hint="Run `hyperagent doctor`; is xllamacpp installed?"
            )

    def _crashed(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if process is self._process:  # else another call has seen it first
                self._crashes += 1
                self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _post(path: Path, body: bytes, timeout: float) -> tuple[int, Mapping[str, Json]]:
    connection = _Connection(path, timeout)
    try:
        connection.request("POST", "/complete", body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def reply_of(model: str, body: Mapping[str, Json]) -> ChatReply:
    if "error" in body:
        code = body["error"].get("code")
        if code in ("invalid_request", "request_too_large") or (isinstance(code, int) and 400 <= code < 500):
            raise ModelRequestInvalid(f"{model}: {_message(body)}")
        raise ModelLost(f"{model}: {_message(body)}")
    choice, usage = body["choices"][0], body["usage"]
    message = {"role": "assistant", "content": choice["message"].get("content")}
    if choice["message"].get("tool_calls"):
        message["tool_calls"] = choice["message"]["tool_calls"]
    return ChatReply(message, choice["finish_reason"], usage["prompt_tokens"], usage["completion_tokens"])


def _message(body: Mapping[str, Json]) -> str:
    return str(body["error"].get("message", "unknown error"))[:300]


def _pull_hint(name: str) -> str:
    return f"Run `hyperagent model pull {name}`."

"""A provider on loopback: speaks the wire formats of OpenAI, Anthropic and Ollama, says what a test tells it, and
misbehaves as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Message = Mapping[str, Any]
Script = Callable[[Sequence[Message]], Message]
"""Messages of a request in OpenAI's form -> the reply's message in OpenAI's form."""

PROMPT_TOKENS, COMPLETION_TOKENS = 11, 3
VECTOR = (0.25, -1.0)
"""The embedding of every text."""
HANG_SECONDS = 20.0
"""Longest that a hanging reply waits for its release."""

FAULTS = ("429", "500", "503", "529", "hang", "cut", "truncated", "garbage", "useless", "huge", "no usage")
"""A status (429 asks for 7 s), no reply in time, a connection broken off, half a body, no JSON, a billed reply without
an answer, a reply of a million characters, a reply that does not say what it cost."""
_ERRORS = {
    "400": "no such luck",
    "400 balance": "Your credit balance is too low to access the API",
    "429": "too many requests",
    "429 quota": "insufficient_quota",
    "500": "the server is unwell",
    "503": "the server is busy",
    "529": "overloaded",
}


class Provider(ThreadingHTTPServer):
    """``script`` makes the replies; ``paths``, ``keys`` and ``bodies`` list what came in, in order.

    ``faults`` strike first, one per request: each is one of :data:`FAULTS`, a status, or empty for none.
    """

    daemon_threads = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.paths: list[str] = []
        self.keys: list[str] = []
        self.bodies: list[Mapping[str, Any]] = []
        self.faults: list[str] = []
        self.release = threading.Event()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.paths.append(self.path)
        self.server.keys.append(self.headers.get("Authorization") or self.headers.get("x-api-key") or "")
        self.server.bodies.append(request)
        fault = self.server.faults.pop(0) if self.server.faults else ""
        if fault == "hang":
            self.server.release.wait(HANG_SECONDS)
        if fault in ("hang", "cut"):
            return
        if fault in _ERRORS:
            said, status = _ERRORS[fault], int(fault[:3])
            error = {"type": said, "code": said, "message": said}
            self._send(status, json.dumps({"type": "error", "error": error}).encode(), fault == "429")
            return
        body = json.dumps(_spoiled(fault, self.path, self._reply(request))).encode()
        if fault == "truncated":
            body = body[: len(body) // 2]
        self._send(200, b"<html>\x00" if fault == "garbage" else body)

    def _reply(self, request: Mapping[str, Any]) -> Any:
        if self.path.endswith("/embeddings"):
            inputs = request["input"]
            data = [{"object": "embedding", "index": i, "embedding": list(VECTOR)} for i in range(len(inputs))]
            usage = {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS}
            return {"object": "list", "model": "m", "data": data, "usage": usage}
        return _reply(self.path, self.server.script(request["messages"]))

    def _send(self, status: int, body: bytes, later: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if later:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def _spoiled(fault: str, path: str, reply: Any) -> Any:
    anthropic = path.endswith("/messages")
    if fault == "no usage":
        return {name: value for name, value in reply.items() if name != "usage"}
    if fault == "useless":
        return {**reply, ("content" if anthropic else "data" if path.endswith("/embeddings") else "choices"): []}
    if fault == "huge":
        text = "x" * 1_000_000
        if anthropic:
            return {**reply, "content": [{"type": "text", "text": text}]}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"}
        return {**reply, "choices": [choice]}
    return reply


def _anthropic_content(message: Message) -> list[Mapping[str, Any]]:
    said = [{"type": "text", "text": message["content"]}] if message.get("content") else []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        use = {"type": "tool_use", "id": call["id"], "name": function["name"]}
        said.append({**use, "input": json.loads(function["arguments"])})
    return said


def _reply(path: str, message: Message) -> Mapping[str, Any]:
    if path.endswith("/messages"):
        return {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": _anthropic_content(message),
            "stop_reason": "tool_use" if message.get("tool_calls") else "end_turn",
            "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS},
        }
    if path.endswith("/api/chat"):
        return {
            "model": "m",
            "created_at": "2026-01-01T00:00:00Z",
            "message": {"role": "assistant", "content": message["content"]},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": PROMPT_TOKENS,
            "eval_count": COMPLETION_TOKENS,
        }
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": "m",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        },
    }


@contextmanager
def provider(script: Script) -> Iterator[Provider]:
    server = Provider(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        thread.join()
        server.server_close()

"""Helpers of the broker's tests: a meter that checks its cap, brokers on one recorder, a client of a socket."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hyperagent.errors import BudgetReached
from hyperagent.models import EmbeddingReply, EmbeddingRequest, LocalBroker, MemoryRecorder, ScriptedClient
from hyperagent.models.embedding import packed
from hyperagent.protocols import Meter, ModelChannel, ModelClient
from hyperagent.types import Spend


class CapMeter:
    """Reserves against a token and a cost cap, and keeps what was settled."""

    def __init__(self, tokens: int = 10**9, cost: float = 1e9) -> None:
        self.caps = (tokens, cost)
        self.lock = threading.Lock()
        self.open: dict[int, tuple[int, float]] = {}
        self.settled = Spend()
        self.tickets = 0

    def reserve(self, tokens: int, cost: float) -> int:
        with self.lock:
            held_tokens = sum(entry[0] for entry in self.open.values()) + self.settled.tokens + tokens
            held_cost = sum(entry[1] for entry in self.open.values()) + self.settled.cost + cost
            if held_tokens > self.caps[0]:
                raise BudgetReached("token cap reached", cap="tokens")
            if held_cost > self.caps[1]:
                raise BudgetReached("cost cap reached", cap="cost")
            self.tickets += 1
            self.open[self.tickets] = (tokens, cost)
            return self.tickets

    def settle(self, ticket: int, spend: Spend) -> None:
        with self.lock:
            tokens, cost = self.open.pop(ticket)
            assert spend.tokens <= tokens
            assert spend.cost <= cost + 1e-12
            self.settled += spend


class Door(http.client.HTTPConnection):
    """One keep-alive connection to a channel."""

    def __init__(self, directory: Path) -> None:
        super().__init__("localhost", timeout=30)
        self.directory = directory

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self.directory / "model.sock"))

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        self.request(method, path, body, headers or {})
        response = self.getresponse()
        return response.status, response.read()


class ScriptedEmbedder(ScriptedClient):
    """A scripted client that embeds a text as its length and its vowels."""

    def __init__(self, replies: Any = ()) -> None:
        super().__init__(replies, price_per_token=1e-4)
        self.embedded: list[EmbeddingRequest] = []

    def embed(self, request: EmbeddingRequest, *, timeout: float) -> EmbeddingReply:
        self.embedded.append(request)
        vectors = tuple(packed((len(text), sum(map(text.count, "aeiou")) / 3)) for text in request.inputs)
        return EmbeddingReply(vectors, 7 * len(vectors), 0.001)


def post(directory: Path, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    """Any JSON request over a fresh connection: status and JSON body."""
    door = Door(directory)
    try:
        status, data = door.call("POST", path, json.dumps(body).encode())
        return status, json.loads(data)
    finally:
        door.close()


def streamed(directory: Path, path: str, body: Any) -> list[dict[str, Any]]:
    """The chunks of a stream, without the last one, which must be ``[DONE]``."""
    door = Door(directory)
    try:
        status, data = door.call("POST", path, json.dumps({**body, "stream": True}).encode())
    finally:
        door.close()
    assert status == 200
    *chunks, last, rest = data.decode().split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    return [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]


def ask(directory: Path, content: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
    """One chat completion over a fresh connection: status and JSON body."""
    door = Door(directory)
    body = {"model": "whatever", "messages": [{"role": "user", "content": content}], **parameters}
    try:
        headers = {"Authorization": "Bearer SECRET-KEY"}
        status, data = door.call("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
        return status, json.loads(data)
    finally:
        door.close()


class Bench:
    """One recorder with brokers around it; ``waits`` are the seconds that the brokers would have slept."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.recorder = MemoryRecorder()
        self.waits: list[float] = []

    def open(
        self,
        client: ModelClient,
        *,
        job: str = "job",
        meter: Meter | None = None,
        defaults: dict[str, Any] | None = None,
        model: str = "scripted/m",
        variant: str = "v",
        **options: Any,
    ) -> AbstractContextManager[ModelChannel]:
        return self.door(self.broker(client, **options), job, variant, meter, defaults, model)

    def broker(self, client: ModelClient, **options: Any) -> LocalBroker:
        settings = {"timeout": 5.0, "retries": 2, "sleep": self.waits.append, "random": lambda: 0.5, **options}
        return LocalBroker(client, self.recorder, runtime_directory=self.directory, **settings)

    def door(
        self,
        broker: LocalBroker,
        job: str = "job",
        variant: str = "v",
        meter: Meter | None = None,
        defaults: dict[str, Any] | None = None,
        model: str = "scripted/m",
    ) -> AbstractContextManager[ModelChannel]:
        return broker.channel(
            job,
            campaign="c",
            variant=variant,
            purpose="evaluate",
            model=model,
            meter=meter or CapMeter(),
            defaults={"max_tokens": 64, "temperature": 0.7} if defaults is None else defaults,
        )

"""Doubles that ship with the package: a scripted client, a client with faults, and a recorder in memory."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hyperagent.errors import ModelLost
from hyperagent.models import wire
from hyperagent.protocols import ModelClient
from hyperagent.types import CallKey, ChatReply, ChatRequest, Json, ModelCall

Scripted = str | Mapping[str, Json] | Exception
"""A reply's text, a whole reply message, or an exception to raise."""

FAULTS = ("429", "500", "hang", "truncated", "huge", "garbage")


class ScriptedClient:
    """Answers from a list, in order, or from a function of the request.

    Args:
        replies: The list (running out of it raises ModelLost) or the function.
        price_per_token: US dollars.
    """

    def __init__(
        self,
        replies: Sequence[Scripted] | Callable[[ChatRequest], Scripted],
        *,
        price_per_token: float = 0.0,
    ) -> None:
        self._replies = replies
        self._price = price_per_token
        self._lock = threading.Lock()
        self.requests: list[ChatRequest] = []
        """Every request so far, in order of arrival."""

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        with self._lock:
            index = len(self.requests)
            self.requests.append(request)
        if callable(self._replies):
            said = self._replies(request)
        elif index < len(self._replies):
            said = self._replies[index]
        else:
            raise ModelLost(f"the script has {len(self._replies)} replies; this is call {index + 1}")
        if isinstance(said, Exception):
            raise said
        message = {"role": "assistant", "content": said} if isinstance(said, str) else dict(said)
        # Deterministic sizes, about what a tokenizer would say, and within what was reserved.
        prompt = min(
            wire.prompt_bound(request), sum(len(str(m.get("content") or "")) for m in request.messages) // 4 + 8
        )
        completion = min(int(request.parameters.get("max_tokens", 1024)), len(json.dumps(message)) // 4)
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        return ChatReply(message, finish, prompt, completion, self.price(request, prompt, completion))

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        return self._price * (prompt_tokens + completion_tokens)


class FaultyClient:
    """Another client with faults in front of it.

    Args:
        inner: Answers where no fault strikes, and before its reply is spoiled (truncated, huge, garbage).
        plan: Call number (from 0) -> fault, one of :data:`FAULTS`; or the share that fail, drawn with ``seed``.
        hang: What a hanging call waits on; it is lost when that returns. Default: lost at once, as after a timeout.
    """

    def __init__(
        self,
        inner: ModelClient,
        plan: Mapping[int, str] | float,
        *,
        seed: int = 0,
        hang: Callable[[float], None] = lambda timeout: None,
    ) -> None:
        self._inner = inner
        self._plan = plan
        self._random = random.Random(seed)
        self._hang = hang
        self._lock = threading.Lock()
        self._calls = 0

    def _fault(self) -> str:
        with self._lock:
            index, self._calls = self._calls, self._calls + 1
            if isinstance(self._plan, Mapping):
                return self._plan.get(index, "")
            return self._random.choice(FAULTS) if self._random.random() < self._plan else ""

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        fault = self._fault()
        if fault in ("429", "500"):
            lost = ModelLost(f"HTTP {fault}")
            lost.retry_after = 1.0 if fault == "429" else None
            raise lost
        if fault == "hang":
            self._hang(timeout)
            raise ModelLost(f"no reply in {timeout:g} s")
        reply = self._inner.complete(request, timeout=timeout)
        text = str(reply.message.get("content") or "")
        spoiled = {"truncated": text[: len(text) // 2], "huge": "x" * 1_000_000, "garbage": "\x00\ufffd\udc80{]"}
        if fault not in spoiled:
            return reply
        finish = "length" if fault == "truncated" else reply.finish_reason
        return replace(reply, message={"role": "assistant", "content": spoiled[fault]}, finish_reason=finish)

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        return self._inner.price(request, prompt_tokens, completion_tokens)


class MemoryRecorder:
    """A :class:`~hyperagent.protocols.CallRecorder` that forgets when the process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.log: list[ModelCall] = []
        """Every state of every call, in the order in which they were stored."""
        self.blobs: dict[str, bytes] = {}

    def reserve_call(self, call: ModelCall) -> None:
        with self._lock:
            self.log.append(call)

    def settle_call(self, call: ModelCall, request: bytes, reply: bytes) -> None:
        stored = replace(call, request_blob=self._put(request), reply_blob=self._put(reply))
        with self._lock:
            if not any(entry.key == call.key and entry.state == "reserved" for entry in self.log):
                raise ValueError(f"{call.key} was settled but never reserved")
            self.log.append(stored)

    def recorded_call(self, key: CallKey) -> ModelCall | None:
        with self._lock:
            return next((c for c in reversed(self.log) if c.key == key and c.state == "settled"), None)

    def cached_call(self, request_hash: str) -> ModelCall | None:
        with self._lock:
            settled = (c for c in self.log if c.state == "settled" and not c.cached)
            return next((c for c in settled if c.request_hash == request_hash), None)

    def get_blob(self, digest: str) -> bytes:
        return self.blobs[digest]

    def _put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

"""Embeddings: what is asked, answered and recorded.

Vectors travel and are recorded as the bytes of little-endian 32-bit floats: that is the precision in which models make
them, half the size of their digits, and the form in which clients prefer to get them.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from hyperagent.errors import ModelRequestInvalid
from hyperagent.models import wire
from hyperagent.protocols import ModelClient
from hyperagent.types import Json

INPUT_LIMIT = 2048
"""Most texts of one request."""
_INPUT_TOKENS = 8


@dataclass(frozen=True)
class EmbeddingRequest:
    """``parameters``: ``dimensions`` or nothing."""

    model: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddingReply:
    """One vector per input, packed (see :func:`packed`). ``cost`` in US dollars."""

    vectors: tuple[bytes, ...]
    prompt_tokens: int
    cost: float = 0.0


@runtime_checkable
class Embedder(Protocol):
    """What a :class:`~hyperagent.protocols.ModelClient` has in addition where it makes embeddings."""

    def embed(self, request: EmbeddingRequest, *, timeout: float) -> EmbeddingReply:
        """One vector per input; raises what ``ModelClient.complete`` raises."""


def embed(client: ModelClient, request: EmbeddingRequest, timeout: float) -> EmbeddingReply:
    """Ask a client that may not make embeddings at all.

    Raises:
        ModelRequestInvalid: It does not.
    """
    if not isinstance(client, Embedder):
        raise ModelRequestInvalid(f"{request.model} makes no embeddings")
    return client.embed(request, timeout=timeout)


def packed(vector: Iterable[float]) -> bytes:
    """Little-endian 32-bit floats."""
    numbers = tuple(vector)
    return struct.pack(f"<{len(numbers)}f", *numbers)


def unpacked(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


def parse_request(body: bytes, model: str) -> tuple[EmbeddingRequest, bool]:
    """Reduce a request body to what the channel allows; the second value says whether vectors are wanted as base64.

    Raises:
        ModelRequestInvalid: The body is no embedding request, or asks for what the door does not pass on.
    """
    data = wire.read_object(body)
    wire.check_allowed(data, ("input", "encoding_format", "dimensions"))
    inputs = [data.get("input")] if isinstance(data.get("input"), str) else data.get("input")
    if not isinstance(inputs, list) or not all(isinstance(text, str) and text for text in inputs):
        raise ModelRequestInvalid("`input` must be a text or a list of texts, none of them empty")
    if not 1 <= len(inputs) <= INPUT_LIMIT:
        raise ModelRequestInvalid(f"`input` must hold 1 to {INPUT_LIMIT} texts")
    encoding = data.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise ModelRequestInvalid("`encoding_format` must be float or base64")
    dimensions = data.get("dimensions")
    if dimensions is None:
        return EmbeddingRequest(model, tuple(inputs)), encoding == "base64"
    if isinstance(dimensions, bool) or not isinstance(dimensions, int) or dimensions < 1:
        raise ModelRequestInvalid("`dimensions` must be an integer of at least 1")
    return EmbeddingRequest(model, tuple(inputs), {"dimensions": dimensions}), encoding == "base64"


def canonical_request(request: EmbeddingRequest) -> bytes:
    """The recorded form; it can never equal that of a chat request, which has ``messages``."""
    return wire.canonical_json(
        {"model": request.model, "input": list(request.inputs), "parameters": dict(request.parameters)}
    )


def prompt_bound(request: EmbeddingRequest) -> int:
    """An upper bound of the tokens: no tokenizer makes more than one token of one UTF-8 byte."""
    return sum(len(text.encode("utf-8", "surrogatepass")) + _INPUT_TOKENS for text in request.inputs)


def reply_bytes(reply: EmbeddingReply) -> bytes:
    """The recorded form of a reply."""
    vectors = [base64.b64encode(vector).decode("ascii") for vector in reply.vectors]
    return wire.canonical_json({"embeddings": vectors, "prompt_tokens": reply.prompt_tokens, "cost": reply.cost})


def read_reply(recorded: bytes) -> EmbeddingReply:
    """Inverse of :func:`reply_bytes`.

    Raises:
        AllowanceSpent, ModelRequestInvalid: What was recorded is a refusal.
    """
    data = json.loads(recorded)
    wire.check_refusal(data)
    vectors = tuple(base64.b64decode(text) for text in data["embeddings"])
    return EmbeddingReply(vectors, data["prompt_tokens"], data["cost"])

"""What the door answers, in the OpenAI wire format: pure functions from records to bytes.

Every byte that a program sees is a function of its request and the recorded reply alone (no clock, no random id), so a
replayed program reads exactly what the original read.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping

from hyperagent.models.embedding import EmbeddingReply, unpacked
from hyperagent.models.wire import canonical_json
from hyperagent.types import ChatReply, Json

PIECE = 256
"""Characters of one streamed piece."""

_Chunk = dict[str, Json]


def completion_body(reply: ChatReply, model: str, digest: str) -> bytes:
    """A ``chat.completion`` object; ``digest`` is the request's hash and becomes the id."""
    choice = {"index": 0, "message": {"role": "assistant", **reply.message}, "finish_reason": reply.finish_reason}
    return canonical_json(
        {**_envelope("chat.completion", "chatcmpl", model, digest), "choices": [choice], "usage": _usage(reply)}
    )


def stream_body(reply: ChatReply, model: str, digest: str, include_usage: bool = False) -> bytes:
    """The same as server-sent events: role, text in pieces, tool calls, finish reason, usage if wanted, ``[DONE]``."""
    deltas: list[_Chunk] = [{"role": "assistant", "content": "" if reply.message.get("content") is not None else None}]
    deltas += [{"content": piece} for piece in _pieces(reply)]
    deltas += [{"tool_calls": [{"index": i, **call}]} for i, call in enumerate(reply.message.get("tool_calls") or [])]
    choices: list[_Chunk] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": reply.finish_reason})
    return _events(_envelope("chat.completion.chunk", "chatcmpl", model, digest), choices, reply, include_usage)


def text_body(reply: ChatReply, model: str, digest: str) -> bytes:
    """A ``text_completion`` object of the older endpoint."""
    choice = {"index": 0, "text": _text(reply), "logprobs": None, "finish_reason": reply.finish_reason}
    return canonical_json(
        {**_envelope("text_completion", "cmpl", model, digest), "choices": [choice], "usage": _usage(reply)}
    )


def text_stream_body(reply: ChatReply, model: str, digest: str, include_usage: bool = False) -> bytes:
    choices: list[_Chunk] = [
        {"index": 0, "text": piece, "logprobs": None, "finish_reason": None} for piece in _pieces(reply)
    ]
    choices.append({"index": 0, "text": "", "logprobs": None, "finish_reason": reply.finish_reason})
    return _events(_envelope("text_completion", "cmpl", model, digest), choices, reply, include_usage)


def embeddings_body(reply: EmbeddingReply, model: str, encoded: bool) -> bytes:
    """Args: ``encoded``: vectors as base64 of their bytes instead of lists of numbers."""
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector).decode("ascii") if encoded else list(unpacked(vector)),
        }
        for index, vector in enumerate(reply.vectors)
    ]
    usage = {"prompt_tokens": reply.prompt_tokens, "total_tokens": reply.prompt_tokens}
    return canonical_json({"object": "list", "data": data, "model": model, "usage": usage})


def models_body(model: str) -> bytes:
    """The answer to ``GET /v1/models``: the channel's model alone."""
    return canonical_json({"object": "list", "data": [_model(model)]})


def model_body(model: str) -> bytes:
    """The answer to ``GET /v1/models/NAME``."""
    return canonical_json(_model(model))


def _model(model: str) -> Mapping[str, Json]:
    return {"id": model, "object": "model", "created": 0, "owned_by": "hyperagent"}


def _text(reply: ChatReply) -> str:
    return str(reply.message.get("content") or "")


def _pieces(reply: ChatReply) -> Iterator[str]:
    text = _text(reply)
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))


def _envelope(kind: str, prefix: str, model: str, digest: str) -> _Chunk:
    return {"id": f"{prefix}-{digest[:24]}", "object": kind, "created": 0, "model": model}


def _usage(reply: ChatReply) -> Mapping[str, Json]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }


def _events(envelope: _Chunk, choices: Iterable[_Chunk], reply: ChatReply, include_usage: bool) -> bytes:
    unsaid: _Chunk = {"usage": None} if include_usage else {}
    chunks = [{**envelope, **unsaid, "choices": [choice]} for choice in choices]
    if include_usage:
        chunks.append({**envelope, "choices": [], "usage": _usage(reply)})
    return b"".join(b"data: " + canonical_json(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"

"""The OpenAI wire format as the broker speaks it: pure functions from bytes to records and back.

Every byte that a program sees is a function of its request and the recorded reply alone (no clock, no random id), so a
replayed program reads exactly what the original read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from hyperagent.errors import ModelRequestInvalid
from hyperagent.types import ChatReply, ChatRequest, Json

PARAMETERS = ("temperature", "top_p", "max_tokens", "seed", "stop", "response_format", "tools", "tool_choice")
"""What a request may set; everything else is dropped."""

DEFAULT_MAX_TOKENS = 1024
"""Completion tokens where neither the request nor the defaults say."""

_MESSAGE_FIELDS = ("role", "content", "name", "tool_calls", "tool_call_id")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_TEMPLATE_TOKENS = 96
_MESSAGE_TOKENS = 16
_TOOL_TOKENS = 640


class Parsed(NamedTuple):
    request: ChatRequest
    stream: bool


def canonical_json(value: Json) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces. Lone surrogates are escaped, so that any JSON text can be kept."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def canonical_request(request: ChatRequest) -> bytes:
    """The recorded form of a request: model, messages and parameters, nothing else (no header, no key)."""
    return canonical_json(
        {"model": request.model, "messages": list(request.messages), "parameters": dict(request.parameters)}
    )


def request_hash(canonical: bytes) -> str:
    return hashlib.sha256(canonical).hexdigest()


def parse_request(body: bytes, model: str, defaults: Mapping[str, Json]) -> Parsed:
    """Reduce a request body to what the channel allows.

    Args:
        body: JSON text of ``POST /v1/chat/completions``.
        model: The channel's model; it is used whatever name the request says.
        defaults: Parameters that the request may leave out; ``max_tokens`` is also the upper limit.

    Raises:
        ModelRequestInvalid: The body is not a chat request.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise ModelRequestInvalid("the request body is not valid JSON") from None
    if not isinstance(data, dict):
        raise ModelRequestInvalid("the request body is not a JSON object")
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ModelRequestInvalid("`messages` must be a list with at least one message")
    parameters = {**defaults, **{name: data[name] for name in PARAMETERS if data.get(name) is not None}}
    parameters = {name: parameters[name] for name in PARAMETERS if parameters.get(name) is not None}
    wanted = data.get("max_completion_tokens", data.get("max_tokens"))
    parameters["max_tokens"] = _max_tokens(wanted, defaults.get("max_tokens"))
    _check_numbers(parameters)
    request = ChatRequest(model, tuple(_message(index, entry) for index, entry in enumerate(messages)), parameters)
    return Parsed(request, data.get("stream") is True)


def _max_tokens(wanted: Json, limit: Json) -> int:
    ceiling = int(limit) if limit is not None else DEFAULT_MAX_TOKENS
    if wanted is None:
        return ceiling
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise ModelRequestInvalid("`max_tokens` must be an integer of at least 1")
    return min(wanted, ceiling)


def _check_numbers(parameters: Mapping[str, Json]) -> None:
    for name, low, high in (("temperature", 0, 2), ("top_p", 0, 1)):
        value = parameters.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ModelRequestInvalid(f"`{name}` must be a number from {low} to {high}")
    seed = parameters.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise ModelRequestInvalid("`seed` must be an integer")


def _message(index: int, entry: Json) -> Mapping[str, Json]:
    if not isinstance(entry, dict) or entry.get("role") not in _ROLES:
        raise ModelRequestInvalid(f"messages[{index}] must be an object with a `role` among {', '.join(_ROLES)}")
    message = {name: entry[name] for name in _MESSAGE_FIELDS if name in entry}
    content = message.get("content")
    if isinstance(content, list):
        message["content"] = "".join(_text_part(index, part) for part in content)
    elif content is not None and not isinstance(content, str):
        raise ModelRequestInvalid(f"messages[{index}].content must be text")
    return message


def _text_part(index: int, part: Json) -> str:
    # An image given as a URL would make the provider fetch it for the program: a door to the network.
    if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise ModelRequestInvalid(f"messages[{index}].content may hold text parts only")
    return str(part["text"])


def prompt_bound(request: ChatRequest) -> int:
    """An upper bound of the prompt's tokens that holds for hostile text too.

    Byte-level and byte-fallback tokenizers never make more than one token of one UTF-8 byte, and do make one of each
    digit, so bytes / 2 can be exceeded by a page of figures. Constants cover chat templates and tool preambles.
    """
    parts: list[Json] = list(request.messages)
    tools = request.parameters.get("tools")
    if tools:
        parts.append(tools)
    if request.parameters.get("response_format"):
        parts.append(request.parameters["response_format"])
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode("utf-8", "surrogatepass"))
    return size + _TEMPLATE_TOKENS + _MESSAGE_TOKENS * len(request.messages) + (_TOOL_TOKENS if tools else 0)


# -- replies -------------------------------------------------------------------------------------


def reply_bytes(reply: ChatReply) -> bytes:
    """The recorded form of a reply."""
    return canonical_json(
        {
            "message": dict(reply.message),
            "finish_reason": reply.finish_reason,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "cost": reply.cost,
        }
    )


def refusal_bytes(message: str) -> bytes:
    """The recorded form of a request that the model refused as invalid: replay must refuse it again."""
    return canonical_json({"refused": message})


def read_reply(recorded: bytes) -> ChatReply:
    """Inverse of :func:`reply_bytes`.

    Raises:
        ModelRequestInvalid: What was recorded is a refusal.
        ValueError: These bytes are no recorded reply.
    """
    data = json.loads(recorded)
    if "refused" in data:
        raise ModelRequestInvalid(str(data["refused"]))
    return ChatReply(
        data["message"], data["finish_reason"], data["prompt_tokens"], data["completion_tokens"], data["cost"]
    )


def completion_body(reply: ChatReply, model: str, digest: str) -> bytes:
    """A ``chat.completion`` object; ``digest`` is the request's hash and becomes the id."""
    choice = {"index": 0, "message": {"role": "assistant", **reply.message}, "finish_reason": reply.finish_reason}
    return canonical_json({**_envelope(reply, model, digest, "chat.completion"), "choices": [choice]})


def stream_body(reply: ChatReply, model: str, digest: str) -> bytes:
    """The same as server-sent events: the whole reply in one chunk, then ``[DONE]``."""
    delta: dict[str, Any] = {"role": "assistant", **reply.message}
    if delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(delta["tool_calls"])]
    choice = {"index": 0, "delta": delta, "finish_reason": reply.finish_reason}
    chunk = {**_envelope(reply, model, digest, "chat.completion.chunk"), "choices": [choice]}
    return b"data: " + canonical_json(chunk) + b"\n\ndata: [DONE]\n\n"


def _envelope(reply: ChatReply, model: str, digest: str, kind: str) -> dict[str, Json]:
    usage = {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }
    return {"id": f"chatcmpl-{digest[:24]}", "object": kind, "created": 0, "model": model, "usage": usage}


def models_body(model: str) -> bytes:
    """The answer to ``GET /v1/models``: the channel's model alone."""
    entry = {"id": model, "object": "model", "created": 0, "owned_by": "hyperagent"}
    return canonical_json({"object": "list", "data": [entry]})


def error_body(message: str, code: str) -> bytes:
    return canonical_json({"error": {"message": message, "type": code, "param": None, "code": code}})


def divergence(recorded: bytes, now: bytes, width: int = 60) -> str:
    """What differs first between two canonical requests, in one line with an excerpt of both."""
    old, new = json.loads(recorded), json.loads(now)
    for index, (a, b) in enumerate(zip(old["messages"], new["messages"], strict=False)):
        if a != b:
            return f"messages[{index}] differs: {_excerpts(a, b, width)}"
    if len(old["messages"]) != len(new["messages"]):
        return f"{len(old['messages'])} messages were recorded, now there are {len(new['messages'])}"
    for name in ("model", "parameters"):
        if old[name] != new[name]:
            return f"{name} differ: {_excerpts(old[name], new[name], width)}"
    return "nothing differs"


def _excerpts(old: Json, new: Json, width: int) -> str:
    a, b = (value if isinstance(value, str) else canonical_json(value).decode() for value in (old, new))
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    start = max(0, start - 10)
    return f"recorded {a[start : start + width]!r}, now {b[start : start + width]!r}"

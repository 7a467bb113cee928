"""Requests of the OpenAI wire format as the broker takes them, and the form in which calls are recorded.

Pure functions. The canonical form of a request is the archive's: a change of one byte would orphan every record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hyperagent.errors import AllowanceSpent, ModelRequestInvalid
from hyperagent.types import ChatReply, ChatRequest, Json

PARAMETERS = ("temperature", "top_p", "max_tokens", "seed", "stop", "response_format", "tools", "tool_choice")
"""What a request may set and the model is told."""

DEFAULT_MAX_TOKENS = 1024
"""Completion tokens where neither the request nor the defaults say."""

_SILENT = (
    "model",  # a door has one model, whatever name the request says
    "stream",
    "stream_options",
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
)
"""Accepted and not passed on: they say how to deliver or account for a reply, not what it is."""
_NEUTRAL: Mapping[str, Json] = {
    "n": 1,
    "best_of": 1,
    "echo": False,
    "suffix": "",
    "logprobs": False,
    "top_logprobs": 0,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": {},
    "parallel_tool_calls": True,
}
"""Accepted at the value that asks for nothing: client libraries send them unasked."""
_MESSAGE_FIELDS = ("role", "content", "name", "tool_calls", "tool_call_id")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_TEMPLATE_TOKENS = 96
_MESSAGE_TOKENS = 16
_TOOL_TOKENS = 640


class Parsed(NamedTuple):
    request: ChatRequest
    stream: bool
    include_usage: bool
    """Whether the stream is to end with a chunk that says the sizes."""


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
    data = read_object(body)
    check_allowed(data, ("messages", "max_completion_tokens", *PARAMETERS))
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ModelRequestInvalid("`messages` must be a list with at least one message")
    return _parsed(data, tuple(_message(index, entry) for index, entry in enumerate(messages)), model, defaults)


def parse_completion(body: bytes, model: str, defaults: Mapping[str, Json]) -> Parsed:
    """Like :func:`parse_request`, for ``POST /v1/completions``: its prompt becomes the one message of a user.

    Hardly a model of today continues bare text; so both endpoints are one kind of call, recorded in one form.
    """
    data = read_object(body)
    check_allowed(data, ("prompt", "max_tokens", "temperature", "top_p", "seed", "stop"))
    prompt = data.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise ModelRequestInvalid("`prompt` must be one text")
    return _parsed(data, ({"role": "user", "content": prompt},), model, defaults)


def read_object(body: bytes) -> Mapping[str, Json]:
    """The JSON object of a request body; raises ModelRequestInvalid where it is none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise ModelRequestInvalid("the request body is not valid JSON") from None
    if not isinstance(data, dict):
        raise ModelRequestInvalid("the request body is not a JSON object")
    return data


def check_allowed(data: Mapping[str, Json], served: Iterable[str]) -> None:
    """Refuse what would be ignored otherwise: a program must not believe that it has set something.

    Raises:
        ModelRequestInvalid: Names every parameter that is neither served, nor silent, nor at its neutral value.
    """
    known = {*served, *_SILENT}
    refused = [
        name for name, value in data.items() if name not in known and value is not None and not _neutral(name, value)
    ]
    if refused:
        names = ", ".join(f"`{name[:60]}`" for name in sorted(refused)[:10])
        raise ModelRequestInvalid(f"not allowed here: {names}; this endpoint takes {', '.join(served)}")


def _neutral(name: str, value: Json) -> bool:
    if name not in _NEUTRAL:
        return False
    return bool(value == _NEUTRAL[name])


def _parsed(
    data: Mapping[str, Json], messages: tuple[Mapping[str, Json], ...], model: str, defaults: Mapping[str, Json]
) -> Parsed:
    parameters = {**defaults, **{name: data[name] for name in PARAMETERS if data.get(name) is not None}}
    parameters = {name: parameters[name] for name in PARAMETERS if parameters.get(name) is not None}
    wanted = data.get("max_completion_tokens", data.get("max_tokens"))
    parameters["max_tokens"] = _max_tokens(wanted, defaults.get("max_tokens"))
    _check_numbers(parameters)
    _check_tools(parameters.get("tools"))
    options = data.get("stream_options")
    include_usage = isinstance(options, dict) and options.get("include_usage") is True
    return Parsed(ChatRequest(model, messages, parameters), data.get("stream") is True, include_usage)


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


def _check_tools(tools: Json) -> None:
    # A provider's own tools (web search, remote servers, code) would act outside the sandbox for the program.
    if tools is None:
        return
    if not isinstance(tools, list) or not all(_is_function(tool) for tool in tools):
        raise ModelRequestInvalid("`tools` must be a list of objects with `type`: `function` and a `function`")


def _is_function(tool: Json) -> bool:
    return isinstance(tool, dict) and tool.get("type") == "function" and isinstance(tool.get("function"), dict)


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


def allowance_bytes(message: str, cap: str) -> bytes:
    """The recorded form of a call that the meter refused its program: replay must end the task there again."""
    return canonical_json({"allowance_spent": message, "cap": cap})


def check_refusal(recorded: Mapping[str, Json]) -> None:
    """Raises what was recorded in place of a reply: ModelRequestInvalid or AllowanceSpent."""
    if "allowance_spent" in recorded:
        raise AllowanceSpent(str(recorded["allowance_spent"]), cap=str(recorded["cap"]))
    if "refused" in recorded:
        raise ModelRequestInvalid(str(recorded["refused"]))


def read_reply(recorded: bytes) -> ChatReply:
    """Inverse of :func:`reply_bytes`.

    Raises:
        AllowanceSpent: What was recorded is a refusal by the meter.
        ModelRequestInvalid: What was recorded is a refusal.
        ValueError: These bytes are no recorded reply.
    """
    data = json.loads(recorded)
    check_refusal(data)
    return ChatReply(
        data["message"], data["finish_reason"], data["prompt_tokens"], data["completion_tokens"], data["cost"]
    )


def error_body(message: str, code: str) -> bytes:
    return canonical_json({"error": {"message": message, "type": code, "param": None, "code": code}})


def divergence(recorded: bytes, now: bytes, width: int = 60) -> str:
    """What differs first between two canonical requests, in one line with an excerpt of both."""
    old, new = json.loads(recorded), json.loads(now)
    part = "messages" if "messages" in old else "input"
    if part not in new:
        return "a chat was recorded, now it is an embedding, or the reverse"
    for index, (a, b) in enumerate(zip(old[part], new[part], strict=False)):
        if a != b:
            return f"{part}[{index}] differs: {_excerpts(a, b, width)}"
    if len(old[part]) != len(new[part]):
        return f"{len(old[part])} {part} were recorded, now there are {len(new[part])}"
    for name in ("model", "parameters"):
        if old[name] != new[name]:
            return f"{name} differ: {_excerpts(old[name], new[name], width)}"
    return "nothing differs"


def _excerpts(old: Json, new: Json, width: int) -> str:
    a, b = (value if isinstance(value, str) else canonical_json(value).decode() for value in (old, new))
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    start = max(0, start - 10)
    return f"recorded {a[start : start + width]!r}, now {b[start : start + width]!r}"

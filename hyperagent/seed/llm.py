"""A small chat client for an OpenAI-compatible server, on the standard library alone."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

TIMEOUT = 600.0  # seconds for one reply


class ModelError(RuntimeError):
    """The server refused a request or could not be reached; the text is what it said."""


def chat(
    model: str, messages: list[dict[str, Any]], chat_history_file: str | None = None, **parameters: Any
) -> dict[str, Any]:
    """Send a conversation, return the assistant's message (``content`` is a string, ``tool_calls`` may be there).

    What was said since the last assistant message, and the reply, are appended to the chat history file.

    Raises:
        ModelError: No reply came; nothing is written to the history but the request.
    """
    _record(chat_history_file, _news(messages))
    body = json.dumps({"model": model, "messages": messages, **parameters}).encode()
    base = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE") or "http://127.0.0.1:8080/v1"
    key = os.environ.get("OPENAI_API_KEY", "none")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(base.rstrip("/") + "/chat/completions", body, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the server is local: never via a proxy
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            message = json.load(response)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        raise ModelError(f"HTTP {error.code}: {_message_of(error.read())}") from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError(f"no usable reply from {base}: {error}") from error
    message = {**message, "content": message.get("content") or ""}
    _record(chat_history_file, [message])
    return message


def last_reply(transcript: str) -> str:
    """The last thing that the assistant said in a chat history; empty where it said nothing."""
    _, marker, reply = ("\n" + transcript).rpartition("\n--- assistant ---\n")
    return reply.removesuffix("\n") if marker else ""


def _news(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    spoken = [index for index, message in enumerate(messages) if message.get("role") == "assistant"]
    return messages[spoken[-1] + 1 :] if spoken else messages


def _record(path: str | None, messages: list[dict[str, Any]]) -> None:
    if path is None:
        return
    with open(path, "a", encoding="utf-8") as file:
        for message in messages:
            calls = "".join(
                f"\n[calls {call['function']['name']} {call['function']['arguments']}]"
                for call in message.get("tool_calls") or []
            )
            file.write(f"--- {message.get('role', 'assistant')} ---\n{message.get('content') or ''}{calls}\n")


def _message_of(body: bytes) -> str:
    text = body.decode(errors="replace")
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return text[:2000]

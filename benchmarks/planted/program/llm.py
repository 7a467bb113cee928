"""A chat client for the door of a sandbox."""

from __future__ import annotations

import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit


def chat(
    model: str, messages: list[dict[str, Any]], chat_history_file: str | None = None, **parameters: Any
) -> dict[str, Any]:
    """Send a conversation, return the assistant's message; both are appended to the chat history.

    Raises:
        RuntimeError: No usable reply came.
    """
    base = urlsplit(os.environ["OPENAI_BASE_URL"])
    connection = http.client.HTTPConnection(base.netloc, timeout=60)
    try:
        body = json.dumps({"model": model, "messages": messages, **parameters})
        connection.request("POST", f"{base.path}/chat/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise RuntimeError(f"HTTP {response.status}: {text[:500]}")
    message: dict[str, Any] = json.loads(text)["choices"][0]["message"]
    if chat_history_file:
        with open(chat_history_file, "a", encoding="utf-8") as file:
            for one in (*messages, message):
                file.write(f"--- {one.get('role')} ---\n{one.get('content')}\n")
    return message

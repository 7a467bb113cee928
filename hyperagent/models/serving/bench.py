"""Measures a server over HTTP, whatever its engine: tokens per second, and the time to the first token."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hyperagent.errors import ModelLost
from hyperagent.models.serving.face import HOST
from hyperagent.types import Json

_SECONDS = 1800.0
_TRIALS = 3
_TOPICS = (
    "a lighthouse",
    "bread",
    "the tides",
    "a chess game",
    "rain on a tin roof",
    "an old map",
    "glass",
    "a violin",
)


@dataclass(frozen=True)
class Rate:
    """One measurement.

    Attributes:
        batch: Requests sent at the same moment.
        completion_tokens: Of all replies.
        seconds: From the first request sent to the last reply read.
    """

    batch: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return self.completion_tokens / self.seconds if self.seconds else 0.0


def rate(port: int, model: str, batch: int, tokens: int) -> Rate:
    """Send ``batch`` different requests at once, each for up to ``tokens`` tokens, and add up the replies.

    Raises:
        ModelLost: The server refused or broke one of them.
    """
    with ThreadPoolExecutor(batch) as pool:
        began = time.perf_counter()
        usages = list(pool.map(lambda number: ask(port, model, question(number), tokens), range(batch)))
        seconds = time.perf_counter() - began
    prompt, completion = (sum(int(usage[name]) for usage in usages) for name in ("prompt_tokens", "completion_tokens"))
    return Rate(batch, prompt, completion, seconds)


def first_token(port: int, model: str) -> float:
    """Median seconds of a request for one token: a stream is made whole before it is sent, so nothing comes earlier.

    Every trial has another prompt: a cached one would cost nothing.
    """
    seconds = []
    for number in range(_TRIALS + 1):  # the first one warms up
        began = time.perf_counter()
        ask(port, model, question(1000 + number), 1)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def question(number: int) -> str:
    """A prompt that makes models write at length."""
    return f"Story {number}. Write a long story about {_TOPICS[number % len(_TOPICS)]}, with many details."


def ask(port: int, model: str, prompt: str, tokens: int) -> Mapping[str, Json]:
    """One request at temperature 0; returns the reply's usage."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "temperature": 0}
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        reply = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ModelLost(f"{model}: its server broke the connection: {error}") from None
    finally:
        connection.close()
    if response.status != 200 or "usage" not in reply:
        raise ModelLost(f"{model}: {response.status}: {str(reply)[:300]}")
    usage: Mapping[str, Json] = reply["usage"]
    return usage

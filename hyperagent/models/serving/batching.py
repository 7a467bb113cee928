"""A queue whose requests are computed together: those that arrive while a batch is computed form the next one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from hyperagent.errors import HyperagentError, ModelLost
from hyperagent.types import ChatReply, Json

LINGER_SECONDS = 0.01
"""How long a batch that is not full waits for company: requests of one crowd arrive within a few milliseconds."""
MOST_WAITING = 1024


class Generation(NamedTuple):
    """One request of a batch.

    Attributes:
        messages: A chat; one message where ``raw``.
        parameters: temperature, top_p, max_tokens, seed, stop, response_format: whatever was asked.
        raw: The message's text is continued as it stands, without the model's chat template.
    """

    messages: Sequence[Mapping[str, Json]]
    parameters: Mapping[str, Json]
    raw: bool = False


Result = ChatReply | HyperagentError
Generate = Callable[[Sequence[Generation]], Sequence[Result]]
"""One result per request, in order; an error is the request's own. Raises OutOfRoom where the batch is too large."""


class OutOfRoom(Exception):
    """The device has no memory for a batch of this size."""


class QueueFull(HyperagentError):
    """More requests wait than :data:`MOST_WAITING`."""


class Batcher:
    """Computes requests in batches, in the order in which they came, on one thread. :meth:`close` ends it.

    Args:
        generate: Computes a batch.
        size: Most requests of one batch.
        linger: Seconds that a batch waits for more, from its first request on.
    """

    def __init__(self, generate: Generate, size: int, linger: float = LINGER_SECONDS) -> None:
        self._generate = generate
        self._size = size
        self._linger = linger
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Generation, Future[ChatReply]]] = deque()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def ask(self, request: Generation) -> ChatReply:
        """Wait for the reply to one request.

        Raises:
            QueueFull: Try again later.
            ModelRequestInvalid: The request's own fault.
            ModelLost: The computation failed, or the server ends.
        """
        answer: Future[ChatReply] = Future()
        with self._changed:
            if self._closed:
                raise ModelLost("the server ends")
            if len(self._waiting) >= MOST_WAITING:
                raise QueueFull(f"{MOST_WAITING} requests wait already")
            self._waiting.append((request, answer))
            self._changed.notify_all()
        return answer.result()

    def close(self) -> None:
        """End after the batch in progress; who still waits gets ModelLost."""
        with self._changed:
            self._closed = True
            left, self._waiting = self._waiting, deque()
            self._changed.notify_all()
        for _, answer in left:
            answer.set_exception(ModelLost("the server ends"))
        self._thread.join()

    def _work(self) -> None:
        while batch := self._gather():
            results = self._compute([request for request, _ in batch])
            for (_, answer), result in zip(batch, results, strict=True):
                if isinstance(result, ChatReply):
                    answer.set_result(result)
                else:
                    answer.set_exception(result)

    def _gather(self) -> list[tuple[Generation, Future[ChatReply]]]:
        """The next batch; empty once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            end = time.monotonic() + self._linger
            while 0 < len(self._waiting) < self._size and (left := end - time.monotonic()) > 0 and not self._closed:
                self._changed.wait(left)
            return [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]

    def _compute(self, requests: Sequence[Generation]) -> Sequence[Result]:
        try:
            return self._generate(requests)
        except OutOfRoom as error:
            if len(requests) == 1:
                return [ModelLost(f"not even one request of this size fits: {error}")]
            half = len(requests) // 2
            return [*self._compute(requests[:half]), *self._compute(requests[half:])]
        except Exception as error:  # noqa: BLE001 - boundary: whatever a library raises is this batch's, not the server's
            return [ModelLost(f"{type(error).__name__}: {str(error)[:300]}") for _ in requests]

"""Recorded calls of one archive, served to a replay that makes another one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from hyperagent.protocols import CallRecorder
from hyperagent.types import CallKey, ModelCall


class RecordedCalls:
    """A :class:`~hyperagent.protocols.CallRecorder` for a broker in replay mode: what is served is copied.

    Args:
        source: Whose calls are served; only read.
        target: Gets every call that was asked for, under the key that it was asked by.
        campaign: Whose calls they are in ``target``.
        origin: Job of the replay -> job under which its calls were recorded (another one's, where an evaluation was
            taken over).
        variant: Job of the replay -> the variant that it is for.
    """

    def __init__(
        self,
        source: CallRecorder,
        target: CallRecorder,
        campaign: str,
        origin: Callable[[str], str],
        variant: Callable[[str], str],
    ) -> None:
        self._source, self._target, self._campaign = source, target, campaign
        self._origin, self._variant = origin, variant
        self._lock = threading.Lock()
        self._copied: set[CallKey] = set()

    @property
    def served(self) -> int:
        """Different calls that were asked for and found."""
        return len(self._copied)

    def recorded_call(self, key: CallKey) -> ModelCall | None:
        found = self._source.recorded_call(replace(key, job=self._origin(key.job)))
        if found is None:
            return None
        with self._lock:
            fresh = key not in self._copied
            self._copied.add(key)
        if fresh:
            call = replace(found, key=key, campaign=self._campaign, variant=self._variant(key.job))
            self._target.reserve_call(replace(call, state="reserved", request_blob="", reply_blob=""))
            blobs = [self._source.get_blob(name) if name else b"" for name in (found.request_blob, found.reply_blob)]
            self._target.settle_call(call, *blobs)
        return found

    def get_blob(self, digest: str) -> bytes:
        return self._source.get_blob(digest)

    def cached_call(self, request_hash: str) -> ModelCall | None:
        return self._source.cached_call(request_hash)

    def reserve_call(self, call: ModelCall) -> None:
        raise ValueError("a replay makes no call of its own")

    def settle_call(self, call: ModelCall, request: bytes, reply: bytes) -> None:
        raise ValueError("a replay makes no call of its own")

"""The broker: the only door from a sandbox to a model, and the one meter.

Per call: recorded under the same key -> served again, unpaid; deterministic and known -> served from the archive; else
reserve the worst case, record the intent, ask the model, record the reply, settle. A job reaches its channel through a
Unix socket of its own: the path is the identity, so there is no token that a program could steal or forge.
"""

from __future__ import annotations

import os
import random as randomness
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hyperagent.errors import ReplayDiverged
from hyperagent.models import wire
from hyperagent.models.channel import Channel, Job, Turn
from hyperagent.models.gate import Gates
from hyperagent.models.payment import Cashier, Patience
from hyperagent.models.questions import Menu, Question
from hyperagent.protocols import CallRecorder, Meter, ModelChannel, ModelClient
from hyperagent.types import CallKey, Json, ModelCall, Purpose, Spend

CROWD = 128
"""Unanswered calls of one variant; as many connections as one door has."""
_PATH_LIMIT = 100
"""Bytes; Linux allows 107 for a socket's whole path, and a sandbox may mount the directory somewhere longer."""


class LocalBroker:
    """Serves channels in this process.

    Args:
        client: Answers the calls; makes embeddings where it is an :class:`~hyperagent.models.embedding.Embedder`.
        recorder: Where calls are recorded and found again.
        runtime_directory: Where sockets live; a short temporary directory is used where its path is too long for one.
        timeout: Seconds one attempt of a call may take.
        retries: Attempts after the first one.
        fallbacks: Models that are asked, in turn, where a chat's own model does not answer.
        embedding: The model for embeddings; empty = none.
        concurrency: Calls of one model at once, over all jobs; 0 = no limit. Who waits takes turns by variant.
        crowd: Unanswered calls of one variant; the next is told to come later (HTTP 429).
        replay: Serve recorded calls only.
        reuse: Serve deterministic requests (temperature 0, or a model-free client) that the archive has an answer for.
        clock: Seconds, monotonic; measures calls.
        sleep: Waits between attempts; the default wakes early when the task has ended.
        random: Draws from [0, 1) for the jitter; never influences what a call returns.
    """

    def __init__(
        self,
        client: ModelClient,
        recorder: CallRecorder,
        *,
        runtime_directory: Path,
        timeout: float,
        retries: int,
        fallbacks: Sequence[str] = (),
        embedding: str = "",
        concurrency: int = 0,
        crowd: int = CROWD,
        replay: bool = False,
        reuse: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._recorder = recorder
        self._runtime_directory = runtime_directory
        self._embedding = embedding
        self._replay = replay
        self._reuse = reuse
        self._gates = Gates(concurrency, crowd)
        patience = Patience(retries, random or randomness.Random(0).random, sleep)
        self._cashier = Cashier(client, recorder, self._gates, patience, timeout, tuple(fallbacks), clock)
        self._flights = _Flights()

    @contextmanager
    def channel(
        self,
        job: str,
        *,
        campaign: str,
        variant: str,
        purpose: Purpose,
        model: str,
        meter: Meter,
        defaults: Mapping[str, Json],
    ) -> Iterator[ModelChannel]:
        """See :class:`~hyperagent.protocols.Broker`. Leaving waits for calls in flight: they are paid, so recorded."""
        menu = Menu(model, self._embedding, defaults)
        directory = _short_directory(self._runtime_directory)
        try:
            gates = None if self._replay else self._gates
            channel = Channel(Job(job, campaign, variant, purpose, meter, menu), directory, self._answer, gates)
            try:
                yield channel
            finally:
                channel.close()
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    # -- one call --------------------------------------------------------------------------------

    def _answer(self, job: Job, turn: Turn, sequence: int, model: str, question: Question) -> tuple[bytes, Spend]:
        """The recorded form of the reply to one call and what it used."""
        digest = wire.request_hash(question.canonical)
        key = CallKey(job.job, turn.task, sequence)
        recorded = self._recorder.recorded_call(key)
        if recorded is not None and recorded.request_hash == digest:
            return self._recorder.get_blob(recorded.reply_blob), _spend(recorded)
        if self._replay:
            raise self._diverged(key, recorded, question.canonical)
        call = ModelCall(key, job.campaign, job.variant, job.purpose, model, digest, "reserved", 0, 0, 0.0)
        if not (self._reuse and question.deterministic):
            return self._cashier.pay(call, question, job.meter, turn.ended)
        with self._flights.only(digest):  # of equal requests at once, one is paid; the others find its reply
            known = self._recorder.cached_call(digest)
            # A fallback's reply is good for a replay of its own task, not for a task that may have the model itself.
            if known is None or known.error or known.model != model:
                return self._cashier.pay(call, question, job.meter, turn.ended)
            reply = self._recorder.get_blob(known.reply_blob)
            self._recorder.reserve_call(replace(call, cached=True))
            settled = replace(call, state="settled", cached=True)
            self._recorder.settle_call(settled, question.canonical, reply)
            return reply, _spend(settled)

    def _diverged(self, key: CallKey, recorded: ModelCall | None, canonical: bytes) -> ReplayDiverged:
        where = f"job {key.job}, task {key.task or '(none)'}, call {key.sequence}"
        if recorded is None:
            return ReplayDiverged(f"{where}: the program made a call that was not recorded")
        difference = wire.divergence(self._recorder.get_blob(recorded.request_blob), canonical)
        return ReplayDiverged(f"{where}: {difference}")


class _Flights:
    """Mutual exclusion per key; keys nobody uses take no memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def only(self, key: str) -> Iterator[None]:
        with self._lock:
            lock, users = self._flights.get(key, (threading.Lock(), 0))
            self._flights[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                users = self._flights[key][1] - 1
                if users:
                    self._flights[key] = (lock, users)
                else:
                    del self._flights[key]


def _spend(call: ModelCall) -> Spend:
    if call.cached:
        return Spend(cached_calls=1)
    return Spend(1, 0, call.prompt_tokens, call.completion_tokens, call.cost)


def _short_directory(parent: Path) -> Path:
    """A fresh private directory whose ``model.sock`` has a path that a socket can have."""
    parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="ha-", dir=parent))
    if len(os.fsencode(directory / "model.sock")) >= _PATH_LIMIT:
        directory.rmdir()
        directory = Path(tempfile.mkdtemp(prefix="ha-"))
    directory.chmod(0o755)
    return directory

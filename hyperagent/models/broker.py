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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hyperagent.errors import (
    BudgetReached,
    HyperagentError,
    ModelLost,
    ModelRequestInvalid,
    ModelUnavailable,
    ReplayDiverged,
)
from hyperagent.models import wire
from hyperagent.models.http import Answer, UnixServer
from hyperagent.protocols import CallRecorder, Meter, ModelChannel, ModelClient
from hyperagent.types import CallKey, ChatReply, ChatRequest, Json, ModelCall, Purpose, Spend

_PATH_LIMIT = 100
"""Bytes; Linux allows 107 for a socket's whole path, and a sandbox may mount the directory somewhere longer."""
_BACKOFF_CEILING = 60.0


@dataclass(frozen=True)
class _Job:
    """Whose calls these are: constant over a channel's life."""

    job: str
    campaign: str
    variant: str
    purpose: Purpose
    model: str
    meter: Meter
    defaults: Mapping[str, Json]


@dataclass
class _Turn:
    """One task between begin() and end(). Guarded by the channel's lock, but for ``ended``, which is an event."""

    task: str
    epoch: int
    calls: int = 0
    in_flight: int = 0
    spend: Spend = field(default_factory=Spend)
    failure: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class LocalBroker:
    """Serves channels in this process.

    Args:
        client: Answers the calls.
        recorder: Where calls are recorded and found again.
        runtime_directory: Where sockets live; a short temporary directory is used where its path is too long for one.
        timeout: Seconds one attempt of a call may take.
        retries: Attempts after the first one.
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
        replay: bool = False,
        reuse: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._runtime_directory = runtime_directory
        self._timeout = timeout
        self._retries = retries
        self._replay = replay
        self._reuse = reuse
        self._clock = clock
        self._sleep = sleep
        self._random = random
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
        directory = _short_directory(self._runtime_directory)
        try:
            channel = _Channel(self, _Job(job, campaign, variant, purpose, model, meter, defaults), directory)
            try:
                yield channel
            finally:
                channel.close()
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    # -- one call --------------------------------------------------------------------------------

    def answer(self, job: _Job, turn: _Turn, sequence: int, request: ChatRequest) -> tuple[ChatReply, Spend]:
        """The reply to one call and what it used. Raises what :meth:`ModelChannel.end` documents."""
        canonical = wire.canonical_request(request)
        digest = wire.request_hash(canonical)
        key = CallKey(job.job, turn.task, sequence)
        recorded = self._recorder.recorded_call(key)
        if recorded is not None and recorded.request_hash == digest:
            return self._recorded_reply(recorded), _spend(recorded)
        if self._replay:
            raise self._diverged(key, recorded, canonical)
        call = ModelCall(
            key, job.campaign, job.variant, job.purpose, job.model, digest, "reserved", 0, 0, 0.0, cached=False
        )
        if not (self._reuse and _deterministic(request)):
            return self._pay(job, turn, call, request, canonical)
        with self._flights.only(digest):  # of equal requests at once, one is paid; the others find its reply
            known = self._recorder.cached_call(digest)
            if known is None or known.error:
                return self._pay(job, turn, call, request, canonical)
            reply = self._recorder.get_blob(known.reply_blob)
            self._recorder.reserve_call(replace(call, cached=True))
            settled = replace(call, state="settled", cached=True)
            self._recorder.settle_call(settled, canonical, reply)
            return wire.read_reply(reply), _spend(settled)

    def _recorded_reply(self, call: ModelCall) -> ChatReply:
        return wire.read_reply(self._recorder.get_blob(call.reply_blob))

    def _diverged(self, key: CallKey, recorded: ModelCall | None, canonical: bytes) -> ReplayDiverged:
        where = f"job {key.job}, task {key.task or '(none)'}, call {key.sequence}"
        if recorded is None:
            return ReplayDiverged(f"{where}: the program made a call that was not recorded")
        difference = wire.divergence(self._recorder.get_blob(recorded.request_blob), canonical)
        return ReplayDiverged(f"{where}: {difference}")

    def _pay(
        self, job: _Job, turn: _Turn, call: ModelCall, request: ChatRequest, canonical: bytes
    ) -> tuple[ChatReply, Spend]:
        prompt, completion = wire.prompt_bound(request), int(request.parameters["max_tokens"])
        if request.model.startswith("random/"):
            prompt = completion = 0  # no model, no tokens: a token cap must not stop the control
        cost = self._client.price(request, prompt, completion)
        ticket = job.meter.reserve(prompt + completion, cost)
        spend = Spend()  # what is settled if anything below fails before a reply
        try:
            self._recorder.reserve_call(replace(call, prompt_tokens=prompt, completion_tokens=completion, cost=cost))
            started = self._clock()
            try:
                reply = self._attempts(turn, request)
            except HyperagentError as error:
                seconds = self._clock() - started
                spend = Spend(calls=1)
                self._settle_error(replace(call, seconds=seconds, error=error.message), error, canonical)
                raise
            settled = replace(
                call,
                state="settled",
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                cost=reply.cost,
                seconds=self._clock() - started,
            )
            spend = _spend(settled)
            self._recorder.settle_call(settled, canonical, wire.reply_bytes(reply))
            return reply, spend
        finally:
            job.meter.settle(ticket, spend)

    def _settle_error(self, call: ModelCall, error: HyperagentError, canonical: bytes) -> None:
        # A refusal is an answer like any other: settled, so that a replay is refused again. A lost call is not.
        if isinstance(error, ModelRequestInvalid):
            self._recorder.settle_call(replace(call, state="settled"), canonical, wire.refusal_bytes(error.message))
        else:
            self._recorder.settle_call(replace(call, state="failed"), canonical, b"")

    def _attempts(self, turn: _Turn, request: ChatRequest) -> ChatReply:
        for attempt in range(self._retries + 1):
            try:
                return self._client.complete(request, timeout=self._timeout)
            except ModelLost as error:
                # After the end of its task nobody waits for the reply: no further attempt.
                if attempt == self._retries or turn.ended.is_set():
                    raise
                delay = self._delay(attempt, error.retry_after)
            if self._sleep is None:
                turn.ended.wait(delay)
            else:
                self._sleep(delay)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _delay(self, attempt: int, retry_after: float | None) -> float:
        """Seconds: exponential backoff with full jitter, on top of what the server asked for (at most its ceiling)."""
        jitter = self._random() * min(_BACKOFF_CEILING, 2.0**attempt)
        return min(_BACKOFF_CEILING, max(0.0, retry_after or 0.0)) + jitter


class _Channel:
    """See :class:`~hyperagent.protocols.ModelChannel`."""

    def __init__(self, broker: LocalBroker, job: _Job, directory: Path) -> None:
        self.directory = directory
        self._broker = broker
        self._job = job
        self._turn: _Turn | None = None
        self._changed = threading.Condition()
        # Any user may connect: the program runs as an unprivileged user, and only its sandbox sees the directory.
        self._server = UnixServer(directory / "model.sock", self._respond, mode=0o666)

    def begin(self, task: str) -> None:
        with self._changed:
            if self._turn is not None:
                raise ValueError(f"begin({task!r}) before end() of {self._turn.task!r}")
            self._turn = _Turn(task, self._server.new_epoch())

    def end(self) -> Spend:
        with self._changed:
            turn = self._turn
            if turn is None:
                raise ValueError("end() without begin()")
            self._turn = None
            turn.ended.set()
            self._changed.wait_for(lambda: turn.in_flight == 0)
        if turn.failure is not None:
            raise turn.failure
        return turn.spend

    def close(self) -> None:
        self._server.stop()
        with self._changed:
            turn, self._turn = self._turn, None
            if turn is not None:
                turn.ended.set()
                self._changed.wait_for(lambda: turn.in_flight == 0)

    # -- requests (server threads) ---------------------------------------------------------------

    def _respond(self, method: str, path: str, body: bytes, epoch: int) -> Answer:
        path = path.removeprefix("/v1")
        if (method, path) == ("GET", "/models"):
            return Answer(200, wire.models_body(self._job.model))
        if (method, path) != ("POST", "/chat/completions"):
            return _refusal(404, f"no such endpoint: {method} {path}", "not_found")
        try:
            request, stream = wire.parse_request(body, self._job.model, self._job.defaults)
        except ModelRequestInvalid as error:
            return _refusal(400, error.message, "invalid_request")
        return self._complete(request, stream, epoch)

    def _complete(self, request: ChatRequest, stream: bool, epoch: int) -> Answer:
        with self._changed:
            turn = self._turn
            if turn is None or turn.epoch != epoch:
                return _refusal(409, "no task is running on this channel", "no_task")
            if turn.failure is not None:
                return _failed(turn.failure)  # the task is lost already: do not pay for more of it
            sequence = turn.calls
            turn.calls += 1
            turn.in_flight += 1
        failure: Exception | None = None
        spend = Spend()
        try:
            reply, spend = self._broker.answer(self._job, turn, sequence, request)
            return _success(request, reply, stream)
        except ModelRequestInvalid as error:
            spend = Spend(calls=1)
            return _refusal(400, error.message, "invalid_request")
        except Exception as error:  # noqa: BLE001 (thread boundary: end() raises it in the engine's thread)
            failure = error
            return _failed(error)
        finally:
            with self._changed:
                turn.failure = turn.failure or failure
                turn.spend += spend
                turn.in_flight -= 1
                self._changed.notify_all()


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


def _deterministic(request: ChatRequest) -> bool:
    return request.parameters.get("temperature") == 0 or request.model.startswith("random/")


def _spend(call: ModelCall) -> Spend:
    if call.cached:
        return Spend(cached_calls=1)
    return Spend(1, 0, call.prompt_tokens, call.completion_tokens, call.cost)


def _success(request: ChatRequest, reply: ChatReply, stream: bool) -> Answer:
    digest = wire.request_hash(wire.canonical_request(request))
    if stream:
        return Answer(200, wire.stream_body(reply, request.model, digest), "text/event-stream")
    return Answer(200, wire.completion_body(reply, request.model, digest))


def _refusal(status: int, message: str, code: str) -> Answer:
    return Answer(status, wire.error_body(message, code))


def _failed(error: Exception) -> Answer:
    """What the program reads. Details (hosts, paths, keys in a provider's words) stay with the engine."""
    if isinstance(error, BudgetReached):
        return _refusal(402, "the campaign's budget is used up", "budget_reached")
    if isinstance(error, ReplayDiverged):
        return _refusal(409, error.message, "replay_diverged")
    if isinstance(error, ModelLost | ModelUnavailable):
        return _refusal(503, "the model cannot answer now", "model_unavailable")
    return _refusal(500, "the broker failed", "internal_error")


def _short_directory(parent: Path) -> Path:
    """A fresh private directory whose ``model.sock`` has a path that a socket can have."""
    parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="ha-", dir=parent))
    if len(os.fsencode(directory / "model.sock")) >= _PATH_LIMIT:
        directory.rmdir()
        directory = Path(tempfile.mkdtemp(prefix="ha-"))
    directory.chmod(0o755)
    return directory

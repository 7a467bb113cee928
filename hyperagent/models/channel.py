"""A job's door to its model: which calls belong to which task, and what a program reads when a call fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from hyperagent.errors import (
    BudgetReached,
    ModelLost,
    ModelRequestInvalid,
    ModelUnavailable,
    ReplayDiverged,
)
from hyperagent.models import bodies, wire
from hyperagent.models.gate import Abandoned, Gates
from hyperagent.models.http import Answer, UnixServer
from hyperagent.models.questions import Menu, Question
from hyperagent.protocols import Meter
from hyperagent.types import Purpose, Spend

_FINAL = (("x-should-retry", "false"),)
"""Tells OpenAI's client library not to try again by itself, as it would after any 409 and 5xx."""
_LATER = (("Retry-After", "1"), ("x-should-retry", "true"))
_ENDPOINTS = "this door has /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/models"


@dataclass(frozen=True)
class Job:
    """Whose calls these are: constant over a channel's life."""

    job: str
    campaign: str
    variant: str
    purpose: Purpose
    meter: Meter
    menu: Menu


@dataclass
class Turn:
    """One task between begin() and end(). Guarded by the channel's lock, but for ``ended``, which is an event."""

    task: str
    epoch: int
    calls: int = 0
    in_flight: int = 0
    spend: Spend = field(default_factory=Spend)
    failure: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)


Asker = Callable[[Job, Turn, int, str, Question], tuple[bytes, Spend]]
"""``(job, turn, sequence, model, question)`` -> the reply in its recorded form and what it used."""


class Channel:
    """See :class:`~hyperagent.protocols.ModelChannel`.

    Args:
        ask: Answers a call; raises what :meth:`end` documents.
        gates: Admit calls, and are told when a task has ended; None admits all, as a replay does.
    """

    def __init__(self, job: Job, directory: Path, ask: Asker, gates: Gates | None) -> None:
        self.directory = directory
        self._job = job
        self._ask = ask
        self._gates = gates
        self._turn: Turn | None = None
        self._changed = threading.Condition()
        # Any user may connect: the program runs as an unprivileged user, and only its sandbox sees the directory.
        self._server = UnixServer(directory / "model.sock", self._respond, mode=0o666)

    def begin(self, task: str) -> None:
        with self._changed:
            if self._turn is not None:
                raise ValueError(f"begin({task!r}) before end() of {self._turn.task!r}")
            self._turn = Turn(task, self._server.new_epoch())

    def end(self) -> Spend:
        turn = self._finish()
        if turn is None:
            raise ValueError("end() without begin()")
        if turn.failure is not None:
            raise turn.failure
        return turn.spend

    def close(self) -> None:
        self._server.stop()
        self._finish()

    def _finish(self) -> Turn | None:
        with self._changed:
            turn, self._turn = self._turn, None
            if turn is not None:
                turn.ended.set()
                if self._gates is not None:
                    self._gates.wake(turn.ended)
                self._changed.wait_for(lambda: turn.in_flight == 0)
            return turn

    # -- requests (server threads) ---------------------------------------------------------------

    def _respond(self, method: str, path: str, body: bytes, epoch: int) -> Answer:
        path = path.removeprefix("/v1")
        if method == "GET" and path.startswith("/models"):
            return self._models(unquote(path.removeprefix("/models").removeprefix("/")))
        try:
            asked = self._job.menu.read(path, body) if method == "POST" else None
        except ModelRequestInvalid as error:
            return _refusal(400, error.message, "invalid_request")
        if asked is None:
            return _refusal(404, f"no such endpoint: {method} {path}; {_ENDPOINTS}", "not_found")
        question, model = asked
        if not model:
            return _refusal(404, "this campaign has no model for embeddings (models.embedding)", "model_not_found")
        if self._gates is None:
            return self._complete(question, model, epoch)
        if not self._gates.admit(self._job.variant):
            # Before the call gets its number: a replay, which refuses nobody, counts the same calls.
            body = wire.error_body("too many calls are waiting for the model", "queue_full")
            return Answer(429, body, headers=_LATER)
        try:
            return self._complete(question, model, epoch)
        finally:
            self._gates.dismiss(self._job.variant)

    def _models(self, name: str) -> Answer:
        model = self._job.menu.model
        if not name:
            return Answer(200, bodies.models_body(model))
        if name == model:
            return Answer(200, bodies.model_body(model))
        return _refusal(404, f"this door has no model {name[:100]!r}, only {model!r}", "model_not_found")

    def _complete(self, question: Question, model: str, epoch: int) -> Answer:
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
            recorded, spend = self._ask(self._job, turn, sequence, model, question)
            return question.show(recorded)
        except ModelRequestInvalid as error:
            return _refusal(400, error.message, "invalid_request")
        except Abandoned:
            return _refusal(409, "the task has ended", "no_task")
        except Exception as error:  # noqa: BLE001 (thread boundary: end() raises it in the engine's thread)
            failure = error
            return _failed(error)
        finally:
            with self._changed:
                turn.failure = turn.failure or failure
                turn.spend += spend
                turn.in_flight -= 1
                self._changed.notify_all()


def _refusal(status: int, message: str, code: str) -> Answer:
    return Answer(status, wire.error_body(message, code), headers=_FINAL)


def _failed(error: Exception) -> Answer:
    """What the program reads. Details (hosts, paths, keys in a provider's words) stay with the engine."""
    if isinstance(error, BudgetReached):
        return _refusal(402, "the budget is used up", "budget_reached")
    if isinstance(error, ReplayDiverged):
        return _refusal(409, error.message, "replay_diverged")
    if isinstance(error, ModelLost | ModelUnavailable):
        return _refusal(503, "the model cannot answer now", "model_unavailable")
    return _refusal(500, "the broker failed", "internal_error")

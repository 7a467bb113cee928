"""Paying for one call: attempts with backoff, then the fallbacks; each attempt reserved, recorded and settled.

An attempt is a row of its own. It holds a place at the model and a reservation only while it runs: a call that waits,
for its turn or for its next attempt, keeps neither the budget nor the place from others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hyperagent.errors import AllowanceSpent, HyperagentError, ModelLost, ModelRequestInvalid, ModelUnavailable
from hyperagent.models import wire
from hyperagent.models.gate import Gates
from hyperagent.models.questions import Question
from hyperagent.protocols import CallRecorder, Meter, ModelClient
from hyperagent.types import ModelCall, Spend

BACKOFF_CEILING = 60.0
"""Seconds: most that a wait grows to by itself, and most of a server's ``Retry-After`` that is honoured."""


class UselessReply(ModelLost):
    """A reply that holds no answer but was billed: its size counts, and the call is tried again.

    Args:
        cost: US dollars.
    """

    def __init__(self, message: str, prompt_tokens: int, completion_tokens: int, cost: float) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens
        self.cost = cost


@dataclass(frozen=True)
class Patience:
    """How often and how long after which failure a call is tried again.

    Attributes:
        retries: Attempts of each model after the first one.
        random: Draws from [0, 1) for the jitter; never influences what a call returns.
        sleep: Waits between attempts; None = until the task has ended, at the longest.
    """

    retries: int
    random: Callable[[], float]
    sleep: Callable[[float], None] | None = None

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Seconds: exponential backoff with full jitter, on top of what the server asked for (at most its ceiling)."""
        jitter = self.random() * min(BACKOFF_CEILING, 2.0**attempt)
        return min(BACKOFF_CEILING, max(0.0, retry_after or 0.0)) + jitter

    def wait(self, attempt: int, error: ModelLost, ended: threading.Event) -> None:
        """Wait before the next attempt; raises ``error`` where there is none, or nobody to wait for it."""
        if attempt >= self.retries or ended.is_set():
            raise error
        delay = self.delay(attempt, error.retry_after)
        if self.sleep is None:
            ended.wait(delay)
        else:
            self.sleep(delay)


@dataclass
class Cashier:
    """Pays calls.

    Attributes:
        timeout: Seconds one attempt may take.
        fallbacks: Models that are asked in turn where the one meant does not answer.
        clock: Seconds, monotonic.
    """

    client: ModelClient
    recorder: CallRecorder
    gates: Gates
    patience: Patience
    timeout: float
    fallbacks: Sequence[str] = ()
    clock: Callable[[], float] = field(default=time.monotonic)

    def pay(self, call: ModelCall, question: Question, meter: Meter, ended: threading.Event) -> tuple[bytes, Spend]:
        """The recorded form of the reply (or of the model's refusal), and what all attempts used.

        Raises:
            ModelLost: No model answered, but one may later.
            ModelUnavailable: No model will ever answer.
            BudgetReached: The meter refuses the next attempt.
            Abandoned: The task ended while the call waited for its turn.
        """
        spent, errors = Spend(), list[ModelLost | ModelUnavailable]()
        others = [name for name in self.fallbacks if name != call.model] if question.interchangeable else []
        for model in (call.model, *others):
            attempt = 0
            try:
                while True:
                    try:
                        with self.gates.place(model, call.variant, ended):
                            recorded, spend = self._attempt(replace(call, model=model), question, meter)
                        return recorded, spent + spend
                    except ModelLost as error:
                        spent += _billed(error)
                        self.patience.wait(attempt, error, ended)
                        attempt += 1
            except ModelUnavailable as error:
                spent += _billed(error)
                errors.append(error)
            except ModelLost as error:
                errors.append(error)
            if ended.is_set():
                break
        # What may pass is told rather than what will not: the task is worth another try then.
        raise next((error for error in errors if isinstance(error, ModelLost)), errors[0])

    def _attempt(self, call: ModelCall, question: Question, meter: Meter) -> tuple[bytes, Spend]:
        prompt, completion = question.worst_case()
        cost = question.price(self.client, call.model, prompt, completion)
        ticket = self._reserved(call, question, meter, prompt + completion, cost)
        spend = Spend()  # what is settled where nothing was asked in the end
        try:
            self.recorder.reserve_call(replace(call, prompt_tokens=prompt, completion_tokens=completion, cost=cost))
            started = self.clock()
            try:
                answered = question.ask(self.client, call.model, self.timeout)
            except HyperagentError as error:
                spend = _billed(error)
                return self._settle_error(_sized(call, spend), error, question, self.clock() - started), spend
            spend = Spend(1, 0, answered.prompt_tokens, answered.completion_tokens, answered.cost)
            settled = replace(_sized(call, spend), state="settled", seconds=self.clock() - started)
            self.recorder.settle_call(settled, question.canonical, answered.recorded)
            return answered.recorded, spend
        finally:
            meter.settle(ticket, spend)

    def _reserved(self, call: ModelCall, question: Question, meter: Meter, tokens: int, cost: float) -> int:
        try:
            return meter.reserve(tokens, cost)
        except AllowanceSpent as spent:
            # Recorded like an answer, so that a replay ends the task at the same call; unpaid, like a cached one.
            unpaid = replace(call, cached=True)
            self.recorder.reserve_call(unpaid)
            settled = replace(unpaid, state="settled", error=spent.message)
            self.recorder.settle_call(settled, question.canonical, wire.allowance_bytes(spent.message, spent.cap))
            raise

    def _settle_error(self, call: ModelCall, error: HyperagentError, question: Question, seconds: float) -> bytes:
        """A refusal is an answer like any other: settled, so that a replay is refused again. A lost call is not."""
        call = replace(call, seconds=seconds, error=error.message)
        if not isinstance(error, ModelRequestInvalid):
            self.recorder.settle_call(replace(call, state="failed"), question.canonical, b"")
            raise error
        refusal = wire.refusal_bytes(error.message)
        self.recorder.settle_call(replace(call, state="settled"), question.canonical, refusal)
        return refusal


def _billed(error: HyperagentError) -> Spend:
    """What a failed attempt used: it was a call, and free unless it was billed for a reply without an answer."""
    if isinstance(error, UselessReply):
        return Spend(1, 0, error.prompt_tokens, error.completion_tokens, error.cost)
    return Spend(calls=1)


def _sized(call: ModelCall, spend: Spend) -> ModelCall:
    return replace(call, prompt_tokens=spend.prompt_tokens, completion_tokens=spend.completion_tokens, cost=spend.cost)

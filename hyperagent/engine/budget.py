"""The meters: reserve the worst case before a model call, settle its real size after.

Three nested scopes count every call: the campaign, the variant it is made for, and the run of the task it is made in. A
reservation is made in all of them or in none, under one lock, so that at no instant more is settled and reserved than a
cap allows. Only the campaign's cap ends the campaign; a program that spends the allowance of its task or its variant
has failed by itself (:class:`~hyperagent.errors.AllowanceSpent`).
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hyperagent.config.schema import AllowanceConfig
from hyperagent.errors import AllowanceSpent, BudgetReached
from hyperagent.protocols import Meter
from hyperagent.types import Caps, Spend

_HINT = "raise the cap with `hyperagent resume CAMPAIGN --set budget.{cap}=...`; nothing finished is lost"
NO_CAPS = AllowanceConfig()


class Ledger(Protocol):
    """What earlier attempts and sessions used; the archive implements it. Both: what was used, and model seconds."""

    def variant_spend(self, variant: str) -> tuple[Spend, float]: ...

    def task_spend(self, job: str, task: str) -> tuple[Spend, float]: ...


class JobMeter(Meter, Protocol):
    """The meter behind one job's door."""

    def begin(self, task: str) -> None:
        """What is reserved from now on is also the task's. No call may be in flight."""

    @property
    def spent(self) -> Spend:
        """What the task that has begun used, calls of it that are served from the record included."""


class Budget(Protocol):
    """Hands out a meter per job."""

    def job(self, variant: str, job: str) -> JobMeter: ...


@dataclass(frozen=True)
class _Reservation:
    tokens: int
    cost: float
    began: float
    accounts: Sequence[_Account]


@dataclass
class _Account:
    """One scope: its caps, what it has used and what it has set aside. Guarded by the lock of its meter.

    Attributes:
        scope: Prefix of the caps' names in the config: empty for the campaign, else ``variant.`` or ``task.``.
        seconds: Of settled calls, from reservation to settlement; the campaign's cap is on wall-clock time instead.
        ended: Message and cap that ended a variant or a task: what it has left is not for the next call either.
    """

    scope: str
    caps: AllowanceConfig
    spent: Spend = field(default_factory=Spend)
    seconds: float = 0.0
    open: dict[int, _Reservation] = field(default_factory=dict)
    ended: tuple[str, str] | None = None

    def held(self) -> Spend:
        """Settled and reserved together."""
        return sum((Spend(1, 0, r.tokens, 0, r.cost) for r in self.open.values()), self.spent)

    def elapsed(self, now: float) -> float:
        return self.seconds + sum(now - r.began for r in self.open.values())

    def refuse(self, tokens: int, cost: float, calls: int, seconds: float) -> None:
        """Raises BudgetReached where that much more would not fit, or a cap is used up already."""
        if self.ended is not None:
            raise AllowanceSpent(self.ended[0], cap=self.ended[1])
        caps, held = self.caps, self.held()
        if caps.seconds and seconds >= caps.seconds:
            self._end("seconds", f"{caps.seconds:g} s of {'model' if self.scope else 'wall'} time")
        if caps.calls and (held.calls + calls > caps.calls or held.calls >= caps.calls):
            self._end("calls", f"{caps.calls:,} calls ({self.spent.calls:,} used)")
        if caps.tokens and (held.tokens + tokens > caps.tokens or held.tokens >= caps.tokens):
            what = f"the next call could take {tokens:,}" if tokens else "none is left"
            self._end("tokens", f"{caps.tokens:,} tokens ({self.spent.tokens:,} used; {what})")
        if caps.cost and (held.cost + cost > caps.cost or held.cost >= caps.cost):
            what = f"the next call could take ${cost:.4f}" if cost else "none is left"
            self._end("cost", f"${caps.cost:.4f} (${self.spent.cost:.4f} used; {what})")

    def _end(self, name: str, what: str) -> None:
        cap = f"{self.scope}{name}"
        message = f"budget.{cap} reached: {what}"
        if not self.scope:
            raise BudgetReached(message, cap=cap, hint=_HINT.format(cap=cap))
        self.ended = (message, cap)
        raise AllowanceSpent(message, cap=cap)


class CampaignMeter:
    """Caps over a campaign, all its sessions together, and over each of its variants and tasks. For several threads.

    Args:
        caps: Of the campaign; 0 means no cap.
        spent: What earlier sessions used.
        elapsed: Wall-clock seconds that earlier sessions took.
        clock: Seconds, monotonic.
        calls: Cap on the campaign's calls; 0 = none.
        variant, task: Caps of each variant and of each run of a task.
        ledger: Where what a variant or task used before is read from; None = nowhere.
    """

    def __init__(
        self,
        caps: Caps,
        spent: Spend | None = None,
        elapsed: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        *,
        calls: int = 0,
        variant: AllowanceConfig = NO_CAPS,
        task: AllowanceConfig = NO_CAPS,
        ledger: Ledger | None = None,
    ) -> None:
        self.caps = caps
        self._allowances = {"variant": variant, "task": task}
        self._scoped = (variant, task) != (NO_CAPS, NO_CAPS)
        self._ledger = ledger
        own = AllowanceConfig(caps.tokens, caps.cost, calls, caps.seconds)
        self._campaign = _Account("", own, spent or Spend())
        self._variants: dict[str, _Account] = {}
        self._open: dict[int, _Reservation] = {}
        self._tickets = itertools.count(1)
        self._lock = threading.Lock()
        self._clock = clock
        self._origin = clock() - elapsed

    @property
    def spent(self) -> Spend:
        return self._campaign.spent

    @property
    def held(self) -> Spend:
        """Settled and reserved together: never above a cap. Reserved tokens count as prompt tokens."""
        with self._lock:
            return self._campaign.held()

    @property
    def in_flight(self) -> int:
        """Reservations that are not settled."""
        return len(self._open)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the campaign so far."""
        return self._clock() - self._origin

    def check(self) -> None:
        """Raises BudgetReached where a cap of the campaign is used up already."""
        with self._lock:
            self._campaign.refuse(0, 0.0, 0, self.seconds)

    def job(self, variant: str, job: str) -> _Job:
        """The meter of one job of a variant; see :class:`JobMeter`."""
        with self._lock:
            account = self._variants.get(variant)
            if account is None:
                account = self._variants[variant] = self._account("variant", variant)
        return _Job(self, account, job)

    def reserve(self, tokens: int, cost: float) -> int:
        """A call of the campaign that belongs to no variant."""
        return self._reserve(tokens, cost, ())

    def settle(self, ticket: int, spend: Spend) -> None:
        """Raises ValueError where the ticket is settled already, or never was one."""
        with self._lock:
            reservation = self._open.pop(ticket, None)
            if reservation is None:
                raise ValueError(f"ticket {ticket} is not open")
            seconds = self._clock() - reservation.began
            for account in reservation.accounts:
                del account.open[ticket]
                account.spent += spend
                account.seconds += seconds

    def _reserve(self, tokens: int, cost: float, inner: Sequence[_Account]) -> int:
        # Innermost first: a call that its own task may not make is no reason to end the campaign.
        accounts = [*inner, self._campaign]
        with self._lock:
            now = self._clock()
            for account in accounts:
                seconds = account.elapsed(now) if account.scope else now - self._origin
                account.refuse(tokens, cost, 1, seconds)
            ticket = next(self._tickets)
            reservation = self._open[ticket] = _Reservation(tokens, cost, now, accounts)
            for account in accounts:
                account.open[ticket] = reservation
            return ticket

    def _account(self, scope: str, variant: str = "", job: str = "", task: str = "") -> _Account:
        account = _Account(f"{scope}.", self._allowances[scope])
        if self._ledger is not None and self._scoped:
            before = self._ledger.task_spend(job, task) if task else self._ledger.variant_spend(variant)
            account.spent, account.seconds = before
        return account


class _Job:
    """See :class:`JobMeter`."""

    def __init__(self, meter: CampaignMeter, variant: _Account, job: str) -> None:
        self._meter = meter
        self._variant = variant
        self._job = job
        self._task: _Account | None = None

    def begin(self, task: str) -> None:
        self._task = self._meter._account("task", job=self._job, task=task)

    @property
    def spent(self) -> Spend:
        return Spend() if self._task is None else self._task.spent

    @property
    def held(self) -> Sequence[Spend]:
        """Settled and reserved together, of the task (where one has begun) and of the variant."""
        with self._meter._lock:
            return [account.held() for account in self._accounts()]

    def reserve(self, tokens: int, cost: float) -> int:
        return self._meter._reserve(tokens, cost, self._accounts())

    def settle(self, ticket: int, spend: Spend) -> None:
        self._meter.settle(ticket, spend)

    def _accounts(self) -> Sequence[_Account]:
        return [self._variant] if self._task is None else [self._task, self._variant]


class FreeMeter:
    """A meter without caps, for reports that are asked for outside a campaign's search (hidden test, live replay)."""

    spent = Spend()

    def job(self, variant: str, job: str) -> FreeMeter:
        return self

    def begin(self, task: str) -> None:
        return None

    def reserve(self, tokens: int, cost: float) -> int:
        return 0

    def settle(self, ticket: int, spend: Spend) -> None:
        return None

"""The campaign's meter: reserve the worst case before a model call, settle its real size after."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from hyperagent.errors import BudgetReached
from hyperagent.types import Caps, Spend

_HINT = "raise the cap with `hyperagent resume CAMPAIGN --set budget.{cap}=...`; nothing finished is lost"


class CampaignMeter:
    """Caps over the whole campaign, all its sessions together. Safe to use from several threads.

    Args:
        caps: 0 means no cap.
        spent: What earlier sessions used.
        elapsed: Wall-clock seconds that earlier sessions took.
    """

    def __init__(
        self,
        caps: Caps,
        spent: Spend | None = None,
        elapsed: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.caps = caps
        self._spent = spent or Spend()
        self._reserved: dict[int, tuple[int, float]] = {}
        self._tickets = itertools.count(1)
        self._lock = threading.Lock()
        self._clock = clock
        self._origin = clock() - elapsed

    @property
    def spent(self) -> Spend:
        return self._spent

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the campaign so far."""
        return self._clock() - self._origin

    def check(self) -> None:
        """Raises BudgetReached where a cap is used up already."""
        with self._lock:
            self._check(0, 0.0)

    def reserve(self, tokens: int, cost: float) -> int:
        with self._lock:
            self._check(tokens, cost)
            ticket = next(self._tickets)
            self._reserved[ticket] = (tokens, cost)
            return ticket

    def settle(self, ticket: int, spend: Spend) -> None:
        with self._lock:
            self._reserved.pop(ticket, None)
            self._spent = self._spent + spend

    def _check(self, tokens: int, cost: float) -> None:
        held_tokens = sum(t for t, _ in self._reserved.values()) + self._spent.tokens
        held_cost = sum(c for _, c in self._reserved.values()) + self._spent.cost
        caps = self.caps
        if caps.seconds and self.seconds >= caps.seconds:
            raise self._reached("seconds", f"{caps.seconds:g} s of wall time")
        if caps.tokens and (held_tokens + tokens > caps.tokens or held_tokens >= caps.tokens):
            raise self._reached("tokens", f"{caps.tokens:,} tokens ({self._spent.tokens:,} used)")
        if caps.cost and (held_cost + cost > caps.cost or held_cost >= caps.cost):
            raise self._reached("cost", f"${caps.cost:.4f} (${self._spent.cost:.4f} used)")

    @staticmethod
    def _reached(cap: str, what: str) -> BudgetReached:
        return BudgetReached(f"budget.{cap} reached: {what}", cap=cap, hint=_HINT.format(cap=cap))


class FreeMeter:
    """A meter without caps, for reports that are asked for outside a campaign's search (hidden test, live replay)."""

    def reserve(self, tokens: int, cost: float) -> int:
        return 0

    def settle(self, ticket: int, spend: Spend) -> None:
        return None

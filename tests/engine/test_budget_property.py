"""A cap is never exceeded: random models, random prices, random failures, eight workers, a thousand runs."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from hyperagent.config.schema import AllowanceConfig
from hyperagent.engine.budget import AllowanceSpent, CampaignMeter
from hyperagent.errors import BudgetReached, ModelLost
from hyperagent.types import Caps, Spend

RUNS = 1000
WORKERS = 8
ROUNDING = 1e-9
"""Sums of the same dollars in another order differ in their last bits."""


@pytest.fixture(autouse=True)
def _threads_take_turns_quickly() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-5)
    yield
    sys.setswitchinterval(before)


@dataclass
class Clock:
    """Virtual seconds that every call moves on."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Run:
    """One campaign of eight workers; every draw comes from its number.

    Attributes:
        paid: Every bill, in the test's own book: campaign, variant and task -> spend.
        wrong: What was seen that must not be.
        refused: Calls that a cap stopped, at least (threads may lose a count).
    """

    number: int
    paid: dict[str, Spend] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    refused: int = 0
    book: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        draw = random.Random(self.number)
        self.clock = Clock()
        self.price = draw.choice((0.0, 1e-6, 3.3e-5, draw.random() / 100))
        self.caps = {scope: _caps(draw, size) for scope, size in (("", 4000), ("variant", 1500), ("task", 500))}
        own = self.caps[""]
        self.meter = CampaignMeter(
            Caps(0, own.seconds, own.tokens, own.cost),
            clock=self.clock,
            calls=own.calls,
            variant=self.caps["variant"],
            task=self.caps["task"],
        )

    def work(self, worker: int) -> None:
        draw = random.Random(1000 * self.number + worker)
        variant = f"v{draw.randrange(3)}"
        job = self.meter.job(variant, f"{variant}/{worker}")
        for task in range(3):
            name = f"{worker}/{task}"
            job.begin(name)
            try:
                for _ in range(draw.randrange(1, 5)):
                    self.call(draw, job, variant, name)
            except AllowanceSpent as spent:
                self.refused += 1
                if spent.cap.startswith("variant"):
                    return
            except BudgetReached:
                self.refused += 1
                return
            except (ModelLost, KeyError):
                continue  # the call failed, or the sandbox was killed under it

    def call(self, draw: random.Random, job, variant: str, task: str) -> None:  # type: ignore[no-untyped-def]
        """What the broker does: reserve, ask, settle whatever came of it."""
        prompt, completion = draw.randrange(1, 200), draw.randrange(1, 200)
        ticket = job.reserve(prompt + completion, self.price * (prompt + completion))
        spend = Spend()
        try:
            self.look(job)
            self.clock.now += draw.random()
            fate = draw.random()
            if fate < 0.1:
                spend = Spend(calls=1)
                raise ModelLost("HTTP 500")
            if fate < 0.15:
                raise KeyError("the recorder failed")  # before anything was asked
            size = completion if fate < 0.5 else draw.randrange(completion + 1)  # cut off at the limit, or shorter
            real = draw.randrange(1, prompt + 1)
            spend = Spend(1, 0, real, size, self.price * (real + size))
            if fate > 0.95:
                raise ModelLost("billed, and of no use")
        finally:
            with self.book:
                for scope in ("", f"variant {variant}", f"task {task}"):
                    self.paid[scope] = self.paid.get(scope, Spend()) + spend
            job.settle(ticket, spend)
            self.look(job)

    def look(self, job) -> None:  # type: ignore[no-untyped-def]
        task, variant = job.held
        for scope, held in (("", self.meter.held), ("variant", variant), ("task", task)):
            self.compare(f"settled and reserved {scope}", held, self.caps[scope])

    def compare(self, what: str, spend: Spend, caps: AllowanceConfig) -> None:
        for name, used, cap in (
            ("tokens", spend.tokens, caps.tokens),
            ("cost", spend.cost, caps.cost),
            ("calls", spend.calls, caps.calls),
        ):
            if cap and used > cap + ROUNDING:
                self.wrong.append(f"run {self.number}: {what}: {used} {name} of {cap}")

    def judge(self) -> None:
        for scope, spend in self.paid.items():
            self.compare(f"paid {scope}", spend, self.caps[scope.split(" ")[0]])
        if self.meter.in_flight or self.meter.held != self.meter.spent:
            self.wrong.append(f"run {self.number}: a reservation leaked")
        total = self.paid.get("", Spend())
        if self.meter.spent.tokens != total.tokens or self.meter.spent.calls != total.calls:
            self.wrong.append(f"run {self.number}: the meter says {self.meter.spent}, the bills are {total}")


def _caps(draw: random.Random, size: int) -> AllowanceConfig:
    """Each cap is there in a third of the runs."""
    return AllowanceConfig(
        tokens=draw.choice((0, 0, draw.randrange(1, 2 * size))),
        cost=draw.choice((0.0, 0.0, draw.random() * size / 500)),
        calls=draw.choice((0, 0, draw.randrange(1, 1 + size // 50))),
        seconds=draw.choice((0.0, 0.0, draw.random() * size / 50)),
    )


def test_no_cap_is_ever_exceeded_in_a_thousand_random_runs() -> None:
    refused = calls = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        for number in range(RUNS):
            run = Run(number)
            list(pool.map(run.work, range(WORKERS)))
            run.judge()
            assert run.wrong == []
            calls += run.meter.spent.calls
            refused += run.refused
    assert calls > 10 * RUNS, "the runs hardly did anything"
    assert refused > RUNS, "the caps hardly ever mattered"

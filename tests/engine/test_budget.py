"""Budgets: a cap is never exceeded, whatever the workers do at once."""

import random
import threading

import pytest

from hyperagent.engine.budget import CampaignMeter
from hyperagent.errors import BudgetReached
from hyperagent.types import Caps, Spend


def test_a_reservation_over_the_cap_is_refused_and_changes_nothing() -> None:
    meter = CampaignMeter(Caps(tokens=100))
    ticket = meter.reserve(80, 0.0)
    with pytest.raises(BudgetReached, match=r"budget\.tokens"):
        meter.reserve(30, 0.0)
    meter.settle(ticket, Spend(calls=1, prompt_tokens=10, completion_tokens=5))
    meter.reserve(85, 0.0)
    assert meter.spent.tokens == 15


def test_spend_of_earlier_sessions_counts() -> None:
    meter = CampaignMeter(Caps(cost=1.0), Spend(cost=0.9))
    with pytest.raises(BudgetReached) as reached:
        meter.reserve(1, 0.2)
    assert reached.value.cap == "cost"
    assert "budget.cost" in reached.value.hint


def test_wall_time_counts_earlier_sessions() -> None:
    now = [100.0]
    meter = CampaignMeter(Caps(seconds=60), elapsed=50, clock=lambda: now[0])
    meter.check()
    now[0] = 111.0
    with pytest.raises(BudgetReached, match="seconds"):
        meter.check()


def test_no_caps_never_refuse() -> None:
    CampaignMeter(Caps()).reserve(10**12, 1e9)


def test_eight_workers_never_exceed_the_cap() -> None:
    meter = CampaignMeter(Caps(tokens=10_000, cost=5.0))
    peak: list[int] = []

    def work(seed: int) -> None:
        draws = random.Random(seed)
        while True:
            worst = draws.randint(1, 300)
            try:
                ticket = meter.reserve(worst, worst / 1000)
            except BudgetReached:
                return
            used = draws.randint(0, worst)
            meter.settle(ticket, Spend(calls=1, prompt_tokens=used, cost=used / 1000))
            peak.append(meter.spent.tokens)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(peak) <= 10_000
    assert meter.spent.cost <= 5.0
    assert meter.spent.tokens > 4_000

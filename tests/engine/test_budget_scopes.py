"""Caps of a variant and of a task: who is refused, for how long, and what earlier attempts count for."""

from __future__ import annotations

import pytest

from hyperagent.config.schema import AllowanceConfig
from hyperagent.engine.budget import AllowanceSpent, CampaignMeter, FreeMeter
from hyperagent.errors import BudgetReached
from hyperagent.types import Caps, Spend


class Before:
    """What earlier attempts used, as the archive would tell."""

    def __init__(self, variant: Spend, task: Spend, seconds: float = 0.0) -> None:
        self.variant, self.task, self.seconds = variant, task, seconds

    def variant_spend(self, variant: str) -> tuple[Spend, float]:
        return self.variant, self.seconds

    def task_spend(self, job: str, task: str) -> tuple[Spend, float]:
        return self.task, self.seconds


def used(tokens: int, cost: float = 0.0) -> Spend:
    return Spend(1, 0, tokens, 0, cost)


def test_a_task_that_spent_its_allowance_is_refused_and_the_next_one_is_not() -> None:
    meter = CampaignMeter(Caps(), task=AllowanceConfig(tokens=100))
    job = meter.job("v", "c/1/b/validation")
    job.begin("one")
    job.settle(job.reserve(60, 0.0), used(60))
    with pytest.raises(AllowanceSpent, match=r"budget\.task\.tokens reached: 100 tokens \(60 used; .* 41\)") as spent:
        job.reserve(41, 0.0)
    assert (spent.value.cap, spent.value.exit_code) == ("task.tokens", 4)
    with pytest.raises(AllowanceSpent):
        job.reserve(1, 0.0)  # it would fit, but the task has failed: it is not paid for any further
    assert job.spent == used(60)
    job.begin("two")
    job.reserve(100, 0.0)


@pytest.mark.parametrize(
    ("caps", "worst", "cap"),
    [
        (AllowanceConfig(tokens=10), (11, 0.0), "tokens"),
        (AllowanceConfig(cost=0.5), (0, 0.6), "cost"),
        (AllowanceConfig(calls=1), (1, 0.0), "calls"),
    ],
)
def test_each_cap_of_each_scope_refuses(caps: AllowanceConfig, worst: tuple[int, float], cap: str) -> None:
    for scope in ("variant", "task"):
        meter = CampaignMeter(Caps(), **{scope: caps})
        job = meter.job("v", "j")
        job.begin("t")
        if cap == "calls":
            job.reserve(1, 0.0)
        with pytest.raises(AllowanceSpent) as spent:
            job.reserve(*worst)
        assert spent.value.cap == f"{scope}.{cap}"
        assert not isinstance(_refusal(CampaignMeter(Caps(1, 0, 10, 0.5), calls=1), worst, cap), AllowanceSpent)


def _refusal(meter: CampaignMeter, worst: tuple[int, float], cap: str) -> BudgetReached:
    if cap == "calls":
        meter.reserve(1, 0.0)
    with pytest.raises(BudgetReached) as reached:
        meter.reserve(*worst)
    assert reached.value.cap == cap
    assert f"budget.{cap}" in reached.value.hint
    return reached.value


def test_a_variant_has_one_allowance_over_all_its_jobs_and_another_variant_its_own() -> None:
    meter = CampaignMeter(Caps(), variant=AllowanceConfig(calls=2))
    mutation, tasks = meter.job("v", "c/1/mutate"), meter.job("v", "c/1/b/validation")
    mutation.settle(mutation.reserve(1, 0.0), used(1))
    tasks.begin("t")
    tasks.settle(tasks.reserve(1, 0.0), used(1))
    for job in (mutation, tasks, meter.job("v", "c/1/b/train")):
        with pytest.raises(AllowanceSpent, match="variant"):
            job.reserve(1, 0.0)
    meter.job("w", "c/2/mutate").reserve(1, 0.0)


def test_what_the_program_may_not_do_by_itself_does_not_end_the_campaign() -> None:
    """A call that exceeds the caps of its task and of the campaign alike is the task's failure."""
    meter = CampaignMeter(Caps(tokens=10), task=AllowanceConfig(tokens=10))
    job = meter.job("v", "j")
    job.begin("t")
    with pytest.raises(AllowanceSpent):
        job.reserve(11, 0.0)
    job.begin("next")
    job.reserve(10, 0.0)


def test_earlier_attempts_count() -> None:
    before = Before(used(70), used(30))
    caps = {"variant": AllowanceConfig(tokens=100), "task": AllowanceConfig(tokens=50)}
    job = CampaignMeter(Caps(), **caps, ledger=before).job("v", "j")
    job.begin("t")
    with pytest.raises(AllowanceSpent, match=r"task.* \(30 used"):
        job.reserve(21, 0.0)
    job = CampaignMeter(Caps(), **caps, ledger=before).job("v", "j")
    with pytest.raises(AllowanceSpent, match=r"variant.* \(70 used"):
        job.reserve(31, 0.0)


def test_seconds_are_those_of_calls_and_count_while_they_run() -> None:
    now = [0.0]
    meter = CampaignMeter(Caps(), clock=lambda: now[0], variant=AllowanceConfig(seconds=10))
    job = meter.job("v", "j")
    now[0] = 100.0  # no call ran: nothing is used
    first = job.reserve(1, 0.0)
    now[0] = 106.0
    second = job.reserve(1, 0.0)
    now[0] = 108.0  # 8 s of the first and 2 s of the second, side by side
    with pytest.raises(AllowanceSpent, match=r"variant\.seconds reached: 10 s of model time"):
        job.reserve(1, 0.0)
    job.settle(first, used(1))
    job.settle(second, used(1))
    resumed = CampaignMeter(Caps(), variant=AllowanceConfig(seconds=10), ledger=Before(used(1), used(0), 10.0))
    with pytest.raises(AllowanceSpent):
        resumed.job("v", "j").reserve(1, 0.0)


def test_a_ticket_is_settled_once() -> None:
    meter = CampaignMeter(Caps(tokens=10))
    ticket = meter.reserve(10, 0.0)
    meter.settle(ticket, used(4))
    with pytest.raises(ValueError, match="not open"):
        meter.settle(ticket, used(4))
    assert (meter.spent, meter.in_flight, meter.held.tokens) == (used(4), 0, 4)


def test_the_free_meter_refuses_nothing() -> None:
    job = FreeMeter().job("v", "j")
    job.begin("t")
    job.settle(job.reserve(10**12, 1e9), used(1))
    assert job.spent == Spend()

"""Caps in a whole campaign: who ends where one is reached, what a crash changes, what a replay says."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from caps_bench import Bench, ask

from hyperagent.archive import open_archive
from hyperagent.assembly.costs import PricedClient, check_prices
from hyperagent.config import BudgetConfig, Config, load_config
from hyperagent.config.schema import AllowanceConfig
from hyperagent.engine.budget import CampaignMeter
from hyperagent.engine.replay import Replayer
from hyperagent.errors import AllowanceSpent, BudgetReached, ConfigError, HyperagentError, ModelLost
from hyperagent.models import FaultyClient, LocalBroker, MemoryRecorder, ScriptedClient
from hyperagent.types import Caps, ChatRequest, ModelCall, Spend


@pytest.fixture
def sockets() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ha-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def bench(tmp_path: Path, sockets: Path) -> Iterator[Bench]:
    with open_archive(tmp_path / "archive", write=True, create=True) as archive:
        yield Bench(archive, sockets)


def test_a_task_over_its_cap_has_failed_and_nothing_else_has(bench: Bench) -> None:
    result = bench.run(BudgetConfig(variants=1, task=AllowanceConfig(calls=2)))
    assert (result.campaign.state, result.done, result.lost) == ("finished", 1, 0)
    seed, child = bench.variants()
    assert [o.status for o in bench.outcomes(seed)] == ["scored", "scored", "agent_error", "agent_error"]
    late = bench.outcomes(child)[2]  # the program answered all the same: it would have been wrong or right
    assert (late.status, late.score, late.prediction) == ("agent_error", 0.0, "null")
    assert late.error.startswith("error: budget.task.calls reached: 2 calls (2 used)")
    assert late.spend.calls == 2
    assert child.score == 0.5
    assert bench.meter.in_flight == 0


def test_a_variant_over_its_cap_fails_its_other_tasks_and_the_campaign_goes_on(bench: Bench) -> None:
    bench.calls = (1, 1, 1, 1)
    result = bench.run(BudgetConfig(variants=1, variant=AllowanceConfig(calls=7)))
    assert result.campaign.state == "finished"
    seed, child = bench.variants()
    assert {o.status for o in bench.outcomes(seed)} == {"scored"}
    train = bench.outcomes(seed, "train")  # what the mutation of a child is shown is its parent's expense
    assert [o.status for o in train] == ["scored", "scored", "scored", "agent_error"]
    assert "budget.variant.calls reached" in train[3].error
    assert bench.archive.variant_spend(seed.id)[0].calls == 7
    assert {o.status for o in bench.outcomes(child)} == {"scored"}


def test_a_mutation_over_its_variants_cap_is_an_invalid_variant(bench: Bench) -> None:
    bench.calls = (0, 0, 0, 0)
    result = bench.run(BudgetConfig(variants=1, steps=2, variant=AllowanceConfig(tokens=20)))
    assert (result.campaign.state, result.done) == ("finished", 0)
    for variant in bench.variants()[1:]:
        assert variant.status == "invalid"
        assert "budget.variant.tokens reached: 20 tokens" in variant.reason


@pytest.mark.parametrize("workers", [1, 8])
def test_the_campaigns_cap_ends_it_gracefully_and_a_resume_goes_on(bench: Bench, workers: int) -> None:
    result = bench.run(BudgetConfig(variants=2, calls=9), workers)
    assert result.campaign.state == "budget_reached"
    assert "budget.calls reached: 9 calls" in result.campaign.reason
    assert bench.campaign is not None
    assert bench.archive.spend(bench.campaign.id).calls <= 9
    assert not any(o.status == "agent_error" for o in bench.outcomes(bench.variants()[0]))
    first = list(bench.asked)
    assert bench.run(BudgetConfig(variants=2), workers).campaign.state == "finished"
    again = [text for text in bench.asked[len(first) :] if text in first and text.startswith("validation-0")]
    assert len(again) <= 2  # of the two new variants; the seed's was not paid twice


def test_a_cost_cap_holds_with_eight_workers(bench: Bench) -> None:
    bench.price = 0.001
    result = bench.run(BudgetConfig(variants=8, steps=20, cost=3.0), workers=8)
    assert result.campaign.state == "budget_reached"
    assert bench.campaign is not None
    assert 1.0 < bench.archive.spend(bench.campaign.id).cost <= 3.0
    assert bench.meter.held == bench.meter.spent


def test_a_task_that_our_side_lost_gets_no_second_allowance(bench: Bench) -> None:
    """The second attempt is served the first one's calls from the record; they count as if it had made them."""
    failures = iter([ModelLost("HTTP 500"), None])

    def fail(text: str) -> Exception | None:
        return next(failures, None) if text == "validation-3 call 1" else None

    bench.failure = fail
    bench.run(BudgetConfig(variants=0, steps=1, task=AllowanceConfig(calls=3)))
    seed = bench.variants()[0]
    assert bench.outcomes(seed)[3].status == "agent_error"
    assert [text for text in bench.asked if text.startswith("validation-3")] == [
        f"validation-3 call {number}" for number in range(3)
    ]


def test_a_replay_of_tasks_that_reached_a_cap_is_identical(bench: Bench) -> None:
    budget = BudgetConfig(variants=1, task=AllowanceConfig(calls=3), variant=AllowanceConfig(calls=8))
    bench.run(budget)
    child = bench.variants()[1]
    errors = [o.error for o in bench.outcomes(child) if o.status == "agent_error"]
    assert errors
    report = _replayer(bench, budget).evaluation(child)
    assert report.identical, report.divergence
    assert report.compared == len(bench.outcomes(child))


def _replayer(bench: Bench, budget: BudgetConfig) -> Replayer:
    bench.failure = lambda text: AssertionError("a replay asked the model")
    return Replayer(bench.parts(bench.config(budget), replay=True), lambda text: None)


def test_a_campaign_of_five_hundred_calls_replays_exactly_without_its_model(bench: Bench) -> None:
    bench.calls = (25, 25, 25, 25)
    budget = BudgetConfig(variants=2)
    bench.run(budget)
    assert bench.campaign is not None
    recorded = bench.archive.spend(bench.campaign.id).calls
    assert recorded >= 500
    replayer = _replayer(bench, budget)
    for variant in bench.variants():
        report = replayer.evaluation(variant)
        assert (report.identical, report.compared) == (True, 4), report.divergence
        if variant.step:
            report = replayer.mutation(variant)
            assert report.identical, report.divergence
    assert bench.archive.spend(bench.campaign.id).calls == recorded


# -- the real broker -------------------------------------------------------------------------------


def test_the_cap_holds_behind_the_real_broker_whatever_the_model_does(sockets: Path) -> None:
    for number in range(12):
        draw = random.Random(number)
        caps = Caps(tokens=draw.randrange(500, 4000), cost=draw.random())
        meter = CampaignMeter(caps, calls=draw.randrange(5, 40), variant=AllowanceConfig(calls=draw.randrange(3, 12)))
        recorder = MemoryRecorder()
        faulty = FaultyClient(ScriptedClient(lambda _: "x" * 60, price_per_token=draw.random() / 500), 0.4, seed=number)
        broker = LocalBroker(faulty, recorder, runtime_directory=sockets, timeout=5, retries=1, sleep=lambda _: None)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda worker, b=broker, m=meter: _asks(b, m, worker), range(8)))
        paid = sum((_paid(call) for call in recorder.log if call.state != "reserved"), Spend())
        assert meter.in_flight == 0
        assert meter.held == meter.spent
        assert meter.spent.tokens == paid.tokens <= caps.tokens
        assert meter.spent.cost <= caps.cost + 1e-9


def _asks(broker: LocalBroker, meter: CampaignMeter, worker: int) -> None:
    variant = f"v{worker % 2}"
    job = meter.job(variant, f"job{worker}")
    with broker.channel(
        f"job{worker}",
        campaign="c",
        variant=variant,
        purpose="evaluate",
        model="scripted/m",
        meter=job,
        defaults={"max_tokens": 64, "temperature": 1},
    ) as channel:
        for task in range(2):
            job.begin(f"t{task}")
            channel.begin(f"t{task}")
            for call in range(3):
                ask(channel.directory, f"{worker} {task} {call}")
            try:
                channel.end()
            except (BudgetReached, ModelLost):
                continue


def _paid(call: ModelCall) -> Spend:
    return Spend() if call.cached else Spend(1, 0, call.prompt_tokens, call.completion_tokens, call.cost)


class Broken(MemoryRecorder):
    """A disk that is full at one of the two moments at which a call is written down."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment = moment

    def reserve_call(self, call: ModelCall) -> None:
        if self.moment == "reserve":
            raise HyperagentError("no space left")
        super().reserve_call(call)

    def settle_call(self, call: ModelCall, request: bytes, reply: bytes) -> None:
        if self.moment == "settle":
            raise HyperagentError("no space left")
        super().settle_call(call, request, reply)


@pytest.mark.parametrize("moment", ["reserve", "settle"])
def test_an_archive_that_fails_leaves_no_reservation(sockets: Path, moment: str) -> None:
    meter = CampaignMeter(Caps(tokens=10_000))
    broker = LocalBroker(
        ScriptedClient(lambda _: "yes"), Broken(moment), runtime_directory=sockets, timeout=5, retries=0
    )
    with pytest.raises(HyperagentError, match="no space"):
        _asks(broker, meter, 0)
    assert meter.in_flight == 0
    assert meter.held == meter.spent


# -- prices ----------------------------------------------------------------------------------------


class Priceless(ScriptedClient):
    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        return 0.0


@pytest.mark.parametrize("key", ["budget.cost", "budget.variant.cost", "budget.task.cost"])
def test_a_cap_on_dollars_needs_prices(key: str) -> None:
    config = load_config(None, settings=[f"{key}=1", "models.mutation=openai/own", "models.evaluation=local/x"])
    with pytest.raises(ConfigError, match="nobody knows the price of openai/own") as error:
        check_prices(Priceless([]), config)
    assert "models.price_prompt" in error.value.hint
    assert key.replace("cost", "tokens") in error.value.hint
    check_prices(PricedClient(Priceless([]), 2.0, 0.0), config)
    check_prices(Priceless([]), Config())


def test_prices_of_ones_own_count() -> None:
    client = PricedClient(Priceless(["a reply"]), prompt=2.0, completion=8.0)
    request = ChatRequest("local/x", ({"role": "user", "content": "question"},), {"max_tokens": 50})
    assert client.price(request, 1_000_000, 500_000) == 6.0
    reply = client.complete(request, timeout=1)
    assert reply.cost == pytest.approx((2 * reply.prompt_tokens + 8 * reply.completion_tokens) / 1e6)
    known = PricedClient(ScriptedClient([], price_per_token=1.0), 2.0, 8.0)
    assert known.price(request, 3, 4) == 7.0, "a price that is known is the price"


def test_the_error_says_whose_fault_it_is() -> None:
    assert issubclass(AllowanceSpent, BudgetReached)

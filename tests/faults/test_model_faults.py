"""Faults of a model's server: 429, 500, hang, truncated, huge and garbage replies, and a refusal for good."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hyperagent.errors import BudgetReached, ModelLost, ModelRequestInvalid, ModelUnavailable
from hyperagent.models import FaultyClient, ScriptedClient, UselessReply
from hyperagent.models.payment import Patience

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
from doors import Bench, CapMeter, ask


def answering() -> ScriptedClient:
    return ScriptedClient(lambda request: "a fine answer")


def one_call(bench: Bench, client: Any, meter: CapMeter) -> tuple[int, dict[str, Any], Any]:
    with bench.open(client, meter=meter) as channel:
        channel.begin("t")
        status, body = ask(channel.directory, "x")
        try:
            return status, body, channel.end()
        except (ModelLost, ModelUnavailable) as error:
            return status, body, error


def test_passing_failures_are_retried_and_waits_honour_the_server(tmp_path: Path) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    status, body, spend = one_call(bench, FaultyClient(answering(), {0: "429", 1: "500"}), meter)
    assert (status, body["choices"][0]["message"]["content"]) == (200, "a fine answer")
    assert bench.waits == [1.0 + 0.5, 0.5 * 2]
    assert spend.calls == len(bench.recorder.log) / 2 == 3
    assert [call.state for call in bench.recorder.log[1::2]] == ["failed", "failed", "settled"]
    assert (
        spend.tokens
        == meter.settled.tokens
        == bench.recorder.log[-1].prompt_tokens + bench.recorder.log[-1].completion_tokens
    )


@pytest.mark.parametrize("fault", ["429", "500", "hang"])
def test_a_lasting_failure_is_lost_after_bounded_retries_and_costs_nothing(tmp_path: Path, fault: str) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    status, body, error = one_call(bench, FaultyClient(answering(), dict.fromkeys(range(99), fault)), meter)
    assert (status, body["error"]["code"]) == (503, "model_unavailable")
    assert isinstance(error, ModelLost)
    assert len(bench.waits) == 2
    assert [call.state for call in bench.recorder.log] == ["reserved", "failed"] * 3
    assert (meter.settled.tokens, meter.open) == (0, {})


@pytest.mark.parametrize(("fault", "length"), [("truncated", 6), ("huge", 1_000_000), ("garbage", 5)])
def test_useless_replies_are_delivered_counted_and_replayed(tmp_path: Path, fault: str, length: int) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    first = one_call(bench, FaultyClient(answering(), {0: fault}), meter)
    assert len(first[1]["choices"][0]["message"]["content"]) == length
    assert meter.settled.tokens > 0
    assert one_call(bench, ScriptedClient([]), CapMeter(tokens=0)) == first


def test_an_empty_reply_is_counted(tmp_path: Path) -> None:
    meter = CapMeter()
    status, _, spend = one_call(Bench(tmp_path), ScriptedClient([""]), meter)
    assert (status, spend.calls) == (200, 1)
    assert spend.prompt_tokens > 0


def test_a_refusal_for_good_is_not_retried_and_ends_the_task(tmp_path: Path) -> None:
    bench, client = Bench(tmp_path), ScriptedClient([ModelUnavailable("401 key-of-ours", hint="Set KEY.")] * 9)
    with bench.open(client) as channel:
        channel.begin("t")
        first, again = ask(channel.directory, "x"), ask(channel.directory, "y")
        with pytest.raises(ModelUnavailable, match="401"):
            channel.end()
    assert first == again
    assert "key-of-ours" not in str(first)
    assert (len(client.requests), bench.waits) == (1, [])


def test_the_programs_own_fault_is_its_own_and_replays_alike(tmp_path: Path) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    first = one_call(bench, ScriptedClient([ModelRequestInvalid("context too long")]), meter)
    assert first[0] == 400
    assert first[2].calls == 1
    assert one_call(bench, ScriptedClient([]), meter) == first


def test_random_faults_keep_the_meter_and_the_record_in_step(tmp_path: Path) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    client = FaultyClient(answering(), 0.6, seed=3)
    with bench.open(client, meter=meter) as channel:
        for number in range(20):
            channel.begin(f"t{number}")
            ask(channel.directory, "x")
            try:
                channel.end()
            except ModelLost:
                continue
    settled = [call for call in bench.recorder.log if call.state == "settled"]
    assert 0 < len(settled) <= 20
    assert sum(call.prompt_tokens + call.completion_tokens for call in settled) == meter.settled.tokens
    assert not meter.open


# -- billed replies without an answer ----------------------------------------------------------------


def test_a_billed_reply_without_an_answer_is_counted_and_asked_again(tmp_path: Path) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    client = ScriptedClient([UselessReply("no choices", 5, 3, 0.25), "at last"], price_per_token=0.002)
    status, body, spend = one_call(bench, client, meter)
    assert (status, body["choices"][0]["message"]["content"]) == (200, "at last")
    failed, settled = bench.recorder.log[1::2]
    assert (failed.state, failed.prompt_tokens, failed.completion_tokens, failed.cost) == ("failed", 5, 3, 0.25)
    assert spend == meter.settled
    assert (spend.calls, spend.cost, spend.prompt_tokens) == (2, 0.25 + settled.cost, 5 + settled.prompt_tokens)
    assert one_call(bench, ScriptedClient([]), CapMeter(tokens=0))[:2] == (status, body)


def test_an_attempt_beyond_the_cap_is_not_made(tmp_path: Path) -> None:
    bench, meter = Bench(tmp_path), CapMeter(cost=0.6)
    client = ScriptedClient([UselessReply("no choices", 5, 3, 0.25)] * 3, price_per_token=0.002)
    with bench.open(client, meter=meter) as channel:
        channel.begin("t")
        status, _ = ask(channel.directory, "x")
        with pytest.raises(BudgetReached):
            channel.end()
    assert (status, len(client.requests), meter.settled.cost) == (402, 1, 0.25)


# -- fallbacks ---------------------------------------------------------------------------------------


class Many(ScriptedClient):
    """Models by name: what each says, and which were asked."""

    def __init__(self, **said: Any) -> None:
        super().__init__(lambda request: said[request.model.partition("/")[2]])

    @property
    def asked(self) -> list[str]:
        return [request.model.partition("/")[2] for request in self.requests]


@pytest.mark.parametrize(("down", "times"), [(ModelLost("HTTP 503"), 3), (ModelUnavailable("401"), 1)])
def test_fallbacks_are_asked_in_order_and_recorded_as_who_answered(tmp_path: Path, down: Exception, times: int) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    client = Many(m=down, b=ModelUnavailable("no key"), c="from c")
    options: dict[str, Any] = {"fallbacks": ["x/b", "scripted/m", "x/c"]}
    with bench.open(client, meter=meter, **options) as channel:
        channel.begin("t")
        status, body = ask(channel.directory, "x")
        spend = channel.end()
    assert client.asked == ["m"] * times + ["b", "c"]
    assert (status, body["choices"][0]["message"]["content"], body["model"]) == (200, "from c", "scripted/m")
    assert bench.recorder.log[-1].model == "x/c"
    assert spend == meter.settled
    assert spend.calls == times + 2
    with bench.open(ScriptedClient([]), replay=True) as channel:
        channel.begin("t")
        assert ask(channel.directory, "x") == (status, body)
        channel.end()


def test_a_fallbacks_reply_is_not_reused_where_the_model_itself_may_answer(tmp_path: Path) -> None:
    bench, cold = Bench(tmp_path), {"max_tokens": 8, "temperature": 0}
    for job, client in (("one", Many(m=ModelLost("down"), b="from b")), ("two", Many(m="from m", b="from b"))):
        with bench.open(client, job=job, defaults=cold, fallbacks=["x/b"]) as channel:
            channel.begin("t")
            said = ask(channel.directory, "x")[1]["choices"][0]["message"]["content"]
            channel.end()
    assert said == "from m"


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        ({"m": ModelLost("a"), "b": ModelUnavailable("b")}, ModelLost),
        ({"m": ModelUnavailable("a"), "b": ModelLost("b")}, ModelLost),
        ({"m": ModelUnavailable("a"), "b": ModelUnavailable("b")}, ModelUnavailable),
    ],
)
def test_where_all_fail_what_may_pass_is_told(tmp_path: Path, said: Any, raised: type[Exception]) -> None:
    with Bench(tmp_path).open(Many(**said), fallbacks=["x/b"]) as channel:
        channel.begin("t")
        assert ask(channel.directory, "x")[0] == 503
        with pytest.raises(raised):
            channel.end()


def test_the_programs_own_fault_asks_no_fallback(tmp_path: Path) -> None:
    client = Many(m=ModelRequestInvalid("context too long"), b="from b")
    with Bench(tmp_path).open(client, fallbacks=["x/b"]) as channel:
        channel.begin("t")
        assert ask(channel.directory, "x")[0] == 400
        channel.end()
    assert client.asked == ["m"]


# -- waits -------------------------------------------------------------------------------------------


def test_waits_grow_to_a_ceiling_with_the_jitter_of_their_seed() -> None:
    def waits(seed: int, retry_after: float | None) -> list[float]:
        patience = Patience(20, random.Random(seed).random)
        return [patience.delay(attempt, retry_after) for attempt in range(20)]

    assert waits(1, None) == waits(1, None) != waits(2, None)
    assert all(0 <= wait <= min(60, 2**attempt) for attempt, wait in enumerate(waits(1, None)))
    assert max(waits(1, None)) > 20
    assert all(7 <= wait <= 67 for wait in waits(1, 7.0))
    assert max(waits(1, 1e9)) <= 120
    assert min(waits(1, -5.0)) >= 0


def test_nobody_waits_for_a_task_that_has_ended() -> None:
    ended, error = threading.Event(), ModelLost("HTTP 429")
    error.retry_after = 1e6
    patience = Patience(3, lambda: 0.0)
    ended.set()
    with pytest.raises(ModelLost):
        patience.wait(0, error, ended)

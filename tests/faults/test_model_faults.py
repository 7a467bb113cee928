"""Faults of a model's server: 429, 500, hang, truncated, huge and garbage replies, and a refusal for good."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hyperagent.errors import ModelLost, ModelRequestInvalid, ModelUnavailable
from hyperagent.models import FaultyClient, ScriptedClient

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
    assert spend.calls == 1


@pytest.mark.parametrize("fault", ["429", "500", "hang"])
def test_a_lasting_failure_is_lost_after_bounded_retries_and_costs_nothing(tmp_path: Path, fault: str) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    status, body, error = one_call(bench, FaultyClient(answering(), dict.fromkeys(range(99), fault)), meter)
    assert (status, body["error"]["code"]) == (503, "model_unavailable")
    assert isinstance(error, ModelLost)
    assert len(bench.waits) == 2
    assert [call.state for call in bench.recorder.log] == ["reserved", "failed"]
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

"""The broker: metering, recording, resuming, replaying, and what a program can see and do at its door."""

from __future__ import annotations

import http.client
import json
import random
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from doors import Bench, CapMeter, Door, ask

from hyperagent.errors import BudgetReached, ReplayDiverged
from hyperagent.models import LocalBroker, ScriptedClient
from hyperagent.types import ChatRequest, Spend


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def echo_client() -> ScriptedClient:
    return ScriptedClient(lambda request: f"echo {request.messages[-1]['content']}")


def test_a_call_is_answered_reserved_first_and_settled_after(bench: Bench) -> None:
    meter = CapMeter()
    with bench.open(echo_client(), meter=meter) as channel:
        channel.begin("t1")
        status, body = ask(channel.directory, "hello")
        spend = channel.end()
    assert (status, body["choices"][0]["message"]["content"], body["model"]) == (200, "echo hello", "scripted/m")
    assert [call.state for call in bench.recorder.log] == ["reserved", "settled"]
    reserved, settled = bench.recorder.log
    assert reserved.prompt_tokens > settled.prompt_tokens > 0
    assert spend == meter.settled == Spend(1, 0, settled.prompt_tokens, settled.completion_tokens, 0.0)
    assert not meter.open


def test_no_key_and_no_header_is_ever_recorded(bench: Bench) -> None:
    with bench.open(echo_client()) as channel:
        channel.begin("t")
        assert ask(channel.directory, "hello", user="SECRET-KEY", metadata={"k": "SECRET-KEY"})[0] == 200
        assert ask(channel.directory, "hello", api_key="SECRET-KEY", api_base="http://SECRET-KEY")[0] == 400
        channel.end()
    recorded = b"".join(bench.recorder.blobs.values()) + repr(bench.recorder.log).encode()
    assert b"SECRET" not in recorded
    assert b"hello" in recorded


def test_parameters_are_filtered_filled_and_clamped(bench: Bench) -> None:
    client = echo_client()
    with bench.open(client) as channel:
        channel.begin("t")
        ask(channel.directory, "a", max_completion_tokens=5000, user="me", n=1, seed=4)
        ask(channel.directory, "b", max_tokens=7, temperature=0.1)
        channel.end()
    assert client.requests[0].parameters == {"temperature": 0.7, "max_tokens": 64, "seed": 4}
    assert client.requests[1].parameters == {"temperature": 0.1, "max_tokens": 7}
    assert {request.model for request in client.requests} == {"scripted/m"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b'{"messages": []}', 400, "invalid_request"),
        (b'{"messages": [{"role": "root", "content": "x"}]}', 400, "invalid_request"),
        (b'{"messages": [{"role": "user", "content": 3}]}', 400, "invalid_request"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', 400, "invalid_request"),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": true}', 400, "invalid_request"),
        (b'{"messages": [{"role": "user", "content": "x"}], "temperature": "hot"}', 400, "invalid_request"),
        (b"[" * 100_000, 400, "invalid_request"),
    ],
)
def test_malformed_requests_cost_nothing(bench: Bench, body: bytes, status: int, code: str) -> None:
    with bench.open(echo_client()) as channel:
        channel.begin("t")
        with closing(Door(channel.directory)) as door:
            answer = door.call("POST", "/v1/chat/completions", body)
        assert channel.end() == Spend()
    assert (answer[0], json.loads(answer[1])["error"]["code"]) == (status, code)
    assert not bench.recorder.log


def test_the_door_is_open_to_any_user_short_and_removed(bench: Bench, tmp_path: Path) -> None:
    bench.directory = tmp_path / ("long" * 30)
    with bench.open(echo_client()) as channel:
        path = channel.directory / "model.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert stat.S_IMODE(channel.directory.stat().st_mode) == 0o755
        assert len(str(path)) < 100
    assert not channel.directory.exists()


def test_calls_outside_a_task_are_refused_and_late_ones_never_reach_the_next(bench: Bench) -> None:
    client = echo_client()
    with bench.open(client) as channel:
        assert ask(channel.directory, "early")[0] == 409
        channel.begin("one")
        old = Door(channel.directory)
        old.call("GET", "/v1/models")
        channel.end()
        assert old.call("POST", "/v1/chat/completions", b'{"messages":[{"role":"user","content":"late"}]}')[0] == 409
        channel.begin("two")
        # The connection of the first task is closed: what its process still sends reaches nobody.
        old.auto_open = 0
        with pytest.raises((OSError, http.client.HTTPException)):
            old.call("POST", "/v1/chat/completions", b'{"messages":[{"role":"user","content":"late"}]}')
        old.close()
        ask(channel.directory, "mine")
        channel.end()
    assert [(c.key.task, c.key.sequence) for c in bench.recorder.log] == [("two", 0), ("two", 0)]
    assert len(client.requests) == 1


def test_end_waits_for_a_call_in_flight(bench: Bench) -> None:
    arrived, release = threading.Event(), threading.Event()

    def slow(request: ChatRequest) -> str:
        arrived.set()
        assert release.wait(10)
        return "done"

    with bench.open(ScriptedClient(slow)) as channel:
        channel.begin("t")
        caller = threading.Thread(target=ask, args=(channel.directory, "x"))
        caller.start()
        assert arrived.wait(10)
        spends: list[Spend] = []
        ender = threading.Thread(target=lambda: spends.append(channel.end()))
        ender.start()
        assert not spends
        release.set()
        ender.join(10)
        caller.join(10)
    assert spends[0].calls == 1


def run_task(bench: Bench, client: Any, questions: list[str], **options: Any) -> tuple[list[Any], Spend]:
    with bench.open(client, **options) as channel:
        channel.begin("t")
        replies = [ask(channel.directory, question) for question in questions]
        return replies, channel.end()


def test_a_resumed_job_is_served_from_the_record_unpaid(bench: Bench) -> None:
    first = run_task(bench, echo_client(), ["a", "b"])
    before = list(bench.recorder.log)
    silent, meter = ScriptedClient([]), CapMeter(tokens=0)
    assert run_task(bench, silent, ["a", "b"], meter=meter) == first
    assert (silent.requests, bench.recorder.log, meter.settled) == ([], before, Spend())


def test_a_resumed_job_that_asks_something_else_pays(bench: Bench) -> None:
    run_task(bench, echo_client(), ["a"])
    replies, _ = run_task(bench, echo_client(), ["other"])
    assert replies[0][1]["choices"][0]["message"]["content"] == "echo other"


def test_replay_serves_the_record_and_names_the_first_difference(bench: Bench) -> None:
    first = run_task(bench, echo_client(), ["a", "b"])
    assert run_task(bench, ScriptedClient([]), ["a", "b"], replay=True) == first
    with pytest.raises(ReplayDiverged, match=r"job job, task t, call 1: messages\[0\] differs.*'c'|call 1.*c"):
        run_task(bench, ScriptedClient([]), ["a", "c"], replay=True)
    with pytest.raises(ReplayDiverged, match="call 2: the program made a call that was not recorded"):
        run_task(bench, ScriptedClient([]), ["a", "b", "d"], replay=True)


def test_deterministic_requests_are_paid_once_across_jobs(bench: Bench) -> None:
    cold: dict[str, Any] = {"max_tokens": 8, "temperature": 0}
    client = echo_client()
    first, _ = run_task(bench, client, ["a"], job="one", defaults=cold)
    second, spend = run_task(bench, client, ["a"], job="two", defaults=cold)
    assert (first, spend, len(client.requests)) == (second, Spend(cached_calls=1), 1)
    last = bench.recorder.log[-1]
    assert (last.cached, last.state, last.cost, last.prompt_tokens) == (True, "settled", 0.0, 0)
    run_task(bench, client, ["a"], job="three", defaults=cold, reuse=False)
    run_task(bench, client, ["a"], job="four")
    assert len(client.requests) == 3


def test_equal_deterministic_requests_in_flight_are_paid_once(bench: Bench) -> None:
    arrived, release = threading.Event(), threading.Event()

    def slow(request: ChatRequest) -> str:
        arrived.set()
        assert release.wait(10)
        return "once"

    client = ScriptedClient(slow)
    replies: list[Any] = []
    with bench.open(client, defaults={"max_tokens": 8, "temperature": 0}) as channel:
        channel.begin("t")
        callers = [
            threading.Thread(target=lambda: replies.append(ask(channel.directory, "same")[1]["choices"]))
            for _ in range(4)
        ]
        for caller in callers:
            caller.start()
        assert arrived.wait(10)
        release.set()
        for caller in callers:
            caller.join(10)
        spend = channel.end()
    assert (len(client.requests), spend.calls, spend.cached_calls) == (1, 1, 3)
    assert all(reply == replies[0] for reply in replies)


def test_a_cap_is_never_exceeded_by_eight_workers(tmp_path: Path) -> None:
    bench, source = Bench(tmp_path), random.Random(7)
    prices = [source.uniform(0, 1e-3) for _ in range(8)]
    meter = CapMeter(tokens=2500, cost=2.0)  # settle() asserts that nothing exceeds what was reserved
    refused: list[int] = []

    def work(index: int) -> None:
        client = ScriptedClient(lambda request: "7" * 200, price_per_token=prices[index])
        with bench.open(client, job=f"job{index}", meter=meter) as channel:
            for number in range(8):
                channel.begin(f"t{number}")
                ask(channel.directory, "0123456789" * 5)
                try:
                    channel.end()
                except BudgetReached:
                    refused.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert refused
    assert 0 < meter.settled.tokens <= 2500
    assert meter.settled.cost <= 2.0
    assert not meter.open


def test_a_budget_stop_tells_program_and_engine(bench: Bench) -> None:
    with bench.open(echo_client(), meter=CapMeter(tokens=10)) as channel:
        channel.begin("t")
        status, body = ask(channel.directory, "x")
        with pytest.raises(BudgetReached):
            channel.end()
    assert (status, body["error"]["code"]) == (402, "budget_reached")
    assert not bench.recorder.log


def test_a_broken_recorder_is_the_engines_problem_not_the_programs(bench: Bench) -> None:
    class Full(type(bench.recorder)):  # type: ignore[misc]
        def reserve_call(self, call: Any) -> None:
            raise OSError(28, "No space left on device")

    bench.recorder, meter = Full(), CapMeter()
    with bench.open(echo_client(), meter=meter) as channel:
        channel.begin("t")
        assert ask(channel.directory, "x")[0] == 500
        with pytest.raises(OSError, match="No space"):
            channel.end()
    assert not meter.open


def test_a_broker_is_a_broker(bench: Bench) -> None:
    from hyperagent.protocols import Broker

    broker: Broker = LocalBroker(echo_client(), bench.recorder, runtime_directory=bench.directory, timeout=1, retries=0)
    assert broker is not None

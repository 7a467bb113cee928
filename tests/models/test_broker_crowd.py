"""Many calls at once: limits per model, turns by variant, back-pressure, and nothing lost."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from doors import Bench, Door, ask

from hyperagent.models import ScriptedClient
from hyperagent.models.gate import Abandoned, Gate
from hyperagent.models.http import KEPT_CONNECTIONS
from hyperagent.runtime import shim
from hyperagent.types import ChatRequest

PATIENCE = 30.0
"""Seconds after which a test that waits in vain fails."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class Held:
    """A model that answers a call when told to, and remembers in which order calls came and how many at once."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.arrived: list[str] = []
        self.running = self.most = 0
        self.allowed = 0
        self.client = ScriptedClient(self.reply)

    def reply(self, request: ChatRequest) -> str:
        with self.changed:
            self.arrived.append(request.messages[0]["content"])
            number = len(self.arrived)
            self.running += 1
            self.most = max(self.most, self.running)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.allowed >= number, PATIENCE)
            self.running -= 1
        return f"re {request.messages[0]['content']}"

    def allow(self, number: int) -> None:
        with self.changed:
            self.allowed = number
            self.changed.notify_all()

    def await_arrivals(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.arrived) >= number, PATIENCE)


def until(true: Callable[[], bool]) -> None:
    """For what no event tells: another thread has begun to wait."""
    ticks, done = threading.Event(), False
    for _ in range(int(PATIENCE * 1000)):
        done = true()
        if done:
            return
        ticks.wait(0.001)
    assert done


# -- the gate ----------------------------------------------------------------------------------------


def queue_up(gate: Gate, variants: str, served: list[str], ended: threading.Event) -> list[threading.Thread]:
    threads = []
    for name in variants:

        def work(name: str = name) -> None:
            with gate.place(name, ended):
                served.append(name)

        before = gate.waiting()
        threads.append(threading.Thread(target=work))
        threads[-1].start()
        until(lambda: gate.waiting() == before + 1)  # noqa: B023 (called at once)
    return threads


def test_turns_go_round_the_variants_and_in_order_within_one() -> None:
    gate, served, ended = Gate(1), list[str](), threading.Event()
    with gate.place("x", ended):
        threads = queue_up(gate, "aaaabbc", served, ended)
    for thread in threads:
        thread.join(PATIENCE)
    assert "".join(served) == "abcabaa"
    assert gate.waiting() == 0
    with gate.place("x", ended):
        assert served.count("x") == 0


def test_a_place_is_given_back_however_its_holder_ends() -> None:
    gate, ended = Gate(2), threading.Event()
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), gate.place("a", ended):
            raise ZeroDivisionError
    with gate.place("a", ended), gate.place("b", ended):
        assert gate.waiting() == 0


def test_who_no_longer_waits_is_sent_away_and_the_others_keep_their_turns() -> None:
    gate, served, staying, leaving = Gate(1), list[str](), threading.Event(), threading.Event()
    gone: list[str] = []

    def leave() -> None:
        try:
            with gate.place("a", leaving):
                served.append("gone")
        except Abandoned:
            gone.append("a")

    with gate.place("x", staying):
        leaver = threading.Thread(target=leave)
        leaver.start()
        until(lambda: gate.waiting() == 1)
        threads = queue_up(gate, "ab", served, staying)
        leaving.set()
        gate.wake(leaving)
        leaver.join(PATIENCE)
        assert gone == ["a"]
        with pytest.raises(Abandoned), gate.place("a", leaving):
            pass
    for thread in threads:
        thread.join(PATIENCE)
    assert served == ["a", "b"]


# -- the broker --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3])
def test_a_model_gets_no_more_calls_at_once_than_its_limit(bench: Bench, limit: int) -> None:
    held = Held()
    broker = bench.broker(held.client, concurrency=limit)
    with bench.door(broker) as channel, ThreadPoolExecutor(8) as pool:
        channel.begin("t")
        calls = [pool.submit(ask, channel.directory, str(number)) for number in range(8)]
        held.await_arrivals(limit)
        held.allow(8)
        assert {call.result()[0] for call in calls} == {200}
        assert channel.end().calls == 8
    assert held.most == limit


def test_a_variant_with_one_call_does_not_wait_for_anothers_many(bench: Bench) -> None:
    held = Held()
    broker = bench.broker(held.client, concurrency=1)
    gate_of = broker._gates._gates
    with (
        bench.door(broker, "greedy", "v1") as greedy,
        bench.door(broker, "modest", "v2") as modest,
        ThreadPoolExecutor(20) as pool,
    ):
        greedy.begin("t")
        modest.begin("t")
        many = [pool.submit(ask, greedy.directory, "many") for _ in range(12)]
        held.await_arrivals(1)
        until(lambda: gate_of["scripted/m"].waiting() == 11)
        one = pool.submit(ask, modest.directory, "one")
        until(lambda: gate_of["scripted/m"].waiting() == 12)
        held.allow(13)
        assert {call.result()[0] for call in (*many, one)} == {200}
        greedy.end()
        modest.end()
    assert held.arrived.index("one") <= 2


def test_who_has_too_many_calls_waiting_is_told_to_come_later(bench: Bench) -> None:
    held = Held()
    broker = bench.broker(held.client, concurrency=1, crowd=3)
    with (
        bench.door(broker, "a", "v1") as channel,
        bench.door(broker, "b", "v2") as other,
        ThreadPoolExecutor(8) as pool,
    ):
        channel.begin("t")
        other.begin("t")
        calls = [pool.submit(ask, channel.directory, "x") for _ in range(3)]
        until(lambda: sum(broker._gates._present.values()) == 3)
        door = Door(channel.directory)
        door.request("POST", "/v1/chat/completions", json.dumps({"messages": [{"role": "user", "content": "y"}]}))
        response = door.getresponse()
        error = json.loads(response.read())["error"]
        door.close()
        calls.append(pool.submit(ask, other.directory, "z"))  # another variant's calls are not counted against it
        held.allow(9)
        assert [call.result()[0] for call in calls] == [200] * 4
        assert ask(channel.directory, "y")[0] == 200
        assert channel.end().calls == 4
        other.end()
    assert (response.status, response.headers["Retry-After"], error["code"]) == (429, "1", "queue_full")
    sequences = sorted(call.key.sequence for call in bench.recorder.log if call.variant == "v1")
    assert sequences == [0, 0, 1, 1, 2, 2, 3, 3]  # what was refused has no number: a replay would not count it


def test_a_replay_refuses_nobody(bench: Bench) -> None:
    with bench.open(ScriptedClient(["a"])) as channel:
        channel.begin("t")
        ask(channel.directory, "x")
        channel.end()
    with bench.open(ScriptedClient([]), replay=True, crowd=0, concurrency=1) as channel:
        channel.begin("t")
        assert ask(channel.directory, "x")[0] == 200
        channel.end()


def test_a_task_that_ends_leaves_the_queue_unpaid(bench: Bench) -> None:
    held = Held()
    broker = bench.broker(held.client, concurrency=1)
    with (
        bench.door(broker, "a", "v1") as first,
        bench.door(broker, "b", "v2") as second,
        ThreadPoolExecutor(4) as pool,
    ):
        first.begin("t")
        second.begin("t")
        running = pool.submit(ask, first.directory, "runs")
        held.await_arrivals(1)
        waiting = pool.submit(ask, second.directory, "waits")
        until(lambda: "scripted/m" in broker._gates._gates and broker._gates._gates["scripted/m"].waiting() == 1)
        assert second.end().calls == 0  # at once, while the model is still busy
        assert waiting.result()[0] == 409
        held.allow(9)
        assert running.result()[0] == 200
        assert first.end().calls == 1
    assert held.arrived == ["runs"]
    assert {call.variant for call in bench.recorder.log} == {"v1"}


def test_waiting_calls_hold_no_budget(bench: Bench) -> None:
    from doors import CapMeter

    held, meter = Held(), CapMeter()
    broker = bench.broker(held.client, concurrency=1)
    with bench.door(broker, meter=meter) as channel, ThreadPoolExecutor(4) as pool:
        channel.begin("t")
        calls = [pool.submit(ask, channel.directory, str(number)) for number in range(4)]
        held.await_arrivals(1)
        until(lambda: broker._gates._gates["scripted/m"].waiting() == 3)
        assert len(meter.open) == 1
        held.allow(9)
        assert {call.result()[0] for call in calls} == {200}
        channel.end()


# -- two hundred -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 8])
def test_two_hundred_concurrent_calls_from_four_doors_are_served(bench: Bench, limit: int) -> None:
    start = threading.Barrier(200)
    broker = bench.broker(ScriptedClient(lambda request: f"re {request.messages[0]['content']}"), concurrency=limit)

    def call(directory: Path, text: str) -> str:
        start.wait(PATIENCE)
        status, body = ask(directory, text)
        return body["choices"][0]["message"]["content"] if status == 200 else str(body)

    with ExitStack() as stack:
        doors = [stack.enter_context(bench.door(broker, f"job{n}", f"v{n}")) for n in range(4)]
        pool = stack.enter_context(ThreadPoolExecutor(200))
        for door in doors:
            door.begin("t")
        asked = [(door.directory, f"{n}.{i}") for n, door in enumerate(doors) for i in range(50)]
        said = list(pool.map(lambda pair: call(*pair), asked))
        assert said == [f"re {text}" for _, text in asked]
        assert [door.end().calls for door in doors] == [50] * 4
    keys = {(call.key.job, call.key.sequence) for call in bench.recorder.log if call.state == "settled"}
    assert keys == {(f"job{n}", i) for n in range(4) for i in range(50)}


@pytest.fixture
def port(bench: Bench) -> Iterator[int]:
    """A loopback port before a door, as a program has it."""
    with bench.open(ScriptedClient(lambda request: "re " * 40_000)) as channel:
        channel.begin("t")
        yield shim.start(str(channel.directory / "model.sock"), 0)
        channel.end()


BODY = json.dumps({"messages": [{"role": "user", "content": "x" * 100_000}]})


def test_more_kept_connections_than_the_shim_has_do_not_starve_each_other(port: int) -> None:
    """As a client library does that keeps every connection open: none may wait for another one to be closed."""
    start, done = threading.Barrier(100), threading.Barrier(100)

    def call(_: int) -> tuple[int, int, bool]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        start.wait(PATIENCE)
        connection.request("POST", "/v1/chat/completions", BODY)
        response = connection.getresponse()
        body = json.loads(response.read())
        kept = connection.sock is not None
        done.wait(PATIENCE)
        connection.close()
        return response.status, len(body["choices"][0]["message"]["content"]), kept

    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(call, range(100)))
    assert {answer[:2] for answer in found} == {(200, 120_000)}
    assert 0 < sum(kept for *_, kept in found) <= KEPT_CONNECTIONS


def test_an_unread_reply_does_not_hold_up_another_connection(port: int) -> None:
    first, second = (http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE) for _ in range(2))
    first.request("POST", "/v1/chat/completions", BODY)
    for _ in range(3):
        second.request("POST", "/v1/chat/completions", BODY)
        assert len(second.getresponse().read()) > 120_000
    assert len(first.getresponse().read()) > 120_000
    first.close()
    second.close()


def test_the_shim_outlives_hang_ups_and_passes_half_closes_on(port: int) -> None:
    import socket

    for data in (b"", b"POST /v1/chat", b"GET /v1/models HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(data)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        said: Any = b""
        while data := connection.recv(4096):
            said += data
    assert b"scripted/m" in said

"""``model serve`` and ``model bench``: what a person reads, and that a server is ended however the verb ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperagent.assembly.serving import ServerBench, ServeWishes
from hyperagent.errors import ModelUnavailable
from hyperagent.models.serving import Order, Plan
from hyperagent.models.serving.bench import Rate

Invoke = Callable[..., Any]
PLAN = Plan("transformers", "cuda", "bfloat16", 32, 8192, "a GPU")


class FakeServer:
    """A server that ends at once: ``end`` is what waiting for it raises."""

    base_url = "http://127.0.0.1:8123/v1"
    pid = 7
    log = Path("/tmp/log")
    order = Order("m", "/w/m.gguf", "ab", PLAN, 8123, 2)

    def __init__(self, end: BaseException) -> None:
        self.end, self.closed = end, 0

    def wait(self) -> None:
        raise self.end

    def close(self) -> None:
        self.closed += 1


class Serving:
    def __init__(self, fake: Any, end: BaseException) -> None:
        self.server = FakeServer(end)
        self.asked: list[tuple[Any, ...]] = []
        fake.ServeWishes = ServeWishes
        fake.serve_model = self.serve
        fake.bench_model = self.bench

    def serve(self, name: str, wishes: ServeWishes, report: Any) -> FakeServer:
        report("serving")
        self.asked.append((name, wishes))
        return self.server

    def bench(self, name: str, wishes: ServeWishes, batches: list[int], tokens: int, report: Any) -> ServerBench:
        self.asked.append((name, wishes, batches, tokens))
        rates = [Rate(size, 10 * size, 64 * size, 2.0) for size in batches]
        return ServerBench("m", "transformers", "cuda", "bfloat16", 32, 8192, 0.125, rates)


@pytest.mark.parametrize(
    ("end", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143), (ModelUnavailable("it died"), 3)]
)
def test_a_server_is_ended_however_the_verb_ends(invoke: Invoke, fake: Any, end: BaseException, code: int) -> None:
    serving = Serving(fake, end)
    result = invoke("model", "serve", "m", "--engine", "vllm", "--port", "8123", "--batch", "4")
    assert (result.exit_code, serving.server.closed) == (code, 1)
    assert serving.asked == [("m", ServeWishes(engine="vllm", batch=4, port=8123))]
    assert 'model = "openai/m"' in result.stdout
    assert 'api_base = "http://127.0.0.1:8123/v1"' in result.stdout
    assert ("it died" in result.stderr) == (code == 3)


def test_serve_as_json_says_how_to_use_it(invoke: Invoke, fake: Any) -> None:
    Serving(fake, KeyboardInterrupt())
    told = json.loads(invoke("model", "serve", "m", "--json").stdout)
    assert told["base_url"] == "http://127.0.0.1:8123/v1"
    assert told["config"] == {"models.model": "openai/m", "models.api_base": "http://127.0.0.1:8123/v1"}
    assert (told["engine"], told["dtype"], told["batch"], told["pid"]) == ("transformers", "bfloat16", 32, 7)


def test_bench_shows_every_batch_size(invoke: Invoke, fake: Any) -> None:
    serving = Serving(fake, KeyboardInterrupt())
    result = invoke("model", "bench", "m", "--batches", "1,8", "--tokens", "5")
    assert result.exit_code == 0
    assert serving.asked == [("m", ServeWishes(batch=8), [1, 8], 5)]
    assert "0.125 s" in result.stdout
    assert "256.0" in result.stdout
    told = json.loads(invoke("model", "bench", "m", "--json").stdout)
    assert [rate["tokens_per_second"] for rate in told["rates"]] == [32.0, 256.0]


@pytest.mark.parametrize("batches", ["", "a", "0", "1,,2", "9999"])
def test_bad_sizes_are_refused_before_anything_starts(invoke: Invoke, fake: Any, batches: str) -> None:
    serving = Serving(fake, KeyboardInterrupt())
    result = invoke("model", "bench", "m", "--batches", batches)
    assert result.exit_code == 2
    assert serving.asked == []

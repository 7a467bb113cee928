"""Requests that arrive together are computed together, and the HTTP face speaks the OpenAI wire format."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from hyperagent.errors import ModelLost, ModelRequestInvalid
from hyperagent.models.serving import batching
from hyperagent.models.serving.batching import Batcher, Generation, OutOfRoom, QueueFull, Result
from hyperagent.models.serving.bench import first_token, rate
from hyperagent.models.serving.face import LoopbackServer
from hyperagent.types import ChatReply, Json


class Echo:
    """Replies with the last message; ``room`` is the largest batch that fits; ``gate`` holds batches up."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.batches: list[int] = []

    def __call__(self, requests: Sequence[Generation]) -> Sequence[Result]:
        self.entered.release()
        assert self.gate.wait(10)
        if len(requests) > self.room:
            raise OutOfRoom("no memory")
        self.batches.append(len(requests))
        return [self.reply(request) for request in requests]

    def reply(self, request: Generation) -> Result:
        said = str(request.messages[-1]["content"])
        if said == "bad":
            return ModelRequestInvalid("bad request")
        if said == "bug":
            raise ZeroDivisionError("a library's own")
        kind = "raw" if request.raw else "chat"
        return ChatReply({"role": "assistant", "content": f"{kind}: {said}"}, "stop", 3, 2)


def request(said: str) -> Generation:
    return Generation([{"role": "user", "content": said}], {})


def ask_all(batcher: Batcher, echo: Echo, count: int) -> list[ChatReply]:
    """Ask while one request is being computed, so that all of the others wait when it is done."""
    with ThreadPoolExecutor(count + 1) as pool:
        echo.gate.clear()
        first = pool.submit(batcher.ask, request("first"))
        assert echo.entered.acquire(timeout=10)
        others = [pool.submit(batcher.ask, request(str(number))) for number in range(count)]
        with batcher._changed:
            assert batcher._changed.wait_for(lambda: len(batcher._waiting) == count, timeout=10)
        echo.gate.set()
        return [first.result(10), *(one.result(10) for one in others)]


@pytest.fixture
def echo() -> Echo:
    return Echo()


def test_what_waits_forms_batches_up_to_the_size_and_everyone_gets_their_own(echo: Echo) -> None:
    batcher = Batcher(echo, 4, linger=0)
    replies = ask_all(batcher, echo, 10)
    batcher.close()
    assert echo.batches == [1, 4, 4, 2]
    assert [reply.message["content"] for reply in replies] == ["chat: first", *(f"chat: {n}" for n in range(10))]


def test_a_full_batch_does_not_linger(echo: Echo) -> None:
    batcher = Batcher(echo, 2, linger=3600)
    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(lambda n: batcher.ask(request(n)), "ab", timeout=10))) == 2
    batcher.close()
    assert echo.batches == [2]


def test_a_batch_that_does_not_fit_is_halved() -> None:
    echo = Echo(room=2)
    batcher = Batcher(echo, 8, linger=0)
    replies = ask_all(batcher, echo, 5)
    assert [reply.message["content"] for reply in replies[1:]] == [f"chat: {n}" for n in range(5)]
    assert max(echo.batches) == 2
    echo.room = 0
    with pytest.raises(ModelLost, match="not even one"):
        batcher.ask(request("x"))
    batcher.close()


def test_an_error_is_the_requests_own_and_a_crash_the_batchs_own(echo: Echo) -> None:
    batcher = Batcher(echo, 4, linger=0)
    with pytest.raises(ModelRequestInvalid, match="bad request"):
        batcher.ask(request("bad"))
    with pytest.raises(ModelLost, match="ZeroDivisionError"):
        batcher.ask(request("bug"))
    assert batcher.ask(request("fine")).message["content"] == "chat: fine"
    batcher.close()


def test_the_queue_is_bounded_and_its_end_is_told(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_WAITING", 1)
    batcher = Batcher(echo, 1, linger=0)
    echo.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(batcher.ask, request("a"))
        assert echo.entered.acquire(timeout=10)
        second = pool.submit(batcher.ask, request("b"))
        with batcher._changed:
            assert batcher._changed.wait_for(lambda: batcher._waiting, timeout=10)
        with pytest.raises(QueueFull):
            batcher.ask(request("c"))
        closing = pool.submit(batcher.close)
        with pytest.raises(ModelLost, match="ends"):
            second.result(10)
        echo.gate.set()
        assert first.result(10).message["content"] == "chat: a"
        closing.result(10)
    with pytest.raises(ModelLost, match="ends"):
        batcher.ask(request("d"))


# -- over HTTP -------------------------------------------------------------------------------------


@pytest.fixture
def server(echo: Echo) -> Iterator[LoopbackServer]:
    batcher = Batcher(echo, 8, linger=0)
    server = LoopbackServer(0, "m", batcher, context=100)
    yield server
    server.stop()
    batcher.close()


def call(server: LoopbackServer, method: str, path: str, body: Json = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    connection.request(method, path, data)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def chat(said: str, **more: Json) -> Json:
    return {"model": "anything", "messages": [{"role": "user", "content": said}], **more}


def test_health_and_the_model_are_told(server: LoopbackServer) -> None:
    assert call(server, "GET", "/health")[0] == 200
    status, body = call(server, "GET", "/v1/models")
    assert (status, json.loads(body)["data"][0]["id"]) == (200, "m")
    assert call(server, "GET", "/v1/models/m")[0] == 200
    assert call(server, "GET", "/v1/models/other")[0] == 404
    assert call(server, "POST", "/v1/embeddings", {})[0] == 404


def test_chats_and_completions_are_answered(server: LoopbackServer) -> None:
    status, body = call(server, "POST", "/v1/chat/completions", chat("hi"))
    reply = json.loads(body)
    assert (status, reply["choices"][0]["message"]) == (200, {"role": "assistant", "content": "chat: hi"})
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    status, body = call(server, "POST", "/v1/completions", {"model": "m", "prompt": "once"})
    assert (status, json.loads(body)["choices"][0]["text"]) == (200, "raw: once")


def test_a_stream_is_the_same_reply_in_pieces(server: LoopbackServer) -> None:
    asked = chat("hi", stream=True, stream_options={"include_usage": True})
    status, body = call(server, "POST", "/v1/chat/completions", asked)
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    assert (status, lines[-1]) == (200, "[DONE]")
    chunks = [json.loads(line) for line in lines[:-1]]
    said = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert said == "chat: hi"
    assert chunks[-1]["usage"]["total_tokens"] == 5


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not valid JSON"),
        ({"messages": []}, "messages"),
        (chat("x", temperature=9), "temperature"),
        (chat("x", logit_bias={"1": 2}), "logit_bias"),
        (chat("x", tools=[{"type": "function", "function": {"name": "f"}}]), "`tools` are not served"),
        (chat("bad"), "bad request"),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(server: LoopbackServer, body: Json, said: str) -> None:
    status, answer = call(server, "POST", "/v1/chat/completions", body)
    assert status == 400
    assert said in json.loads(answer)["error"]["message"]


def test_a_crash_is_the_servers_fault_and_does_not_end_it(server: LoopbackServer) -> None:
    assert call(server, "POST", "/v1/chat/completions", chat("bug"))[0] == 500
    assert call(server, "POST", "/v1/chat/completions", chat("fine"))[0] == 200


def test_the_bench_counts_what_the_server_counted(server: LoopbackServer, echo: Echo) -> None:
    found = rate(server.port, "m", 8, 16)
    assert (found.batch, found.completion_tokens, found.prompt_tokens) == (8, 16, 24)
    assert found.tokens_per_second == pytest.approx(16 / found.seconds)
    assert first_token(server.port, "m") > 0
    echo.room = 0
    with pytest.raises(ModelLost, match="500"):
        rate(server.port, "m", 1, 1)

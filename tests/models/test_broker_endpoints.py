"""What a program can ask at its door beside a plain chat, what it is refused, and what a replay gives it again."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from doors import Bench, CapMeter, Door, ScriptedEmbedder, ask, post, streamed

from hyperagent.errors import ReplayDiverged
from hyperagent.models import RoutingClient, ScriptedClient, UniformClient, wire
from hyperagent.types import ChatRequest, Spend

LONG = "word " * 200
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def saying(*replies: Any) -> ScriptedClient:
    return ScriptedClient(replies)


# -- recorded forms ----------------------------------------------------------------------------------


def test_the_canonical_form_of_a_chat_is_that_of_older_archives() -> None:
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "caf\u00e9 \U0001f600 \udc80"})
    request = ChatRequest("openai/m", messages, {"temperature": 0.7, "max_tokens": 64, "seed": 4, "stop": ["\n"]})
    canonical = wire.canonical_request(request)
    assert canonical == (
        b'{"messages":[{"content":"Be brief.","role":"system"},'
        b'{"content":"caf\\u00e9 \\ud83d\\ude00 \\udc80","role":"user"}],"model":"openai/m",'
        b'"parameters":{"max_tokens":64,"seed":4,"stop":["\\n"],"temperature":0.7}}'
    )
    body = {"model": "x", "stream": False, "max_tokens": 999, "temperature": 0.7, "seed": 4, "stop": ["\n"]}
    parsed = wire.parse_request(json.dumps({**body, "messages": messages}).encode(), "openai/m", {"max_tokens": 64})
    assert wire.canonical_request(parsed.request) == canonical
    assert wire.request_hash(canonical) == hashlib.sha256(canonical).hexdigest()


def test_a_reply_recorded_by_an_older_archive_is_served(bench: Bench) -> None:
    with bench.open(saying("hi there")) as channel:
        channel.begin("t")
        ask(channel.directory, "hello")
        channel.end()
    call = bench.recorder.log[-1]
    old = b'{"completion_tokens":2,"cost":0.0,"finish_reason":"stop","message":{"content":"old","role":"assistant"},'
    bench.recorder.blobs[call.reply_blob] = old + b'"prompt_tokens":9}'
    with bench.open(saying(), replay=True) as channel:
        channel.begin("t")
        assert ask(channel.directory, "hello")[1]["choices"][0]["message"]["content"] == "old"
        channel.end()


# -- streams -----------------------------------------------------------------------------------------


def test_a_stream_says_the_same_in_pieces_and_is_recorded_whole(bench: Bench) -> None:
    path = "/v1/chat/completions"
    with bench.open(saying(LONG)) as channel:
        channel.begin("t")
        chunks = streamed(channel.directory, path, {**HELLO, "stream_options": {"include_usage": True}})
        assert channel.end().calls == 1
    *parts, last, usage = chunks
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len(parts) > 3
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in parts) == LONG
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert {chunk["usage"] for chunk in (*parts, last)} == {None}
    assert (usage["choices"], usage["usage"]["completion_tokens"] > 0) == ([], True)
    assert json.loads(bench.recorder.blobs[bench.recorder.log[-1].reply_blob])["message"]["content"] == LONG
    with bench.open(saying(), replay=True) as channel:
        channel.begin("t")
        again = streamed(channel.directory, path, {**HELLO, "stream_options": {"include_usage": True}})
        channel.end()
    assert again == chunks


def test_a_streamed_tool_call_and_no_usage_unasked(bench: Bench) -> None:
    with bench.open(saying({"content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]})) as channel:
        channel.begin("t")
        chunks = streamed(channel.directory, "/v1/chat/completions", {**HELLO, "tools": [TOOL]})
        channel.end()
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert calls == [{"index": 0, **CALL}, {"index": 1, **CALL, "id": "c2"}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert not any("usage" in chunk for chunk in chunks)


def test_tool_calls_pass_both_ways(bench: Bench) -> None:
    client = saying({"content": None, "tool_calls": [CALL]}, "done")
    said = {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None}
    result = {"role": "tool", "tool_call_id": "c1", "content": "a tree"}
    with bench.open(client) as channel:
        channel.begin("t")
        first = post(channel.directory, "/v1/chat/completions", {**HELLO, "tools": [TOOL], "tool_choice": "auto"})[1]
        body = {"messages": [*HELLO["messages"], said, result], "tools": [TOOL]}
        second = post(channel.directory, "/v1/chat/completions", body)[1]
        channel.end()
    assert first["choices"][0]["message"]["tool_calls"] == [CALL]
    assert second["choices"][0]["message"]["content"] == "done"
    assert client.requests[0].parameters["tools"] == [TOOL]
    assert client.requests[1].messages[1:] == ({k: v for k, v in said.items() if k != "refusal"}, result)


# -- the other endpoints -----------------------------------------------------------------------------


def test_a_text_completion_is_a_chat_of_one_message(bench: Bench) -> None:
    client = saying("is sweet", LONG)
    with bench.open(client) as channel:
        channel.begin("t")
        body = {"model": "m", "prompt": "Revenge", "max_tokens": 9, "n": 1, "echo": False, "best_of": 1}
        status, whole = post(channel.directory, "/v1/completions", body)
        chunks = streamed(channel.directory, "/v1/completions", {"prompt": ["Revenge"]})
        for bad in ({"prompt": ["a", "b"]}, {"prompt": [1, 2]}, {}, {"prompt": "x", "echo": True}):
            assert post(channel.directory, "/v1/completions", bad)[0] == 400
        assert channel.end().calls == 2
    assert (status, whole["object"], whole["choices"][0]["text"]) == (200, "text_completion", "is sweet")
    assert client.requests[0].messages == ({"role": "user", "content": "Revenge"},)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == LONG
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_the_doors_one_model_can_be_listed_and_looked_up(bench: Bench) -> None:
    with bench.open(saying()) as channel, closing(Door(channel.directory)) as door:
        status, body = door.call("GET", "/v1/models")
        assert (status, [entry["id"] for entry in json.loads(body)["data"]]) == (200, ["scripted/m"])
        assert json.loads(door.call("GET", "/v1/models/scripted%2Fm")[1])["id"] == "scripted/m"
        assert door.call("GET", "/v1/models/other")[0] == 404
        assert door.call("GET", "/etc/passwd")[0] == 404
        assert "embeddings" in json.loads(door.call("POST", "/v1/responses", b"{}")[1])["error"]["message"]
        assert door.call("POST", "/v1/chat/completions", b"", {"Content-Length": "5000000"})[0] == 413


def test_embeddings_are_metered_recorded_replayed_and_reused(bench: Bench) -> None:
    client, meter = ScriptedEmbedder(), CapMeter()
    body = {"model": "x", "input": ["hello", "sky"], "dimensions": 2, "user": "me"}
    with bench.open(client, meter=meter, embedding="scripted/e") as channel:
        channel.begin("t")
        status, floats = post(channel.directory, "/v1/embeddings", body)
        _, coded = post(channel.directory, "/v1/embeddings", {**body, "encoding_format": "base64"})
        spend = channel.end()
    assert (status, floats["model"], floats["usage"]["prompt_tokens"]) == (200, "scripted/e", 14)
    assert [len(entry["embedding"]) for entry in floats["data"]] == [2, 2]
    assert floats["data"][1]["embedding"] == [3.0, 0.0]
    assert struct.unpack("<2f", base64.b64decode(coded["data"][0]["embedding"])) == tuple(
        floats["data"][0]["embedding"]
    )
    assert (spend, meter.settled) == (Spend(1, 1, 14, 0, 0.001), Spend(1, 0, 14, 0, 0.001))
    assert [call.model for call in bench.recorder.log] == ["scripted/e"] * 4
    assert client.embedded[0].parameters == {"dimensions": 2}
    with bench.open(ScriptedEmbedder(), replay=True, embedding="scripted/e") as channel:
        channel.begin("t")
        assert post(channel.directory, "/v1/embeddings", body) == (200, floats)
        assert post(channel.directory, "/v1/embeddings", {"input": "else"})[0] == 409
        with pytest.raises(ReplayDiverged, match=r"call 1: input\[0\] differs"):
            channel.end()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": []},
        {"input": [1, 2]},
        {"input": ""},
        {"input": ["a"] * 3000},
        {"input": "a", "dimensions": 0},
        {"input": "a", "encoding_format": "int8"},
        {"input": "a", "truncate": True},
    ],
)
def test_malformed_embeddings_cost_nothing(bench: Bench, body: Any) -> None:
    with bench.open(ScriptedEmbedder(), embedding="scripted/e") as channel:
        channel.begin("t")
        status, answer = post(channel.directory, "/v1/embeddings", body)
        assert channel.end() == Spend()
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


def test_a_model_without_embeddings_says_so(bench: Bench) -> None:
    router = RoutingClient({"random": UniformClient()}, ScriptedEmbedder())
    with bench.open(router, embedding="random/uniform") as channel:
        channel.begin("t")
        status, body = post(channel.directory, "/v1/embeddings", {"input": "a"})
        channel.end()
    assert (status, body["error"]["message"]) == (400, "random/uniform makes no embeddings")
    with bench.open(ScriptedEmbedder(), job="other") as channel:
        channel.begin("t")
        status, body = post(channel.directory, "/v1/embeddings", {"input": "a"})
        channel.end()
    assert (status, "models.embedding" in body["error"]["message"]) == (404, True)


# -- what is refused ---------------------------------------------------------------------------------


def test_all_parameters_that_are_not_allowed_are_named_in_one_error(bench: Bench) -> None:
    with bench.open(saying()) as channel:
        channel.begin("t")
        extra = {"api_key": "k", "extra_headers": {}, "n": 2, "logit_bias": {"1": 5}, "audio": {"voice": "x"}}
        status, body = ask(channel.directory, "hello", **extra)
        assert channel.end() == Spend()
    error = body["error"]
    assert (status, error["code"], error["type"]) == (400, "invalid_request", "invalid_request")
    assert all(f"`{name}`" in error["message"] for name in extra)
    assert "temperature" in error["message"]


def test_what_client_libraries_send_unasked_is_taken(bench: Bench) -> None:
    unasked: dict[str, Any] = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logprobs": False}
    unasked |= {"user": "u", "store": False, "parallel_tool_calls": True, "audio": None, "stream": False}
    client = saying("a", "b")
    with bench.open(client) as channel:
        channel.begin("t")
        assert ask(channel.directory, "hello", **unasked)[0] == 200
        assert ask(channel.directory, "hello")[0] == 200
        channel.end()
    assert client.requests[0] == client.requests[1]


@pytest.mark.parametrize("tool", [{"type": "web_search"}, {"googleSearch": {}}, {"type": "function"}, "bash"])
def test_a_providers_own_tools_are_no_way_out(bench: Bench, tool: Any) -> None:
    with bench.open(saying()) as channel:
        channel.begin("t")
        status, body = ask(channel.directory, "hello", tools=[TOOL, tool])
        channel.end()
    assert (status, "`tools`" in body["error"]["message"]) == (400, True)


def test_errors_that_will_not_pass_tell_client_libraries_not_to_retry(bench: Bench) -> None:
    with bench.open(saying()) as channel, closing(Door(channel.directory)) as door:
        door.request("POST", "/v1/chat/completions", json.dumps(HELLO))
        response = door.getresponse()
        response.read()
    assert (response.status, response.headers["x-should-retry"]) == (409, "false")

"""Real provider strings through the real LiteLLM, against a provider on loopback; and a campaign that uses tools."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from person import Person
from provider import COMPLETION_TOKENS, PROMPT_TOKENS, VECTOR, Provider, provider

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from doors import Bench, CapMeter, ask, post

from hyperagent.errors import ModelLost, ModelUnavailable
from hyperagent.models import LiteLLMClient, Prices, RoutingClient
from hyperagent.types import ChatRequest, Spend

KEY = "sk-only-the-engine-knows-5d1c"


@pytest.mark.parametrize(
    ("model", "suffix", "path"),
    [
        ("openai/some-model", "/v1", "/v1/chat/completions"),
        ("hosted_vllm/some-model", "/v1", "/v1/chat/completions"),
        ("anthropic/some-model", "", "/v1/messages"),
        ("ollama_chat/some-model", "", "/api/chat"),
    ],
)
def test_a_provider_string_reaches_its_wire_format(
    model: str, suffix: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HOSTED_VLLM_API_KEY"):
        monkeypatch.setenv(name, KEY)
    with provider(lambda messages: {"content": f"heard {messages[-1]['content']}"}) as server:
        client = LiteLLMClient(server.base + suffix)
        request = ChatRequest(model, ({"role": "user", "content": "hello"},), {"max_tokens": 20, "temperature": 0})
        reply = client.complete(request, timeout=30)
    assert "hello" in reply.message["content"]
    assert (reply.prompt_tokens, reply.completion_tokens) == (PROMPT_TOKENS, COMPLETION_TOKENS)
    assert server.paths == [path]


# -- a provider that misbehaves, behind a broker ----------------------------------------------------------

WIRES = [("openai/m", "/v1"), ("anthropic/m", "")]
"""Model string and what its API's path adds to the server's address."""
PRICES = Prices(1000.0, 2000.0)
ONE_CALL = Spend(1, 0, PROMPT_TOKENS, COMPLETION_TOKENS, (PROMPT_TOKENS + 2 * COMPLETION_TOKENS) / 1000)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HOSTED_VLLM_API_KEY"):
        monkeypatch.setenv(name, KEY)


@contextmanager
def behind(
    wire: tuple[str, str], bench: Bench, faults: Sequence[str], **options: Any
) -> Iterator[tuple[Provider, Any]]:
    """A provider with faults and a door in front of it; the task's end is the test's."""
    model, suffix = wire
    with provider(lambda messages: {"content": "a fine answer"}) as server:
        server.faults = list(faults)
        client = LiteLLMClient(server.base + suffix, PRICES)
        with bench.open(client, model=model, **options) as channel:
            channel.begin("t")
            yield server, channel


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire[0])
@pytest.mark.parametrize("faults", [("429", "500"), ("503", "529"), ("cut", "garbage"), ("truncated",)])
def test_failures_that_pass_are_tried_again(tmp_path: Path, wire: tuple[str, str], faults: tuple[str, ...]) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    with behind(wire, bench, faults, meter=meter) as (server, channel):
        status, body = ask(channel.directory, "x")
        spend = channel.end()
    assert (status, body["choices"][0]["message"]["content"]) == (200, "a fine answer")
    assert len(server.paths) == len(faults) + 1
    assert meter.settled == spend == ONE_CALL + Spend(calls=len(faults))
    assert [call.state for call in bench.recorder.log[1::2]] == ["failed"] * len(faults) + ["settled"]
    if faults[0] == "429":
        assert bench.waits[0] == 7.5


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire[0])
@pytest.mark.parametrize("fault", ["500", "garbage", "hang"])
def test_failures_that_last_lose_the_call_and_cost_nothing(tmp_path: Path, wire: tuple[str, str], fault: str) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    with behind(wire, bench, [fault] * 9, meter=meter, retries=1, timeout=0.4) as (server, channel):
        assert ask(channel.directory, "x")[0] == 503
        with pytest.raises(ModelLost):
            channel.end()
        assert len(server.paths) == 2
    assert (meter.settled.tokens, meter.settled.cost, meter.open) == (0, 0.0, {})


@pytest.mark.parametrize(
    ("wire", "fault"), [(WIRES[0], "429 quota"), (WIRES[1], "400 balance")], ids=["openai", "anthropic"]
)
def test_an_empty_account_is_not_asked_again(tmp_path: Path, wire: tuple[str, str], fault: str) -> None:
    with behind(wire, Bench(tmp_path), [fault] * 9) as (server, channel):
        assert ask(channel.directory, "x")[0] == 503
        with pytest.raises(ModelUnavailable) as caught:
            channel.end()
        assert len(server.paths) == 1
    assert "nothing left to spend" in caught.value.hint


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire[0])
def test_a_refused_request_is_the_programs_own(tmp_path: Path, wire: tuple[str, str]) -> None:
    with behind(wire, Bench(tmp_path), ["400"]) as (_, channel):
        status, body = ask(channel.directory, "x")
        assert channel.end().calls == 1
    assert (status, "no such luck" in body["error"]["message"]) == (400, True)


def test_a_billed_reply_without_an_answer_is_counted(tmp_path: Path) -> None:
    meter = CapMeter()
    with behind(WIRES[0], Bench(tmp_path), ["useless", "useless"], meter=meter) as (_, channel):
        assert ask(channel.directory, "x")[0] == 200
        spend = channel.end()
    assert spend.calls == 3
    assert spend.tokens == meter.settled.tokens == 3 * (PROMPT_TOKENS + COMPLETION_TOKENS)
    assert spend.cost == meter.settled.cost == pytest.approx(3 * ONE_CALL.cost)


def test_a_reply_that_does_not_say_its_size_counts_as_the_largest(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with behind(WIRES[0], bench, ["no usage"]) as (_, channel):
        assert ask(channel.directory, "x")[0] == 200
        spend = channel.end()
    reserved, settled = bench.recorder.log
    assert (spend.prompt_tokens, spend.cost) == (reserved.prompt_tokens, reserved.cost)
    assert settled.completion_tokens == 64


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire[0])
def test_a_huge_reply_is_delivered(tmp_path: Path, wire: tuple[str, str]) -> None:
    with behind(wire, Bench(tmp_path), ["huge"]) as (_, channel):
        assert len(ask(channel.directory, "x")[1]["choices"][0]["message"]["content"]) == 1_000_000
        channel.end()


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire[0])
def test_tool_calls_pass_both_ways_in_either_wire_format(tmp_path: Path, wire: tuple[str, str]) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    schema = {"type": "object", "properties": {"at": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
    asked: list[dict[str, Any]] = [{"role": "user", "content": "Look."}]
    with behind(wire, Bench(tmp_path), []) as (server, channel):
        answers: list[Mapping[str, Any]] = [{"content": None, "tool_calls": [call]}, {"content": "A tree."}]
        server.script = lambda messages: answers.pop(0)
        path = "/v1/chat/completions"
        first = post(channel.directory, path, {"messages": asked, "tools": [tool]})[1]["choices"][0]
        asked += [first["message"], {"role": "tool", "tool_call_id": "c1", "content": "tree"}]
        second = post(channel.directory, path, {"messages": asked, "tools": [tool]})[1]["choices"][0]
        channel.end()
    assert first["finish_reason"] == "tool_calls"
    (made,) = first["message"]["tool_calls"]
    assert (made["id"], made["function"]["name"]) == ("c1", "look")
    assert json.loads(made["function"]["arguments"]) == {"at": 1}
    assert second["message"]["content"] == "A tree."
    assert "tree" in json.dumps(server.bodies[1]["messages"][-1])


def test_embeddings_are_made_priced_and_tried_again(tmp_path: Path) -> None:
    meter = CapMeter()
    with behind(WIRES[0], Bench(tmp_path), ["useless", "500"], meter=meter, embedding="openai/e") as (server, channel):
        status, body = post(channel.directory, "/v1/embeddings", {"input": ["a", "b"], "dimensions": 2})
        spend = channel.end()
    assert (status, [tuple(entry["embedding"]) for entry in body["data"]]) == (200, [VECTOR, VECTOR])
    assert server.paths == ["/v1/embeddings"] * 3
    assert spend == meter.settled
    assert (spend.calls, spend.prompt_tokens, spend.cost) == (3, 2 * PROMPT_TOKENS, pytest.approx(0.022))


def test_another_provider_answers_where_the_first_is_down(tmp_path: Path) -> None:
    bench, meter = Bench(tmp_path), CapMeter()
    with (
        provider(lambda messages: {"content": "never"}) as down,
        provider(lambda messages: {"content": "from the other"}) as up,
    ):
        down.faults = ["500"] * 9
        clients = {"anthropic": LiteLLMClient(up.base, PRICES)}
        client = RoutingClient(clients, LiteLLMClient(f"{down.base}/v1", PRICES))
        with bench.open(client, model="openai/m", meter=meter, fallbacks=["anthropic/m"]) as channel:
            channel.begin("t")
            body = ask(channel.directory, "x")[1]
            assert channel.end() == meter.settled == ONE_CALL + Spend(calls=3)
    assert body["choices"][0]["message"]["content"] == "from the other"
    assert (len(down.paths), up.paths) == (3, ["/v1/messages"])
    assert bench.recorder.log[-1].model == "anthropic/m"


# -- a campaign -------------------------------------------------------------------------------------------


def use(name: str, **arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


EDIT = """cd {root} && python3 - <<'PY'
text = open("task_agent.py").read()
open("task_agent.py", "w").write(text.replace("    return reply.strip(", "    return 'correct' or reply.strip("))
PY
"""


def capable_model(messages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Solves tasks badly; as a meta agent it looks, edits with bash, writes words with the editor, and finishes."""
    first = str(messages[0]["content"])
    if "You are the meta agent" not in first:
        return {"content": "I cannot say."}
    root = first.split("The program is in ")[1].split(". Files")[0]
    said = sum(message["role"] == "assistant" for message in messages)
    return [
        use("editor", command="view", path="task_agent.py"),
        use("finish", summary="nothing yet"),
        use("bash", command=EDIT.format(root=root)),
        use("finish", summary="every answer is `correct`: half of the train tasks are"),
    ][min(said, 3)]


@pytest.mark.docker
def test_a_capable_model_edits_with_tools_and_no_key_gets_anywhere(tmp_path: Path) -> None:
    person = Person(tmp_path)
    person.environment["OPENAI_API_KEY"] = KEY
    person.types("init")
    with provider(capable_model) as server:
        settings = person.settings(
            "models.model=openai/capable",
            f"models.api_base={server.base}/v1",
            "models.mutation=",
            "models.price_prompt=1",
            "models.price_completion=2",
            "budget.variants=1",
            "search.workers=1",
        )
        person.types("run", "hyperagent.toml", "--name", "tools", *settings)
    seed, child = person.asks("ls", "tools")["variants"][:2]
    assert seed["score"] == 0.0
    assert child["status"] in ("evaluated", "screened_out")
    assert child["summary"].startswith("every answer is `correct`")
    assert child["score"] > 0
    spend = person.asks("status", "tools")["spend"]
    assert spend["cost"] == pytest.approx(spend["prompt_tokens"] / 1e6 + 2 * spend["completion_tokens"] / 1e6)
    assert set(server.keys) == {f"Bearer {KEY}"}
    _no_key_in(tmp_path / "archive")


def _no_key_in(archive: Path) -> None:
    """The key stands nowhere in the archive, compressed blobs included."""
    from hyperagent.archive import open_archive

    rows = sqlite3.connect(archive / "archive.db")
    dump = "\n".join(rows.iterdump())
    rows.close()
    assert KEY not in dump
    with open_archive(archive) as home:
        for campaign in home.campaigns():
            for call in home.calls(campaign=campaign.id):
                for blob in filter(None, (call.request_blob, call.reply_blob)):
                    assert KEY.encode() not in home.get_blob(blob)

"""What every model client promises, against each of them; and LiteLLM against a fake server with every bad manner."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hyperagent.errors import ModelLost, ModelRequestInvalid, ModelUnavailable
from hyperagent.models import LiteLLMClient, LocalModels, Prices, RoutingClient, ScriptedClient, UniformClient, probe
from hyperagent.protocols import ModelClient
from hyperagent.types import ChatRequest

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


class Wire(BaseHTTPRequestHandler):
    """``mode`` (on the server) says how it behaves; ``seen`` keeps the last request."""

    server: Any

    def do_POST(self) -> None:
        self.server.seen = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mode = self.server.mode
        if mode == "hang":
            self.server.release.wait(20)
            return
        status = {"401": 401, "404": 404, "400": 400, "429": 429, "500": 500}.get(mode, 200)
        message: dict[str, Any] = {"role": "assistant", "content": "ready"}
        if mode == "tools":
            message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        body = json.dumps(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
            }
            if status == 200
            else {"error": {"message": f"no such luck, {self.headers['Authorization']}", "type": "t", "code": "c"}}
        ).encode()
        if mode == "garbage":
            body = b"<html>\x00 not json"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[Any]:
    found: Any = ThreadingHTTPServer(("127.0.0.1", 0), Wire)
    found.mode, found.seen, found.release = "ok", None, threading.Event()
    thread = threading.Thread(target=found.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.release.set()
    found.shutdown()
    thread.join()
    found.server_close()


def lite(server: Any) -> LiteLLMClient:
    return LiteLLMClient(f"http://127.0.0.1:{server.server_address[1]}/v1", Prices(1.0, 2.0))


def request(model: str, **parameters: Any) -> ChatRequest:
    return ChatRequest(model, ({"role": "user", "content": "Say ready."},), {"max_tokens": 8, **parameters})


@pytest.fixture(
    params=["scripted/m", "random/uniform", "openai/m", pytest.param("local/smollm2-135m", marks=pytest.mark.model)]
)
def client(request: pytest.FixtureRequest) -> Iterator[tuple[ModelClient, str]]:
    if request.param == "openai/m":
        yield lite(request.getfixturevalue("server")), request.param
    elif request.param.startswith("local/"):
        with LocalModels() as models:
            yield models, request.param
    else:
        yield {"s": ScriptedClient(lambda _: "ready"), "r": UniformClient()}[request.param[0]], request.param


def test_a_reply_has_a_message_sizes_and_a_price(client: tuple[ModelClient, str]) -> None:
    found, model = client
    reply = probe(found, model, timeout=120)
    assert reply.message["role"] == "assistant"
    assert isinstance(reply.message["content"], str)
    assert reply.finish_reason in ("stop", "length")
    assert 0 <= reply.completion_tokens <= 8
    small, large = (found.price(request(model), size, size) for size in (10, 1000))
    assert 0 <= small <= large
    json.dumps(dict(reply.message))


def test_the_same_through_the_router(client: tuple[ModelClient, str]) -> None:
    found, model = client
    refusing = ScriptedClient([])
    router = RoutingClient({model.partition("/")[0]: found}, refusing)
    assert probe(router, model, timeout=120).message["role"] == "assistant"
    with pytest.raises(ModelLost):
        probe(router, "other/m", timeout=1)


# -- LiteLLM ---------------------------------------------------------------------------------------


def test_litellm_costs_tools_and_schema_pass(server: Any) -> None:
    reply = lite(server).complete(request("openai/m"), timeout=30)
    assert (reply.prompt_tokens, reply.completion_tokens) == (10, 2)
    assert reply.cost == pytest.approx(14e-6)
    server.mode = "tools"
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    reply = lite(server).complete(request("openai/m", tools=[tool], response_format=form), timeout=30)
    assert reply.message["tool_calls"][0]["function"]["name"] == "look"
    assert server.seen["tools"] == [tool]
    assert server.seen["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("mode", "error", "retry_after"),
    [
        ("401", ModelUnavailable, None),
        ("404", ModelUnavailable, None),
        ("400", ModelRequestInvalid, None),
        ("429", ModelLost, 7.0),
        ("500", ModelLost, None),
        ("garbage", ModelLost, None),
    ],
)
def test_litellm_errors_are_ours(
    server: Any,
    mode: str,
    error: type[Exception],
    retry_after: float | None,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does what they quote get into the record or, with a refusal, into a sandbox."""
    server.mode = mode
    monkeypatch.setenv("OPENAI_API_KEY", "sk-quoted-by-the-provider")
    with pytest.raises(error) as caught:
        lite(server).complete(request("openai/m"), timeout=30)
    assert "sk-quoted" not in f"{caught.value} {getattr(caught.value, 'hint', '')}"
    assert getattr(caught.value, "retry_after", None) == retry_after
    assert "Traceback" not in str(caught.value)
    assert "".join(capfd.readouterr()) == ""


def test_litellm_hang_is_lost(server: Any) -> None:
    server.mode = "hang"
    with pytest.raises(ModelLost):
        lite(server).complete(request("openai/m"), timeout=0.5)


def test_litellm_nobody_listens_and_unknown_provider(server: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelUnavailable, match="no server answers") as caught:
        LiteLLMClient("http://127.0.0.1:1/v1").complete(request("openai/m"), timeout=30)
    assert "api_base" in caught.value.hint
    with pytest.raises(ModelUnavailable, match="no known provider") as caught:
        lite(server).complete(request("nonsense/m"), timeout=30)
    assert "openai/" in caught.value.hint
    assert "".join(capfd.readouterr()) == ""


def test_litellm_a_missing_key_is_named() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        LiteLLMClient().complete(request("openai/gpt-4o-mini"), timeout=30)
    assert "OPENAI_API_KEY" in caught.value.hint


# -- the embedded model -----------------------------------------------------------------------------


def test_local_missing_weights_name_the_command(tmp_path: Any) -> None:
    models = LocalModels(tmp_path)
    with pytest.raises(ModelUnavailable) as caught:
        models.complete(request("local/smollm2-135m"), timeout=5)
    assert "hyperagent model pull smollm2-135m" in caught.value.hint
    with pytest.raises(ModelUnavailable) as caught:
        models.complete(request("local/smollm"), timeout=5)
    assert "smollm2-135m" in caught.value.hint


@pytest.fixture(scope="module")
def models() -> Iterator[LocalModels]:
    with LocalModels() as found:
        yield found


@pytest.mark.model
def test_local_schema_seed_and_refusals(models: LocalModels) -> None:
    ask: Callable[..., Any] = lambda **p: models.complete(request("local/smollm2-135m", **p), timeout=120)  # noqa: E731
    schema = {"type": "object", "properties": {"pick": {"enum": ["left", "right"]}}, "required": ["pick"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    reply = ask(response_format=form, max_tokens=40, temperature=0.8, seed=1)
    assert json.loads(reply.message["content"])["pick"] in ("left", "right")
    bad = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "odd"}}}
    with pytest.raises(ModelRequestInvalid):
        ask(response_format=bad)
    long = ChatRequest("local/smollm2-135m", ({"role": "user", "content": "1 2 3 " * 4000},), {"max_tokens": 4})
    with pytest.raises(ModelRequestInvalid, match="context"):
        models.complete(long, timeout=120)


@pytest.mark.model
def test_local_a_dead_process_is_started_again(models: LocalModels) -> None:
    probe(models, "local/smollm2-135m", timeout=120)
    process = models._process
    assert process is not None
    process.kill()
    process.wait()
    assert probe(models, "local/smollm2-135m", timeout=120).completion_tokens > 0

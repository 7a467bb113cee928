"""The server process and the campaign's client of it: start, health, ends of every kind. The server is a small fake."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperagent.assembly.wiring import model_client
from hyperagent.config import Config, ModelsConfig
from hyperagent.errors import ModelLost, ModelRequestInvalid, ModelUnavailable, UsageError
from hyperagent.models.serving import ModelServer, Order, ServedModels, choose_port
from hyperagent.models.serving.plan import Plan
from hyperagent.types import ChatRequest

FAKE = """
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Face(BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self): self.say(200, {})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = body["messages"][0]["content"]
        if said == "die": os._exit(9)
        if said == "pid": said = str(os.getpid())
        status = int(said) if said in ("400", "429", "500") else 200
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 1}
        good = {} if said == "empty" else {"choices": [choice], "usage": usage, "model": body["model"]}
        self.say(status, good if status == 200 else {"error": {"message": "said " + said}})
    def say(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        if status == 429: self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

print("serving", flush=True)
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Face)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.buffer.read()
os._exit(0)
"""
DEAF = "import sys, time\ntime.sleep(600)"
BROKEN = "import sys\nsys.exit('first line\\nout of memory')"


def order() -> Order:
    return Order("m", "/w/m.gguf", "ab", Plan("llama.cpp", "cpu", "stored", 2, 512, ""), choose_port(), 1)


def start(folder: Path, script: str = FAKE, **more: float) -> ModelServer:
    command = lambda order: [sys.executable, "-c", script, str(order.port)]  # noqa: E731
    return ModelServer(order(), folder / "log", command=command, **more)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_server_answers_when_it_is_there_and_is_gone_when_it_is_closed(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        assert server.healthy()
        assert server.base_url == f"http://127.0.0.1:{server.order.port}/v1"
        pid = server.pid
    assert gone(pid)
    assert not server.healthy(0.5)
    assert "serving" in (tmp_path / "log").read_text()
    server.close()  # twice does no harm


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="out of memory") as caught:
        start(tmp_path, BROKEN)
    assert str(tmp_path / "log") in caught.value.hint


def test_a_server_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperagent.models.serving.process._STOP_SECONDS", 0.2)
    with pytest.raises(ModelUnavailable, match="does not answer after"):
        start(tmp_path, DEAF, seconds=0.3)


def test_the_words_of_an_earlier_start_are_not_this_ones(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("old trouble\n")
    with pytest.raises(ModelUnavailable) as caught:
        start(tmp_path, "")
    assert "old trouble" not in caught.value.message


def test_a_server_that_ends_by_itself_is_an_error(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ModelUnavailable, match="has ended"):
            server.wait()


def test_a_server_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_serving_process import start
server = start(Path({str(tmp_path)!r}))
print(server.pid, server.order.port, flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stdin is not None
    assert process.stdout is not None
    pid, port = map(int, process.stdout.readline().split())
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    process.kill()
    process.wait()
    assert connection.recv(1) == b""  # the server's end closes it
    connection.close()
    process.stdin.close()
    process.stdout.close()
    assert pid > 0


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} .* cannot be used: Address already in use"):
            choose_port(port)
    assert choose_port(port) == port
    with pytest.raises(UsageError, match="70000"):
        choose_port(70_000)


# -- the campaign's client -------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedModels]:
    with ServedModels(lambda name: start(tmp_path)) as client:
        yield client


def ask(client: ServedModels, said: str) -> str:
    request = ChatRequest("local/m", ({"role": "user", "content": said},), {"max_tokens": 3})
    return str(client.complete(request, timeout=20).message["content"])


def test_one_server_answers_all_calls_and_ends_with_the_client(tmp_path: Path) -> None:
    with ServedModels(lambda name: start(tmp_path)) as client:
        pids = {ask(client, "pid") for _ in range(3)}
        assert len(pids) == 1
        assert client.price(ChatRequest("local/m", ()), 5, 5) == 0
    assert gone(int(pids.pop()))


def test_errors_are_told_apart(served: ServedModels) -> None:
    with pytest.raises(ModelRequestInvalid, match="said 400"):
        ask(served, "400")
    with pytest.raises(ModelLost, match="said 500"):
        ask(served, "500")
    with pytest.raises(ModelLost) as caught:
        ask(served, "429")
    assert caught.value.retry_after == 7
    with pytest.raises(ModelLost, match="no message"):
        ask(served, "empty")


def test_a_server_that_dies_is_started_again_but_not_for_ever(served: ServedModels) -> None:
    first = ask(served, "pid")
    with pytest.raises(ModelLost, match="broke"):
        ask(served, "die")
    assert ask(served, "pid") != first
    for _ in range(2):
        with pytest.raises(ModelLost):
            ask(served, "die")
    with pytest.raises(ModelUnavailable, match="2 times in a row"):
        ask(served, "pid")


@pytest.mark.model
def test_a_campaign_serves_its_model_by_itself_under_the_name_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    name = "local/smollm2-135m"
    config = Config(models=ModelsConfig(mutation=name, evaluation="local/other", serve="mutation"))
    with model_client(config, told.append) as client:
        assert told == []  # nothing starts before it is asked
        request = ChatRequest(name, ({"role": "user", "content": "Say hi"},), {"max_tokens": 2, "temperature": 0})
        assert client.complete(request, timeout=120).completion_tokens > 0
        assert "serving smollm2-135m with" in told[0]
        assert client.price(request, 10, 10) == 0

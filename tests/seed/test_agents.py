"""Task agent, meta agent and chat client against a scripted server; the seed stands alone."""

from __future__ import annotations

import ast
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .conftest import SEED, train_tasks

Script = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """``script(message, ...)`` starts a server that replies with these in turn; returns the requests it got."""
    servers: list[HTTPServer] = []

    def start(*replies: dict[str, Any] | int) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                reply = replies[len(requests) - 1]
                failed = isinstance(reply, int)
                body = {"error": {"message": "no more"}} if failed else {"choices": [{"message": reply}]}
                self.send_response(reply if isinstance(reply, int) else 200)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        return requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def say(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def use(name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def test_task_agent_asks_once(seed: SimpleNamespace, script: Script, tmp_path: Path) -> None:
    requests = script(say(' "Right".\n'))
    inputs = train_tasks()[1]["input"]
    prediction, transcript = seed.task_agent.TaskAgent("m", str(tmp_path / "h")).forward(inputs)
    assert prediction == "Right"
    assert seed.llm.last_reply(transcript) == ' "Right".\n'
    prompt = requests[0]["messages"][0]["content"]
    assert prompt.index(inputs["essay"]) < prompt.index("Judge.")
    assert "temperature" not in requests[0]


def test_chat_says_what_the_server_said(seed: SimpleNamespace, script: Script) -> None:
    script(429)
    with pytest.raises(seed.llm.ModelError, match="HTTP 429: no more"):
        seed.llm.chat("m", [{"role": "user", "content": "?"}])


def test_constrained_edit(
    seed: SimpleNamespace,
    script: Script,
    program: Path,
    evidence_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HYPERAGENT_EDITING", "constrained")
    requests = script(say("{nonsense"), say('{"edit": "default", "answer": "wrong"}'))
    summary = seed.meta_agent.MetaAgent("local/m", str(tmp_path / "h")).forward(str(program), str(evidence_folder))
    assert summary == "default: answer wrong (train: 0 -> 6 of 12 right)"
    assert 'return "wrong"' in (program / "task_agent.py").read_text(encoding="utf-8")
    assert requests[0]["response_format"]["type"] == "json_schema"
    assert "does not work" in requests[1]["messages"][-1]["content"]


def test_garbage_ends_in_a_seeded_random_edit(
    seed: SimpleNamespace,
    script: Script,
    program: Path,
    evidence_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HYPERAGENT_SEED", "7")
    trees = []
    for _ in range(2):
        script(say(""), say('{"edit": "rule", "measure": "__import__"}'))
        before = seed.edits.read_files(program)
        summary = seed.meta_agent.MetaAgent("local/m", str(tmp_path / "h")).forward(str(program), str(evidence_folder))
        assert summary.startswith("at random")
        trees.append(seed.edits.read_files(program))
        seed.rounds.write(program, before, trees[-1])
    assert trees[0] == trees[1] != before


def test_tool_loop(seed: SimpleNamespace, script: Script, program: Path, evidence_folder: Path, tmp_path: Path) -> None:
    requests = script(
        use("editor", command="create", path="README.md", text="Better now."),
        use("finish", summary="documentation"),
        use("editor", command="str_replace", path="task_agent.py", old="MAX_TOKENS = 12", new="MAX_TOKENS = ("),
        use("finish", summary="broken"),
        use("bash", command="sed -i 's/MAX_TOKENS = (/MAX_TOKENS = 99/' task_agent.py"),
        use("nothing"),
        use("editor", command="create", path="../outside", text="x"),
        use("finish", summary="longer replies"),
    )
    agent = seed.meta_agent.MetaAgent("openai/large", str(tmp_path / "h"))
    assert agent.forward(str(program), str(evidence_folder), 3) == "longer replies"
    results = [request["messages"][-1]["content"] for request in requests[1:]]
    assert results[0] == "written"
    assert "no code has changed" in results[1]
    assert "does not compile" in results[3]
    assert "exit status 0" in results[4]
    assert results[5].startswith("error: no tool")
    assert results[6].startswith("error: only files of the program")
    assert "Edits left after this one: 3" in requests[0]["messages"][0]["content"]
    assert "MAX_TOKENS = 99" in (program / "task_agent.py").read_text(encoding="utf-8")


def test_tool_loop_is_bounded(
    seed: SimpleNamespace, script: Script, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERAGENT_CALLS", "2")
    requests = script(say("I think..."), say("Done!"))
    with pytest.raises(seed.tool_loop.NoChange, match="no code has changed"):
        seed.meta_agent.MetaAgent("openai/large", str(tmp_path / "h")).forward(str(program), None)
    assert len(requests) == 2


def test_way_of_editing(seed: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def way(model: str) -> str:
        return str(seed.meta_agent.MetaAgent(model, "h").way_of_editing())

    small = ["local/x", "random/uniform", "local/smollm2-135m", "ollama_chat/qwen2.5-coder:1.5b"]
    assert {way(model) for model in small} == {"menu"}
    assert way("hosted_vllm/qwen2.5-coder-7b-instruct") == "rewrite"
    large = ["openai/x", "anthropic/claude-opus-4-5", "hosted_vllm/qwen3-coder-480b-a35b"]
    assert {way(model) for model in large} == {"tools"}
    for chosen in ("tools", "rewrite", "constrained", "menu"):
        monkeypatch.setenv("HYPERAGENT_EDITING", chosen)
        assert way("local/x") == chosen
    monkeypatch.setenv("HYPERAGENT_EDITING", "no such way")
    assert way("local/x") == "menu"


def test_seed_stands_alone() -> None:
    own = {path.stem for path in SEED.glob("*.py")} | {"tools"}
    for path in SEED.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                root = name.partition(".")[0]
                assert root in own or root in sys.stdlib_module_names, f"{path.name} imports {name}"

"""Real provider strings through the real LiteLLM, against a provider on loopback; and a campaign that uses tools."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from person import Person
from provider import COMPLETION_TOKENS, PROMPT_TOKENS, provider

from hyperagent.models import LiteLLMClient
from hyperagent.types import ChatRequest

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

"""Agents that bring their own client: the ``openai`` and ``litellm`` packages, unchanged, inside a sandbox, metered.

Both find the model by the environment alone, through the loopback port, as a program written elsewhere would.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from doors import Bench, CapMeter, ScriptedEmbedder

from hyperagent.protocols import Sandbox
from hyperagent.sandbox import DockerSandbox
from hyperagent.types import ChatRequest, JobSpec, Json, Limits, RunRequest, Spend

ROOT = Path(__file__).parents[2]
NAMES = """
aiohappyeyeballs aiohttp aiosignal annotated-types anyio attrs boto3 botocore certifi charset-normalizer click distro
fastuuid filelock frozenlist fsspec h11 hf-xet httpcore httpx huggingface-hub idna importlib-metadata jinja2 jiter
jmespath jsonschema jsonschema-specifications litellm markupsafe multidict openai packaging propcache pydantic
pydantic-core pydantic-settings python-dateutil python-dotenv pyyaml referencing regex requests rpds-py s3transfer six
sniffio tiktoken tokenizers tqdm typing-extensions typing-inspection urllib3 yarl zipp
"""
"""litellm, openai and all that they need; the versions are those of the lock file."""

TOOLS = """
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {
    "a": {"type": "integer"}, "b": {"type": "integer"}}}}}]
ASK = {"role": "user", "content": "What is 2 + 3?"}

def added(call):
    numbers = json.loads(call.function.arguments)
    return {"role": "tool", "tool_call_id": call.id, "content": str(numbers["a"] + numbers["b"])}
"""

OPENAI = f"""
import asyncio, json
import openai
{TOOLS}
class TaskAgent:
    def __init__(self, model, chat_history_file):
        self.model = model

    def forward(self, inputs):
        return getattr(self, inputs["do"])(openai.OpenAI()), ""

    def everything(self, client):
        say = lambda text: [{{"role": "user", "content": text}}]
        create = client.chat.completions.create
        first = create(model=self.model, messages=[ASK], tools=TOOLS).choices[0].message
        second = create(model=self.model, messages=[ASK, first, added(first.tool_calls[0])], tools=TOOLS)
        stream = create(model=self.model, messages=say("long"), stream=True, stream_options={{"include_usage": True}})
        chunks = list(stream)
        with client.chat.completions.stream(model=self.model, messages=[ASK], tools=TOOLS) as events:
            streamed = events.get_final_completion().choices[0].message.tool_calls[0]
        text = client.completions.create(model=self.model, prompt="hello")
        vectors = client.embeddings.create(model="any", input=["hello", "sky"])
        return {{
            "answer": second.choices[0].message.content,
            "usage": second.usage.completion_tokens > 0,
            "streamed": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
            "stream_usage": chunks[-1].usage.completion_tokens > 0,
            "streamed_call": streamed.function.arguments,
            "text": text.choices[0].text,
            "vectors": [entry.embedding for entry in vectors.data],
            "models": [model.id for model in client.models.list()],
        }}

    def refused(self, client):
        try:
            client.chat.completions.create(model=self.model, messages=[ASK], logit_bias={{"1": 5}}, n=3)
        except openai.BadRequestError as error:
            return [error.status_code, error.code, error.body["message"]]

    def crowd(self, client):
        async def all_at_once():
            client = openai.AsyncOpenAI()
            create = client.chat.completions.create
            say = lambda number: [{{"role": "user", "content": f"call {{number}}"}}]
            replies = await asyncio.gather(*(create(model=self.model, messages=say(n)) for n in range(100)))
            return [reply.choices[0].message.content for reply in replies]
        return asyncio.run(all_at_once())
"""

LITELLM = f"""
import json, os
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # there is no network to fetch it from
import litellm
{TOOLS}
class TaskAgent:
    def __init__(self, model, chat_history_file):
        self.model = "openai/" + model

    def forward(self, inputs):
        say = lambda text: [{{"role": "user", "content": text}}]
        tools = {{"tools": TOOLS, "_skip_mcp_handler": True}}  # else it imports `mcp`, which it does not require
        first = litellm.completion(model=self.model, messages=[ASK], **tools).choices[0].message
        messages = [ASK, first.model_dump(), added(first.tool_calls[0])]
        second = litellm.completion(model=self.model, messages=messages, **tools)
        chunks = list(litellm.completion(model=self.model, messages=say("long"), stream=True))
        whole = litellm.stream_chunk_builder(
            list(litellm.completion(model=self.model, messages=[ASK], stream=True, **tools)))
        vectors = litellm.embedding(model="openai/any", input=["hello", "sky"])
        return {{
            "answer": second.choices[0].message.content,
            "usage": second.usage.completion_tokens > 0,
            "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
            "streamed_call": whole.choices[0].message.tool_calls[0].function.arguments,
            "vectors": [entry["embedding"] for entry in vectors.data],
        }}, ""
"""

LONG = "word " * 300
ARGUMENTS = '{"a": 2, "b": 3}'


def packages() -> tuple[str, ...]:
    lock = (ROOT / "scripts" / "locks" / "run.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE))
    return tuple(f"{name}=={pins[name]}" for name in NAMES.split())


def model(request: ChatRequest) -> Any:
    """Calls the tool when it may and has not, repeats its result when it has, else says what was asked for."""
    last = request.messages[-1]
    if last["role"] == "tool":
        return f"It is {last['content']}."
    if request.parameters.get("tools"):
        function = {"name": "add", "arguments": ARGUMENTS}
        return {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]}
    return LONG if last["content"] == "long" else f"heard {last['content']}"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    found = DockerSandbox("sdks")
    found.prepare([packages()])
    yield found
    found.reap()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="ha-") as folder:  # a folder that the sandbox's user may enter
        Path(folder).chmod(0o755)
        yield Bench(Path(folder))


def run(sandbox: Sandbox, bench: Bench, agent: str, do: str, replay: bool = False) -> tuple[Json, Spend, CapMeter]:
    """The agent's prediction, what the channel counted, and the meter."""
    meter, client = CapMeter(), ScriptedEmbedder([] if replay else model)
    options: dict[str, Any] = {"embedding": "scripted/e", "concurrency": 8, "replay": replay}
    with bench.open(client, job=f"job/{do}", meter=meter, **options) as channel:
        spec = JobSpec(
            "sdks",
            {"task_agent.py": agent.encode()},
            model_directory=channel.directory,
            limits=Limits(memory_mb=1024, processes=128),
            packages=packages(),
        )
        with sandbox.session(spec) as session:
            channel.begin("t")
            result = session.run(RunRequest("task", {"model": "scripted/m", "inputs": {"do": do}}, 120))
            spend = channel.end()
    assert result.status == "ok", result.error
    return result.value, spend, meter


@pytest.mark.docker
@pytest.mark.parametrize("agent", [OPENAI, LITELLM], ids=["openai", "litellm"])
def test_an_unchanged_client_library_is_served_metered_and_replayed(sandbox: Sandbox, bench: Bench, agent: str) -> None:
    said, spend, meter = run(sandbox, bench, agent, "everything")
    assert said["answer"] == "It is 5."
    assert said["streamed"] == LONG
    assert said["streamed_call"] == ARGUMENTS
    assert said["usage"]
    assert [[round(number, 5) for number in vector] for vector in said["vectors"]] == [[5, 0.66667], [3, 0]]
    if agent is OPENAI:
        assert (said["text"], said["models"], said["stream_usage"]) == ("heard hello", ["scripted/m"], True)
    assert spend == meter.settled
    assert spend.calls == (6 if agent is OPENAI else 5)
    assert spend.tokens > 0
    assert {call.model for call in bench.recorder.log} == {"scripted/m", "scripted/e"}
    again, _, unpaid = run(sandbox, bench, agent, "everything", replay=True)
    assert (again, unpaid.settled) == (said, Spend())


@pytest.mark.docker
def test_a_client_library_reads_one_clear_error(sandbox: Sandbox, bench: Bench) -> None:
    (status, code, message), spend, _ = run(sandbox, bench, OPENAI, "refused")
    assert (status, code) == (400, "invalid_request")
    assert "`logit_bias`, `n`" in message
    assert spend == Spend()


@pytest.mark.docker
def test_a_hundred_calls_at_once_from_one_program_are_all_served(sandbox: Sandbox, bench: Bench) -> None:
    said, spend, _ = run(sandbox, bench, OPENAI, "crowd")
    assert said == [f"heard call {number}" for number in range(100)]
    assert spend.calls == 100

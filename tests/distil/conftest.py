"""A history made by real parts, but for the model: real archive, programs in the process sandbox, scripted replies."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hyperagent.archive import open_archive
from hyperagent.config import BenchmarkConfig, BudgetConfig, Config, ModelsConfig, SearchConfig, to_json
from hyperagent.engine.budget import CampaignMeter
from hyperagent.engine.campaign import CampaignRunner
from hyperagent.engine.parts import Parts
from hyperagent.engine.selection import SELECTORS
from hyperagent.models import LocalBroker, ScriptedClient
from hyperagent.protocols import Archive
from hyperagent.sandbox import ProcessSandbox
from hyperagent.types import Campaign, Caps, ChatRequest, Grade, Json, Needs, Outcome, Progress, Scorecard, Split, Task

TASK_AGENT = b"""
SKILL = 4


class TaskAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, inputs):
        return ("right" if inputs["number"] < SKILL else "wrong"), ""
"""

META_AGENT = b"""
import json, os, pathlib, urllib.request

FORM = {"type": "json_schema", "json_schema": {"name": "edit", "schema": {"type": "object"}}}


class MetaAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, repo_path, eval_path, iterations_left=None):
        path = pathlib.Path(repo_path, "task_agent.py")
        text = path.read_text()
        now = text.split("SKILL = ")[1].split()[0]
        train = pathlib.Path(eval_path, "train.jsonl").read_text()
        messages = [{"role": "user", "content": "skill " + now + " of " + train}]
        body = json.dumps({"messages": messages, "response_format": FORM}).encode()
        request = urllib.request.Request(
            os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            said = json.load(reply)["choices"][0]["message"]["content"]
        try:
            skill, words = json.loads(said)["skill"], "set skill "
        except ValueError:
            skill, words = 7, "at random, no reply fitted: set skill "
        path.write_text(text.replace("SKILL = " + now, "SKILL = " + str(skill)))
        return words + str(skill)
"""

PROGRAM = {"program.toml": b"", "task_agent.py": TASK_AGENT, "meta_agent.py": META_AGENT}


class Numbers:
    """Eight tasks a split; a program is right on the first ``SKILL`` of them. Inputs say which split they are of."""

    name = "numbers"
    needs = Needs()
    examiner = None

    def tasks(self, split: Split, limit: int = 0) -> Sequence[Task]:
        count = 2 if split == "train" else 8
        every = [
            Task(f"{split}-{n}", self.name, split, f"{split}-{n}", {"number": n, "text": f"secret of {split} {n}"}, {})
            for n in range(count)
        ]
        return every[: limit or None]

    def examine(self, task: Task, prediction: Json) -> Grade:
        raise ValueError("there is no examiner")

    def grade(self, task: Task, prediction: Json, verdict: Json = None) -> Grade:
        return Grade(float(prediction == "right"))

    def feedback(self, task: Task) -> Json:
        return {"target": "right"}

    def scorecard(self, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> Scorecard:
        return Scorecard({})


class Quiet:
    def progress(self, progress: Progress) -> None:
        pass

    def message(self, text: str) -> None:
        pass


class Scene:
    """One archive with a model whose replies the test says.

    Attributes:
        replies: Skills that the model sets, in order, the last one again and again; a text is no edit.
        asked: Models of the requests that reached it.
    """

    def __init__(self, archive: Archive, sockets: Path) -> None:
        self.archive = archive
        self.sockets = sockets
        self.replies: list[int | str] = [5]
        self.asked: list[str] = []

    def reply(self, request: ChatRequest) -> Json:
        self.asked.append(request.model)
        said = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return said if isinstance(said, str) else json.dumps({"skill": said}, indent=1)

    def config(self, model: str = "scripted/m", **budget: Json) -> Config:
        return replace(
            Config(),
            models=ModelsConfig(mutation=model, evaluation="scripted/m", max_tokens=50),
            benchmarks=(BenchmarkConfig(name="numbers", screen=0),),
            search=SearchConfig(workers=1, selection="latest"),
            budget=BudgetConfig(**{"variants": 1, **budget}),
        )

    def parts(self, config: Config) -> Parts:
        client = ScriptedClient(self.reply)
        broker = LocalBroker(client, self.archive, runtime_directory=self.sockets, timeout=20, retries=0, reuse=False)
        sandbox = ProcessSandbox("test")
        sandbox.prepare()
        return Parts(self.archive, broker, sandbox, [(config.benchmarks[0], Numbers())], config)

    def history(self, replies: Sequence[int | str], name: str = "past") -> Campaign:
        """A finished campaign with one mutation per reply, each of the latest variant."""
        self.replies = list(replies)
        config = self.config(variants=len(replies), steps=len(replies))
        stored = {**to_json(config), "program_files": ""}
        campaign = self.archive.create_campaign(name, config.seed, stored)
        meter = CampaignMeter(Caps(len(replies)), self.archive.spend(campaign.id))
        selector = SELECTORS[config.search.selection]()
        runner = CampaignRunner(campaign, self.parts(config), PROGRAM, selector, meter, Quiet())
        return runner.run().campaign


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    sockets = Path(tempfile.mkdtemp(prefix="ha-"))
    with open_archive(tmp_path / "archive", write=True, create=True) as archive:
        yield Scene(archive, sockets)
    shutil.rmtree(sockets)

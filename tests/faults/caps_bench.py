"""A campaign of four tasks that ask a scripted model a given number of times, for the tests of caps."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hyperagent.config import BenchmarkConfig, BudgetConfig, Config, ModelsConfig, SearchConfig, to_json
from hyperagent.engine.budget import CampaignMeter
from hyperagent.engine.campaign import CampaignRunner
from hyperagent.engine.parts import Parts
from hyperagent.engine.selection import SELECTORS
from hyperagent.models import LocalBroker, ScriptedClient
from hyperagent.protocols import Archive
from hyperagent.types import (
    Campaign,
    CampaignResult,
    Caps,
    ChatRequest,
    Grade,
    JobSpec,
    Json,
    Needs,
    Outcome,
    Progress,
    RunRequest,
    RunResult,
    SandboxInfo,
    Scorecard,
    Split,
    Task,
    Variant,
)

PROGRAM = {"program.toml": b"", "task_agent.py": b"SKILL = 1", "meta_agent.py": b""}


def ask(folder: Path, text: str) -> tuple[int, str]:
    """One call as a program makes it: the status, and the reply's text where it is one."""
    door = http.client.HTTPConnection("localhost")
    door.sock = socket.socket(socket.AF_UNIX)
    door.sock.connect(str(folder / "model.sock"))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]})
    door.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer MARKED"})
    answer = door.getresponse()
    data = json.loads(answer.read())
    door.close()
    return answer.status, data["choices"][0]["message"]["content"] if answer.status == 200 else ""


class Stage:
    """A sandbox in which a stand-in for the program runs, here in this process: these tests are about the engine."""

    info = SandboxInfo("stage", "none")

    def image(self, packages: object = ()) -> str:
        return ""

    def prepare(self, packages: Iterable[tuple[str, ...]] = ()) -> None:
        return None

    @contextmanager
    def session(self, spec: JobSpec) -> Iterator[Actor]:
        yield Actor(spec)

    def abort(self) -> None:
        return None

    def reap(self) -> int:
        return 0


class Actor:
    """Asks as often as the task says, and answers all the same where a call is refused."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def run(self, request: RunRequest) -> RunResult:
        if request.kind == "check":
            return RunResult("ok")
        assert self._spec.model_directory is not None
        if request.kind == "meta":
            status, edit = ask(self._spec.model_directory, "mutate")
            if status != 200:
                return RunResult("error", error=f"HTTP {status}")
            return RunResult("ok", value="did it", tree={**self._spec.program, "task_agent.py": edit.encode()})
        inputs, said = request.arguments["inputs"], []
        for number in range(inputs["calls"]):
            status, text = ask(self._spec.model_directory, f"{inputs['name']} call {number}")
            said.append(text)
            if status != 200:
                break
        right = inputs["number"] < int(self._spec.program["task_agent.py"].split()[-1])
        return RunResult("ok", value="right" if right else said)


class Asking:
    """Four tasks a split, of which number n asks ``calls[n]`` times; a program is right on the first SKILL of them."""

    name = "asking"
    needs = Needs()
    examiner = None

    def __init__(self, calls: Sequence[int]) -> None:
        self._calls = calls

    def tasks(self, split: Split, limit: int = 0) -> Sequence[Task]:
        made = []
        for number, calls in enumerate(self._calls):
            name = f"{split}-{number}"
            inputs: Json = {"name": name, "number": number, "calls": calls}
            made.append(Task(name, self.name, split, name, inputs, {}))
        return made[: limit or None]

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
        return None

    def message(self, text: str) -> None:
        return None


class Bench:
    """Sessions of one campaign.

    Attributes:
        asked: What reached the model, in order.
        failure: Text of a request -> what the model fails with, or None.
        meter: Of the newest session.
    """

    def __init__(self, archive: Archive, sockets: Path, calls: Sequence[int] = (1, 2, 3, 4)) -> None:
        self.archive, self.sockets, self.calls = archive, sockets, calls
        self.asked: list[str] = []
        self.failure: Callable[[str], Exception | None] = lambda text: None
        self.price = 0.0
        self.campaign: Campaign | None = None
        self.meter = CampaignMeter(Caps())
        self._skill = 1
        self._lock = threading.Lock()

    def reply(self, request: ChatRequest) -> str | Exception:
        text = str(request.messages[-1]["content"])
        failure = self.failure(text)
        if failure is not None:
            return failure
        with self._lock:
            self.asked.append(text)
            if text != "mutate":
                return f"pardon? {text}"
            self._skill += 1
            return f"SKILL = {self._skill}"

    def config(self, budget: BudgetConfig, workers: int = 1) -> Config:
        return replace(
            Config(),
            models=ModelsConfig(mutation="scripted/m", evaluation="scripted/m", max_tokens=50),
            benchmarks=(BenchmarkConfig(name="asking", screen=1),),
            search=SearchConfig(workers=workers, selection="latest"),
            budget=budget,
        )

    def parts(self, config: Config, *, replay: bool = False) -> Parts:
        client = ScriptedClient(self.reply, price_per_token=self.price)
        options = {"replay": replay, "reuse": False}
        broker = LocalBroker(client, self.archive, runtime_directory=self.sockets, timeout=20, retries=0, **options)
        return Parts(self.archive, broker, Stage(), [(config.benchmarks[0], Asking(self.calls))], config)

    def run(self, budget: BudgetConfig, workers: int = 1) -> CampaignResult:
        config = self.config(budget, workers)
        if self.campaign is None:
            self.campaign = self.archive.create_campaign("asking", config.seed, to_json(config))
        self.meter = CampaignMeter(
            Caps(budget.variants, budget.seconds, budget.tokens, budget.cost),
            self.archive.spend(self.campaign.id),
            calls=budget.calls,
            variant=budget.variant,
            task=budget.task,
            ledger=self.archive,
        )
        selector = SELECTORS[config.search.selection]()
        parts = self.parts(config)
        return CampaignRunner(self.campaign, parts, PROGRAM, selector, self.meter, Quiet()).run()

    def variants(self) -> Sequence[Variant]:
        assert self.campaign is not None
        return self.archive.variants(self.campaign.id)

    def outcomes(self, variant: Variant, split: Split = "validation") -> Sequence[Outcome]:
        (evaluation,) = [e for e in self.archive.evaluations(variant.id) if e.split == split]
        return self.archive.outcomes(evaluation.id)

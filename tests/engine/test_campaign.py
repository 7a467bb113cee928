"""The loop on real parts but for the model: real archive, real programs in the process sandbox, scripted replies."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hyperagent.archive import open_archive
from hyperagent.config import BenchmarkConfig, BudgetConfig, Config, ModelsConfig, SearchConfig, to_json
from hyperagent.engine.budget import CampaignMeter
from hyperagent.engine.campaign import CampaignRunner
from hyperagent.engine.parts import Parts
from hyperagent.engine.replay import Replayer
from hyperagent.engine.selection import SELECTORS
from hyperagent.errors import ModelLost, ModelUnavailable
from hyperagent.models import LocalBroker, ScriptedClient
from hyperagent.protocols import Archive
from hyperagent.sandbox import ProcessSandbox
from hyperagent.types import (
    Campaign,
    CampaignResult,
    Caps,
    ChatRequest,
    Grade,
    Json,
    Needs,
    Outcome,
    Progress,
    Scorecard,
    Split,
    Task,
    Variant,
)

TASK_AGENT = b"""
import json, os, urllib.request

SKILL = 0


def ask(text):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]


class TaskAgent:
    def __init__(self, model, chat_history_file):
        self.history = chat_history_file

    def forward(self, inputs):
        reply = ask("task %s" % inputs["number"])
        return ("right" if inputs["number"] < SKILL else "wrong " + reply), ""
"""

META_AGENT = b"""
import json, pathlib
from task_agent import ask


class MetaAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, repo_path, eval_path, iterations_left=None):
        edit = json.loads(ask("mutate"))
        for name, (old, new) in edit.items():
            path = pathlib.Path(repo_path, name)
            text = path.read_text() if path.exists() else ""
            path.write_text(text.replace(old, new) if old else new)
        return "did " + ", ".join(edit)
"""

PROGRAM = {"program.toml": b"", "task_agent.py": TASK_AGENT, "meta_agent.py": META_AGENT, "README.md": b"words"}
BETTER = {"task_agent.py": ["SKILL = 0", "SKILL = 3"]}


class Numbers:
    """Four tasks a split; a program is right on the first ``SKILL`` of them."""

    name = "numbers"
    needs = Needs()
    examiner = None

    def tasks(self, split: Split, limit: int = 0) -> Sequence[Task]:
        every = [Task(f"{split}-{n}", self.name, split, f"{split}-{n}", {"number": n}, {}) for n in range(4)]
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
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.last: Progress | None = None

    def progress(self, progress: Progress) -> None:
        self.last = progress

    def message(self, text: str) -> None:
        self.messages.append(text)


class Bench:
    """One archive and what it takes to run sessions of one campaign on it.

    Attributes:
        edits: Replies to the mutations, in order; the last one is repeated.
        asked: Texts of all requests that reached the model.
    """

    def __init__(self, archive: Archive, sockets: Path) -> None:
        self.archive = archive
        self.sockets = sockets
        self.edits: list[Json] = [BETTER]
        self.asked: list[str] = []
        self.failure: Callable[[str], Exception | None] = lambda text: None
        self.observer = Quiet()
        self.campaign: Campaign | None = None
        self._lock = threading.Lock()

    def reply(self, request: ChatRequest) -> Json:
        text = str(request.messages[-1]["content"])
        failure = self.failure(text)
        if failure is not None:
            return failure
        with self._lock:
            self.asked.append(text)
            if text != "mutate":
                return "pardon?"
            edit = self.edits.pop(0) if len(self.edits) > 1 else self.edits[0]
            return edit if isinstance(edit, str) else json.dumps(edit)

    def config(self, **budget: Json) -> Config:
        return replace(
            Config(),
            models=ModelsConfig(mutation="scripted/m", evaluation="scripted/m", max_tokens=50),
            benchmarks=(BenchmarkConfig(name="numbers", screen=2),),
            search=SearchConfig(workers=1, selection="latest"),
            budget=BudgetConfig(**{"variants": 1, "steps": 3, **budget}),
        )

    def parts(self, config: Config, *, replay: bool = False) -> Parts:
        broker = LocalBroker(
            ScriptedClient(self.reply),
            self.archive,
            runtime_directory=self.sockets,
            timeout=20,
            retries=0,
            replay=replay,
            reuse=False,
        )
        sandbox = ProcessSandbox("test")
        sandbox.prepare()
        return Parts(self.archive, broker, sandbox, [(config.benchmarks[0], Numbers())], config)

    def runner(self, config: Config) -> CampaignRunner:
        if self.campaign is None:
            self.campaign = self.archive.create_campaign("numbers", config.seed, to_json(config))
        budget = config.budget
        caps = Caps(budget.variants, budget.seconds, budget.tokens, budget.cost)
        meter = CampaignMeter(caps, self.archive.spend(self.campaign.id))
        selector = SELECTORS[config.search.selection]()
        return CampaignRunner(self.campaign, self.parts(config), PROGRAM, selector, meter, self.observer)

    def run(self, **budget: Json) -> CampaignResult:
        return self.runner(self.config(**budget)).run()

    def variants(self) -> Sequence[Variant]:
        assert self.campaign is not None
        return self.archive.variants(self.campaign.id)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    sockets = Path(tempfile.mkdtemp(prefix="ha-"))
    with open_archive(tmp_path / "archive", write=True, create=True) as archive:
        yield Bench(archive, sockets)
    shutil.rmtree(sockets)


def test_a_better_program_is_made_committed_and_scored(bench: Bench) -> None:
    result = bench.run()
    seed, child = bench.variants()
    assert (result.campaign.state, result.done, result.lost) == ("finished", 1, 0)
    assert (seed.score, child.score) == (0.0, 0.75)
    assert (child.parent, child.generation, child.status) == (seed.id, 1, "evaluated")
    assert child.summary == "did task_agent.py"
    assert b"SKILL = 3" in bench.archive.read_tree(child.commit)["task_agent.py"]


def test_the_parents_own_meta_agent_makes_the_child(bench: Bench) -> None:
    """Self-reference: a marker that one mutation writes into the meta agent shows in the words of the next one."""
    bench.edits = [{"meta_agent.py": ['"did "', '"MARK did "']}, BETTER]
    bench.run(variants=2)
    _, first, second = bench.variants()
    assert first.summary == "did meta_agent.py"
    assert second.summary.startswith("MARK did")


@pytest.mark.parametrize(
    ("edit", "status", "reason"),
    [
        ({"README.md": ["words", "many words"]}, "no_effect", "README.md"),
        ({"task_agent.py": ["SKILL = 0", "SKILL = 0  # better"]}, "no_effect", "documentation or layout"),
        ({"README.md": ["absent", "x"]}, "no_effect", "changes nothing"),
        ({"task_agent.py": ["SKILL = 0", "SKILL ="]}, "invalid", "does not parse"),
        ({"task_agent.py": ["SKILL = 0", "import nowhere"]}, "invalid", "does not load"),
        ({"task_agent.py": ["class TaskAgent", "class Other"]}, "invalid", "does not load"),
        ("no json at all", "invalid", "JSONDecodeError"),
        ({"big.txt": ["", "x" * 2_000_000]}, "invalid", "KB"),
    ],
)
def test_a_mutation_that_deserves_no_evaluation_says_why(bench: Bench, edit: Json, status: str, reason: str) -> None:
    bench.edits = [edit]
    result = bench.run(steps=1)
    _, child = bench.variants()
    assert child.status == status
    assert reason in child.reason
    assert (result.done, bench.archive.evaluations(child.id)) == (0, [])


def test_the_same_program_again_is_linked_not_paid(bench: Bench) -> None:
    bench.edits = [BETTER, {"task_agent.py": ["SKILL = 3", "SKILL = 0"]}]
    bench.run(variants=2, steps=2)
    seed, _, again = bench.variants()
    assert (again.status, again.reason, again.commit) == ("duplicate", seed.id, "")


def test_a_variant_that_solves_nothing_of_the_screen_stops_there(bench: Bench) -> None:
    bench.edits = [{"task_agent.py": ["< SKILL", "== SKILL + 3"]}]
    bench.run()
    _, child = bench.variants()
    (evaluation,) = [e for e in bench.archive.evaluations(child.id) if e.split == "validation"]
    assert (child.status, child.score, evaluation.state) == ("screened_out", 0.0, "screened_out")
    assert len(bench.archive.outcomes(evaluation.id)) == 2


def test_a_token_cap_ends_gracefully_and_can_be_raised(bench: Bench) -> None:
    result = bench.run(tokens=400)
    assert result.campaign.state == "budget_reached"
    assert "budget.tokens" in result.campaign.reason
    assert bench.campaign is not None
    assert bench.archive.spend(bench.campaign.id).tokens <= 400
    asked = len(bench.asked)
    result = bench.run(tokens=0)
    assert (result.campaign.state, result.done) == ("finished", 1)
    first = [text for text in bench.asked[:asked] if text.startswith("task")]
    assert first
    assert len(bench.asked) - asked <= 4 + 4 + 4 + 1 - len(first)


def test_lost_calls_leave_the_step_open_and_a_resume_ends_it(bench: Bench) -> None:
    bench.failure = lambda text: ModelLost("the server fell over") if text == "task 2" else None
    result = bench.run()
    assert (result.campaign.state, result.lost) == ("stopped", 1)
    assert any("server fell over" in message for message in bench.observer.messages)
    assert not [v for v in bench.variants() if v.score is not None]
    bench.failure = lambda text: None
    result = bench.run()
    assert (result.campaign.state, result.done, result.lost) == ("finished", 1, 0)
    assert bench.asked.count("task 0") == 3  # validation of both, train of the seed: nothing was paid twice


def test_a_model_that_refuses_for_good_ends_the_session_with_its_error(bench: Bench) -> None:
    bench.failure = lambda text: ModelUnavailable("401", hint="check the key") if text == "mutate" else None
    with pytest.raises(ModelUnavailable, match="401"):
        bench.run()
    assert bench.campaign is not None
    assert bench.archive.campaign(bench.campaign.id).state == "failed"
    bench.failure = lambda text: None
    assert bench.run().campaign.state == "finished"


def test_a_stop_finishes_what_is_in_flight(bench: Bench) -> None:
    runner = bench.runner(bench.config(variants=5))
    stop = runner.request_stop

    def during(text: str) -> None:
        if text == "mutate":
            stop()

    bench.failure = lambda text: during(text)  # type: ignore[func-returns-value]
    result = runner.run()
    assert (result.campaign.state, result.done) == ("stopped", 1)


def test_a_cancelled_evaluation_goes_on_where_it_stopped(bench: Bench) -> None:
    runner = bench.runner(bench.config())

    def during(text: str) -> None:
        if text == "task 1":
            runner.cancel()

    bench.failure = lambda text: during(text)  # type: ignore[func-returns-value]
    assert runner.run().campaign.state == "stopped"
    bench.failure = lambda text: None
    before = list(bench.asked)
    assert bench.run().campaign.state == "finished"
    assert before == ["task 0", "task 1"]
    assert bench.asked[2:4] == ["task 2", "task 3"]


def test_replay_is_identical_and_notices_a_changed_record(bench: Bench) -> None:
    bench.run()
    _, child = bench.variants()
    bench.reply = lambda request: AssertionError("a replay asked the model")  # type: ignore[method-assign]
    replayer = Replayer(bench.parts(bench.config(), replay=True), lambda text: None)
    evaluation, mutation = replayer.evaluation(child), replayer.mutation(child)
    assert (evaluation.identical, evaluation.compared) == (True, 4)
    assert mutation.identical, mutation.divergence


def test_replay_names_the_first_divergence(bench: Bench) -> None:
    bench.run()
    _, child = bench.variants()
    impostor = bench.archive.start_step(child.campaign, 2, child.id, {})
    bench.archive.commit_program(
        impostor.id, {**PROGRAM, "task_agent.py": TASK_AGENT.replace(b"task %s", b"Task %s")}, "x"
    )
    fake = replace(child, commit=bench.archive.variant(impostor.id).commit)
    report = Replayer(bench.parts(bench.config(), replay=True), lambda text: None).evaluation(fake)
    assert not report.identical
    assert "validation-0" in report.divergence


def test_two_workers_that_make_the_same_program_at_once_pay_for_it_once(bench: Bench) -> None:
    both = threading.Barrier(2)

    def together(text: str) -> None:
        if text == "mutate":
            both.wait(20)

    bench.failure = lambda text: together(text)  # type: ignore[func-returns-value]
    config = replace(bench.config(variants=2, steps=2), search=SearchConfig(workers=2, selection="random"))
    bench.runner(config).run()
    assert sorted(v.status for v in bench.variants()) == ["duplicate", "evaluated", "evaluated"]


def test_two_workers_share_the_work_and_reach_the_target_exactly(bench: Bench) -> None:
    bench.edits = [{"task_agent.py": ["SKILL = 0", f"SKILL = {n}"]} for n in (1, 2, 3)] + [{"notes.py": ["", "x = 1"]}]
    config = bench.config(variants=4, steps=9)
    config = replace(config, search=SearchConfig(workers=2, selection="random"))
    result = bench.runner(config).run()
    scored = [v for v in bench.variants() if v.step and v.status in ("evaluated", "screened_out")]
    assert (result.campaign.state, len(scored)) == ("finished", 4)
    assert bench.observer.last is not None
    assert bench.observer.last.in_flight == ()

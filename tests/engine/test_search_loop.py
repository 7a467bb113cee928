"""The loop with rules that do more than choose: evaluation in portions, several benchmarks, programs that choose."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hyperagent.archive import open_archive
from hyperagent.config import BenchmarkConfig, BudgetConfig, Config, ModelsConfig, SearchConfig, to_json
from hyperagent.engine.budget import CampaignMeter
from hyperagent.engine.campaign import EVALUATION_CHOSEN, CampaignRunner
from hyperagent.engine.parts import Parts
from hyperagent.engine.selection import make_selector
from hyperagent.engine.selection.program import CHOOSER_CHOSE, CHOOSER_FAILED, capable
from hyperagent.errors import SandboxLost
from hyperagent.models import LocalBroker, ScriptedClient
from hyperagent.protocols import Archive
from hyperagent.sandbox import ProcessSandbox
from hyperagent.types import (
    Campaign,
    CampaignResult,
    Caps,
    Event,
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

SEED_CHOOSER = (Path(__file__).parents[2] / "hyperagent" / "seed" / "parent_selection.py").read_bytes()
PROGRAM = {"program.toml": b"", "task_agent.py": b"SKILL = 2", "meta_agent.py": b""}


class Stage:
    """A sandbox in which a stand-in for programs runs, here in this process: tasks below its SKILL are right."""

    info = SandboxInfo("stage", "none")

    def image(self, packages: object = ()) -> str:
        return ""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def prepare(self, packages: Iterable[tuple[str, ...]] = ()) -> None:
        return None

    @contextmanager
    def session(self, spec: JobSpec) -> Iterator[Actor]:
        yield Actor(self.bench, spec)

    def abort(self) -> None:
        return None

    def reap(self) -> int:
        return 0


class Actor:
    def __init__(self, bench: Bench, spec: JobSpec) -> None:
        self._bench, self._spec = bench, spec

    def run(self, request: RunRequest) -> RunResult:
        if request.kind == "check":
            return RunResult("ok")
        if request.kind == "meta":
            skill = self._bench.skills.pop(0)
            return RunResult("ok", value="did it", tree={**self._spec.program, "task_agent.py": b"SKILL = %d" % skill})
        if request.kind == "select":
            return self._bench.choose(self._spec, request)
        self._bench.ran += 1
        self._bench.before_task()
        skill = int(self._spec.program["task_agent.py"].split()[-1])
        return RunResult("ok", value="right" if request.arguments["inputs"]["number"] < skill else "wrong")


class Numbers:
    """Twelve tasks a split, number n times the factor below SKILL is right."""

    needs = Needs()
    examiner = None

    def __init__(self, name: str, factor: int) -> None:
        self.name, self._factor = name, factor

    def tasks(self, split: Split, limit: int = 0) -> Sequence[Task]:
        every = [
            Task(f"{split}-{n}", self.name, split, f"{split}-{n}", {"number": n * self._factor}, {}) for n in range(12)
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
    def __init__(self) -> None:
        self.last: Progress | None = None

    def progress(self, progress: Progress) -> None:
        self.last = progress

    def message(self, text: str) -> None:
        return None


class Bench:
    """One archive and one campaign on it; ``skills`` are what the mutations reach, in order."""

    def __init__(self, archive: Archive, sockets: Path) -> None:
        self.archive, self.sockets = archive, sockets
        self.skills = list(range(3, 100))
        self.ran = 0
        self.before_task: Callable[[], None] = lambda: None
        self.choose: Callable[[JobSpec, RunRequest], RunResult] = lambda spec, request: RunResult("error", error="no")
        self.program = PROGRAM
        self.observer = Quiet()
        self.campaign: Campaign | None = None

    def config(self, search: SearchConfig, variants: int, names: Sequence[str], weights: Sequence[float]) -> Config:
        entries = [BenchmarkConfig(name=n, screen=2, train=1, weight=w) for n, w in zip(names, weights, strict=True)]
        return replace(
            Config(),
            models=ModelsConfig(mutation="scripted/m", evaluation="scripted/m", max_tokens=50),
            benchmarks=tuple(entries),
            search=search,
            budget=BudgetConfig(variants=variants),
        )

    def run(
        self, search: SearchConfig, variants: int, names: Sequence[str] = ("easy",), weights: Sequence[float] = ()
    ) -> CampaignResult:
        config = self.config(search, variants, names, weights or [1.0] * len(names))
        packs = [(entry, Numbers(entry.name, 1 if entry.name == "easy" else 2)) for entry in config.benchmarks]
        client = ScriptedClient(lambda request: "unasked")
        broker = LocalBroker(client, self.archive, runtime_directory=self.sockets, timeout=20, retries=0)
        parts = Parts(self.archive, broker, Stage(self), packs, config)
        if self.campaign is None:
            self.campaign = self.archive.create_campaign("numbers", config.seed, to_json(config))
        meter = CampaignMeter(Caps(variants), self.archive.spend(self.campaign.id))
        selector = make_selector(parts, self.campaign.id)
        self.runner = CampaignRunner(self.campaign, parts, self.program, selector, meter, self.observer)
        return self.runner.run()

    def variants(self) -> Sequence[Variant]:
        assert self.campaign is not None
        return self.archive.variants(self.campaign.id)

    def events(self, kind: str) -> list[Event]:
        assert self.campaign is not None
        return [event for event in self.archive.events(self.campaign.id) if event.kind == kind]

    def outcomes(self, variant: Variant) -> int:
        found = [e for e in self.archive.evaluations(variant.id) if e.split == "validation"]
        return sum(len(self.archive.outcomes(evaluation.id)) for evaluation in found)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    sockets = Path(tempfile.mkdtemp(prefix="ha-"))
    with open_archive(tmp_path / "archive", write=True, create=True) as archive:
        yield Bench(archive, sockets)
    shutil.rmtree(sockets)


CLADE = SearchConfig(workers=1, selection="clade", portion=2)


# -- evaluation in portions ----------------------------------------------------------------------


def test_clade_evaluates_the_promising_in_full_and_the_others_in_part(bench: Bench) -> None:
    bench.skills = [3, 4, 12, 5, 6, 7]
    result = bench.run(CLADE, 6)
    assert (result.campaign.state, result.done) == ("finished", 6)
    ran = {variant.step: bench.outcomes(variant) for variant in bench.variants()}
    best = max(bench.variants(), key=lambda v: v.score or 0.0)
    assert (best.step, best.status, ran[3]) == (3, "evaluated", 12)
    others = [variant for variant in bench.variants() if variant.step not in (0, 3)]
    assert {variant.status for variant in others} == {"screened_out"}
    for variant in others:
        assert ran[variant.step] < 12
        assert variant.reason == f"evaluated on {ran[variant.step]} of 12 tasks: others were more promising"
        assert variant.score == pytest.approx(min(ran[variant.step], int(variant.step + 2 - (variant.step > 3))) / 12)
    assert bench.events(EVALUATION_CHOSEN)


def test_without_portions_clade_evaluates_everything_first(bench: Bench) -> None:
    bench.run(replace(CLADE, portion=0), 3)
    assert {bench.outcomes(variant) for variant in bench.variants()} == {12}
    assert not bench.events(EVALUATION_CHOSEN)


def test_a_cut_off_campaign_in_portions_goes_on_where_it_stopped(bench: Bench) -> None:
    def at(limit: int) -> Callable[[], None]:
        return lambda: bench.runner.cancel() if bench.ran == limit else None

    for limit in (15, 19, 23):
        bench.before_task = at(limit)
        bench.run(CLADE, 5)
    assert any(variant.status == "pending" for variant in bench.variants())
    bench.before_task = lambda: None
    result = bench.run(CLADE, 5)
    assert (result.campaign.state, result.done) == ("finished", 5)
    assert {variant.status for variant in bench.variants()} <= {"evaluated", "screened_out"}
    whole = sum(bench.outcomes(variant) for variant in bench.variants())
    parents = {variant.parent for variant in bench.variants() if variant.parent}
    assert bench.ran == whole + len(parents), "one train task of each parent, and nothing twice"


def test_two_workers_in_portions_end_with_every_variant_closed(bench: Bench) -> None:
    result = bench.run(replace(CLADE, workers=2), 5)
    assert (result.campaign.state, result.done) == ("finished", 5)
    assert {variant.status for variant in bench.variants()} <= {"evaluated", "screened_out"}


def test_a_lost_portion_waits_for_a_resume(bench: Bench) -> None:
    def lose() -> None:
        if bench.ran > 9:
            raise SandboxLost("the daemon went away")

    bench.before_task = lose
    result = bench.run(CLADE, 4)
    assert (result.campaign.state, result.lost) == ("stopped", result.lost)
    assert result.lost > 0
    bench.before_task = lambda: None
    assert bench.run(CLADE, 4).campaign.state == "finished"


# -- several benchmarks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aggregate", "weights", "expected"),
    [("mean", (1, 1), 0.75), ("min", (1, 1), 0.5), ("weighted", (3, 1), 0.875), ("pareto", (1, 1), 0.75)],
)
def test_several_benchmarks_become_one_score(
    bench: Bench, aggregate: str, weights: Sequence[float], expected: float
) -> None:
    bench.skills = [12]
    search = SearchConfig(workers=1, aggregate=aggregate, selection="pareto" if aggregate == "pareto" else "best")
    bench.run(search, 1, ("easy", "hard"), weights)
    assert bench.variants()[1].score == pytest.approx(expected)
    assert bench.observer.last is not None
    interval = bench.observer.last.best_interval
    assert interval is not None
    assert (interval.estimate, interval.n) == (pytest.approx(expected), 24)
    assert interval.low < expected < interval.high


def test_islands_and_grid_run_unnoticed_by_the_loop(bench: Bench) -> None:
    search = SearchConfig(workers=1, selection="random", islands=2, migration=3, grid="tokens,size,score,SKILL")
    result = bench.run(search, 5)
    assert (result.campaign.state, result.done) == ("finished", 5)
    parents = {variant.step: variant.parent for variant in bench.variants()}
    steps = {variant.id: variant.step for variant in bench.variants()}
    for step, parent in parents.items():
        if parent is not None and step <= 3:  # before the first migration has brought anyone
            assert steps[parent] == 0 or (steps[parent] - step) % 2 == 0


# -- programs that choose ------------------------------------------------------------------------

PROGRAM_RULE = SearchConfig(workers=1, selection="program", fallback="latest")


def test_the_newest_programs_chooser_is_asked_and_its_choice_taken(bench: Bench) -> None:
    bench.program = {**PROGRAM, "parent_selection.py": SEED_CHOOSER}
    asked: list[tuple[bytes, Json]] = []

    def first(spec: JobSpec, request: RunRequest) -> RunResult:
        asked.append((spec.program["task_agent.py"], request.arguments["variants"]))
        assert spec.model_directory is None
        assert not spec.evidence
        return RunResult("ok", value=request.arguments["variants"][0]["id"])

    bench.choose = first
    bench.run(PROGRAM_RULE, 3)
    assert [variant.parent for variant in bench.variants()[1:]] == [bench.variants()[0].id] * 3
    assert [program for program, _ in asked] == [b"SKILL = 2", b"SKILL = 3", b"SKILL = 4"]
    assert set(asked[0][1][0]) == {"id", "step", "generation", "parent", "score", "children"}
    assert [len(shown) for _, shown in asked] == [1, 2, 3]
    assert len(bench.events(CHOOSER_CHOSE)) == 3


@pytest.mark.parametrize(
    "result",
    [
        RunResult("error", error="ValueError"),
        RunResult("timeout", error="over its limit"),
        RunResult("ok", value="ffffffffffff"),
        RunResult("ok", value={"id": 1}),
        RunResult("ok", value=None),
    ],
)
def test_a_failing_chooser_is_journalled_disabled_and_replaced(bench: Bench, result: RunResult) -> None:
    bench.program = {**PROGRAM, "parent_selection.py": SEED_CHOOSER}
    asked: list[bytes] = []

    def broken(spec: JobSpec, request: RunRequest) -> RunResult:
        asked.append(spec.program["task_agent.py"])
        return result

    bench.choose = broken
    bench.skills = [3, 2, 2, 2, 4]  # duplicates of the seed: they have no program that could be asked
    bench.run(PROGRAM_RULE, 2)
    failed = bench.events(CHOOSER_FAILED)
    assert asked == [b"SKILL = 2", b"SKILL = 3"]
    assert [event.payload["variant"] for event in failed] == [v.id for v in bench.variants()[:2]]
    assert all(event.payload["reason"] for event in failed)


def test_a_resume_does_not_ask_a_disabled_chooser_again(bench: Bench) -> None:
    bench.program = {**PROGRAM, "parent_selection.py": SEED_CHOOSER}
    asked: list[bytes] = []

    def broken(spec: JobSpec, request: RunRequest) -> RunResult:
        asked.append(spec.program["task_agent.py"])
        return RunResult("error", error="ValueError")

    bench.choose = broken
    bench.skills = [2] * 4  # duplicates of the seed, which stays the only one to ask
    bench.run(PROGRAM_RULE, 1)
    assert asked == [b"SKILL = 2"]
    bench.skills = [3, 4]
    bench.run(PROGRAM_RULE, 2)
    assert asked == [b"SKILL = 2", b"SKILL = 3"]


def test_our_own_failure_is_not_the_choosers(bench: Bench) -> None:
    bench.program = {**PROGRAM, "parent_selection.py": SEED_CHOOSER}

    def lost(spec: JobSpec, request: RunRequest) -> RunResult:
        raise SandboxLost("the daemon went away")

    bench.choose = lost
    assert bench.run(PROGRAM_RULE, 1).campaign.state == "finished"
    assert not bench.events(CHOOSER_FAILED)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ({"program.toml": b"", "parent_selection.py": b""}, True),
        ({"program.toml": b'[entry]\nselect = "a.b:C"', "a/b.py": b""}, True),
        ({"program.toml": b'[entry]\nselect = "a.b:C"', "parent_selection.py": b""}, False),
        ({"program.toml": b""}, False),
        ({"program.toml": b"\xff[", "parent_selection.py": b""}, False),
        ({"program.toml": b"entry = 3", "parent_selection.py": b""}, True),
        ({"program.toml": b"[entry]\nselect = [1]", "parent_selection.py": b""}, False),
    ],
)
def test_who_is_capable_is_read_from_hostile_text(program: dict[str, bytes], expected: bool) -> None:
    assert capable(program) == expected


SHOWN = [
    {"id": "a", "step": 0, "generation": 0, "parent": None, "score": 0.2, "children": 4},
    {"id": "b", "step": 1, "generation": 1, "parent": "a", "score": 0.8, "children": 0},
]


@pytest.mark.parametrize(
    ("chooser", "status", "value"),
    [
        (SEED_CHOOSER, "ok", "b"),
        (b"import nowhere", "error", None),
        (b"class ParentSelector:\n    def forward(self, variants, random):\n        return open('/x')", "error", None),
        (b"class Other: pass", "error", None),
    ],
)
def test_a_chooser_runs_in_a_real_sandbox(chooser: bytes, status: str, value: Json) -> None:
    sandbox = ProcessSandbox("test-select")
    sandbox.prepare()
    with sandbox.session(JobSpec("c/1/select", {"program.toml": b"", "parent_selection.py": chooser})) as session:
        result = session.run(RunRequest("select", {"variants": SHOWN, "random": 0.5}, 20))
    assert (result.status, result.value) == (status, value)

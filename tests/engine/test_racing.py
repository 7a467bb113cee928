"""Evaluations that waste nothing, on the real loop and archive; sandbox and model are doubles that answer at once."""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hyperagent.archive import open_archive
from hyperagent.config import BenchmarkConfig, BudgetConfig, Config, ModelsConfig, SearchConfig, to_json
from hyperagent.engine.budget import CampaignMeter
from hyperagent.engine.campaign import CampaignRunner, validation_interval
from hyperagent.engine.parts import Parts
from hyperagent.engine.plateau import PLATEAU, last_improvement
from hyperagent.engine.racing import RACE_STARTED, race_order
from hyperagent.engine.replay import Replayer
from hyperagent.engine.reuse import EVALUATION_REUSED
from hyperagent.engine.selection import SELECTORS
from hyperagent.protocols import Archive, Session
from hyperagent.types import (
    Caps,
    Evaluation,
    Event,
    Grade,
    Interval,
    JobSpec,
    Json,
    Needs,
    Outcome,
    Progress,
    RunRequest,
    RunResult,
    SandboxInfo,
    Scorecard,
    Spend,
    Split,
    Task,
    Variant,
)

TASKS = 24


class Numbers:
    """A program is right on the tasks below its ``skill``; ``luck`` makes every second run of a task wrong."""

    name = "numbers"
    examiner = None

    def __init__(self, needs: Needs | None = None) -> None:
        self.needs = needs or Needs()

    def tasks(self, split: Split, limit: int = 0) -> Sequence[Task]:
        count = TASKS if split == "validation" else 2
        every = [Task(f"{split}-{n}", self.name, split, f"{split}-{n}", {"number": n}, {}) for n in range(count)]
        return every[: limit or None]

    def examine(self, task: Task, prediction: Json) -> Grade:
        raise ValueError("there is no examiner")

    def grade(self, task: Task, prediction: Json, verdict: Json = None) -> Grade:
        return Grade(float(prediction == "right"))

    def feedback(self, task: Task) -> Json:
        return {"target": "right"}

    def scorecard(self, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> Scorecard:
        return Scorecard({})


class Toy:
    """Sandbox and broker in one: programs are ``{"task_agent.py": b"SKILL = 7"}``, mutations come from ``edits``."""

    info = SandboxInfo("process", "none")

    def image(self, packages: object = ()) -> str:
        return ""

    directory = Path()

    def __init__(self) -> None:
        self.edits: list[bytes] = []
        self.runs: list[str] = []
        self.mutated: list[str] = []
        self.temperatures: list[float] = []
        self.jobs: list[str] = []
        self.stop_after = 0
        self.stop = threading.Event()

    def prepare(self, packages: object = ()) -> None: ...
    def abort(self) -> None: ...
    def reap(self) -> int:
        return 0

    @contextmanager
    def session(self, spec: JobSpec) -> Iterator[Session]:
        yield _Session(self, spec)

    @contextmanager
    def channel(self, job: str, *, defaults: Mapping[str, Json], purpose: str, **rest: Json) -> Iterator[Toy]:
        self.jobs.append(job)
        if purpose == "mutate":
            self.temperatures.append(defaults["temperature"])
        yield self

    def begin(self, task: str) -> None:
        self.runs.append(task)

    def end(self) -> Spend:
        return Spend()


class _Session:
    def __init__(self, toy: Toy, spec: JobSpec) -> None:
        self._toy, self._spec = toy, spec

    def run(self, request: RunRequest) -> RunResult:
        toy = self._toy
        source = self._spec.program["task_agent.py"]
        if request.kind == "meta":
            toy.mutated.append(source.decode())
            return RunResult("ok", "edited", {**self._spec.program, "task_agent.py": toy.edits.pop(0)})
        if request.kind == "check":
            return RunResult("ok", None, None)
        names: dict[str, Json] = {}
        exec(source, names)
        run = toy.runs[-1]
        unlucky = bool(names.get("LUCK")) and run.endswith("#2")
        toy.stop_after -= 1
        if toy.stop_after == 0:
            toy.stop.set()
        right = request.arguments["inputs"]["number"] < names["SKILL"] and not unlucky
        return RunResult("ok", "right" if right else "wrong", None)


class Quiet:
    def progress(self, progress: Progress) -> None: ...
    def message(self, text: str) -> None: ...


class Bench:
    def __init__(self, archive: Archive) -> None:
        self.archive, self.toy = archive, Toy()
        self.benchmark = Numbers()
        self.runner: CampaignRunner | None = None

    def config(self, **search: Json) -> Config:
        return replace(
            Config(),
            models=ModelsConfig(mutation="m", evaluation="m"),
            benchmarks=(BenchmarkConfig(name="numbers", screen=4, validation=0),),
            search=SearchConfig(**{"workers": 1, "selection": "latest", **search}),
            budget=BudgetConfig(variants=50 if self.toy.edits else 0, steps=len(self.toy.edits)),
        )

    def run(self, config: Config, name: str = "numbers", seed: bytes = b"SKILL = 12") -> list[Variant]:
        known = {campaign.name: campaign for campaign in self.archive.campaigns()}
        campaign = known.get(name) or self.archive.create_campaign(name, config.seed, to_json(config))
        sandbox = self.toy
        parts = Parts(self.archive, sandbox, sandbox, [(config.benchmarks[0], self.benchmark)], config)  # type: ignore[arg-type]
        self.parts = parts
        meter = CampaignMeter(Caps(), self.archive.spend(campaign.id))
        selector = SELECTORS[config.search.selection]()
        program = {"program.toml": b"", "task_agent.py": seed}
        other = SELECTORS[config.search.plateau_selection]()
        self.runner = CampaignRunner(campaign, parts, program, selector, meter, Quiet(), other)
        self.toy.stop = self.runner._cancelled
        self.state = self.runner.run().campaign
        return list(self.archive.variants(campaign.id))

    def validation(self, variant: Variant) -> Evaluation:
        return next(e for e in self.archive.evaluations(variant.id) if e.split == "validation")

    def events(self, kind: str, campaign: str) -> list[Event]:
        return [event for event in self.archive.events(campaign) if event.kind == kind]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_archive(tmp_path / "archive", write=True, create=True) as archive:
        yield Bench(archive)


# -- races ---------------------------------------------------------------------------------------


def test_a_race_is_called_off_and_says_what_is_certain(bench: Bench) -> None:
    bench.toy.edits = [b"SKILL = 1", b"SKILL = 18"]
    seed, worse, better = bench.run(bench.config(racing=True))
    assert (seed.status, worse.status, better.status) == ("evaluated", "raced_out", "evaluated")
    evaluation = bench.validation(worse)
    ran = bench.archive.outcomes(evaluation.id)
    assert evaluation.state == "raced"
    assert 3 < len(ran) < TASKS / 2
    assert worse.score == pytest.approx(sum(o.score for o in ran) / len(ran))
    interval = validation_interval(bench.archive, worse, statistics.fmean)
    assert interval.low <= 1 / TASKS <= interval.high < 1
    assert (better.score, bench.validation(better).state) == (18 / TASKS, "finished")


def test_orders_differ_by_step_and_repeat(bench: Bench) -> None:
    bench.toy.edits = [b"SKILL = 14", b"SKILL = 18"]
    config = bench.config(racing=True)
    variants = bench.run(config)
    orders = [bench.validation(variant).tasks for variant in variants]
    assert len(set(orders)) == 3
    assert set(orders[1]) == set(orders[0])
    assert orders[1] == tuple(race_order(orders[0], "numbers", config.seed, 1))
    assert len({bench.validation(variant).context for variant in variants}) == 1


def test_a_race_cut_off_anywhere_ends_the_same(bench: Bench, tmp_path: Path) -> None:
    bench.toy.edits = [b"SKILL = 3"]
    config = bench.config(racing=True)
    whole = bench.run(config)[1]
    tasks = [o.task for o in bench.archive.outcomes(bench.validation(whole).id)]
    for cut in (1, len(tasks) - 1):
        with open_archive(tmp_path / f"cut-{cut}", write=True, create=True) as archive:
            other = Bench(archive)
            other.toy.edits = [b"SKILL = 3"]
            other.toy.stop_after = TASKS + 2 + cut  # the seed's validation and train come before
            other.run(config)
            assert other.archive.variants(other.archive.campaigns()[0].id)[1].status == "pending"
            again = other.run(config)[1]
            ran = [o.task for o in archive.outcomes(other.validation(again).id)]
            assert (again.status, again.score, ran) == (whole.status, whole.score, tasks)
            assert len(other.events(RACE_STARTED, again.campaign)) == 1


def test_where_it_may_a_clear_winner_stops_too(bench: Bench) -> None:
    bench.toy.edits = [b"SKILL = 24"]
    _, better = bench.run(bench.config(racing=True, racing_above="stop"))
    assert (better.status, better.score, bench.validation(better).state) == ("evaluated", 1.0, "raced")
    assert len(bench.archive.outcomes(bench.validation(better).id)) < TASKS


def test_without_racing_stages_are_as_published(bench: Bench) -> None:
    bench.toy.edits = [b"SKILL = 0"]
    _, worse = bench.run(bench.config())
    assert (worse.status, len(bench.archive.outcomes(bench.validation(worse).id))) == ("screened_out", 4)
    assert not bench.events(RACE_STARTED, worse.campaign)


# -- equal programs ------------------------------------------------------------------------------


def test_an_equal_program_is_not_run_again_in_another_campaign(bench: Bench) -> None:
    (first,) = bench.run(bench.config(), "one")
    runs = len(bench.toy.runs)
    (second,) = bench.run(bench.config(), "two")
    assert len(bench.toy.runs) == runs
    assert second.score == first.score == 0.5
    (event,) = bench.events(EVALUATION_REUSED, second.campaign)
    assert event.payload["origin"] == first.id
    (third,) = bench.run(bench.config(reuse_evaluations=False), "three")
    assert len(bench.toy.runs) == runs + TASKS
    assert not bench.events(EVALUATION_REUSED, third.campaign)


def test_a_replay_of_what_was_taken_over_asks_for_the_calls_that_were_recorded(bench: Bench) -> None:
    config = short(bench.config())
    (first,) = bench.run(config, "one")
    (second,) = bench.run(config, "two")
    (third,) = bench.run(config, "three")
    for variant in (second, third):
        report = Replayer(bench.parts, lambda text: None).evaluation(variant)
        assert (report.identical, report.compared) == (True, 2)
        assert bench.toy.jobs[-1] == f"{first.campaign}/0/numbers/validation"


def test_a_stochastic_pack_is_run_again_and_every_task_as_often_as_it_says(bench: Bench) -> None:
    bench.benchmark = Numbers(Needs(stochastic=True, repeats=2))
    (first,) = bench.run(bench.config(), "one", b"SKILL = 12\nLUCK = 1")
    assert len(bench.toy.runs) == 2 * TASKS
    assert first.score == 0.25
    outcome = bench.archive.outcomes(bench.validation(first).id)[0]
    assert (outcome.score, json.loads(outcome.prediction)) == (0.5, "right")
    assert "mean of 2 runs (1, 0)" in outcome.error
    rows = json.loads(bench.archive.get_blob(outcome.transcript_blob))
    assert [row["score"] for row in rows] == [1.0, 0.0]
    bench.run(bench.config(), "two", b"SKILL = 12\nLUCK = 1")
    assert len(bench.toy.runs) == 4 * TASKS


def test_an_edit_of_words_only_is_a_duplicate_of_its_twin(bench: Bench) -> None:
    one = b"import os\nimport sys\n\ndef f(x):\n    total = x + 1_000\n    return total\n\nSKILL = 14"
    two = (
        b"import sys, os\n\ndef f(x):\n    '''Adds.'''\n    amount = x + 1000  # much\n    return amount\n\nSKILL = 14"
    )
    bench.toy.edits = [one, b"SKILL = 18", two]
    config = bench.config()
    _, first, _, again = bench.run(config)
    assert (again.status, again.reason, again.commit) == ("duplicate", first.id, "")
    bench.toy.edits = [two]
    budget = replace(config.budget, steps=4)
    assert bench.run(replace(config, budget=budget))[-1].reason == first.id  # a later session knows too


# -- plateaus ------------------------------------------------------------------------------------


def flat(count: int) -> list[bytes]:
    """Programs that all score what the seed scores, each another one."""
    return [f"SKILL = 12\nNUMBER = {number}".encode() for number in range(count)]


def short(config: Config) -> Config:
    return replace(config, benchmarks=(replace(config.benchmarks[0], validation=2, screen=0),))


def test_a_plateau_raises_the_temperature_step_by_step(bench: Bench) -> None:
    bench.toy.edits = flat(6)
    config = short(bench.config(plateau_steps=2, plateau_temperature=0.3))
    variants = bench.run(config)
    assert bench.toy.temperatures == pytest.approx([0.8, 0.8, 1.1, 1.1, 1.4, 1.4])
    events = bench.events(PLATEAU, variants[0].campaign)
    assert [(e.payload["step"], e.payload["since"]) for e in events] == [(3, 0), (5, 2)]


def test_a_plateau_survives_a_resume(bench: Bench) -> None:
    bench.toy.edits = flat(4)
    config = short(bench.config(plateau_steps=2))
    bench.run(replace(config, budget=replace(config.budget, steps=3)))
    variants = bench.run(config)
    assert bench.toy.temperatures == pytest.approx([0.8, 0.8, 1.0, 1.0])
    assert len(bench.events(PLATEAU, variants[0].campaign)) == 1


@pytest.mark.parametrize(
    ("action", "steps", "parents"), [("restart", 4, [0, 1, 0, 3]), ("stop", 2, [0, 1]), ("selection", 4, [0, 1, 0, 0])]
)
def test_what_a_plateau_is_answered_with(bench: Bench, action: str, steps: int, parents: list[int]) -> None:
    bench.toy.edits = flat(4)
    variants = bench.run(short(bench.config(plateau_steps=2, plateau_action=action, plateau_selection="best")))
    number = {variant.id: variant.step for variant in variants}
    assert [number[variant.parent or ""] for variant in variants[1:]] == parents
    assert len(variants) == steps + 1
    assert bench.state.state == "finished"
    assert ("plateau" in bench.state.reason) == (action == "stop")


def test_only_a_gain_beyond_the_interval_ends_a_plateau() -> None:
    def one(step: int, score: float) -> Variant:
        return Variant(f"v{step}", "c", step, step, None, "evaluated", score=score)

    intervals = {f"v{n}": Interval(s, s - 0.1, s + 0.1, 50) for n, s in enumerate((0.5, 0.55, 0.59, 0.61, 0.65))}
    variants = [one(n, intervals[f"v{n}"].estimate) for n in range(5)]
    assert last_improvement(variants[:3], lambda variant: intervals[variant.id]) == 0
    assert last_improvement(variants, lambda variant: intervals[variant.id]) == 3


def solving(numbers: Sequence[int]) -> bytes:
    """A program that is right on these tasks."""
    return f"SKILL = type('Skill', (), {{'__gt__': lambda self, n: n in {sorted(numbers)}}})()".encode()


def test_a_lucky_start_does_not_outrank_the_best(bench: Bench) -> None:
    """Easy tasks come first, so its mean is high; that it solves fewer of them than its parent calls the race off."""
    config = bench.config(racing=True)
    tasks = race_order([f"validation-{n}" for n in range(TASKS)], "numbers", config.seed, 1)
    numbers = [int(task.rpartition("-")[2]) for task in tasks]
    bench.toy.edits = [solving([number for place, number in enumerate(numbers[:12]) if place % 3 < 2])]
    config = bench.config(racing=True)
    seed, lucky = bench.run(config, seed=solving(numbers[:12]))
    ran = bench.archive.outcomes(bench.validation(lucky).id)
    assert sum(outcome.score for outcome in ran) / len(ran) > 0.6
    assert (seed.score, lucky.score, lucky.status) == (0.5, 0.5, "raced_out")

"""A small real archive, and the assembly with its slow or random parts replaced by shipped records."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperagent import assembly as real
from hyperagent.assembly import EditingTest, FormatRow, PackFacts, PackRow
from hyperagent.cli import app
from hyperagent.cli.context import Context
from hyperagent.config import Config, to_json
from hyperagent.errors import NotFoundError
from hyperagent.protocols import Archive, Observer
from hyperagent.types import (
    Campaign,
    CampaignResult,
    CampaignState,
    Caps,
    ChatReply,
    Evaluation,
    Interval,
    Measure,
    Needs,
    Outcome,
    PairedTest,
    Plan,
    Progress,
    ReplayReport,
    SandboxInfo,
    Scorecard,
    Spend,
    Split,
    Variant,
)

HOSTILE = "I won\x1b[2J\x1b]0;owned\x07\u202e [bold]x[/bold]\nsecond line"
TASKS = tuple(f"t{number}" for number in range(20))


def make_campaign(archive: Archive, name: str = "tiny") -> Campaign:
    """Step 0 solves 8 of 20, step 1 (from 0) 16; step 2 has no effect; step 3 (from 1) is screened out."""
    campaign = archive.create_campaign(name, 1, to_json(Config()))
    seed = archive.start_step(campaign.id, 0, None, {})
    _score(archive, seed, {"task_agent.py": b"answer = 1\n"}, 8, "")
    child = archive.start_step(campaign.id, 1, seed.id, {})
    _score(archive, child, {"task_agent.py": b"answer = 2\n# \x1b[2J\x07\n"}, 16, HOSTILE)
    idle = archive.start_step(campaign.id, 2, seed.id, {})
    archive.finish_variant(idle.id, "no_effect", reason="only README.md changed")
    worse = archive.start_step(campaign.id, 3, child.id, {})
    archive.commit_program(worse.id, {"task_agent.py": b"answer = 3\n"}, "worse")
    archive.finish_variant(worse.id, "screened_out", score=0.0, summary="worse")
    return archive.set_campaign_state(campaign.id, "finished")


def _score(archive: Archive, variant: Variant, tree: Mapping[str, bytes], right: int, summary: str) -> None:
    archive.commit_program(variant.id, tree, "program")
    info = SandboxInfo("process", "none", warnings=("isolates nothing",))
    evaluation = archive.start_evaluation(variant.id, "math_grading", "validation", TASKS, 5, "context", info)
    for number, task in enumerate(TASKS):
        archive.add_outcome(evaluation.id, Outcome(task, "scored", float(number < right), '"yes"'))
    archive.finish_evaluation(evaluation.id, "finished", right / len(TASKS))
    archive.finish_variant(variant.id, "evaluated", score=right / len(TASKS), summary=summary)


@dataclass
class FakeRunner:
    """Ends in a state that the test chose, after one report of progress."""

    campaign: Campaign
    archive: Archive
    observer: Observer
    state: CampaignState
    lost: int
    during: Callable[[FakeRunner], None]
    stops: int = 0
    cancels: int = 0
    closed: bool = False

    def run(self) -> CampaignResult:
        best = self.archive.variants(self.campaign.id)[1]
        self.observer.progress(
            Progress(
                self.campaign, 1, 4, 3, ((4, "screen 2/5"),), best, Interval(0.8, 0.58, 0.92, 20), None, Spend(),
                Caps(variants=4, tokens=1000), 5.0, 60.0,
            )
        )  # fmt: skip
        self.observer.message(f"note {HOSTILE}")
        self.during(self)
        campaign = self.archive.set_campaign_state(self.campaign.id, self.state, "tokens")
        return CampaignResult(campaign, 1, self.lost)

    def request_stop(self) -> None:
        self.stops += 1

    def cancel(self) -> None:
        self.cancels += 1

    def close(self) -> None:
        self.closed = True


class FakeAssembly:
    """Archives and scores are real; models, sandboxes and campaigns are what the test says."""

    def __init__(self) -> None:
        self.state: CampaignState = "finished"
        self.lost = 0
        self.during: Callable[[FakeRunner], None] = lambda runner: None
        self.runners: list[FakeRunner] = []
        self.configs: list[Config] = []
        self.divergence = ""
        self.checks = [SimpleNamespace(name="docker", state="ok", detail="20.10", fix="")]
        self.holder: dict[str, Any] | None = None
        self.open_archive = real.open_archive
        self.scores = real.scores
        self.intervals = real.intervals
        self.compare_variants, self.compare_campaigns = real.compare_variants, real.compare_campaigns
        self.variant_details, self.export_program = real.variant_details, real.export_program
        self.conversation, self.conversations, self.turns = real.conversation, real.conversations, real.turns
        self.tested: list[tuple[list[int], int | None]] = []

    def interval(self, archive: Archive, variant: Variant, split: Split = "validation") -> Interval | None:
        return real.interval(archive, variant, split)

    def paired(self, archive: Archive, a: Variant, b: Variant, split: Split) -> PairedTest:
        return real.paired(archive, a, b, split)

    def plan(self, config: Config) -> Plan:
        return Plan(config.budget.variants, 16, 100, 40, 500, 60_000, 1.5, ("a note",))

    def new_campaign(self, config: Config, archive: Archive, observer: Observer) -> FakeRunner:
        self.configs.append(config)
        return self._runner(make_campaign(archive, config.name), archive, observer)

    def resume_campaign(
        self, campaign: Campaign, archive: Archive, observer: Observer, change: Any = None
    ) -> FakeRunner:
        self.configs.append(change(Config()) if change else Config())
        return self._runner(campaign, archive, observer)

    def _runner(self, campaign: Campaign, archive: Archive, observer: Observer) -> FakeRunner:
        self.runners.append(FakeRunner(campaign, archive, observer, self.state, self.lost, self.during))
        return self.runners[-1]

    def replayer(self, archive: Archive, observer: Observer) -> Any:
        def report(what: Any) -> Callable[[Variant], ReplayReport]:
            same = not self.divergence and what != "live"
            return lambda variant, task="": ReplayReport(variant, what, same, 1 if task else 20, self.divergence)

        return SimpleNamespace(
            evaluation=report("evaluation"), mutation=report("mutation"), live=report("live"), close=lambda: None
        )

    def evaluate_test(
        self, variants: Sequence[Variant], archive: Archive, observer: Observer, limit: int | None = None
    ) -> Mapping[str, Sequence[Evaluation]]:
        self.tested.append(([variant.step for variant in variants], limit))
        for variant in variants:
            evaluation = archive.start_evaluation(
                variant.id, "math_grading", "test", ("h1", "h2"), 0, "context", SandboxInfo("process", "none")
            )
            for task in ("h1", "h2"):
                archive.add_outcome(evaluation.id, Outcome(task, "scored", float(variant.step > 0)))
            archive.finish_evaluation(evaluation.id, "finished", float(variant.step > 0))
        return {variant.id: archive.evaluations(variant.id) for variant in variants}

    def scorecards(self, archive: Archive, variant: Variant, split: Split) -> Mapping[str, Scorecard]:
        accuracy = Measure(Interval(0.8, 0.58, 0.92, 20), "score")
        constant = Measure(Interval(0.5, 0.3, 0.7, 20), "control")
        return {"math_grading": Scorecard({"accuracy": accuracy, "constant": constant})}

    def benchmark_facts(self, name: str) -> PackFacts:
        return PackFacts("higher", "label", 10, False, Needs(), None)

    def doctor(self, path: Path) -> Any:
        return self.checks

    def sandbox_checks(self) -> Any:
        return self.checks

    def benchmarks(self) -> Mapping[str, Path]:
        return {"math_grading": Path("packs/math_grading")}

    def describe_benchmark(self, name: str, source: str) -> Any:
        if name != "math_grading":
            raise NotFoundError(f"no benchmark {name!r}", hint="math_grading")
        tasks = {"train": 7, "validation": 7, "test": 7}
        return PackRow(name, "about", "accuracy", "made", ("made",), ("yes",), "MIT", "us", "", tasks, ())

    def fetch_benchmark(self, name: str, source: str, from_directory: Path | None, progress: Any) -> None:
        progress("50%")

    def models(self) -> Any:
        return [
            SimpleNamespace(name="small", size_mb=98, memory_mb=300, licence="Apache-2.0", present=True, path=Path("m"))
        ]

    def pull_model(self, name: str, progress: Any) -> None:
        progress(1, 2)

    def test_model(self, model: str, api_base: str) -> ChatReply:
        return ChatReply({"content": HOSTILE}, "stop", 3, 4)

    def test_editing(self, model: str, api_base: str, trials: int, report: Any) -> Any:
        report("menu: 1 of 3")
        return EditingTest(model, "docker", [FormatRow("menu", trials, 3, 3, 3, 2, 1, 4.2, HOSTILE)], "menu")

    def build_image(self, progress: Any) -> str:
        return "hyperagent:1"

    def lock_holder(self, path: Path) -> Mapping[str, Any] | None:
        return self.holder


@pytest.fixture
def fake() -> FakeAssembly:
    return FakeAssembly()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "archive"
    archive = real.open_archive(path, write=True, create=True)
    make_campaign(archive)
    archive.close()
    return path


@pytest.fixture
def home(made_once: Path, tmp_path: Path) -> Path:
    """An archive of the test's own with the campaign ``tiny``."""
    return shutil.copytree(made_once, tmp_path / "archive")


@pytest.fixture
def invoke(fake: FakeAssembly, tmp_path: Path) -> Callable[..., Any]:
    """Runs a command line on the archive of the test; the result has exit_code, stdout and stderr."""

    def run(*words: str, archive: Path | None = tmp_path / "archive") -> Any:
        environment = {"HYPERAGENT_ARCHIVE": str(archive)} if archive else {}
        context = replace(Context(environment=environment), given=fake)
        return CliRunner().invoke(app, list(words), obj=context)

    return run

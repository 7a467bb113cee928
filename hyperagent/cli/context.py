"""What every command gets: the assembly's functions, the environment, and the way to the archive.

A test passes its own :class:`Context` (``runner.invoke(app, [...], obj=Context(given=...))``).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, cast

import typer

from hyperagent.cli.completion import ARCHIVE_VARIABLE, DEFAULT_ARCHIVE, complete_campaign
from hyperagent.errors import NotFoundError

if TYPE_CHECKING:
    from hyperagent.assembly import (
        BenchmarkRun,
        Check,
        Costs,
        EditingTest,
        ModelRow,
        PackCheck,
        PackFacts,
        PackRow,
        Scored,
        ServerBench,
    )
    from hyperagent.cli.searches import ComparisonRunner, ImprovementRunner
    from hyperagent.cli.watches import CampaignWatch
    from hyperagent.config import Config
    from hyperagent.protocols import Archive, Observer
    from hyperagent.types import (
        Campaign,
        CampaignComparison,
        CampaignReplay,
        CampaignResult,
        ChatReply,
        Comparison,
        Details,
        Evaluation,
        Graft,
        Interval,
        Json,
        ModelCall,
        PairedTest,
        Plan,
        ReplayReport,
        Scorecard,
        Skill,
        SkillSource,
        Split,
        Turn,
        Variant,
    )

ArchiveOption = Annotated[
    Path | None, typer.Option("--archive", help="Archive home; else $HYPERAGENT_ARCHIVE, else ./archive.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
CampaignArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[CAMPAIGN]", help="Name or id prefix; omitted: the newest.", autocompletion=complete_campaign
    ),
]

Breakdown = Literal["model", "purpose", "variant", "day"]
"""What costs are broken down by."""
Progress = Callable[..., None]
"""Called with a line of text, or with (bytes done, bytes in all)."""


class BenchmarkRunner(Protocol):
    def run(self) -> BenchmarkRun: ...
    def request_stop(self) -> None: ...
    def cancel(self) -> None: ...
    def close(self) -> None: ...


class ModelServer(Protocol):
    """A running server; see ``hyperagent.models.serving``."""

    order: Any
    log: Path

    @property
    def base_url(self) -> str: ...
    @property
    def pid(self) -> int: ...
    def wait(self) -> None: ...
    def close(self) -> None: ...


class Runner(Protocol):
    def run(self) -> CampaignResult: ...
    def request_stop(self) -> None: ...
    def cancel(self) -> None: ...
    def close(self) -> None: ...


class Replayer(Protocol):
    def evaluation(self, variant: Variant, task: str = "") -> ReplayReport: ...
    def mutation(self, variant: Variant) -> ReplayReport: ...
    def live(self, variant: Variant) -> ReplayReport: ...
    def close(self) -> None: ...


class Assembly(Protocol):
    """The functions of ``hyperagent.assembly`` that commands call."""

    def open_archive(self, path: Path, write: bool = False, create: bool = False) -> Archive: ...
    def plan(self, config: Config) -> Plan: ...
    def new_campaign(self, config: Config, archive: Archive, observer: Observer) -> Runner: ...
    def resume_campaign(
        self,
        campaign: Campaign,
        archive: Archive,
        observer: Observer,
        change: Callable[[Config], Config] | None = None,
    ) -> Runner: ...
    def replayer(self, archive: Archive, observer: Observer) -> Replayer: ...
    def replay_campaign(
        self, archive: Archive, campaign: Campaign, observer: Observer, into: Path | None = None
    ) -> CampaignReplay: ...
    def evaluate_test(
        self, variants: Sequence[Variant], archive: Archive, observer: Observer, limit: int | None = None
    ) -> Mapping[str, Sequence[Evaluation]]: ...
    def scores(
        self, archive: Archive, variant: Variant, split: Split
    ) -> Mapping[str, tuple[Sequence[str], Sequence[float]]]: ...
    def paired(self, archive: Archive, a: Variant, b: Variant, split: Split) -> PairedTest: ...
    def interval(self, archive: Archive, variant: Variant, split: Split = "validation") -> Interval | None: ...
    def intervals(
        self, archive: Archive, campaign: str, variants: Sequence[Variant] | None = None, split: Split = "validation"
    ) -> Mapping[str, Interval]: ...
    def compare_variants(
        self, archive: Archive, a: Variant, b: Variant, split: Split, benchmark: str = ""
    ) -> Comparison: ...
    def compare_campaigns(self, archive: Archive, a: Sequence[str], b: Sequence[str]) -> CampaignComparison: ...
    def variant_details(self, archive: Archive, variant: Variant) -> Details: ...
    def conversations(self, archive: Archive, variant: Variant) -> Mapping[str, str]: ...
    def conversation(self, archive: Archive, variant: Variant, task: str) -> str: ...
    def turns(self, archive: Archive, variant: Variant, task: str) -> Sequence[Turn]: ...
    def export_program(self, archive: Archive, variant: Variant, directory: Path) -> int: ...
    def scorecards(self, archive: Archive, variant: Variant, split: Split) -> Mapping[str, Scorecard]: ...
    def campaign_skills(self, archive: Archive, campaign: Campaign) -> Sequence[Skill]: ...
    def find_skill(self, archive: Archive, reference: str, campaign: str | None) -> tuple[Campaign, Skill]: ...
    def skill_source(self, archive: Archive, campaign: Campaign, skill: Skill, *, alone: bool) -> SkillSource: ...
    def graft(
        self,
        archive: Archive,
        found: tuple[Campaign, Skill],
        into: Path,
        directory: Path,
        *,
        callers: bool,
        replace: bool,
        environment: Mapping[str, str],
    ) -> Graft: ...
    def skill_rows(self, archive: Archive, campaign: Campaign) -> Sequence[Mapping[str, Json]]: ...
    def campaign_regressions(self, archive: Archive, campaign: str) -> Sequence[Any]: ...
    def ensemble(
        self,
        archive: Archive,
        campaign: Campaign,
        size: int,
        weighing: Literal["majority", "confidence"],
        *,
        test: bool,
        pay: bool,
        observer: Observer,
    ) -> Any: ...
    def campaign_costs(self, archive: Archive, campaign: Campaign, by: Breakdown) -> Costs: ...
    def recorded_calls(self, archive: Archive, job: str, task: str | None) -> Sequence[ModelCall]: ...
    def call_record(self, archive: Archive, call: ModelCall) -> Mapping[str, Json]: ...
    def export_calls(self, archive: Archive, campaign: Campaign, path: Path, *, force: bool) -> int: ...
    def page_data(
        self, archive: Archive, campaign: Campaign, *, hidden: bool = False, skills: Sequence[Mapping[str, Json]] = ()
    ) -> dict[str, Json]: ...
    def index_data(self, archive: Archive) -> dict[str, Json]: ...
    def index_mark(self, archive: Archive) -> int: ...
    def best(self, archive: Archive, campaign: str) -> Variant | None: ...
    def export_bundle(
        self, archive: Archive, campaign: Campaign, file: Path, *, lineage: Variant | None, calls: bool, force: bool
    ) -> Mapping[str, Json]: ...
    def export_outcomes(
        self, archive: Archive, campaign: Campaign, file: Path, *, lineage: Variant | None, with_test: bool, force: bool
    ) -> int: ...
    def import_bundle(self, archive: Archive, file: Path, name: str = "") -> Campaign: ...
    def doctor(self, archive_path: Path) -> Sequence[Check]: ...
    def benchmarks(self) -> Mapping[str, Path]: ...
    def describe_benchmark(self, name: str, source: str) -> PackRow: ...
    def fetch_benchmark(self, name: str, source: str, from_directory: Path | None, progress: Progress) -> Any: ...
    def benchmark_facts(self, name: str) -> PackFacts: ...
    def benchmark_schema(self) -> str: ...
    def init_benchmark(self, name: str, directory: Path, examiner: bool) -> Path: ...
    def validate_benchmark(
        self, name: str, source: str, config: Config, archive_path: Path, report: Progress
    ) -> Sequence[PackCheck]: ...
    def BenchmarkRunner(  # noqa: N802 - a class of the assembly
        self,
        config: Config,
        archive: Archive,
        observer: Observer,
        *,
        split: Split,
        limit: int,
        workers: int,
        controls: bool,
        report: Callable[[str, int, int], None],
    ) -> BenchmarkRunner: ...
    def ModeComparison(  # noqa: N802 - a class of the assembly
        self, config: Config, archive: Archive, observer: Observer, *, modes: Sequence[str], repeats: int, split: Split
    ) -> ComparisonRunner: ...
    def ImprovementRunner(  # noqa: N802 - a class of the assembly
        self, source: str, config: Config | None, archive: Archive, observer: Observer, *, k: int
    ) -> ImprovementRunner: ...
    def score_predictions(
        self,
        config: Config,
        path: Path,
        split: Split,
        archive_path: Path,
        *,
        workers: int,
        report: Callable[[int, int], None],
        journal: Archive | None = None,
    ) -> Scored: ...
    def imported_file(self, name: str, target: Path | None) -> tuple[str, Path]: ...
    def import_papers(self, source: Path, target: Path, bound: float, random_seed: int) -> Any: ...
    def import_polyglot(self, clone: Path, target: Path) -> str: ...
    def models(self) -> Sequence[ModelRow]: ...
    def pull_model(self, name: str, progress: Progress) -> Any: ...
    def test_model(self, model_string: str, api_base: str) -> ChatReply: ...
    def test_editing(self, model: str, api_base: str, trials: int, report: Progress) -> EditingTest: ...
    def ServeWishes(  # noqa: N802 - a class of the assembly
        self, engine: str, dtype: str, batch: int, context: int, port: int, log: Path | None
    ) -> Any: ...
    def serve_model(self, name: str, wishes: Any, report: Progress) -> ModelServer: ...
    def bench_model(
        self, name: str, wishes: Any, batches: Sequence[int], tokens: int, report: Progress
    ) -> ServerBench: ...
    def build_image(self, progress: Progress) -> str: ...
    def sandbox_checks(self) -> Sequence[Check]: ...
    def CampaignWatch(self, archive: Archive, campaign: str) -> CampaignWatch: ...  # noqa: N802 - a class of the assembly
    def lock_holder(self, path: Path) -> Mapping[str, Any] | None: ...


@dataclass
class Context:
    """What one process works with.

    Attributes:
        given: The assembly's functions, where a test brings its own; else the real ones are imported.
        environment: The process environment.
        home: From ``--archive`` before the verb; a verb's own ``--archive`` is stronger.
        debug: Show tracebacks.
    """

    given: Assembly | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    home: Path | None = None
    debug: bool = False

    @property
    def assembly(self) -> Assembly:
        """Imported on first use: it pulls in the whole engine, which ``--help`` must not wait for."""
        if self.given is None:
            self.given = cast(Assembly, importlib.import_module("hyperagent.assembly"))
        return self.given

    def archive_path(self, option: Path | None) -> Path:
        named = option or self.home or self.environment.get(ARCHIVE_VARIABLE) or DEFAULT_ARCHIVE
        return Path(named).expanduser()

    @contextmanager
    def archive(self, option: Path | None, *, write: bool = False, create: bool = False) -> Iterator[Archive]:
        archive = self.assembly.open_archive(self.archive_path(option), write=write, create=create)
        try:
            yield archive
        finally:
            archive.close()


def context_of(ctx: Any) -> Context:
    """The one context of this process, made on first use."""
    root = ctx.find_root()
    if not isinstance(root.obj, Context):
        root.obj = Context()
    return cast(Context, root.obj)


def find_campaign(archive: Archive, reference: str | None) -> Campaign:
    """The campaign meant; the newest where none is named.

    Raises:
        NotFoundError: No such campaign, or none at all.
    """
    if reference is not None:
        return archive.campaign(reference)
    campaigns = archive.campaigns()
    if not campaigns:
        raise NotFoundError(f"no campaign in the archive {archive.path}", hint="start one with `hyperagent run CONFIG`")
    return max(campaigns, key=lambda campaign: campaign.created)


def pack_reference(context: Context, name: str) -> str:
    """What the assembly takes: a pack's name, or the absolute path of a folder that holds one."""
    folder = Path(name).expanduser()
    if name not in context.assembly.benchmarks() and (folder / "benchmark.toml").is_file():
        return str(folder.resolve())
    return str(folder.absolute()) if "/" in name else name

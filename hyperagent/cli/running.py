"""The ``benchmark`` verbs that score: ``run`` a program, ``score`` predictions made elsewhere."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from hyperagent.cli.boundary import INTERRUPTED, TERMINATED
from hyperagent.cli.campaigns import Interrupts
from hyperagent.cli.context import ArchiveOption, Context, JsonOption, Runner, context_of, pack_reference
from hyperagent.cli.live import PlainObserver
from hyperagent.cli.output import columns, emit, say, write, write_head
from hyperagent.cli.views import label
from hyperagent.errors import BudgetReached, EvaluationsLost, HyperagentError
from hyperagent.report.scorecard import lines as scorecard_lines
from hyperagent.report.table import short, spending
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.assembly import BenchmarkRun
    from hyperagent.config import Config

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A pack's name, or its folder.")]
SourceOption = Annotated[str, typer.Option("--source", help="Data set of the pack; auto = the first real one at hand.")]
SplitOption = Annotated[
    Literal["train", "validation", "test"],
    typer.Option("--split", help="test: the hidden one; every reading of it is recorded."),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, max=64, help="Sandboxes side by side.")]
NO_MODEL = "none"


def benchmark_run(
    ctx: typer.Context,
    name: NameArgument,
    program: Annotated[str, typer.Option("--program", help="A program's folder; seed = the shipped program.")] = "seed",
    source: SourceOption = "auto",
    split: SplitOption = "validation",
    limit: Annotated[int, typer.Option("--limit", min=0, help="Only the first N tasks; 0 = all.")] = 0,
    workers: WorkersOption = 2,
    model: Annotated[
        str, typer.Option("--model", help="Model that solves tasks; none = the program asks none.")
    ] = "local/auto",
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Also run the seed program, and shuffled inputs.")
    ] = True,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. models.max_tokens=64.")
    ] = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Evaluate a program on a benchmark, without a campaign; recorded as one with a single variant."""
    context = context_of(ctx)
    named = "none/none" if model == NO_MODEL else model
    flags = [f"program={program}"] if program != "seed" else []
    config = _config(context, name, source, [f"models.model={named}", *flags, *(settings or [])])
    observer = PlainObserver()
    with context.archive(archive, write=True, create=True) as home, _counter() as report:
        runner = context.assembly.BenchmarkRunner(
            config, home, observer, split=split, limit=limit, workers=workers, controls=controls, report=report
        )
        try:
            # It stops and cancels as a campaign does; what it returns is its own.
            with Interrupts(cast(Runner, runner), observer.message) as interrupts:
                found = runner.run()
        except HyperagentError as error:
            if not interrupts.last:
                if isinstance(error, EvaluationsLost | BudgetReached):
                    say("what is finished stays in the archive; see `hyperagent ls`")
                raise
            say("stopped; what is finished stays in the archive: see `hyperagent ls`")
            raise typer.Exit(TERMINATED if interrupts.last == signal.SIGTERM else INTERRUPTED) from None
        finally:
            runner.close()
    code = EvaluationsLost.exit_code if found.lost else 0
    if json:
        emit(**{name: getattr(found, name) for name in _MEMBERS}, exit_code=code)
    else:
        _show_run(found)
    raise typer.Exit(code)


_MEMBERS = (
    "campaign", "variant", "benchmark", "source", "split", "model", "tasks", "scorecard", "seed", "against_seed",
    "difference", "spend", "lost",
)  # fmt: skip


def _show_run(found: BenchmarkRun) -> None:
    write_head(
        f"{label(found.campaign, found.variant)}  {clean(found.benchmark, 40)} ({clean(found.source, 40)}) "
        f"{found.split}, {found.tasks:,} tasks, {clean(found.model, 60)}"
    )
    write(scorecard_lines(found.scorecard, columns()))
    if found.seed is not None and found.difference is not None:
        gain = found.difference
        interval = f"{gain.estimate:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        line = f"against the seed program ({short(found.seed.id)}): {interval}"
        pair = found.against_seed
        if pair is not None:
            line += f"; {pair.wins} won, {pair.losses} lost of {pair.n}, p = {pair.p_value:.2g}"
        write(["", line])
    say(f"spent {spending(found.spend)}")
    identity = short(found.variant.id)
    say(f"  hyperagent show {identity}      what is recorded")
    if found.split == "validation":
        say(f"  hyperagent replay {identity}    the same bytes again, without a model")
    if found.seed is not None and found.split != "train":
        wanted = " --split test" if found.split == "test" else ""
        say(f"  hyperagent compare {short(found.seed.id)} {identity}{wanted}")


def benchmark_score(
    ctx: typer.Context,
    name: NameArgument,
    predictions: Annotated[
        Path, typer.Option("--predictions", metavar="FILE", help='JSON Lines: {"id": task id, "prediction": ...}.')
    ],
    source: SourceOption = "auto",
    split: SplitOption = "validation",
    workers: WorkersOption = 2,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Score predictions that were made elsewhere; tasks without one count as wrong."""
    context = context_of(ctx)
    config = _config(context, name, source, [])
    path = context.archive_path(archive)
    with _counter() as count:

        def report(done: int, total: int) -> None:
            count("graded", done, total)

        if split == "test":  # a reading of the hidden test leaves a trace
            with context.archive(archive, write=True, create=True) as home:
                found = context.assembly.score_predictions(
                    config, predictions, split, path, workers=workers, report=report, journal=home
                )
        else:
            found = context.assembly.score_predictions(config, predictions, split, path, workers=workers, report=report)
    if json:
        emit(
            benchmark=found.benchmark,
            source=found.source,
            split=found.split,
            tasks=found.tasks,
            missing=found.missing,
            scorecard=found.scorecard,
        )
        return
    write_head(f"{clean(found.benchmark, 40)} ({clean(found.source, 40)}) {found.split}, {found.tasks:,} tasks")
    write(scorecard_lines(found.scorecard, columns()))
    if split == "test":
        say(f"this reading of the hidden test is recorded in {path}")


def _config(context: Context, name: str, source: str, settings: list[str]) -> Config:
    """Defaults, environment and settings, with this one benchmark."""
    from hyperagent.config import load_config

    reference = pack_reference(context, name)
    chosen = [f"benchmarks.0.name={reference}", f"benchmarks.0.source={source}"]
    campaign = f"name=run-{reference.rpartition('/')[2]}"
    return load_config(None, environment=context.environment, settings=[campaign, *settings, *chosen])


class Counter:
    """Counts on stderr: rewritten in place on a terminal, a line each quarter elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._said: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        with self._lock:
            if sys.stderr.isatty():
                print(f"\r\x1b[K{clean(what, 60)} {done}/{total}", end="", file=sys.stderr, flush=True)
                self._open = True
            quarter = 4 * done // max(1, total)
            if quarter != self._said.get(what, 0 if done else -1):
                self._said[what] = quarter
                if not self._open:
                    say(f"{clean(what, 60)} {done}/{total}")

    def close(self) -> None:
        if self._open:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def _counter() -> Iterator[Counter]:
    counter = Counter()
    try:
        yield counter
    finally:
        counter.close()

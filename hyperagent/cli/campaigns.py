"""Verbs that run the loop: ``run``, ``resume``, ``stop``."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from hyperagent.cli.boundary import INTERRUPTED, TERMINATED, Guarded
from hyperagent.cli.context import (
    ArchiveOption,
    CampaignArgument,
    Context,
    JsonOption,
    Runner,
    context_of,
    find_campaign,
)
from hyperagent.cli.live import Watcher, watcher
from hyperagent.cli.output import emit, say, write
from hyperagent.cli.views import show_finish
from hyperagent.errors import (
    BudgetReached,
    EvaluationsLost,
    HyperagentError,
    NotFoundError,
    PrerequisiteError,
    UsageError,
)
from hyperagent.report.table import best_variant, facts
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.config import Config
    from hyperagent.protocols import Archive
    from hyperagent.types import CampaignResult, Plan

PlainOption = Annotated[bool, typer.Option("--plain", help="Plain progress lines, also on a terminal.")]


def register(app: typer.Typer) -> None:
    for name, function in (("run", run), ("resume", resume), ("stop", stop)):
        app.command(name, cls=Guarded)(function)


def run(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(help="TOML file; `hyperagent init` writes one.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and its worst-case cost; run nothing.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. budget.variants=4.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the campaign.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Random seed.")] = None,
    selection: Annotated[
        str | None, typer.Option("--selection", metavar="RULE", help="How parents are chosen, e.g. clade.")
    ] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="What searches: dgm-h, or an ablation of it.")] = None,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="CAMPAIGN[/STEP]", help="Start from a program of another campaign.")
    ] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="PART", help="With --from: meta, task, or both (default) of it.")
    ] = None,
    plain: PlainOption = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Start a campaign. Ctrl-C finishes what is in flight, twice cancels; `resume` goes on."""
    from hyperagent.config import load_config

    context = context_of(ctx)
    if keep is not None and origin is None:
        raise UsageError("--keep says what is kept of --from", hint="name a campaign with --from")
    given = {
        "name": name,
        "seed": seed,
        "search.selection": selection,
        "search.mode": mode,
        "origin.variant": origin,
        "origin.keep": keep,
    }
    flags = [f"{key}={value}" for key, value in given.items() if value is not None]
    effective = load_config(config, environment=context.environment, settings=[*(settings or []), *flags])
    if dry_run:
        show_plan(effective, context.assembly.plan(effective), json)
        return
    with context.archive(archive, write=True, create=True) as home:
        with watcher(plain=plain) as observer:
            ended = _drive(context.assembly.new_campaign(effective, home, observer), observer)
        code = _finish(context, home, *ended, json)
    raise typer.Exit(code)


def resume(
    ctx: typer.Context,
    campaign: CampaignArgument = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Raise a cap for this session, e.g. budget.variants=32."),
    ] = None,
    plain: PlainOption = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Go on with a campaign that was stopped, killed, or ended at a cap."""
    from hyperagent.config import change_resumable

    context = context_of(ctx)
    with context.archive(archive, write=True) as home:
        change = partial(change_resumable, settings=settings) if settings else None
        with watcher(plain=plain) as observer:
            runner = context.assembly.resume_campaign(find_campaign(home, campaign), home, observer, change)
            ended = _drive(runner, observer)
        code = _finish(context, home, *ended, json)
    raise typer.Exit(code)


def stop(
    ctx: typer.Context, campaign: CampaignArgument = None, json: JsonOption = False, archive: ArchiveOption = None
) -> None:
    """Ask the running campaign to finish what is in flight and stop (like one Ctrl-C in its terminal)."""
    context = context_of(ctx)
    path = context.archive_path(archive)
    holder = context.assembly.lock_holder(path)
    pid = int(holder.get("pid", 0)) if holder else 0
    if pid <= 0:
        raise NotFoundError(f"nothing runs on the archive {path}", hint="see `hyperagent status`")
    with context.archive(archive) as home:
        found = find_campaign(home, campaign)
        if campaign is not None and found.state != "running":
            raise NotFoundError(
                f"campaign {found.name} is not running, it is {found.state}", hint="see `hyperagent ls`"
            )
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        raise NotFoundError(f"process {pid} has just ended", hint="see `hyperagent status`") from None
    except PermissionError:
        raise PrerequisiteError(
            f"process {pid} belongs to another user", hint="stop it as that user, or press Ctrl-C in its terminal"
        ) from None
    if json:
        emit(campaign=found.name, pid=pid)
    else:
        say(f"asked process {pid} to stop after what is in flight")


class Interrupts:
    """While entered, the first SIGINT asks the runner to stop, the second (or SIGTERM) cancels, the third breaks off.

    Attributes:
        last: The number of the last signal that came; 0 where none did.
    """

    def __init__(self, runner: Runner, message: Callable[[str], None]) -> None:
        self.last = 0
        self._count = 0
        self._runner = runner
        self._message = message
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *details: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.last = number
        self._count += 1
        if self._count > 2:
            raise KeyboardInterrupt
        # On a thread of its own: the interrupted main thread may hold a lock that the runner needs.
        gentle = number == signal.SIGINT and self._count == 1
        threading.Thread(target=self._stop if gentle else self._cancel, daemon=True).start()

    def _stop(self) -> None:
        self._message("stopping: finishing what is in flight; Ctrl-C again cancels it")
        self._runner.request_stop()

    def _cancel(self) -> None:
        self._message("cancelling what is in flight")
        self._runner.cancel()


def _drive(runner: Runner, observer: Watcher) -> tuple[CampaignResult, int]:
    """Run to the end; the result and the last signal that came meanwhile (0 = none)."""
    try:
        with Interrupts(runner, observer.message) as interrupts:
            return runner.run(), interrupts.last
    finally:
        runner.close()


def exit_code(result: CampaignResult, last_signal: int) -> int:
    """0 finished, 130/143 stopped by a signal, 5 tasks lost, 4 a cap reached, 1 failed."""
    state = result.campaign.state
    if last_signal and state != "finished":
        return TERMINATED if last_signal == signal.SIGTERM else INTERRUPTED
    if state == "failed":
        return HyperagentError.exit_code
    if result.lost:
        return EvaluationsLost.exit_code
    return BudgetReached.exit_code if state == "budget_reached" else 0


def _finish(context: Context, archive: Archive, result: CampaignResult, last_signal: int, json: bool) -> int:
    code = exit_code(result, last_signal)
    campaign = result.campaign
    if json:
        best = best_variant(archive.variants(campaign.id))
        emit(campaign=campaign, done=result.done, lost=result.lost, best=best, exit_code=code)
    else:
        show_finish(context, archive, campaign)
    if result.lost:
        say(f"{result.lost} tasks have no outcome because infrastructure failed; `resume` runs them again")
    if campaign.state != "finished":
        why = f" ({clean(campaign.reason, 200)})" if campaign.reason else ""
        say(f"{campaign.state.replace('_', ' ')}{why}; go on with: hyperagent resume {campaign.name}")
    return code


def show_plan(config: Config, plan: Plan, json: bool) -> None:
    from hyperagent.config import to_json

    if json:
        emit(plan=plan, config=to_json(config))
        return
    write(
        facts(
            [
                ("campaign", clean(config.name, 60)),
                ("model", clean(config.models.model, 80)),
                ("variants", f"{plan.variants:,} beyond the seed, in at most {plan.steps:,} attempts"),
                ("tasks per variant", f"{plan.tasks_per_variant:,} validation, {plan.train_tasks:,} train"),
                ("model calls", f"at most {plan.model_calls:,}"),
                ("tokens", f"at most {plan.tokens:,}"),
                ("cost", f"at most ${plan.cost:,.2f}"),
                *(("note", clean(note, 300)) for note in plan.notes),
            ]
        )
    )

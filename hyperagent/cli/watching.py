"""``watch``: a campaign on the whole screen while it runs, from a terminal of its own. It only reads."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, CampaignArgument, JsonOption, context_of, find_campaign
from hyperagent.cli.output import columns, emit, unicode_output, write_tree
from hyperagent.errors import PrerequisiteError
from hyperagent.report import watching as report
from hyperagent.report.tree import Line

if TYPE_CHECKING:
    from hyperagent.types import Snapshot

_EVENTS = 10


def register(app: typer.Typer) -> None:
    app.command("watch", cls=Guarded)(watch)


def watch(
    ctx: typer.Context, campaign: CampaignArgument = None, json: JsonOption = False, archive: ArchiveOption = None
) -> None:
    """A live view of a campaign on the whole terminal; in a pipe, how it stands now. The run never waits for it."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        looking = context.assembly.CampaignWatch(home, find_campaign(home, campaign).id)
        if json:
            emit(**members(looking.snapshot))
        elif sys.stdout.isatty() and sys.stdin.isatty():
            try:
                # Here and not above: textual takes a third of a second to import.
                from hyperagent.cli.screen import WatchApp
            except ImportError as error:
                raise PrerequisiteError(
                    f"the live view needs textual: {error}", hint="pip install textual, or `hyperagent watch | cat`"
                ) from error
            app = WatchApp(looking, unicode=unicode_output())
            app.run()
            raise typer.Exit(app.return_code or 0)
        else:
            write_tree(still(looking.snapshot, columns(), unicode=unicode_output()))


def members(snapshot: Snapshot) -> dict[str, object]:
    """A snapshot as JSON: who the variants are is what ``ls`` tells, so here they are counted only."""
    progress = snapshot.progress
    return {
        "campaign": {"id": progress.campaign.id, "name": progress.campaign.name, "state": progress.campaign.state,
                     "reason": progress.campaign.reason},
        "session": snapshot.session,
        "pid": snapshot.pid,
        "workers": snapshot.workers,
        "activities": snapshot.activities,
        "done": progress.done,
        "target": progress.target,
        "attempts": progress.attempts,
        "best": progress.best,
        "best_interval": progress.best_interval,
        "seed_interval": progress.seed_interval,
        "spend": progress.spend,
        "caps": progress.caps,
        "seconds": progress.seconds,
        "eta": progress.eta,
        "forecast": {"tokens": report.forecast(progress, progress.spend.tokens),
                     "cost": report.forecast(progress, progress.spend.cost)},
        "events": snapshot.events[-_EVENTS:],
    }  # fmt: skip


def still(snapshot: Snapshot, width: int, *, unicode: bool) -> list[Line]:
    """The same as lines, for a pipe or a log."""
    parts = [
        [report.head(snapshot, width), *report.standing(snapshot.progress, width)],
        report.budgets(snapshot.progress, width),
        report.workers(snapshot, time.time(), width),
        report.happenings(snapshot, width, _EVENTS),
    ]
    lines: list[Line] = []
    for part in parts:
        lines += [(), *part] if lines else part
    return lines if unicode else report.ascii_lines(lines)

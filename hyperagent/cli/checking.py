"""Verbs that check claims: ``replay``, ``test``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.comparing import show_pair
from hyperagent.cli.context import ArchiveOption, JsonOption, Replayer, context_of
from hyperagent.cli.live import watcher
from hyperagent.cli.output import emit, write
from hyperagent.cli.showing import VariantArgument
from hyperagent.cli.views import label
from hyperagent.errors import ReplayDiverged, UsageError
from hyperagent.report.table import interval
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import ReplayReport, Variant


def register(app: typer.Typer) -> None:
    for name, function in (("replay", replay), ("test", hidden_test)):
        app.command(name, cls=Guarded)(function)


def replay(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Unique id prefixes, or CAMPAIGN/STEP.")],
    mutation: Annotated[bool, typer.Option("--mutation", help="Rerun the mutation that made it.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Use the model instead of the recorded calls.")] = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Rebuild variants and rerun them from recorded calls; exit code 1 where one byte differs."""
    if mutation and live:
        raise UsageError("--mutation and --live exclude each other", hint="run `replay` twice")
    context = context_of(ctx)
    # A live replay records its calls; a recorded one only reads, and may run beside a campaign.
    with context.archive(archive, write=live) as home, watcher(plain=True) as observer:
        variants = [home.variant(reference) for reference in ids]
        replayer = context.assembly.replayer(home, observer)
        reports = []
        try:
            for variant in variants:
                reports.append(_replay(replayer, variant, mutation, live))
                if not json:
                    write([_replay_line(home, reports[-1])])
        finally:
            replayer.close()
    if json:
        emit(reports=reports)
    if not live and not all(report.identical for report in reports):
        raise typer.Exit(ReplayDiverged.exit_code)


def _replay(replayer: Replayer, variant: Variant, mutation: bool, live: bool) -> ReplayReport:
    if mutation:
        return replayer.mutation(variant)
    return replayer.live(variant) if live else replayer.evaluation(variant)


def _replay_line(archive: Archive, report: ReplayReport) -> str:
    name = label(archive.campaign(report.variant.campaign), report.variant)
    if report.what == "live":
        return f"live       {name}  recorded {interval(report.recorded)}, now {interval(report.replayed)}"
    unit = "programs" if report.what == "mutation" else "tasks"
    if report.identical:
        return f"identical  {name}  {report.what}, {report.compared} {unit}"
    return f"diverged   {name}  {report.what}: {clean(report.divergence, 400)}"


def hidden_test(
    ctx: typer.Context,
    variant: VariantArgument,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N tasks of the split.")] = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Score a variant and its seed program on the hidden split; recorded, and never seen by the search."""
    context = context_of(ctx)
    with context.archive(archive, write=True) as home, watcher(plain=True) as observer:
        found = home.variant(variant)
        seed = home.variants(found.campaign)[0]
        context.assembly.evaluate_test([seed, found] if seed.id != found.id else [found], home, observer, limit)
        show_pair(context, home, seed, found, "test", json)

"""``replay``: variants run again from their records; and one conversation read turn by turn."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.completion import complete_either
from hyperagent.cli.context import ArchiveOption, Context, JsonOption, Replayer, context_of, find_campaign
from hyperagent.cli.live import watcher
from hyperagent.cli.output import columns, emit, say, unicode_output, write, write_head
from hyperagent.cli.views import label
from hyperagent.errors import NotFoundError, ReplayDiverged, UsageError
from hyperagent.report.replaying import campaign_lines, report_lines, summary, turn_lines

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Campaign, ReplayReport, Turn, Variant

MUTATION = "mutation"


def register(app: typer.Typer) -> None:
    app.command("replay", cls=Guarded)(replay)


def replay(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...",
            help="Unique id prefixes, or CAMPAIGN/STEP; or one CAMPAIGN; with --all, campaigns.",
            autocompletion=complete_either,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every evaluated variant of the campaign.")] = False,
    since: Annotated[int, typer.Option("--since", metavar="STEP", min=0, help="As --all, from that step on.")] = 0,
    task: Annotated[str, typer.Option("--task", metavar="TASK", help="Only that task.")] = "",
    step_through: Annotated[
        bool, typer.Option("--step-through", help="Run nothing: read the conversation of --task turn by turn.")
    ] = False,
    mutation: Annotated[bool, typer.Option("--mutation", help="Rerun the mutation that made it.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Use the model instead of the recorded calls.")] = False,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="DIR", help="CAMPAIGN: keep the archive that is made, in this new folder."),
    ] = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Rebuild variants, or a whole campaign, and rerun them from recorded calls; exit code 1 where one byte differs."""
    _check(ids or [], every or since > 0, task, step_through, mutation, live)
    context = context_of(ctx)
    alone = len(ids or []) == 1 and not (every or since or task or step_through or mutation or live)
    if into is not None and not alone:
        raise UsageError("--into goes with the replay of one whole campaign", hint="replay CAMPAIGN --into DIR")
    if alone:
        with context.archive(archive) as home:
            campaign = _campaign(home, (ids or [""])[0], only=into is not None)
            if campaign is not None:
                _replay_campaign(context, home, campaign, into, json)
                return
    # A live replay records its calls; a recorded one only reads, and may run beside a campaign.
    with context.archive(archive, write=live) as home:
        if step_through:
            _step_through(context, home, home.variant((ids or [""])[0]), MUTATION if mutation else task, json)
            return
        variants = _chosen(home, ids or [], every or since > 0, since, mutation)
        reports = _replay_all(context, home, variants, (task, mutation, live), json)
    if json:
        emit(reports=reports)
    elif len(reports) > 1 and not live:
        write(["", summary(reports)])
    if not live and not all(report.identical for report in reports):
        raise typer.Exit(ReplayDiverged.exit_code)


def _campaign(archive: Archive, reference: str, *, only: bool) -> Campaign | None:
    """The campaign that a reference names; None where it names a variant, which goes first, or neither."""
    if not only:
        with suppress(NotFoundError):
            archive.variant(reference)
            return None
    try:
        return archive.campaign(reference)
    except NotFoundError:
        if only:
            raise
        return None  # the variant's own error says more


def _replay_campaign(context: Context, archive: Archive, campaign: Campaign, into: Path | None, json: bool) -> None:
    with watcher(plain=True) as observer:
        found = context.assembly.replay_campaign(archive, campaign, observer, into)
    if json:
        emit(replay=found)
    else:
        write(campaign_lines(found, columns()))
    if not found.identical:
        raise typer.Exit(ReplayDiverged.exit_code)


def _check(ids: Sequence[str], every: bool, task: str, step_through: bool, mutation: bool, live: bool) -> None:
    if mutation and live:
        raise UsageError("--mutation and --live exclude each other", hint="run `replay` twice")
    if task and (mutation or live):
        raise UsageError("--task goes with a replay of the evaluation", hint="leave out --mutation or --live")
    if not ids and not every:
        raise UsageError("replay needs a variant", hint="name one, or --all")
    if step_through and (len(ids) != 1 or every or live or not (task or mutation)):
        raise UsageError(
            "--step-through reads one conversation of one variant", hint="name ID and --task TASK, or ID and --mutation"
        )


def _chosen(archive: Archive, ids: Sequence[str], every: bool, since: int, mutation: bool) -> list[Variant]:
    if not every:
        return [archive.variant(reference) for reference in ids]
    campaigns = [find_campaign(archive, reference) for reference in ids] or [find_campaign(archive, None)]
    found = [
        variant
        for campaign in campaigns
        for variant in archive.variants(campaign.id)
        if variant.step >= since
        and variant.status in ("evaluated", "screened_out", "raced_out")
        and (variant.step or not mutation)
    ]
    if not found:
        raise UsageError(f"no evaluated variant from step {since} on", hint="see `hyperagent ls CAMPAIGN`")
    return found


def _replay_all(
    context: Context, archive: Archive, variants: Sequence[Variant], how: tuple[str, bool, bool], json: bool
) -> list[ReplayReport]:
    reports: list[ReplayReport] = []
    with watcher(plain=True) as observer:
        replayer = context.assembly.replayer(archive, observer)
        try:
            for number, variant in enumerate(variants, start=1):
                name = label(archive.campaign(variant.campaign), variant)
                if len(variants) > 1:
                    say(f"[{number}/{len(variants)}] {name}")
                reports.append(_replay(replayer, variant, *how))
                if not json:
                    write(report_lines(name, reports[-1], columns(), unicode_output()))
        finally:
            replayer.close()
    return reports


def _replay(replayer: Replayer, variant: Variant, task: str, mutation: bool, live: bool) -> ReplayReport:
    if mutation:
        return replayer.mutation(variant)
    if live:
        return replayer.live(variant)
    return replayer.evaluation(variant, task) if task else replayer.evaluation(variant)


def _step_through(context: Context, archive: Archive, variant: Variant, task: str, json: bool) -> None:
    turns = context.assembly.turns(archive, variant, task)
    if json:
        emit(variant=variant.id, task=task, turns=turns)
        return
    for number, turn in _paced(turns):
        write_head(f"turn {number} of {len(turns)}")
        write([*turn_lines(turn, columns()), ""])


def _paced(turns: Sequence[Turn]) -> Iterator[tuple[int, Turn]]:
    """On a terminal one turn after each Enter; ``q`` or the end of input ends it."""
    for number, turn in enumerate(turns, start=1):
        yield number, turn
        if number < len(turns) and sys.stdin.isatty() and sys.stdout.isatty():
            say("Enter: next turn, q: quit")
            if sys.stdin.readline().strip().lower() in ("q", "quit"):
                return

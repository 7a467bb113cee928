"""Verbs about what a campaign found: ``regressions`` and ``ensemble``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, CampaignArgument, JsonOption, context_of, find_campaign
from hyperagent.cli.live import PlainObserver
from hyperagent.cli.output import columns, emit, record, say, write, write_head
from hyperagent.cli.views import label
from hyperagent.report.table import facts, interval, short, table
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.assembly import Ensemble, EnsembleScore, Regression
    from hyperagent.types import Interval


def register(app: typer.Typer) -> None:
    app.command("regressions", cls=Guarded)(regressions)
    app.command("ensemble", cls=Guarded)(ensemble)


def regressions(
    ctx: typer.Context, campaign: CampaignArgument = None, json: JsonOption = False, archive: ArchiveOption = None
) -> None:
    """Edits after which the descendants got worse: each edit's whole subtree against the program that was edited."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        found = find_campaign(home, campaign)
        losses = context.assembly.campaign_regressions(home, found.id)
    if json:
        emit(campaign=found.name, correction="holm", regressions=[record(one) for one in losses])
        return
    if not losses:
        say(f"no edit of {clean(found.name, 60)} made its lineage worse")
        return
    headers = ("step", "id", "parent", "family", "difference", "p", "p (Holm)", "what changed")
    write(table(headers, [_row(one) for one in losses], columns(), frozenset(headers[2:4] + headers[5:7] + ("step",))))
    say("small losses are expected: parents are chosen for scores that luck made high")


def _row(one: Regression) -> tuple[str, ...]:
    return (
        str(one.child.step),
        short(one.child.id),
        str(one.parent.step),
        str(one.family),
        _signed(one.difference),
        f"{one.p_value:.2g}",
        f"{one.corrected:.2g}",
        clean(one.child.summary, 60),
    )


def _signed(value: Interval) -> str:
    return f"{value.estimate:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"


def ensemble(
    ctx: typer.Context,
    campaign: CampaignArgument = None,
    size: Annotated[int, typer.Option("--size", min=1, max=99, help="Most members.")] = 5,
    weighing: Annotated[
        Literal["majority", "confidence"], typer.Option("--votes", help="One vote each, or weighed by confidence.")
    ] = "majority",
    test: Annotated[bool, typer.Option("--test", help="Report on the hidden test; the reading is journalled.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Evaluate what is missing on the hidden test.")] = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Choose variants whose votes are best on validation, from what is recorded; nothing is run for that."""
    context = context_of(ctx)
    with context.archive(archive, write=test) as home:
        chosen = find_campaign(home, campaign)
        found = context.assembly.ensemble(home, chosen, size, weighing, test=test, pay=yes, observer=PlainObserver())
    if json:
        emit(**{name: record(getattr(found, name)) for name in _MEMBERS})
        return
    _show(found)
    if test and found.test is None:
        say(f"the hidden test lacks {found.missing:,} task evaluations of these variants: --yes runs them")


_MEMBERS = ("weighing", "members", "single", "candidates", "validation", "test", "missing")


def _show(found: Ensemble) -> None:
    write_head(f"{len(found.members)} of {found.candidates} variants, {found.weighing} votes")
    write(f"  {label(found.campaign, one)}  {clean(one.summary, 60)}".rstrip() for one in found.members)
    rows = [("best single", label(found.campaign, found.single)), *_lines(found.validation)]
    rows += _lines(found.test) if found.test is not None else []
    write(["", *facts(rows)])
    say("they were chosen on validation, which flatters them; only the hidden test says what they are worth")


def _lines(compared: EnsembleScore) -> list[tuple[str, str]]:
    pair = f"{interval(compared.ensemble)} against {interval(compared.single)}, {_signed(compared.difference)}"
    return [(compared.split, pair)]

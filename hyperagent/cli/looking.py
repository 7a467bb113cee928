"""Verbs that look at an archive: ``status``, ``ls``, ``diff``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, CampaignArgument, JsonOption, context_of, find_campaign
from hyperagent.cli.output import coloured_diff, columns, emit, record, write
from hyperagent.cli.showing import VariantArgument
from hyperagent.cli.views import intervals, label
from hyperagent.errors import UsageError
from hyperagent.report.comparing import flip_table, verdict
from hyperagent.report.table import (
    best_variant,
    campaign_table,
    facts,
    moment,
    score,
    short,
    spending,
    variant_table,
)
from hyperagent.report.text import clean, clean_block

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Campaign, Variant


def register(app: typer.Typer) -> None:
    verbs = (("status", status), ("ls", ls), ("diff", diff))
    for name, function in verbs:
        app.command(name, cls=Guarded)(function)


def status(
    ctx: typer.Context, campaign: CampaignArgument = None, json: JsonOption = False, archive: ArchiveOption = None
) -> None:
    """Where a campaign stands: state, variants, best score, spend."""
    context = context_of(ctx)
    holder = context.assembly.lock_holder(context.archive_path(archive))
    with context.archive(archive) as home:
        found = find_campaign(home, campaign)
        variants = home.variants(found.id)
        best, spend = best_variant(variants), home.spend(found.id)
        counts = Counter(variant.status for variant in variants if variant.step > 0)
        best_interval = context.assembly.interval(home, best) if best else None
        seed_interval = context.assembly.interval(home, variants[0]) if variants else None
        if json:
            emit(
                campaign=found,
                writer=dict(holder) if holder else None,
                counts=counts,
                best=best,
                best_interval=best_interval,
                seed_interval=seed_interval,
                spend=spend,
            )
            return
        write(
            facts(
                [
                    ("campaign", f"{clean(found.name, 60)} ({short(found.id)})"),
                    ("state", _state(found, holder is not None)),
                    ("writer", f"process {holder.get('pid')}" if holder else ""),
                    ("created", moment(found.created)),
                    ("variants", ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items())),
                    ("best", f"{score(best, best_interval)}  {label(found, best)}" if best else ""),
                    ("seed", score(variants[0], seed_interval) if variants else ""),
                    ("spent", spending(spend)),
                ]
            )
        )


def _state(campaign: Campaign, held: bool) -> str:
    reason = f" ({clean(campaign.reason, 200)})" if campaign.reason else ""
    if campaign.state == "running" and not held:
        return f"interrupted; go on with `hyperagent resume {clean(campaign.name, 60)}`"
    return f"{campaign.state.replace('_', ' ')}{reason}"


def ls(
    ctx: typer.Context,
    campaign: Annotated[str | None, typer.Argument(metavar="[CAMPAIGN]", help="Omitted: list the campaigns.")] = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """List campaigns, or the variants of one."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        if campaign is None:
            campaigns = home.campaigns()
            steps = {found.id: home.variants(found.id) for found in campaigns}
            if json:
                emit(campaigns=[{**record(found), "variants": len(steps[found.id])} for found in campaigns])
            else:
                write(campaign_table(campaigns, steps, columns()))
            return
        found = home.campaign(campaign)
        variants = home.variants(found.id)
        known = intervals(context, home, variants)
    if json:
        emit(campaign=found.name, variants=[{**record(one), "interval": record(known.get(one.id))} for one in variants])
    else:
        write(variant_table(variants, known, columns()))


def diff(
    ctx: typer.Context,
    a: VariantArgument,
    b: Annotated[str | None, typer.Argument(metavar="[B]", help="Omitted: A against its parent.")] = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """What changed between two programs; with one id, against its parent."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        before, after = _two(home, a, b)
        text = home.diff(before.commit, after.commit)
        try:
            compared = context.assembly.compare_variants(home, before, after, "validation")
        except UsageError:  # they share no task: there is a diff, and nothing flipped
            compared = None
    if json:
        flipped = None if compared is None else {"won": compared.overall.won, "lost": compared.overall.lost}
        emit(a=before.id, b=after.id, diff=text, flipped=flipped)
        return
    write(coloured_diff(clean_block(text)))
    if compared is not None:
        write(["", *flip_table(compared, columns()), "", verdict(compared.overall)])


def _two(archive: Archive, a: str, b: str | None) -> tuple[Variant, Variant]:
    """The older and the newer program; with one reference, its parent's and its own."""
    first = archive.variant(a)
    if b is not None:
        before, after = first, archive.variant(b)
    elif first.parent is None:
        raise UsageError(f"{short(first.id)} is a seed program: it has no parent", hint="name a second variant")
    else:
        before, after = archive.variant(first.parent), first
    for one in (before, after):
        if not one.commit:
            raise UsageError(
                f"{short(one.id)} has no program: {one.status.replace('_', ' ')}", hint=f"see `show {short(one.id)}`"
            )
    return before, after

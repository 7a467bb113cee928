"""Verbs that look at an archive: ``status``, ``ls``, ``show``, ``diff``, ``lineage``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, CampaignArgument, Context, JsonOption, context_of, find_campaign
from hyperagent.cli.output import coloured_diff, columns, emit, record, say, write, write_head
from hyperagent.cli.views import intervals, label, show_lineage
from hyperagent.errors import DataUnavailable, UsageError
from hyperagent.report.scorecard import lines as scorecard_lines
from hyperagent.report.table import (
    best_variant,
    campaign_table,
    duration,
    facts,
    moment,
    number,
    score,
    short,
    spending,
    variant_table,
)
from hyperagent.report.text import clean, clean_block

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Campaign, Scorecard, Variant

VariantArgument = Annotated[str, typer.Argument(metavar="ID", help="Unique id prefix, or CAMPAIGN/STEP.")]


def register(app: typer.Typer) -> None:
    verbs = (("status", status), ("ls", ls), ("show", show), ("diff", diff), ("lineage", lineage))
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


def lineage(
    ctx: typer.Context,
    campaign: CampaignArgument = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show every failed attempt.")] = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Draw the tree of parents."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        found = find_campaign(home, campaign)
        if not json:
            write_head(f"{clean(found.name, 60)} ({found.state.replace('_', ' ')})")
            show_lineage(context, home, found, show_all)
            return
        variants = home.variants(found.id)
        known = intervals(context, home, variants)
        best = best_variant(variants)
    nodes = [{**record(one), "interval": record(known.get(one.id))} for one in variants]
    emit(campaign=found, best=best.id if best else None, nodes=nodes)


def show(ctx: typer.Context, variant: VariantArgument, json: JsonOption = False, archive: ArchiveOption = None) -> None:
    """Everything about one variant, except its hidden-test results (see `test`)."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        details = _details(context, home, home.variant(variant))
    if json:
        emit(**details)
        return
    found: Variant = details["variant"]
    campaign: Campaign = details["campaign"]
    write(
        facts(
            [
                ("variant", label(campaign, found)),
                ("status", found.status.replace("_", " ") + (f": {clean(found.reason, 300)}" if found.reason else "")),
                ("validation", score(found, details["interval"])),
                ("parent", details["parent"] or "none: the seed program"),
                ("children", " ".join(details["children"])),
                ("generation", str(found.generation)),
                ("says", clean(found.summary, 1000)),
                ("mutation", f"{duration(found.seconds)}, {spending(details['mutation_spend'])}" if found.step else ""),
                ("made by", ", ".join(_made_by(model) for model in details["mutation_models"])),
                ("evaluation", spending(details["evaluation_spend"])),
                ("commit", found.commit),
                ("tree", found.tree),
                ("files", ", ".join(clean(name, 100) for name in details["files"])),
            ]
        )
    )
    for entry in details["evaluations"]:
        write(["", *_evaluation_lines(entry, details["metrics"].get(entry["benchmark"]))])


def _details(context: Context, archive: Archive, variant: Variant) -> dict[str, Any]:
    from hyperagent.types import Spend

    campaign = archive.campaign(variant.campaign)
    family = archive.variants(campaign.id)
    parent = next((one for one in family if one.id == variant.parent), None)
    spends = {"mutate": Spend(), "evaluate": Spend()}
    mutation_models = set()
    for call in archive.calls(variant=variant.id):
        if call.purpose == "mutate":
            mutation_models.add(call.model)
        if call.purpose in spends:
            used = Spend(0, 1) if call.cached else Spend(1, 0, call.prompt_tokens, call.completion_tokens, call.cost)
            spends[call.purpose] += used
    evaluations = []
    for found in archive.evaluations(variant.id):
        if found.split == "test":  # hidden results are shown by `test` only, where they are asked for
            continue
        outcomes = Counter(outcome.status for outcome in archive.outcomes(found.id))
        evaluations.append({**record(found), "tasks": len(found.tasks), "outcomes": outcomes})
    return {
        "variant": variant,
        "campaign": campaign,
        "interval": context.assembly.interval(archive, variant),
        "parent": label(campaign, parent) if parent else None,
        "children": [f"{one.step}:{short(one.id)}" for one in family if one.parent == variant.id],
        "mutation_spend": spends["mutate"],
        "mutation_models": sorted(mutation_models),
        "evaluation_spend": spends["evaluate"],
        "files": sorted(archive.read_tree(variant.commit)) if variant.commit else [],
        "evaluations": evaluations,
        "metrics": _metrics(context, archive, variant) if evaluations else {},
    }


def _made_by(model: str) -> str:
    """A model's name; of an adapter also what it was trained on, where its manifest is here."""
    if not (model.startswith("local/") and "+" in model):
        return clean(model, 100)
    from hyperagent.assembly.distilling import training_set_of

    found = training_set_of(model)
    return clean(model, 100) + (f" (adapter; training set {clean(found[:16], 16)})" if found else " (adapter)")


def _metrics(context: Context, archive: Archive, variant: Variant) -> Mapping[str, Scorecard]:
    try:
        return context.assembly.scorecards(archive, variant, "validation")
    except DataUnavailable as error:  # an archive may be read on a machine that lacks the benchmark's data
        say(f"no metrics: {clean(error.message, 300)}")
        return {}


def _evaluation_lines(entry: dict[str, Any], card: Scorecard | None) -> list[str]:
    counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in entry["outcomes"].items())
    sandbox, state = entry["sandbox"], entry["state"].replace("_", " ")
    lines = [
        f"{clean(entry['benchmark'], 40)} {entry['split']}: {number(entry['score'])}, {state}, "
        f"{entry['tasks']} tasks ({counts}), {clean(sandbox['backend'], 20)}"
    ]
    lines += [f"  warning: {clean(warning, 200)}" for warning in sandbox["warnings"]]
    if entry["split"] == "validation" and card is not None:
        lines += [f"  {line}".rstrip() for line in scorecard_lines(card, columns() - 2)]
    return lines


def diff(
    ctx: typer.Context,
    a: VariantArgument,
    b: Annotated[str | None, typer.Argument(metavar="[B]", help="Omitted: A against its parent.")] = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """What changed between two programs; with one id, against its parent."""
    with context_of(ctx).archive(archive) as home:
        first = home.variant(a)
        if b is not None:
            before, after = first, home.variant(b)
        elif first.parent is None:
            raise UsageError(f"{short(first.id)} is a seed program: it has no parent", hint="name a second variant")
        else:
            before, after = home.variant(first.parent), first
        for one in (before, after):
            if not one.commit:
                raise UsageError(
                    f"{short(one.id)} has no program: {one.status.replace('_', ' ')}",
                    hint=f"see `show {short(one.id)}`",
                )
        text = home.diff(before.commit, after.commit)
    if json:
        emit(a=before.id, b=after.id, diff=text)
    else:
        write(coloured_diff(clean_block(text)))

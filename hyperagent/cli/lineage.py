"""``lineage``: the tree of parents, on a screen of any size or for another program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.completion import complete_variant
from hyperagent.cli.context import ArchiveOption, CampaignArgument, Context, JsonOption, context_of, find_campaign
from hyperagent.cli.output import columns, emit, lines_for_tree, record, say, unicode_output, watched, write, write_head
from hyperagent.cli.views import draw_lineage
from hyperagent.errors import UsageError
from hyperagent.report.family import Family, View
from hyperagent.report.text import clean
from hyperagent.report.tree import MARKS, legend

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Campaign

FORMATS = ("dot", "mermaid", "svg")


def register(app: typer.Typer) -> None:
    app.command("lineage", cls=Guarded)(lineage)


def lineage(
    ctx: typer.Context,
    campaign: CampaignArgument = None,
    show_all: Annotated[bool, typer.Option("--all", help="Fold nothing: every branch and failed attempt.")] = False,
    depth: Annotated[int | None, typer.Option("--depth", min=0, help="Most generations below the top.")] = None,
    ancestors: Annotated[
        str, typer.Option("--ancestors", metavar="ID", help="Only how ID came about.", autocompletion=complete_variant)
    ] = "",
    descendants: Annotated[
        str, typer.Option("--descendants", metavar="ID", help="Only ID's branch.", autocompletion=complete_variant)
    ] = "",
    best: Annotated[int, typer.Option("--best", metavar="N", min=0, help="Only the N best variants.")] = 0,
    since: Annotated[int, typer.Option("--since", metavar="STEP", min=0, help="Only from that step on.")] = 0,
    status: Annotated[list[str] | None, typer.Option("--status", help=f"Only these: {', '.join(MARKS)}.")] = None,
    dot: Annotated[bool, typer.Option("--dot", help="For Graphviz.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="For Mermaid.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="A picture.")] = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Draw the tree of parents. What does not fit the terminal is folded, the least promising first."""
    formats = [name for name, asked in zip((*FORMATS, "json"), (dot, mermaid, svg, json), strict=True) if asked]
    if len(formats) > 1:
        raise UsageError(f"--{formats[0]} and --{formats[1]} exclude each other", hint="ask for one at a time")
    context = context_of(ctx)
    with context.archive(archive) as home:
        found, ids = _meant(home, campaign, ancestors, descendants)
        view = View(ids[1], ids[0], depth, best, since, _statuses(status or ()), show_all, lines_for_tree())
        if formats:
            _for_programs(context, home, found, view, formats[0])
            return
        write_head(f"{clean(found.name, 60)} ({found.state.replace('_', ' ')})")
        folded = draw_lineage(context, home, found, view)
    if watched():
        say("\n" + legend(columns(), unicode_output()))
    if folded:
        say(f"not drawn: {folded:,}; --all draws every variant, --descendants ID one branch")


def _meant(archive: Archive, campaign: str | None, *references: str) -> tuple[Campaign, list[str]]:
    """The campaign, which a variant may name as well, and the ids of the variants (empty where none is named)."""
    variants = [archive.variant(reference) if reference else None for reference in references]
    named = {variant.campaign for variant in variants if variant is not None}
    if campaign is not None or not named:
        found = find_campaign(archive, campaign)
    else:
        found = archive.campaign(next(iter(named)))
    if named - {found.id}:
        raise UsageError(f"that variant is not of campaign {found.name}", hint="leave the campaign out")
    return found, [variant.id if variant is not None else "" for variant in variants]


def _statuses(names: list[str] | tuple[str, ...]) -> frozenset[str]:
    """As typed or as printed: ``screened_out``, ``screened out``, several behind commas."""
    wanted = {part.strip().replace(" ", "_").replace("-", "_") for name in names for part in name.split(",")}
    unknown = sorted(wanted - set(MARKS))
    if unknown:
        raise UsageError(f"no status {unknown[0]!r}", hint=f"one of {', '.join(MARKS)}")
    return frozenset(wanted)


def _for_programs(context: Context, archive: Archive, campaign: Campaign, view: View, form: str) -> None:
    from hyperagent.report import graphs

    family = Family(archive.variants(campaign.id))
    drawn = graphs.drawn_whole(family, View(**{**view.__dict__, "rows": 0, "show_all": True}))
    known = context.assembly.intervals(archive, campaign.id)
    if form != "json":
        write(getattr(graphs, form)(family, drawn, known))
        return
    shown = sorted(drawn.shown, key=lambda variant: variant.step)
    nodes = [
        {
            **record(one),
            "interval": record(known.get(one.id)),
            "gain": family.gain(one),
            "best_path": one.id in family.best_path,
        }
        for one in shown
    ]
    emit(campaign=campaign, best=family.best.id if family.best else None, nodes=nodes)

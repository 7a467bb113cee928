"""Views that several verbs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hyperagent.cli.context import Context
from hyperagent.cli.output import columns, lines_for_tree, say, unicode_output, write, write_tree
from hyperagent.report.family import Family, View
from hyperagent.report.table import best_variant, score, short
from hyperagent.report.text import clean
from hyperagent.report.tree import LineageTree

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Campaign, Interval, PairedTest, Split, Variant


def intervals(context: Context, archive: Archive, variants: Sequence[Variant]) -> Mapping[str, Interval]:
    """Variant id -> validation interval, for those that have one. The variants are of one campaign."""
    return context.assembly.intervals(archive, variants[0].campaign, variants) if variants else {}


def draw_lineage(context: Context, archive: Archive, campaign: Campaign, view: View) -> int:
    """Draw what the view asks for; returns how many variants have no line of their own."""
    family = Family(archive.variants(campaign.id))
    tree = LineageTree(family, view, columns=columns(), unicode=unicode_output())
    write_tree(tree.lines(intervals(context, archive, tree.shown)))
    return tree.hidden


def show_finish(context: Context, archive: Archive, campaign: Campaign) -> None:
    """The end of a run: lineage, best variant beside the seed, and where to look next."""
    variants = archive.variants(campaign.id)
    draw_lineage(context, archive, campaign, View(rows=lines_for_tree()))
    best = best_variant(variants)
    if best is None:
        return
    seed = variants[0]
    lines = ["", f"best  {label(campaign, best)}  {score(best, context.assembly.interval(archive, best))}"]
    if best.summary:
        lines.append(f"      {clean(best.summary, columns() - 6)}")
    if best.id != seed.id:
        lines.append(f"seed  {label(campaign, seed)}  {score(seed, context.assembly.interval(archive, seed))}")
        pair = paired(context, archive, seed, best, "validation")
        if pair is not None:
            lines.append(
                f"      paired on {pair.n} tasks: {pair.wins} won, {pair.losses} lost, p = {pair.p_value:.2g} "
                "(search scores favour the winner: `test` asks the hidden split)"
            )
    write(lines)
    identity = short(best.id)
    say("")
    for verb, why in (
        ("show", "scores, costs, what it says about itself"),
        ("diff", "what changed against its parent"),
        ("replay", "the same bytes again, without a model"),
        ("test", "its score on the hidden split"),
    ):
        say(f"  hyperagent {verb} {identity:<10} {why}")


def paired(context: Context, archive: Archive, a: Variant, b: Variant, split: Split) -> PairedTest | None:
    """The exact McNemar test; None where it does not apply: a score that is neither 0 nor 1."""
    for one in (a, b):
        for _, values in context.assembly.scores(archive, one, split).values():
            if any(value not in (0, 1) for value in values):
                return None
    return context.assembly.paired(archive, a, b, split)


def label(campaign: Campaign, variant: Variant) -> str:
    """``name/step id``: both ways to refer to a variant."""
    return f"{clean(campaign.name, 60)}/{variant.step} {short(variant.id)}"

"""``compare``: two variants on the same tasks, or two campaigns with their repeats; and what ``test`` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.completion import complete_either
from hyperagent.cli.context import ArchiveOption, Context, JsonOption, context_of
from hyperagent.cli.output import columns, emit, record, say, write
from hyperagent.cli.views import label
from hyperagent.errors import DataUnavailable, NotFoundError, UsageError
from hyperagent.report.comparing import campaign_lines, costs, flips, paired_table, verdict
from hyperagent.report.table import interval, table, wrapped
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Comparison, Interval, Split, Variant

CONTROLS = ("constant", "length", "group_majority", "shuffled")
"""Those of a scorecard that are scores on the same tasks."""


def register(app: typer.Typer) -> None:
    app.command("compare", cls=Guarded)(compare)


def compare(
    ctx: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A variant; or a campaign, or several behind commas.", autocompletion=complete_either
        ),
    ],
    b: Annotated[
        str, typer.Argument(metavar="B", help="The one that is hoped to be better.", autocompletion=complete_either)
    ],
    split: Annotated[
        Literal["validation", "test"], typer.Option("--split", help="test: only what `test` has recorded.")
    ] = "validation",
    benchmark: Annotated[str, typer.Option("--benchmark", metavar="NAME", help="Only this one.")] = "",
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Compare two variants on the tasks that both were scored on, or two campaigns by their best scores."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        kinds = [_names_campaign(home, reference) for reference in (a, b)]
        if kinds[0] != kinds[1]:
            raise UsageError("one of the two is a campaign, the other one a variant", hint="compare two of a kind")
        if not kinds[0]:
            show_pair(context, home, home.variant(a), home.variant(b), split, json, benchmark)
            return
        if split != "validation" or benchmark:
            raise UsageError("campaigns are compared by their validation scores", hint="leave --split and --benchmark")
        found = context.assembly.compare_campaigns(home, a.split(","), b.split(","))
    if json:
        emit(comparison=found)
    else:
        write(campaign_lines(found, columns()))


def _names_campaign(archive: Archive, reference: str) -> bool:
    """Whether a reference means campaigns. A campaign's whole name is stronger than the prefix of a variant's id."""
    if "/" in reference:
        return False
    if "," in reference or any(campaign.name == reference for campaign in archive.campaigns()):
        return True
    try:
        archive.variant(reference)
    except NotFoundError:
        archive.campaign(reference)  # no variant: where it is no campaign either, this says so
        return True
    return False


def show_pair(
    context: Context, archive: Archive, a: Variant, b: Variant, split: Split, json: bool, benchmark: str = ""
) -> None:
    """Two variants, the second one hoped to be better; or one alone where both are the same."""
    sides = (a, b) if a.id != b.id else (a,)
    means = {one.id: context.assembly.interval(archive, one, split) for one in sides}
    parts = {one.id: _per_benchmark(context, archive, one, split) for one in sides}
    found = context.assembly.compare_variants(archive, a, b, split, benchmark) if a.id != b.id else None
    controls = _controls(context, archive, b, split)
    if json:
        members = [{"variant": one, "mean": means[one.id], "benchmarks": parts[one.id]} for one in sides]
        emit(split=split, variants=members, controls=controls, comparison=found and _plain(found))
        return
    rows = []
    for one in sides:
        mean = means[one.id]
        each = ", ".join(f"{clean(name, 40)} {value:.2f}" for name, value in parts[one.id].items())
        name = label(archive.campaign(one.campaign), one)
        rows.append((name, str(mean.n if mean else 0), interval(mean), each))
    for of, measures in controls.items():
        for name, mean in measures.items():
            rows.append((f"control: {clean(name, 40)}", str(mean.n), interval(mean), clean(of, 40)))
    write(table(("variant", "tasks", f"{split} score", "by benchmark"), rows, columns(), frozenset({"tasks"})))
    if found is not None:
        lines = [verdict(found.overall), *filter(None, [costs(found)])]
        write(["", *paired_table(found, columns()), "", *flips(found, columns()), ""])
        write(line for text in lines for line in wrapped([("", text)], columns()))


def _plain(found: Comparison) -> dict[str, object]:
    """The variants stand beside it already."""
    return {**record(found), "a": found.a.id, "b": found.b.id}


def _controls(
    context: Context, archive: Archive, variant: Variant, split: Split
) -> Mapping[str, Mapping[str, Interval]]:
    """Benchmark -> what cannot solve tasks scores on the same ones; a score says nothing without it."""
    try:
        cards = context.assembly.scorecards(archive, variant, split)
    except DataUnavailable as error:  # an archive may be read on a machine that lacks the benchmark's data
        say(f"no controls: {clean(error.message, 300)}")
        return {}
    return {
        benchmark: {name: card.measures[name].interval for name in CONTROLS if name in card.measures}
        for benchmark, card in cards.items()
    }


def _per_benchmark(context: Context, archive: Archive, variant: Variant, split: Split) -> Mapping[str, float]:
    scores = context.assembly.scores(archive, variant, split)
    return {name: sum(values) / len(values) for name, (_, values) in scores.items() if values}

"""Verbs that check claims: ``replay``, ``test``, ``compare``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, Context, JsonOption, Replayer, context_of
from hyperagent.cli.live import watcher
from hyperagent.cli.looking import VariantArgument
from hyperagent.cli.output import columns, emit, say, write
from hyperagent.cli.views import label, paired
from hyperagent.errors import DataUnavailable, ReplayDiverged, UsageError
from hyperagent.report.table import interval, table
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.protocols import Archive
    from hyperagent.types import Interval, PairedTest, ReplayReport, Split, Variant

CONTROLS = ("constant", "length", "group_majority", "shuffled")
"""Those of a scorecard that are scores on the same tasks."""


def register(app: typer.Typer) -> None:
    for name, function in (("replay", replay), ("test", hidden_test), ("compare", compare)):
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
        _show_pair(context, home, seed, found, "test", json)


def compare(
    ctx: typer.Context,
    a: VariantArgument,
    b: Annotated[str, typer.Argument(metavar="B", help="The variant that is hoped to be better.")],
    split: Annotated[
        Literal["validation", "test"], typer.Option("--split", help="test: only what `test` has recorded.")
    ] = "validation",
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Compare two variants on the tasks that both were scored on (paired, exact McNemar)."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        _show_pair(context, home, home.variant(a), home.variant(b), split, json)


def _show_pair(context: Context, archive: Archive, a: Variant, b: Variant, split: Split, json: bool) -> None:
    sides = (a, b) if a.id != b.id else (a,)
    means = {one.id: context.assembly.interval(archive, one, split) for one in sides}
    parts = {one.id: _per_benchmark(context, archive, one, split) for one in sides}
    pair = paired(context, archive, a, b, split) if a.id != b.id else None
    controls = _controls(context, archive, b, split)
    if json:
        members = [{"variant": one, "mean": means[one.id], "benchmarks": parts[one.id]} for one in sides]
        emit(split=split, variants=members, paired=pair, controls=controls)
        return
    rows = []
    for one in sides:
        found = means[one.id]
        each = ", ".join(f"{clean(name, 40)} {mean:.2f}" for name, mean in parts[one.id].items())
        name = label(archive.campaign(one.campaign), one)
        rows.append((name, str(found.n if found else 0), interval(found), each))
    for benchmark, measures in controls.items():
        for name, found in measures.items():
            rows.append((f"control: {clean(name, 40)}", str(found.n), interval(found), clean(benchmark, 40)))
    write(table(("variant", "tasks", f"{split} score", "by benchmark"), rows, columns(), frozenset({"tasks"})))
    if len(sides) == 2:
        write(["", verdict(pair) if pair else "no McNemar test: scores between 0 and 1 are not won or lost"])


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


def verdict(pair: PairedTest) -> str:
    """One sentence that claims no more than the test allows (two-sided, 5%)."""
    counts = f"{pair.wins} tasks won, {pair.losses} lost of {pair.n} paired; exact McNemar p = {pair.p_value:.3g}"
    if pair.p_value >= 0.05:
        return f"no significant difference: {counts}"
    return f"the second is {'better' if pair.wins > pair.losses else 'worse'}: {counts}"

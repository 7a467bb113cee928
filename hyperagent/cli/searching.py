"""Verbs that compare searches: ``compare-modes``, ``imp``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.campaigns import Interrupts, PlainOption
from hyperagent.cli.context import ArchiveOption, JsonOption, Runner, context_of
from hyperagent.cli.live import PlainObserver
from hyperagent.cli.output import columns, emit, say, write
from hyperagent.errors import UsageError
from hyperagent.report.table import facts, interval, spending, table
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.cli.searches import Comparison, Improvement
    from hyperagent.types import Interval, PairedTest, Progress


def register(app: typer.Typer) -> None:
    for name, function in (("compare-modes", compare_modes), ("imp", improvement)):
        app.command(name, cls=Guarded)(function)


class _Lines(PlainObserver):
    """Messages only: progress of each of many campaigns is no news."""

    def progress(self, progress: Progress) -> None:
        """Said by the end of a campaign instead."""


def compare_modes(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(help="TOML file; its mode is replaced, its seed counted up.")],
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, max=1000, help="Campaigns of each mode, one seed each.")
    ] = 5,
    modes: Annotated[str, typer.Option("--modes", metavar="A,B,...", help="Modes; empty = all.")] = "",
    split: Annotated[
        Literal["test", "validation"], typer.Option("--split", help="Where the variant best on validation is scored.")
    ] = "test",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. budget.variants=4.")
    ] = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Run the search modes on equal budgets and compare them, the control beside. Goes on where it was stopped."""
    from hyperagent.config import load_config
    from hyperagent.config.schema import MODES

    context = context_of(ctx)
    wanted = [name.strip() for name in modes.split(",") if name.strip()] or list(MODES)
    if unknown := [name for name in wanted if name not in MODES]:
        raise UsageError(f"--modes: no mode {unknown[0]!r}", hint=f"modes: {', '.join(MODES)}")
    effective = load_config(config, environment=context.environment, settings=settings or [])
    with context.archive(archive, write=True, create=True) as home:
        observer = _Lines()
        runner = context.assembly.ModeComparison(effective, home, observer, modes=wanted, repeats=repeats, split=split)
        try:
            with Interrupts(cast(Runner, runner), observer.message):
                found = runner.run()
        finally:
            runner.close()
    if json:
        emit(comparison=found)
    else:
        _show_comparison(found)


def _show_comparison(found: Comparison) -> None:
    rows = [
        (one.mode, str(len(one.repeats)), interval(one.median), interval(one.start), _p(one.gain), spending(one.spend))
        for one in found.modes
    ]
    headers = ("mode", "n", f"{found.split} median", "generation 0", "gain p", "spent")
    write(table(headers, rows, columns(), frozenset({"n"})))
    lines = [
        (
            f"{pair.reference} - {pair.other}",
            _signed(pair.difference),
            f"{pair.test.wins} : {pair.test.losses}",
            _p(pair.test),
            f"{pair.adjusted:.2g}",
        )
        for pair in found.pairs
    ]
    write(["", *table(("paired by seed", "median difference", "won : lost", "p", "p (Holm)"), lines, columns())])
    say("medians with 95% bootstrap intervals; exact Wilcoxon signed-rank tests, two-sided")


def _p(test: PairedTest) -> str:
    return f"{test.p_value:.2g}"


def _signed(value: Interval) -> str:
    return f"{value.estimate:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"


def improvement(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(metavar="CAMPAIGN[/STEP]", help="Whose meta agent; no step, or /best: that which gained most."),
    ],
    k: Annotated[int, typer.Option("--k", min=1, max=10_000, help="Agents that it makes.")] = 50,
    config: Annotated[
        Path | None, typer.Option("--config", help="Measure in this configuration; else as the campaign was run.")
    ] = None,
    plain: PlainOption = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Measure imp@k: what a frozen meta agent makes of the initial agent in k tries. Goes on where it was stopped."""
    from hyperagent.config import load_config

    context = context_of(ctx)
    effective = load_config(config, environment=context.environment) if config else None
    with context.archive(archive, write=True) as home:
        observer = PlainObserver() if plain else _Lines()
        runner = context.assembly.ImprovementRunner(source, effective, home, observer, k=k)
        try:
            with Interrupts(cast(Runner, runner), observer.message):
                found = runner.run()
        finally:
            runner.close()
    if json:
        emit(improvement=found)
    else:
        _show_improvement(found)


def _show_improvement(found: Improvement) -> None:
    rows = [
        (f"imp@{found.k}", _signed(found.gain)),
        (
            "picked",
            f"step {found.picked}, test {found.picked_test:.3f}" if found.picked else "nothing: the initial agent",
        ),
        ("initial agent", f"test {found.initial_test:.3f}"),
        ("agents", f"{found.made} made by {found.k} tries of {clean(found.source, 60)}"),
        ("campaign", clean(found.campaign, 80)),
        ("spent", spending(found.spend)),
    ]
    write(facts(rows))
    say("95% bootstrap interval over which k agents were made; the pick is made on validation, in every resample")

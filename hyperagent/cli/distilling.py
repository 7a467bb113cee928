"""``distil``: fine-tune a local mutation model on an archive's own history, and see whether it got better."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import ArchiveOption, JsonOption, context_of
from hyperagent.cli.live import PlainObserver
from hyperagent.cli.output import columns, emit, record, say, write
from hyperagent.errors import UsageError
from hyperagent.report.table import duration, facts, moment, table
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.assembly.distilling import Adapter, DistilPlan, DistilReport
    from hyperagent.types import Interval

_SECONDS = 5.0
"""Between two lines of progress where nobody watches a terminal."""


def register(app: typer.Typer) -> None:
    app.command("distil", cls=Guarded)(distil)


def distil(
    ctx: typer.Context,
    campaigns: Annotated[
        list[str] | None, typer.Argument(metavar="CAMPAIGN...", help="Finished campaigns to learn from.")
    ] = None,
    model: Annotated[str, typer.Option("--model", help="The local model to fine-tune.")] = "local/smollm2-135m",
    epochs: Annotated[int, typer.Option("--epochs", min=1, max=100)] = 3,
    rank: Annotated[int, typer.Option("--rank", min=1, max=256, help="Of the adapter's matrices.")] = 8,
    layers: Annotated[int, typer.Option("--layers", min=1, help="How many of the upper layers are adapted.")] = 8,
    learning_rate: Annotated[float, typer.Option("--learning-rate", min=1e-7, max=1.0)] = 3e-4,
    held_out: Annotated[
        float, typer.Option("--held-out", min=0.01, max=0.9, help="Share of the parents to judge on, never trained on.")
    ] = 0.3,
    proposals: Annotated[int, typer.Option("--proposals", min=1, max=1000, help="Per model and held-out parent.")] = 4,
    tasks: Annotated[
        int, typer.Option("--tasks", min=0, help="Validation tasks that judge a proposal; 0 = all of the campaign's.")
    ] = 0,
    control: Annotated[
        bool, typer.Option("--control/--no-control", help="Also train and try an adapter on shuffled gains.")
    ] = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the split, the training and the proposals.")] = 1,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the adapters that are here.")] = False,
    offer_anyway: Annotated[
        str, typer.Option("--offer-anyway", metavar="NAME", help="Let an adapter be used that was not found better.")
    ] = "",
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Train an adapter of a local model on what improved; offer it only if its proposals improve more often.

    It is judged on parents it was not trained on, beside the base model and a control trained on shuffled gains.
    """
    from hyperagent.assembly import distilling as work

    if listing or offer_anyway:
        if campaigns:
            raise UsageError("--list and --offer-anyway take no campaigns")
        _show_adapters([work.offer_adapter(offer_anyway)] if offer_anyway else work.adapters(), json)
        return
    if not campaigns:
        raise UsageError("name the campaigns to learn from", hint="`hyperagent ls` lists them")
    settings = work.Settings(epochs, rank, learning_rate, layers, seed)
    options = work.DistilOptions(model, settings, held_out, proposals, tasks, control)
    context = context_of(ctx)
    with context.archive(archive) as home:
        plan = work.plan_distil(home, campaigns, options)
    if dry_run:
        _show_plan(plan, json)
        return
    if not yes and sys.stdin.isatty():
        _show_plan(plan, False)
        typer.confirm("Train and evaluate?", abort=True, err=True)
    observer, report, started = PlainObserver(), _counter(), time.monotonic()
    losses = work.train_adapters(plan, observer, report)
    with context.archive(archive, write=True) as home:  # only now: while it trains, campaigns can go on
        found = work.judge_adapters(home, plan, losses, observer, report)
    if json:
        emit(plan=_plan_record(plan), report=found)
    else:
        _show_report(found)
    say(f"took {duration(time.monotonic() - started)}; the proposals are campaigns of their own: `hyperagent ls`")


def _counter() -> Callable[[str, int, int], None]:
    """Progress on stderr: rewritten in place on a terminal, else a line every few seconds."""
    said, about = 0.0, ""

    def report(what: str, done: int, total: int) -> None:
        nonlocal said, about
        now = time.monotonic()
        if sys.stderr.isatty():
            print(f"\r\x1b[K{what} {done}/{total}", end="\n" if done >= total else "", file=sys.stderr, flush=True)
        elif done >= total or what != about or now - said >= _SECONDS:
            say(f"{what} {done}/{total}")
            said, about = now, what

    return report


def _plan_record(plan: DistilPlan) -> dict[str, object]:
    return {
        "model": plan.options.model,
        "campaigns": plan.campaigns,
        "mutations": plan.mutations,
        "own": plan.own,
        "improved": plan.improved,
        "parents": plan.parents,
        "held_out": len(plan.held_out),
        "pairs": {role: len(pairs) for role, pairs in plan.sets.items()},
        "names": {role: f"local/{name}" for role, name in plan.names.items()},
        "options": record(plan.options),
    }


def _show_plan(plan: DistilPlan, json: bool) -> None:
    if json:
        emit(plan=_plan_record(plan))
        return
    proposals = len(plan.held_out) * plan.options.proposals
    write(
        facts(
            [
                ("model", plan.options.model),
                ("adapter", f"local/{plan.names['adapter']}"),
                ("history", f"{plan.mutations} scored mutations of {plan.parents} parents"),
                ("edits", f"{plan.own} made by a model's reply, {plan.improved} of them improved"),
                ("training", ", ".join(f"{len(pairs)} pairs ({role})" for role, pairs in plan.sets.items())),
                ("held out", f"{len(plan.held_out)} parents"),
                ("proposals", f"{proposals} of each of {len(plan.sets) + 1} models"),
            ]
        )
    )


def _show_report(found: DistilReport) -> None:
    rows = [
        (arm.role, clean(arm.model, 60), str(len(arm.trials)), _interval(arm.own), _interval(arm.improved))
        for arm in found.arms
    ]
    write(table(("arm", "model", "proposals", "own edit", "improve"), rows, max(columns(), 120)))
    lines = [""]
    for comparison in found.comparisons:
        pair = comparison.test
        lines.append(
            f"{comparison.second} - {comparison.first}: {_interval(comparison.difference, '+')}; "
            f"{pair.wins} won, {pair.losses} lost of {pair.n}, p = {pair.p_value:.2g}"
        )
    lines += ["", *_verdict(found.adapter)]
    write(lines)


def _verdict(adapter: Adapter) -> list[str]:
    if adapter.offered:
        return [f'offered: models.mutation = "local/{adapter.name}"', f"  {clean(adapter.why, 300)}"]
    return [
        f"not offered: local/{adapter.name}",
        f"  {clean(adapter.why, 300)}",
        f"  to use it all the same: hyperagent distil --offer-anyway {adapter.name}",
    ]


def _interval(value: Interval, sign: str = "") -> str:
    return f"{value.estimate:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def _show_adapters(found: Sequence[Adapter], json: bool) -> None:
    if json:
        emit(adapters=found)
        return
    rows = [
        (
            f"local/{clean(one.name, 60)}",
            "yes" if one.offered else "no",
            str(one.pairs),
            one.training_set[:12],
            moment(one.created),
            clean(one.why, 200),
        )
        for one in found
    ]
    write(table(("adapter", "offered", "pairs", "training set", "made", "why"), rows, max(columns(), 200)))

"""Verbs about model calls: ``costs`` adds them up, ``calls`` exports and shows them as they were recorded."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperagent.cli.boundary import Guarded
from hyperagent.cli.context import (
    ArchiveOption,
    Breakdown,
    CampaignArgument,
    Context,
    JsonOption,
    context_of,
    find_campaign,
)
from hyperagent.cli.output import columns, emit, record, say, write, write_head
from hyperagent.report.table import DASH, duration, facts, short, table
from hyperagent.report.text import clean, clean_block

if TYPE_CHECKING:
    from hyperagent.assembly import CostRow, Costs
    from hyperagent.types import Campaign, Json, ModelCall

_HEADERS = ("calls", "cached", "prompt", "completion", "cost", "time")
_NARROWEST_NAME = 12


def register(app: typer.Typer) -> None:
    app.command("costs", cls=Guarded)(costs)
    group = typer.Typer(help="Recorded model calls.", no_args_is_help=True, rich_markup_mode=None)
    group.command("export", cls=Guarded)(calls_export)
    group.command("show", cls=Guarded)(calls_show)
    app.add_typer(group, name="calls")


def costs(
    ctx: typer.Context,
    campaign: CampaignArgument = None,
    by: Annotated[Breakdown, typer.Option("--by", help="What the table is broken down by.")] = "purpose",
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Where a campaign's tokens and dollars went. Reads only: it works while the campaign runs."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        found = find_campaign(home, campaign)
        spent = context.assembly.campaign_costs(home, found, by)
        running = found.state == "running" and _held(context, archive)
    if json:
        emit(**_members(found, spent))
        return
    write_head(f"{clean(found.name, 60)} ({short(found.id)}), {found.state.replace('_', ' ')}, by {by}")
    write(_table(spent))
    write(["", *facts(_summary(spent, running))])


def _held(context: Context, archive: Path | None) -> bool:
    return context.assembly.lock_holder(context.archive_path(archive)) is not None


def _members(campaign: Campaign, spent: Costs) -> dict[str, Any]:
    rows = [
        {**record(row), **({"step": spent.steps.get(row.name)} if spent.by == "variant" else {})} for row in spent.rows
    ]
    return {
        "campaign": {"id": campaign.id, "name": campaign.name, "state": campaign.state},
        "by": spent.by,
        "rows": rows,
        "total": record(spent.total),
        "shares": spent.shares,
        "unsettled": record(spent.unsettled),
        "evaluated_variants": spent.evaluated,
        "per_variant": _ratio(spent.search, spent.evaluated),
        "gain_points": spent.gain,
        "per_point": _ratio(spent.search, spent.gain or 0.0),
    }


def _ratio(row: CostRow, over: float) -> dict[str, float] | None:
    if over <= 0:
        return None
    return {"tokens": row.tokens / over, "cost": row.cost / over, "seconds": row.seconds / over}


def _table(spent: Costs) -> list[str]:
    numbers = [_cells(row) for row in (*spent.rows, spent.total)]
    taken = sum(2 + max(map(len, column)) for column in zip(_HEADERS, *numbers, strict=True))
    room = max(_NARROWEST_NAME, columns() - taken)
    names = [clean(_name(row, spent), room) for row in spent.rows]
    rows = [(name, *cells) for name, cells in zip([*names, "total"], numbers, strict=True)]
    return table((spent.by, *_HEADERS), rows, columns(), frozenset(_HEADERS))


def _name(row: CostRow, spent: Costs) -> str:
    if spent.by != "variant":
        return row.name
    step = spent.steps.get(row.name)
    return f"{DASH if step is None else step} {short(row.name)}"


def _cells(row: CostRow) -> tuple[str, ...]:
    return (
        f"{row.calls:,}",
        f"{row.cached_calls:,}",
        f"{row.prompt_tokens:,}",
        f"{row.completion_tokens:,}",
        _dollars(row.cost),
        duration(row.seconds),
    )


def _dollars(cost: float) -> str:
    """At least four significant digits of small sums: a call may cost a hundredth of a cent."""
    return f"${cost:,.2f}" if cost >= 100 or cost == 0 else f"${cost:.4f}" if cost >= 0.01 else f"${cost:.2g}"


def _summary(spent: Costs, running: bool) -> list[tuple[str, str]]:
    what = "dollars" if spent.total.cost else "tokens"
    shares = ", ".join(f"{clean(name, 20)} {share:.0%}" for name, share in spent.shares.items())
    cut, failed, gain = spent.unsettled, spent.total.failed, spent.gain
    state = "in flight or cut off" if running else "cut off"
    return [
        ("shares", f"{shares} of the {what}" if shares else ""),
        ("per variant", _each(_ratio(spent.search, spent.evaluated), f"over {spent.evaluated:,} evaluated")),
        ("per point", _each(_ratio(spent.search, gain or 0.0), f"for {gain or 0:+.1f} points on validation")),
        ("no reply", _counted(failed) if failed else ""),
        (
            "unsettled",
            f"{_counted(cut.calls)} {state}, at worst {cut.tokens:,} tokens, {_dollars(cut.cost)}" if cut.calls else "",
        ),
    ]


def _counted(calls: int) -> str:
    return f"{calls:,} {'call' if calls == 1 else 'calls'}"


def _each(ratio: Mapping[str, float] | None, why: str) -> str:
    if ratio is None:
        return ""
    cost = f", {_dollars(ratio['cost'])}" if ratio["cost"] else ""
    return f"{ratio['tokens']:,.0f} tokens{cost}, {duration(ratio['seconds'])} ({why})"


# -- the calls themselves ------------------------------------------------------------------------


def calls_export(
    ctx: typer.Context,
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Name or id prefix.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines; compressed where it ends in .gz.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Write every recorded call of a campaign, one JSON object a line: requests, replies, sizes; no key, no header."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        count = context.assembly.export_calls(home, home.campaign(campaign), file, force=force)
    if json:
        emit(file=file, calls=count)
    else:
        say(f"wrote {count:,} calls to {file}")


def calls_show(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="CAMPAIGN/STEP/mutate or CAMPAIGN/STEP/BENCHMARK/SPLIT.")],
    task: Annotated[str | None, typer.Argument(metavar="[TASK]", help="Omitted: all tasks of the job.")] = None,
    json: JsonOption = False,
    archive: ArchiveOption = None,
) -> None:
    """Show what a program asked a model and what it was answered, as recorded."""
    context = context_of(ctx)
    with context.archive(archive) as home:
        calls = context.assembly.recorded_calls(home, job, task)
        records = [context.assembly.call_record(home, call) for call in calls]
    if json:
        emit(calls=records)
        return
    for number, (call, entry) in enumerate(zip(calls, records, strict=True)):
        if number:
            write([""])
        write_head(_headline(call))
        write(_conversation(entry))


def _headline(call: ModelCall) -> str:
    tokens = f"{call.prompt_tokens:,} + {call.completion_tokens:,} tokens"
    spent = "cached" if call.cached else f"{tokens}, {_dollars(call.cost)}, {call.seconds:.1f}s"
    name = f"{clean(call.key.task, 60)} #{call.key.sequence}"
    return f"{name}  {clean(call.model, 60)}  {call.state}  {spent}"


def _conversation(entry: Mapping[str, Json]) -> list[str]:
    """Both sides as an indented block per message; whatever is no chat is shown as JSON."""
    request, reply = entry["request"], entry["reply"]
    lines = []
    messages = request.get("messages") if isinstance(request, dict) else None
    if messages is None and request is not None:
        lines += _block("asked", request)
    for message in messages or ():
        lines += _message(message)
    answer = reply.get("message") if isinstance(reply, dict) else None
    if answer is not None:
        lines += _message(answer, "reply")
    elif reply is not None:
        lines += _block("reply", reply)
    if entry["error"]:
        lines += _block("error", entry["error"])
    return lines


def _message(message: Mapping[str, Json], role: str = "") -> list[str]:
    parts = {name: value for name, value in message.items() if name not in ("role", "content") and value}
    lines = _block(role or str(message.get("role")), message.get("content") or "")
    return lines + (_block("", parts)[1:] if parts else [])


def _block(title: str, content: Json) -> list[str]:
    text = content if isinstance(content, str) else jsonlib.dumps(content, indent=1, sort_keys=True)
    return [f"{clean(title, 20)}:", *(f"  {line}" for line in clean_block(text).splitlines())]

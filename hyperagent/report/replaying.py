"""What a replay found, and recorded conversations, as lines for a person. Pure; every text in them is hostile."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hyperagent.report.table import DASH, interval, table
from hyperagent.report.text import clean, clean_block, fit

if TYPE_CHECKING:
    from hyperagent.types import CampaignReplay, Divergence, Json, ReplayReport, StepReplay, Turn

_LONGEST_MESSAGE = 200_000
"""Characters of one message; what is longer is cut, and says so."""


def report_lines(name: str, report: ReplayReport, columns: int, unicode: bool = True) -> list[str]:
    """One line, and below a divergence both sides of the first byte that differs."""
    if report.what == "live":
        return [
            fit(f"live       {name}  recorded {interval(report.recorded)}, now {interval(report.replayed)}", columns)
        ]
    unit = "program" if report.what == "mutation" else "task"
    if report.identical:
        return [f"identical  {name}  {report.what}, {report.compared} {unit}{'' if report.compared == 1 else 's'}"]
    if report.first is None or report.first.what == "calls":
        return [f"diverged   {name}  {report.what}: {clean(report.divergence, 400)}"]
    return [f"diverged   {name}  after {report.compared} identical {unit}s", *_sides(report.first, columns, unicode)]


def _sides(first: Divergence, columns: int, unicode: bool) -> list[str]:
    where = "" if first.at is None else f" from byte {first.at} on"
    lines = [f"           {clean(first.task, 100)}: {first.what} differs{where}"]
    if first.at is None:
        return [*lines, f"  recorded {clean(first.recorded, 300)}", f"  replayed {clean(first.replayed, 300)}"]
    # Both stretches begin at the same byte, and what is unprintable takes several columns on both sides alike.
    before = len(clean_block(first.recorded[: first.offset]))
    sides = [clean_block(side).replace("\n", " ").replace("\t", " ") for side in (first.recorded, first.replayed)]
    lines += [fit(f"  {head} {side}", columns) for head, side in zip(("recorded", "replayed"), sides, strict=True)]
    mark = " " * (11 + before) + ("▲" if unicode else "^")
    return [*lines, mark] if len(mark) <= columns else lines


def summary(reports: Sequence[ReplayReport]) -> str:
    """``12 identical, 1 diverged; 960 tasks compared``"""
    counts = Counter("identical" if report.identical else "diverged" for report in reports)
    unit = "programs" if reports[0].what == "mutation" else "tasks"
    compared = sum(report.compared for report in reports)
    return f"{counts['identical']} identical, {counts['diverged']} diverged; {compared:,} {unit} compared"


def campaign_lines(replay: CampaignReplay, columns: int) -> list[str]:
    """A table of its steps, what differs first, and how much was done; every text in it is hostile."""
    chosen = {"again": "chosen again", "unknown": "as recorded", "none": DASH}
    rows = [
        (
            str(one.step),
            DASH if one.parent is None else str(one.parent),
            one.status,
            one.result.replace("_", " "),
            chosen[one.choice],
            one.commit[:12] or DASH,
            one.replayed[:12] or DASH,
            str(one.tasks),
        )
        for one in replay.steps
    ]
    headers = ("step", "parent", "status", "replay", "parent was", "commit", "replayed", "tasks")
    lines = table(headers, rows, columns, frozenset({"step", "parent", "tasks"}))
    lines += ["", *(line for one in replay.steps if one.difference for line in _first_line(one, columns))]
    unknown = [one.step for one in replay.steps if one.choice == "unknown"]
    if unknown:
        steps = f"step {unknown[0]}" if len(unknown) == 1 else f"{len(unknown)} steps, first {unknown[0]},"
        lines.append(f"note: the journal does not say what was known at {steps}: parents taken as recorded")
    lines += [f"note: {clean(note, 300)}" for note in replay.notes]
    results = Counter(one.result for one in replay.steps)
    counts = ", ".join(f"{results[name]} {name.replace('_', ' ')}" for name in ("identical", "diverged", "not_reached"))
    lines.append(
        f"{counts}; {replay.calls:,} recorded calls served, {replay.tasks:,} outcomes compared, {replay.seconds:.0f}s"
    )
    return lines


def _first_line(one: StepReplay, columns: int) -> list[str]:
    return textwrap.wrap(f"step {one.step}: {clean(one.difference, 600)}", columns, subsequent_indent="  ")


def turn_lines(turn: Turn, columns: int) -> list[str]:
    """What was asked anew, what came back, and what it took."""
    lines = []
    for message in turn.asked:
        lines += [f"--- {clean(str(message.get('role', '?')), 20)} ---", *_message(message, columns)]
    lines.append("--- assistant ---")
    lines += _message(turn.reply, columns) if turn.reply is not None else [f"no reply: {clean(turn.error, 300)}"]
    how = "answered from the record of an equal call" if turn.cached else f"{turn.tokens:,} tokens, {turn.seconds:.1f}s"
    return [*lines, f"[{clean(turn.model, 60)}: {how}]"]


def _message(message: Mapping[str, Json], columns: int) -> list[str]:
    content = message.get("content")
    text = content if isinstance(content, str) else "" if content is None else json.dumps(content, indent=1)
    if message.get("tool_calls"):
        text += f"\n{json.dumps(message['tool_calls'], indent=1)}"
    if len(text) > _LONGEST_MESSAGE:
        text = f"{text[:_LONGEST_MESSAGE]}\n[{len(text) - _LONGEST_MESSAGE:,} more characters; --json has them]"
    lines = []
    for line in clean_block(text).splitlines():
        lines += textwrap.wrap(line, columns, replace_whitespace=False, drop_whitespace=False) or [""]
    return lines

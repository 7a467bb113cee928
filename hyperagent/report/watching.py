"""A campaign at one instant as lines of text: what ``watch`` shows, and in short ``run``. Pure: values in, lines out.

Everything that a program wrote is cleaned here; what comes out is safe to print.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hyperagent.report.table import DASH, clock, duration, interval, score, short, spending, words
from hyperagent.report.text import clean, clean_block, fit, pad, to_ascii, width
from hyperagent.report.tree import MARKS, Line, Role, Span

if TYPE_CHECKING:
    from hyperagent.types import Closeup, Event, Interval, Progress, Snapshot, Variant

FAILED = ("invalid", "no_effect", "duplicate")
_BAR = 12
_MOST_TASKS = 12
_SILENT = frozenset(
    {
        "campaign_created",
        "mutation_started",
        "program_committed",
        "evaluation_started",
        "evaluation_finished",
        "outcome_added",
    }
)
"""Kinds of events that the rest of the screen tells better."""


# -- the head --------------------------------------------------------------------------------------


def head(snapshot: Snapshot, columns: int, *, paused: bool = False) -> Line:
    """Campaign, how it stands, how long it has run."""
    progress = snapshot.progress
    spans = [Span(clean(progress.campaign.name, max(12, columns // 3)), "best"), Span("  ", "plain"), state(snapshot)]
    if paused:
        spans.append(Span("  PAUSED", "down"))
    rest = f"  {clock(progress.seconds)}"
    if progress.eta is not None and snapshot.session == "running":
        rest += f"  ETA {duration(progress.eta)}"
    return _cut((*spans, Span(rest, "plain")), columns)


def state(snapshot: Snapshot) -> Span:
    campaign = snapshot.progress.campaign
    if snapshot.session == "interrupted":
        return Span(f"interrupted: its session is gone; `hyperagent resume {clean(campaign.name, 60)}`", "down")
    role: Role = "down" if campaign.state == "failed" else "up" if snapshot.session == "running" else "plain"
    reason = f" ({clean(campaign.reason, 120)})" if campaign.reason and snapshot.session == "ended" else ""
    return Span(f"{campaign.state.replace('_', ' ')}{reason}", role)


def standing(progress: Progress, columns: int) -> list[Line]:
    """The best variant beside the seed program, each with its 95% interval."""
    best = progress.best
    if best is None:
        return [(Span("no variant is scored yet", "faint"),)]
    lines: list[Line] = [(Span(f"★ best {value(best, progress.best_interval)}  step {best.step}", "best"),)]
    if progress.seed_interval is not None:
        lines.append((Span(f"  seed {interval(progress.seed_interval)}", "plain"),))
    return [_cut(line, columns) for line in lines]


def value(variant: Variant, found: Interval | None) -> str:
    """The score with its interval where one is known; ``?`` before there is a score."""
    return "?" if variant.score is None else score(variant, found)


# -- budgets ---------------------------------------------------------------------------------------


def budgets(progress: Progress, columns: int, *, unicode: bool = True) -> list[Line]:
    """What is used against its cap, with where it will end at the present rate; red where a cap comes first."""
    caps, spend = progress.caps, progress.spend
    rows: list[tuple[str, float, float, str, str]] = [
        ("variants", progress.done, progress.target, f"{progress.done}/{progress.target}", _attempts(progress))
    ]
    ends = None if progress.eta is None else progress.seconds + progress.eta
    if caps.seconds:
        rows.append(("time", progress.seconds, caps.seconds, *_used(duration, progress.seconds, caps.seconds, ends)))
    count = "{:,.0f}".format
    tokens = forecast(progress, spend.tokens)
    rows.append(("tokens", spend.tokens, caps.tokens, *_used(count, spend.tokens, caps.tokens, tokens)))
    if spend.cost or caps.cost:
        cost = forecast(progress, spend.cost)
        rows.append(("cost", spend.cost, caps.cost, *_used("${:,.2f}".format, spend.cost, caps.cost, cost)))
    ending = {"time": ends, "tokens": tokens, "cost": forecast(progress, spend.cost)}
    lines = []
    for name, used, cap, text, note in rows:
        end = ending.get(name)
        role: Role = "down" if cap and end is not None and end > cap and name != "variants" else "faint"
        lines.append(_cut((Span(f"{name:<9}", "plain"), *_bar(used, cap, unicode), Span(text, "plain"),
                           Span(f"  {note}" if note else "", role)), columns))  # fmt: skip
    return lines


def forecast(progress: Progress, used: float) -> float | None:
    """What will have been used when the target is reached, if every variant takes what one took so far.

    The seed program counts as one; what failed attempts took is part of what a variant takes. None before the first.
    """
    if not progress.done or progress.done >= progress.target:
        return None
    return used * (progress.target + 1) / (progress.done + 1)


def _used(form: object, used: float, cap: float, end: float | None) -> tuple[str, str]:
    assert callable(form)
    return f"{form(used)}{f' of {form(cap)}' if cap else ''}", "" if end is None else f"~{form(end)} in all"


def _attempts(progress: Progress) -> str:
    return f"{progress.attempts} attempt{'s' if progress.attempts != 1 else ''}"


def _bar(used: float, cap: float, unicode: bool) -> tuple[Span, ...]:
    if not cap:
        return (Span(" " * (_BAR + 1), "plain"),)
    filled = round(_BAR * min(1.0, used / cap))
    full, empty = ("━", "┄") if unicode else ("=", ".")
    return Span(full * filled, "path"), Span(empty * (_BAR - filled) + " ", "guide")


# -- workers, events, failures ---------------------------------------------------------------------


def workers(snapshot: Snapshot, now: float, columns: int) -> list[Line]:
    """A line per worker: its step, what it does, for how long."""
    if snapshot.session != "running":
        return [
            (Span("no worker: " + ("the session is gone" if snapshot.session == "interrupted" else "ended"), "faint"),)
        ]
    lines = []
    for found in snapshot.activities:
        since = duration(now - found.since)
        room = max(8, columns - len(since) - 8)
        lines.append(_cut((Span(f"{found.step:>5}  ", "id"), Span(pad(clean(found.doing, room), room), "plain"),
                           Span(f" {since}", "faint")), columns))  # fmt: skip
    idle = snapshot.workers - len(snapshot.activities)
    if idle > 0:
        lines.append((Span(f"{'':5}  {idle} idle", "faint"),))
    return lines


def happenings(snapshot: Snapshot, columns: int, most: int) -> list[Line]:
    """The newest events that a person wants to know of, newest first; single tasks only where they failed."""
    steps = {variant.id: variant.step for variant in snapshot.variants}
    lines: list[Line] = []
    alike = 0
    for event in reversed(snapshot.events):
        said = told(event, steps)
        if said is None:
            continue
        # A program that fails, fails in task after task: one line for all of them.
        alike = alike + 1 if event.kind == "outcome_added" else 0
        if alike > 1:
            lines[-1] = (*lines[-1][:2], Span(f"  (+{alike - 1} before)", "faint"))
            continue
        if len(lines) == most:
            break
        when = time.strftime("%H:%M:%S", time.localtime(event.created))
        lines.append((Span(f"{when}  ", "faint"), Span(*said)))
    return [_cut(line, columns) for line in lines] or [(Span("nothing yet", "faint"),)]


def told(event: Event, steps: Mapping[str, int]) -> tuple[str, Role] | None:
    """An event in words; None for those that say nothing to a person."""
    payload = event.payload
    step = steps.get(str(payload.get("variant", "")))
    who = "" if step is None else f"step {step}: "
    match event.kind:
        case "variant_finished":
            return who + _finished(payload), _role(str(payload.get("status", "")))
        case "step_started":
            parent = steps.get(str(payload.get("parent")))
            return (f"{who}started" + ("" if parent is None else f" from {parent}")), "plain"
        case "mutation_described":
            return f"{who}edited in {duration(_number(payload.get('seconds')))}", "plain"
        case "outcome_added" if payload.get("status") != "scored":
            status = clean(str(payload.get("status")).replace("_", " "), 20)
            return f"{status} in task {clean(str(payload.get('task')), 80)}", "down"
        case "campaign_state":
            reason = clean(str(payload.get("reason") or ""), 300)
            return f"campaign {clean(str(payload.get('state')), 20)}{f': {reason}' if reason else ''}", "best"
        case "session_started":
            return f"session started, {_number(payload.get('workers')):.0f} workers", "best"
        case "test_read":
            return f"{who}the hidden test was read", "plain"
    if event.kind in _SILENT:
        return None
    return f"{who}{clean(event.kind.replace('_', ' '), 60)}", "plain"


def failures(snapshot: Snapshot, columns: int, most: int) -> list[Line]:
    """Attempts that came to nothing, newest first, with their reason; then tasks that failed lately."""
    lines: list[Line] = []
    for variant in reversed(snapshot.variants):
        if variant.status in FAILED and len(lines) < most:
            status = variant.status.replace("_", " ")
            text = f"{status}: {clean(words(variant), columns)}"
            lines.append(
                _cut(
                    (Span(f"{MARKS[variant.status]} step {variant.step:<4} ", "id"), Span(text, _role(variant.status))),
                    columns,
                )
            )
    for event in reversed(snapshot.events):
        if event.kind == "outcome_added" and len(lines) < most and (said := told(event, {})) is not None:
            lines.append(_cut((Span("✗ ", "id"), Span(*said)), columns))
    return lines or [(Span("none", "faint"),)]


def label(variant: Variant, parent: Variant | None, found: Interval | None, best: Variant | None, columns: int) -> Line:
    """One variant in a tree: mark, step, score, change against its parent, its own words."""
    is_best = best is not None and variant.id == best.id
    spans = [Span(f"{'★' if is_best else MARKS[variant.status]} {variant.step}", "best" if is_best else "id")]
    if variant.score is not None:
        spans.append(Span(f" {score(variant, found)}", "best" if is_best else "score"))
        if parent is not None and parent.score is not None:
            gain = variant.score - parent.score
            role: Role = "faint" if abs(gain) < 1e-9 else "up" if gain > 0 else "down"
            spans.append(Span(" =" if role == "faint" else f" {'▲' if gain > 0 else '▼'}{abs(gain):.2f}", role))
    status = "" if variant.status == "evaluated" else variant.status.replace("_", " ")
    text = ": ".join(part for part in (status, clean(words(variant), columns)) if part)
    if variant.status == "duplicate":
        text = f"duplicate of {short(clean(variant.reason, 12))}"
    return _cut((*spans, Span(f" {text}" if text else "", "faint")), columns)


def _finished(payload: Mapping[str, object]) -> str:
    status = clean(str(payload.get("status")).replace("_", " "), 20)
    reason = clean(str(payload.get("reason") or ""), 300)
    number = _score(payload.get("score"))
    return f"{status}{f' {number}' if number else ''}{f': {reason}' if reason else ''}"


def _role(status: str) -> Role:
    return "down" if status == "invalid" else "faint" if status in FAILED else "up"


def _score(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _cut(line: Sequence[Span], columns: int) -> Line:
    """The line cut to a width."""
    kept: list[Span] = []
    left = columns
    for span in line:
        if left <= 0:
            break
        text = fit(span.text, left)
        if text:
            kept.append(Span(text, span.role))
            left -= width(text)
    return tuple(kept)


# -- one variant -----------------------------------------------------------------------------------


def closeup(found: Closeup, columns: int) -> list[Line]:
    """Everything a watcher wants to know of one variant, without its diff."""
    variant, parent = found.variant, found.parent
    lines: list[Line] = [
        (Span(f"step {variant.step}  ", "best"), Span(f"{short(variant.id)}  ", "id"),
         Span(value(variant, found.interval), "best")),
    ]  # fmt: skip
    status = variant.status.replace("_", " ") + (f": {clean(variant.reason, 400)}" if variant.reason else "")
    pairs = [
        ("status", status),
        ("parent", "none: the seed program" if parent is None else f"step {parent.step}  {value(parent, None)}"),
        ("against it", _against(found)),
        ("children", ", ".join(str(step) for step in found.children[:20])),
        ("generation", str(variant.generation)),
        ("made in", duration(variant.seconds) if variant.seconds else ""),
        ("spent", spending(found.spend)),
        ("says", clean(variant.summary, 600)),
    ]
    for one in found.evaluations:
        done = f"{one.done}/{one.tasks} tasks, {one.state.replace('_', ' ')}"
        pairs.append((clean(one.benchmark, 24), f"{one.split}: {_score(one.score) or DASH}, {done}"))
    size = max(width(name) for name, text in pairs if text)
    for name, text in pairs:
        for number, part in enumerate(textwrap.wrap(text, max(20, columns - size - 2))):
            lines.append(_cut((Span(pad("" if number else name, size + 2), "faint"), Span(part, "plain")), columns))
    flips: tuple[tuple[str, tuple[str, ...], Role], ...] = (("won", found.won, "up"), ("lost", found.lost, "down"))
    for name, tasks, role in flips:
        for task in tasks[:_MOST_TASKS]:
            lines.append(_cut((Span(pad(name, size + 2), role), Span(clean(task, columns), "plain")), columns))
        if len(tasks) > _MOST_TASKS:
            lines.append((Span(f"{'':{size + 2}}and {len(tasks) - _MOST_TASKS} more", "faint"),))
    return lines


def diff(text: str, columns: int, most: int = 2000) -> list[Line]:
    """A unified diff, its lines cut to the width; at most so many of them."""
    if not text:
        return [(Span("no change of the program", "faint"),)]
    roles: dict[str, Role] = {"+": "up", "-": "down", "@": "id", "d": "best"}
    # A line may be ten megabytes long: it is cut before it is looked at character by character.
    every = text.split("\n")
    shown = [clean_block(line[: 4 * columns]).expandtabs(4) for line in every[:most]]
    lines: list[Line] = [(Span(fit(line, columns), roles.get(line[:1], "plain")),) for line in shown]
    if len(every) > most:
        lines.append((Span(f"and {len(every) - most} lines more: see `hyperagent diff`", "faint"),))
    return lines


def ascii_lines(lines: Sequence[Line]) -> list[Line]:
    """For a terminal that is not UTF-8."""
    return [tuple(Span(to_ascii(span.text), span.role) for span in line) for line in lines]


def _against(found: Closeup) -> str:
    if found.parent is None or not found.shared:
        return ""
    return f"{len(found.won)} tasks won, {len(found.lost)} lost of {found.shared}"

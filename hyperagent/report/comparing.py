"""Comparisons as lines for a person: no sentence claims more than its test allows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hyperagent.report.table import DASH, interval, signed, table, wrapped
from hyperagent.report.text import clean, fit, width

if TYPE_CHECKING:
    from hyperagent.types import CampaignComparison, Comparison, Paired, Repeat

_LONGEST_NAME = 44


def verdict(found: Paired, name: str = "the second") -> str:
    """``the second is better: 8 tasks won, 0 lost of 20 paired; exact McNemar p = 0.0078``"""
    counts = f"{len(found.won)} tasks won, {len(found.lost)} lost of {found.difference.n} paired"
    how = f"exact McNemar p = {found.test.p_value:.3g}" if found.test else "paired bootstrap, 95% interval"
    claim = f"{name} is {found.verdict}" if found.verdict != "inconclusive" else "inconclusive"
    return f"{claim}: {counts}; {how}{decides(found)}"


def decides(found: Paired) -> str:
    """How many more tasks it would take; empty where it is decided."""
    if found.verdict != "inconclusive":
        return ""
    if found.more_tasks is None:
        return "; at equal scores no number of tasks would decide"
    return f"; some {_rounded(found.more_tasks):,} more tasks would decide, if the difference is real"


def _rounded(count: int) -> int:
    """Two digits: the rates that it comes from are not known any better."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def flips(found: Comparison, columns: int) -> list[str]:
    """The tasks that B won and lost against A, cut to one line each."""
    lines = []
    for name, tasks in (("won", found.overall.won), ("lost", found.overall.lost)):
        head = f"{name:<5}{len(tasks):>4}  "
        lines.append((head + more([clean(task, _LONGEST_NAME) for task in tasks], columns - len(head))).rstrip())
    return lines


def flip_table(found: Comparison, columns: int) -> list[str]:
    """One line per task that flipped."""
    rows = [(clean(task, 100), "won") for task in found.overall.won]
    rows += [(clean(task, 100), "lost") for task in found.overall.lost]
    return table(("flipped task", "by the second"), rows, columns) if rows else ["no task flipped"]


def more(names: Sequence[str], columns: int) -> str:
    """As many names as fit, then ``... 12 more``."""
    kept: list[str] = []
    for number, name in enumerate(names):
        rest = len(names) - number - 1
        ending = f" … {rest} more" if rest else ""
        if kept and width(" ".join([*kept, name])) + len(ending) > columns:
            ending = f" … {len(names) - len(kept)} more"
            return fit(" ".join(kept), max(1, columns - len(ending))) + ending
        kept.append(name)
    return fit(" ".join(kept), max(1, columns))


def paired_table(found: Comparison, columns: int) -> list[str]:
    """All tasks together, then by benchmark."""
    rows = []
    for one in (found.overall, *found.benchmarks):
        p_value = DASH if one.test is None else f"{one.test.p_value:.3g}"
        name = clean(one.benchmark, 30) or "together"
        flipped = f"+{len(one.won)} -{len(one.lost)}"
        rows.append(
            (name, str(one.difference.n), interval(one.a), interval(one.b), signed(one.difference), flipped, p_value)
        )
    headers = ("benchmark", "tasks", "first", "second", "difference", "flips", "p")
    return table(headers, rows, columns, frozenset({"tasks"}))


def costs(found: Comparison) -> str:
    """``the second used 1.30 times the tokens (1,200 / 923) and 0.52 times the time``"""
    parts = []
    first, second = found.cost
    for what, before, after in (
        ("dollars", first.cost, second.cost),
        ("tokens", first.tokens, second.tokens),
        ("model calls", first.calls + first.cached_calls, second.calls + second.cached_calls),
        ("wall clock", *found.seconds),
    ):
        if before > 0:
            parts.append(f"{after / before:.2f} times the {what}")
        elif after > 0:
            parts.append(f"{what} where the first used none")
    return f"the second used {', '.join(parts)} on these tasks" if parts else ""


# -- campaigns -----------------------------------------------------------------------------------


def campaign_lines(found: CampaignComparison, columns: int) -> list[str]:
    """Every repeat, the medians, and what they allow to say."""
    rows = [_repeat(letter, one) for letter, side in (("A", found.a), ("B", found.b)) for one in side]
    headers = ("", "campaign", "seed no.", "best", "gain", "attempts", "tokens", "cost")
    lines = [*table(headers, rows, columns, frozenset(headers[2:])), ""]
    for letter, best, gain, side in zip("AB", found.best, found.gain, (found.a, found.b), strict=True):
        repeats = "1 repeat" if len(side) == 1 else f"{len(side)} repeats"
        text = f"median best {_number(best)}, median gain over the seed program {_gain(gain)} ({repeats})"
        lines += wrapped([(letter, text)], columns)
    return [*lines, "", *wrapped([("", _campaign_verdict(found))], columns)]


def _repeat(letter: str, one: Repeat) -> tuple[str, ...]:
    gain = None if one.best_score is None or one.seed_score is None else one.best_score - one.seed_score
    cost = f"${one.spend.cost:,.2f}" if one.spend.cost else DASH
    number = str(one.campaign.random_seed)
    tokens = f"{one.spend.tokens:,}"
    return (
        letter,
        clean(one.campaign.name, 30),
        number,
        _number(one.best_score),
        _gain(gain),
        str(one.attempts),
        tokens,
        cost,
    )


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def _gain(value: float | None) -> str:
    return DASH if value is None else f"{value:+.3f}"


def _campaign_verdict(found: CampaignComparison) -> str:
    if found.p_value is None:
        return (
            "inconclusive: a single run says nothing about its method; "
            f"{found.least_repeats} or more repeats of each (other random seeds) could decide"
        )
    how = f"exact rank-sum test of the best scores p = {found.p_value:.3g}"
    if found.verdict == "inconclusive":
        fewer = min(len(found.a), len(found.b)) < found.least_repeats
        return (
            f"inconclusive: {how}; {found.least_repeats} or more repeats of each could decide"
            if fewer
            else f"inconclusive: {how}"
        )
    return f"B is {found.verdict}: {how}; validation scores, which favour the winner: `test` asks the hidden split"

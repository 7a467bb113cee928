"""Plain-text tables and the small formats that all reports share. Pure: values in, lines out."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hyperagent.report.text import clean, fit, pad, width

if TYPE_CHECKING:
    from hyperagent.types import Campaign, Interval, Spend, Variant

Row = Sequence[str]
DASH = "\N{EN DASH}"


def table(headers: Row, rows: Sequence[Row], columns: int = 100, right: frozenset[str] = frozenset()) -> list[str]:
    """Aligned lines, the header first; the last column takes what is left of ``columns`` and is cut to it.

    Args:
        right: Headers of the columns that are aligned to the right.
    """
    sizes = [max(width(row[index]) for row in [headers, *rows]) for index in range(len(headers))]
    lines = []
    for row in [headers, *rows]:
        cells = [pad(cell, size, header in right) for cell, size, header in zip(row, sizes, headers, strict=True)]
        lines.append(fit("  ".join(cells).rstrip(), columns))
    return lines


def facts(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """``name  value`` lines with aligned values; pairs with an empty value are left out."""
    shown = [(name, value) for name, value in pairs if value]
    size = max((width(name) for name, _ in shown), default=0)
    return [f"{pad(name, size)}  {value}" for name, value in shown]


def number(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def interval(value: Interval | None) -> str:
    """``0.58 [0.48-0.67]``, with an en dash."""
    return DASH if value is None else f"{value.estimate:.2f} [{value.low:.2f}{DASH}{value.high:.2f}]"


def signed(value: Interval) -> str:
    """A difference, ``+0.11 [-0.05 to +0.27]``."""
    return f"{value.estimate:+.2f} [{value.low:+.2f} to {value.high:+.2f}]"


def wrapped(pairs: Sequence[tuple[str, str]], columns: int) -> list[str]:
    """As :func:`facts`, with long values continued on lines of their own."""
    shown = [(name, value) for name, value in pairs if value]
    size = max((width(name) for name, _ in shown), default=0)
    indent = size + 2 if size else 0
    lines = []
    for name, value in shown:
        parts = textwrap.wrap(value, max(20, columns - indent)) or [""]
        for head, part in zip([name, *[""] * len(parts)], parts, strict=False):
            lines.append(pad(head, indent) + fit(part, max(1, columns - indent)))
    return lines


def score(variant: Variant, found: Interval | None) -> str:
    """A variant's validation score, with its interval where one is known."""
    if found is not None and variant.score is not None and abs(found.estimate - variant.score) < 5e-3:
        return interval(found)
    return DASH if variant.score is None else f"{variant.score:.2f}"


def duration(seconds: float) -> str:
    """``45s``, ``3m 20s``, ``2h 05m``"""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def clock(seconds: float) -> str:
    """Elapsed time as ``0:01:23``."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def moment(unix: float) -> str:
    """A UTC time stamp, ``2026-01-31 12:00Z``."""
    return time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(unix))


def spending(spend: Spend) -> str:
    """``1,234 tokens in 56 calls, $0.12``"""
    cached = f" (+{spend.cached_calls:,} cached)" if spend.cached_calls else ""
    cost = f", ${spend.cost:.4f}" if spend.cost else ""
    return f"{spend.tokens:,} tokens in {spend.calls:,} calls{cached}{cost}"


def size(count: float) -> str:
    """Bytes as ``98 MB`` (decimal units)."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def short(identity: str) -> str:
    return identity[:8]


def campaign_table(campaigns: Sequence[Campaign], variants: Mapping[str, Sequence[Variant]], columns: int) -> list[str]:
    """One line per campaign. ``variants``: campaign id -> its variants."""
    rows = []
    for campaign in campaigns:
        steps = variants[campaign.id]
        best = best_variant(steps)
        found = DASH if best is None else f"{number(best.score)} (step {best.step})"
        evaluated = sum(variant.status == "evaluated" and variant.step > 0 for variant in steps)
        rows.append(
            (
                clean(campaign.name, 30),
                short(campaign.id),
                campaign.state,
                str(evaluated),
                str(max(0, len(steps) - 1)),
                found,
                moment(campaign.created),
            )
        )
    headers = ("campaign", "id", "state", "variants", "attempts", "best", "created")
    return table(headers, rows, columns, frozenset({"variants", "attempts"}))


def variant_table(variants: Sequence[Variant], intervals: Mapping[str, Interval], columns: int) -> list[str]:
    """One line per variant. ``intervals``: variant id -> validation interval."""
    steps = {variant.id: variant.step for variant in variants}
    rows = []
    for variant in variants:
        parent = steps.get(variant.parent or "")
        rows.append(
            (
                str(variant.step),
                short(variant.id),
                DASH if parent is None else str(parent),
                str(variant.generation),
                variant.status,
                score(variant, intervals.get(variant.id)),
                clean(words(variant), 80),
            )
        )
    headers = ("step", "id", "parent", "gen", "status", "validation", "what changed")
    return table(headers, rows, columns, frozenset({"step", "parent", "gen"}))


def words(variant: Variant) -> str:
    """What to say about a variant in one line; a program wrote it: not yet cleaned."""
    if variant.step == 0 and not variant.summary:
        return "seed program"
    return variant.summary if variant.status in ("evaluated", "screened_out", "raced_out") else variant.reason


def best_variant(variants: Sequence[Variant]) -> Variant | None:
    """The highest validation score among fully evaluated variants; the earliest of equals. None where there is none."""
    scored = [variant for variant in variants if variant.status == "evaluated" and variant.score is not None]
    return max(scored, key=lambda variant: (variant.score or 0.0, -variant.step), default=None)

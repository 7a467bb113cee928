"""What a page about a campaign shows, as one JSON object: read once, in a few statements, and bounded in size."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING

from hyperagent import __version__
from hyperagent.assembly.costs import campaign_costs
from hyperagent.assembly.findings import findings
from hyperagent.assembly.results import Results, TaskSet, read_results, written
from hyperagent.protocols import Archive
from hyperagent.report.table import best_variant, words
from hyperagent.report.text import clean, clean_block
from hyperagent.types import Campaign, Interval, Json, Variant

if TYPE_CHECKING:
    from hyperagent.evaluation.statistics import Resamples

SCHEMA = 1
LONGEST_WORDS = 300
LONGEST_LINE = 300
LONGEST_DIFF = 6_000
"""Characters of one diff; the whole one is `hyperagent diff`'s."""
ALL_DIFFS = 1_800_000
"""Bytes of all diffs of a page together, as the file holds them: a page about 1,000 variants stays below 5 MB."""
ALL_NOTES = 30_000
"""Failed tasks whose reason is told, over all variants."""


def page_data(
    archive: Archive,
    campaign: Campaign,
    *,
    hidden: bool = False,
    skills: Sequence[Mapping[str, Json]] = (),
) -> dict[str, Json]:
    """Everything that a page about one campaign shows. Text written by programs is cleaned and cut here.

    Args:
        hidden: Also what earlier readings of the hidden test left in the archive; nothing is run.
        skills: Rows of the skills panel: ``name``, ``about``, ``step`` (where it came from); no rows, no panel.
    """
    newest = archive.newest_event(campaign.id)  # first: what is written meanwhile makes the next look differ
    variants = archive.variants(campaign.id)
    results = read_results(archive, campaign.id, variants, hidden=hidden, notes=ALL_NOTES)
    best = best_variant(variants)
    used = {str(row["name"]): row for row in archive.call_totals(campaign.id, "variant")}
    return {
        "schema": SCHEMA,
        "version": __version__,
        "generated": time.time(),
        "newest": newest,
        "archive": str(archive.path),
        "campaign": _campaign(campaign),
        "best": variants.index(best) if best else None,
        "against_seed": _against(results, 0, variants.index(best)) if best and best.step else None,
        "variants": _columns(variants, results, used),
        "sets": [_set(one, variants) for one in results.sets],
        "notes": results.notes,
        "diffs": _diffs(archive, variants, best),
        "costs": _costs(archive, campaign),
        "findings": findings(archive, campaign, variants, results, best),
        "skills": [{name: _plain(value) for name, value in row.items()} for row in skills],
        "config": _plain(campaign.config),
    }


def index_data(archive: Archive) -> dict[str, Json]:
    """All campaigns of an archive, the newest first."""
    rows = []
    for campaign in reversed(archive.campaigns()):
        variants = archive.variants(campaign.id)
        best = best_variant(variants)
        rows.append(
            {
                **_campaign(campaign),
                "attempts": max(0, len(variants) - 1),
                "evaluated": sum(one.status == "evaluated" and one.step > 0 for one in variants),
                "best": None if best is None else [best.step, best.score],
                "tokens": archive.spend(campaign.id).tokens,
            }
        )
    return {"schema": SCHEMA, "version": __version__, "archive": str(archive.path), "campaigns": rows}


def index_mark(archive: Archive) -> int:
    """A number that grows when anything in the archive changes."""
    return max((archive.newest_event(one.id) for one in archive.campaigns()), default=0)


def _campaign(campaign: Campaign) -> dict[str, Json]:
    return {
        "id": campaign.id,
        "name": clean(campaign.name, 100),
        "state": campaign.state,
        "reason": clean(campaign.reason, 200),
        "created": campaign.created,
        "seed": campaign.random_seed,
    }


def _columns(
    variants: Sequence[Variant], results: Results, used: Mapping[str, Mapping[str, Json]]
) -> dict[str, list[Json]]:
    """One list a member, in step order: a page of thousands spells no name twice."""
    number = {variant.id: index for index, variant in enumerate(variants)}
    found: dict[str, list[Json]] = {}
    for index, variant in enumerate(variants):
        parent = number.get(variant.parent or "", -1)
        span = _interval(results.validation(index))
        row: dict[str, Json] = {
            "id": variant.id,
            "step": variant.step,
            "parent": parent if parent < index else -1,  # damaged rows cannot make a circle
            "generation": variant.generation,
            "status": variant.status,
            "score": _short(variant.score),
            "low": _short(span.low) if span else None,
            "high": _short(span.high) if span else None,
            "n": span.n if span else 0,
            "against": _against(results, parent, index) if parent >= 0 else None,
            "tokens": 0,
            "calls": 0,
            "cost": 0.0,
            "seconds": round(variant.seconds, 1),
            "created": round(variant.created, 1),
            "words": clean(words(variant), LONGEST_WORDS),
            "commit": variant.commit,
        }
        sums = used.get(variant.id)
        if sums:
            row["tokens"] = sums["prompt_tokens"] + sums["completion_tokens"]
            row["calls"], row["cost"] = sums["calls"], round(sums["cost"], 6)
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return found


def _interval(scores: Sequence[float]) -> Interval | None:
    from hyperagent.evaluation.statistics import mean_interval

    if not scores:
        return None
    return mean_interval(scores) if all(score in (0, 1) for score in scores) else _resamples(len(scores)).mean(scores)


@lru_cache(maxsize=16)
def _resamples(n: int) -> Resamples:
    """The samples that ``mean_interval`` would draw, drawn once for all variants that ran ``n`` tasks."""
    from hyperagent.evaluation.statistics import Resamples

    return Resamples(n)


def _against(results: Results, parent: int, child: int) -> list[Json] | None:
    """Tasks won and lost against the parent, of how many both ran, and McNemar's p where scores are 0 or 1."""
    from hyperagent.evaluation.statistics import mcnemar

    pairs = list(results.pairs(parent, child))
    if not pairs:
        return None
    won, lost = sum(b > a for a, b in pairs), sum(a > b for a, b in pairs)
    exact = all(value in (0, 1) for pair in pairs for value in pair)
    p = mcnemar([a for a, _ in pairs], [b for _, b in pairs]).p_value if exact else None
    return [won, lost, len(pairs), None if p is None else float(f"{p:.3g}")]


def _set(one: TaskSet, variants: Sequence[Variant]) -> dict[str, Json]:
    spans = {index: _interval(one.scores(index)) for index in one.rows}
    return {
        "benchmark": clean(one.benchmark, 60),
        "split": one.split,
        "tasks": [clean(task, 120) for task in one.tasks],
        "rows": [one.row(index) if index in one.rows else "" for index in range(len(variants))],
        "scores": [
            [_short(span.estimate), _short(span.low), _short(span.high)] if (span := spans.get(index)) else None
            for index in range(len(variants))
        ],
    }


def _diffs(archive: Archive, variants: Sequence[Variant], best: Variant | None) -> dict[str, str]:
    """Index of a variant -> its diff against its parent: the best one's ancestors first, then by score, while it fits.

    An empty text says that there was no room for it.
    """
    number = {variant.id: index for index, variant in enumerate(variants)}
    path = set(_ancestors(variants, number, best))
    wanted = [index for index, one in enumerate(variants) if one.tree and one.parent in number]
    wanted.sort(key=lambda index: (index not in path, -(variants[index].score or 0.0), index))
    trees = [(variants[number[variants[index].parent or ""]].tree, variants[index].tree) for index in wanted]
    found: dict[str, str] = {str(index): "" for index in wanted}
    left = ALL_DIFFS
    for index, text in zip(wanted, archive.diffs(trees), strict=True):
        shown = _cut(text)
        left -= written(shown)
        if left < 0:
            break
        found[str(index)] = shown
    return found


def _cut(diff: str) -> str:
    """Long lines first, so that one of them does not hide the rest."""
    lines = (line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} [...]" for line in diff.split("\n"))
    text = "\n".join(lines)
    return clean_block(text if len(text) <= LONGEST_DIFF else f"{text[:LONGEST_DIFF]}\n[...]")


def _ancestors(variants: Sequence[Variant], number: Mapping[str, int], one: Variant | None) -> Iterator[int]:
    seen: set[str] = set()
    while one is not None and one.id not in seen:
        seen.add(one.id)
        yield number[one.id]
        above = number.get(one.parent or "")
        one = None if above is None else variants[above]


def _costs(archive: Archive, campaign: Campaign) -> dict[str, Json]:
    by = {name: campaign_costs(archive, campaign, name).rows for name in ("purpose", "model")}
    return {name: [{**asdict(row), "name": clean(row.name, 100)} for row in rows] for name, rows in by.items()}


def _plain(value: Json) -> Json:
    """JSON whose texts are safe to show."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    if isinstance(value, str):
        return clean_block(value[:LONGEST_DIFF])
    if isinstance(value, Mapping):
        return {clean(str(name), 100): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

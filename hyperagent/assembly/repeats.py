"""Two campaigns against each other, each with its repeats: one run says little about the method behind it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from hyperagent.errors import UsageError
from hyperagent.evaluation.comparing import CONFIDENCE, least_repeats, rank_sum
from hyperagent.protocols import Archive
from hyperagent.report.table import best_variant
from hyperagent.types import Campaign, CampaignComparison, Json, Repeat, Verdict

_DIFFER = ("name", "seed")
"""Members of a config in which repeats of one method differ."""


def compare_campaigns(archive: Archive, a: Sequence[str], b: Sequence[str]) -> CampaignComparison:
    """B against A by their best validation scores.

    Args:
        a, b: References of campaigns. A single one stands for all that differ from it in name and random seed only,
            but for itself alone where that would put the other side's campaign among its repeats.

    Raises:
        UsageError: A campaign is on both sides, or none of a side has a score.
    """
    left, right = ([archive.campaign(reference) for reference in side] for side in (a, b))
    if len(left) == len(right) == 1 and _method(left[0]) != _method(right[0]):
        left, right = (_repeats(archive, side[0]) for side in (left, right))
    both = {campaign.id for campaign in left} & {campaign.id for campaign in right}
    if both:
        name = next(campaign.name for campaign in left if campaign.id in both)
        raise UsageError(f"campaign {name} is on both sides", hint="name two different ones")
    first, second = (tuple(_repeat(archive, campaign) for campaign in side) for side in (left, right))
    scores = [[one.best_score for one in side if one.best_score is not None] for side in (first, second)]
    for side, found in zip((first, second), scores, strict=True):
        if not found:
            raise UsageError(f"campaign {side[0].campaign.name} has no evaluated variant", hint="see `hyperagent ls`")
    p_value = rank_sum(*scores) if min(map(len, scores)) > 1 else None
    decided = p_value is not None and p_value < 1 - CONFIDENCE
    middle = median(scores[0]), median(scores[1])
    verdict: Verdict = "inconclusive" if not decided else "better" if middle[1] > middle[0] else "worse"
    gains = [[_gain(one) for one in side] for side in (first, second)]
    known = [[gain for gain in side if gain is not None] for side in gains]
    return CampaignComparison(
        first,
        second,
        middle,
        (median(known[0]) if known[0] else None, median(known[1]) if known[1] else None),
        p_value,
        verdict,
        least_repeats(2),
    )


def _gain(repeat: Repeat) -> float | None:
    if repeat.best_score is None or repeat.seed_score is None:
        return None
    return repeat.best_score - repeat.seed_score


def _method(campaign: Campaign) -> dict[str, Json]:
    return {name: value for name, value in campaign.config.items() if name not in _DIFFER}


def _repeats(archive: Archive, campaign: Campaign) -> list[Campaign]:
    return [one for one in archive.campaigns() if _method(one) == _method(campaign)]


def _repeat(archive: Archive, campaign: Campaign) -> Repeat:
    variants = archive.variants(campaign.id)
    best = best_variant(variants)
    seed = variants[0].score if variants else None
    return Repeat(
        campaign, best, best.score if best else None, seed, max(0, len(variants) - 1), archive.spend(campaign.id)
    )

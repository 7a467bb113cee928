"""Which variant is worth starting another campaign from: the one whose descendants gained most over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hyperagent.types import Variant

DISCOUNT = 0.6
FEWEST_DESCENDANTS = 3


def growth(variants: Sequence[Variant]) -> Mapping[str, float]:
    """Variant id -> discounted gain of its descendants, for every scored variant that has enough of them.

    ``mean over descendants d of (a_d - a_n) * 0.6 ** distance(n, d)`` with scores a, over nodes with at least three
    descendants (Zhang et al. 2026, arXiv 2603.19461, choice of the agent to transfer). A parent is at distance 1.
    Descendants without a score say nothing and are left out, of the count too.

    Args:
        variants: All of one campaign.
    """
    by_id = {variant.id: variant for variant in variants}
    gains: dict[str, list[float]] = {variant.id: [] for variant in variants if variant.score is not None}
    for descendant in variants:
        if descendant.score is None:
            continue
        distance, above = 1, by_id.get(descendant.parent or "")
        while above is not None:
            if above.score is not None:
                gains[above.id].append((descendant.score - above.score) * DISCOUNT**distance)
            distance, above = distance + 1, by_id.get(above.parent or "")
    return {name: sum(found) / len(found) for name, found in gains.items() if len(found) >= FEWEST_DESCENDANTS}


def best_source(variants: Sequence[Variant]) -> Variant | None:
    """The variant of the highest :func:`growth`, the earliest of equals; None where none has enough descendants."""
    found = growth(variants)
    grown = [variant for variant in variants if variant.id in found]
    return max(grown, key=lambda variant: (found[variant.id], -variant.step), default=None)

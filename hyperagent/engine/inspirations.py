"""Inspirations: a few good variants of other lineages, whose edits a mutation is shown beside its own ancestors'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from hyperagent.protocols import Archive
from hyperagent.types import Variant

INSPIRED = "inspirations_chosen"
"""Event: ``step``, and the ids of its ``inspirations``."""
POOL = 4
"""The draw is among this many times as many of the best as are wanted: always the same ones would teach little."""


def choose(variants: Sequence[Variant], parent: Variant, before_step: int, count: int, random: Random) -> list[Variant]:
    """Draw evenly among the best of other lineages; fewer than ``count`` where there are no more.

    Neither ancestors nor descendants of the parent, nor the seed program, nor, as long as others are left, of each
    other. In step order.

    Args:
        variants: Of the campaign, in step order.
        before_step: Only variants of earlier steps.
        random: The only source of chance.
    """
    by_id = {variant.id: variant for variant in variants}
    kin = _line(parent, by_id)
    others = [
        one
        for one in variants
        if one.step < before_step
        and one.parent
        and one.commit
        and one.status == "evaluated"
        and one.id not in kin
        and parent.id not in _line(one, by_id)
    ]
    pool = sorted(others, key=lambda one: (-(one.score or 0.0), one.step))[: POOL * count]
    random.shuffle(pool)
    chosen: list[Variant] = []
    related: list[Variant] = []
    for one in pool:
        line = _line(one, by_id)
        apart = all(other.id not in line and one.id not in _line(other, by_id) for other in chosen)
        (chosen if apart else related).append(one)
    return sorted([*chosen, *related][:count], key=lambda one: one.step)


def _line(variant: Variant, by_id: Mapping[str, Variant]) -> set[str]:
    """Ids of a variant and its ancestors."""
    line = {variant.id}
    while variant.parent and variant.parent in by_id:
        variant = by_id[variant.parent]
        line.add(variant.id)
    return line


def chosen_before(archive: Archive, campaign: str, step: int) -> list[Variant] | None:
    """What an earlier session chose for the step, or None: others may have been scored since."""
    for event in archive.events_of(campaign, INSPIRED):
        if event.payload["step"] == step:
            return [archive.variant(one) for one in event.payload["inspirations"]]
    return None

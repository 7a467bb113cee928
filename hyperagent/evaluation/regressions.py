"""Edits after which a lineage got worse: every edit's whole subtree against the program that was edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hyperagent.evaluation.statistics import RANDOM_SEED, Floats, paired_bootstrap
from hyperagent.types import Interval, Variant

FLIPS = 10_000
_SLAB = 1 << 20
Scores = Mapping[str, Mapping[tuple[str, str], float]]
"""Variant id -> (benchmark, task) -> score in [0, 1]."""


@dataclass(frozen=True)
class Regression:
    """One edit, the step from ``parent`` to ``child``.

    Attributes:
        family: Scored variants that carry the edit: the child and its descendants.
        difference: Mean over tasks of (mean score of the family - the parent's score), in [-1, 1], with its interval.
        p_value: Two-sided, of this edit alone.
        corrected: By Holm over all edits of the campaign that could be tested.
    """

    parent: Variant
    child: Variant
    family: int
    difference: Interval
    p_value: float
    corrected: float


def regressions(variants: Sequence[Variant], scores: Scores) -> list[Regression]:
    """Every edit whose family scores below the program that was edited, the largest loss first.

    Families overlap (a descendant carries all edits of its line), so one bad edit shows on every edit above it that it
    outweighs; the deepest edit of such a chain is the onset. The parent of an edit was often chosen because it scored
    well by luck, which alone makes its children look a little worse: small losses mean nothing.

    Args:
        variants: Of one campaign, in step order.
        scores: Outcomes on validation; a variant without any is passed over.
    """
    families = _families(variants)
    by_id = {variant.id: variant for variant in variants}
    found: list[tuple[Variant, Variant, int, Interval, float]] = []
    for child in variants:
        family = [one for one in families[child.id] if scores.get(one)]
        before = scores.get(child.parent or "")
        if not family or not before:
            continue
        tasks = [task for task in before if any(task in scores[one] for one in family)]
        if not tasks:
            continue
        after = [float(np.mean([scores[one][task] for one in family if task in scores[one]])) for task in tasks]
        was = [before[task] for task in tasks]
        p_value = sign_flip(np.array(after) - np.array(was))
        found.append((by_id[child.parent or ""], child, len(family), paired_bootstrap(was, after), p_value))
    corrected = holm([one[-1] for one in found])
    every = [Regression(*one, p) for one, p in zip(found, corrected, strict=True)]
    worse = [one for one in every if one.difference.estimate < 0]
    return sorted(worse, key=lambda one: (one.difference.estimate, one.child.step))


def _families(variants: Sequence[Variant]) -> dict[str, list[str]]:
    """Variant id -> itself and all its descendants; children come after their parents in step order."""
    families: dict[str, list[str]] = {variant.id: [variant.id] for variant in variants}
    for variant in reversed(variants):
        if variant.parent in families:
            families[variant.parent].extend(families[variant.id])
    return families


def sign_flip(differences: Floats) -> float:
    """Two-sided p-value of the null hypothesis that paired differences are symmetric around 0.

    Their signs are drawn anew ``FLIPS`` times; p is the share, the observed one included, of absolute means that are
    no smaller (Fisher 1935, The Design of Experiments, section 21; Phipson and Smyth 2010 for the +1).
    """
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    generator = np.random.default_rng(RANDOM_SEED)
    observed, hits = abs(moved.sum()) - 1e-9, 0
    step = max(1, _SLAB // len(moved))
    for start in range(0, FLIPS, step):
        signs = generator.integers(0, 2, (min(step, FLIPS - start), len(moved))) * 2.0 - 1.0
        hits += int((np.abs(signs @ moved) >= observed).sum())
    return (hits + 1) / (FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down corrected p-values in the order given (Holm 1979, Scandinavian Journal of Statistics 6:65-70)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected

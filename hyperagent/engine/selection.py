"""Parent selection: which archived variant the next step branches from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from hyperagent.protocols import ParentSelector
from hyperagent.types import Variant


def _score(variant: Variant) -> float:
    return variant.score if variant.score is not None else 0.0


class ScoreChildProportional:
    """The paper's rule: a good score raises the chance, every child lowers it.

    Weight of variant i: ``sigmoid(10 (a_i - mid)) / (1 + n_i)`` with score a_i, number of children n_i and
    mid = mean of the three highest scores (Zhang et al. 2026, arXiv 2603.19461, parent selection).
    """

    def weights(self, candidates: Sequence[Variant], children: Mapping[str, int]) -> list[float]:
        """Unnormalised weights, all > 0, in the order of ``candidates``."""
        top = sorted((_score(v) for v in candidates), reverse=True)[:3]
        middle = sum(top) / len(top)
        return [1 / (1 + math.exp(-10 * (_score(v) - middle))) / (1 + children.get(v.id, 0)) for v in candidates]

    def select(self, candidates: Sequence[Variant], children: Mapping[str, int], random: float) -> Variant:
        weights = self.weights(candidates, children)
        target = random * sum(weights)
        for variant, weight in zip(candidates, weights, strict=True):
            target -= weight
            if target < 0:
                return variant
        return candidates[-1]


class Best:
    """Always the highest score; the earliest of equals."""

    def select(self, candidates: Sequence[Variant], children: Mapping[str, int], random: float) -> Variant:
        return max(candidates, key=lambda v: (_score(v), -v.step))


class Latest:
    """Always the newest variant: a chain without an archive."""

    def select(self, candidates: Sequence[Variant], children: Mapping[str, int], random: float) -> Variant:
        return max(candidates, key=lambda v: v.step)


class Uniform:
    """Every variant with the same chance."""

    def select(self, candidates: Sequence[Variant], children: Mapping[str, int], random: float) -> Variant:
        return candidates[min(int(random * len(candidates)), len(candidates) - 1)]


class Seed:
    """Always generation 0, so that no step builds on another."""

    def select(self, candidates: Sequence[Variant], children: Mapping[str, int], random: float) -> Variant:
        return min(candidates, key=lambda v: v.step)


SELECTORS: Mapping[str, Callable[[], ParentSelector]] = {
    "score_child_prop": ScoreChildProportional,
    "best": Best,
    "random": Uniform,
    "latest": Latest,
    "seed": Seed,
}
"""Every method by its name in the config."""

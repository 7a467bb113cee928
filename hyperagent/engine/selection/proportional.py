"""The rules of the published systems: a chance by score, and less of it for every child."""

from __future__ import annotations

from random import Random

import numpy as np

from hyperagent.engine.population import Floats, Ints
from hyperagent.engine.selection.simple import chosen, draw
from hyperagent.protocols import Candidates, Reads
from hyperagent.types import Variant

STEEPNESS = 10.0
TOP = 3
HALF_LIFE = 8.0


class ScoreProportional:
    """A good score raises the chance: weight ``sigmoid(10 (a_i - mid))``.

    ``a_i`` is the score, ``mid`` the mean of the three highest scores (Zhang et al. 2026, arXiv 2603.19461, parent
    selection, without its factor for children).
    """

    reads: Reads = "scores"

    def weights(self, scores: Floats, children: Ints) -> Floats:
        """Unnormalised weights, all > 0.

        Args:
            scores: Shape (n,), in [0, 1].
            children: Shape (n,), at least 0.
        """
        return _sigmoid(scores) * self.penalty(children)

    def penalty(self, children: Ints) -> Floats:
        """The factor for children, in (0, 1]."""
        return np.ones(len(children))

    def select(self, candidates: Candidates, random: Random) -> Variant:
        return chosen(candidates, draw(self.weights(candidates.scores(), candidates.children()), random))


class ScoreChildProportional(ScoreProportional):
    """The paper's rule: a good score raises the chance, every child lowers it.

    Weight ``sigmoid(10 (a_i - mid)) / (1 + n_i)`` with score ``a_i``, number of children ``n_i`` and ``mid`` the mean
    of the three highest scores (Zhang et al. 2026, arXiv 2603.19461, parent selection).
    """

    def penalty(self, children: Ints) -> Floats:
        factor: Floats = 1.0 / (1.0 + children.astype(np.float64))
        return factor


class ScoreChildProportionalCode(ScoreProportional):
    """The released code's rule, which is not the paper's: the first children cost next to nothing, from 8 on all.

    Weight ``sigmoid(10 (a_i - mid)) exp(-(n_i / 8)^3)``, as the code released with Zhang et al. 2026 computes it. Where
    every variant has so many children that all weights vanish, the relative ones decide.
    """

    def weights(self, scores: Floats, children: Ints) -> Floats:
        exponent = -((children / HALF_LIFE) ** 3)
        weights: Floats = _sigmoid(scores) * np.exp(exponent - exponent.max())
        return weights


def _sigmoid(scores: Floats) -> Floats:
    top = scores if len(scores) <= TOP else np.partition(scores, len(scores) - TOP)[-TOP:]
    value: Floats = 1.0 / (1.0 + np.exp(-STEEPNESS * (scores - top.mean())))
    return value

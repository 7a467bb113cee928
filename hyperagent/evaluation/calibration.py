"""Whether a program knows when it is right: what its confidences are worth.

A confidence is the chance that the answer beside it is right, in [0, 1]; ``scores`` say what the answer got (0 or 1,
or anything between). Ranking by confidence is judged over all tasks: an answer without a confidence is the least sure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperagent.evaluation.statistics import RANDOM_SEED, Floats, divided

BINS = 10
NULL_DRAWS = 1000
MOST_POINTS = 100
_CLIP = 1e-6
"""Log loss treats a confidence of 0 or 1 as this close to it: being wrong costs at most 13.8, not infinity."""
MOST_LOG_LOSS = -math.log(_CLIP)

Bins = NDArray[np.intp]


def brier_terms(confidences: Floats, scores: Floats) -> Floats:
    """Squared difference of each answer's confidence and score, in [0, 1]; their mean is the Brier score (Brier 1950,
    Monthly Weather Review 78:1-3). 0.25 is what always saying 0.5 costs."""
    terms: Floats = (confidences - scores) ** 2
    return terms


def log_loss_terms(confidences: Floats, scores: Floats) -> Floats:
    """``-(s·ln c + (1-s)·ln(1-c))`` of each answer in nats, confidences clipped to [1e-6, 1 - 1e-6]. 0.693 is what
    always saying 0.5 costs."""
    c = np.clip(confidences, _CLIP, 1 - _CLIP)
    terms: Floats = -(scores * np.log(c) + (1 - scores) * np.log1p(-c))
    return terms


def equal_width(confidences: Floats) -> Bins:
    """Number of the bin of each confidence among ten of width 0.1: [0, 0.1), ..., [0.9, 1]."""
    return np.minimum((confidences * BINS).astype(np.intp), BINS - 1)


def equal_mass(confidences: Floats) -> Bins:
    """Number of the bin of each confidence among ten that hold about equally many; equal confidences share one."""
    edges = np.quantile(confidences, np.arange(1, BINS) / BINS) if len(confidences) else confidences
    return np.searchsorted(edges, confidences, side="left").astype(np.intp)


def ece(confidences: Floats, scores: Floats, bins: Bins) -> Floats:
    """Expected calibration error: mean over answers of how far mean confidence and mean score of their bin lie apart,
    in [0, 1] (Guo et al. 2017, arXiv:1706.04599, eq. 3).

    Args:
        confidences: Shape (n,).
        scores: Shape (n,), or (r, n) for r sets of answers at once.
    """
    member = np.eye(BINS)[bins]
    return divided(np.abs((confidences - scores) @ member).sum(-1), np.asarray(float(len(confidences))))


@dataclass(frozen=True)
class Null:
    """Mean and 95th percentile of the calibration error that perfect calibration would show."""

    mean: float
    percentile95: float


def ece_null(confidences: Floats, bins: Bins, draws: int = NULL_DRAWS) -> Null:
    """The calibration error of a perfectly calibrated predictor with these very confidences and bins.

    It is not zero: bins hold few answers, and chance alone moves their scores. Each draw lets every answer be right
    with the probability that its confidence states (consistency resampling, Bröcker and Smith 2007, Weather and
    Forecasting 22:651-661). An error above the 95th percentile is evidence against calibration; one below it is none
    for it. For scores between 0 and 1 the comparison is a lenient one, as they vary less than the draws.
    """
    if not len(confidences):
        return Null(0.0, 0.0)
    right = np.random.default_rng(RANDOM_SEED).random((draws, len(confidences))) < confidences
    found = ece(confidences, right.astype(np.float64), bins)
    return Null(float(found.mean()), float(np.quantile(found, 0.95)))


class RiskCoverage:
    """What is lost per answer when only the surest are given (Geifman and El-Yaniv 2017, arXiv:1705.08500).

    Equal confidences cannot be told apart: a threshold takes all of them or none.
    """

    def __init__(self, confidences: Sequence[float | None], scores: Floats) -> None:
        """``confidences``: of every task; None = no confidence: answered last."""
        sure = np.array([-1.0 if confidence is None else confidence for confidence in confidences])
        self._levels, inverse, counts = np.unique(-sure, return_inverse=True, return_counts=True)
        self._order = np.argsort(inverse, kind="stable")
        self._starts = np.cumsum(counts) - counts
        self._loss = 1.0 - scores

    def curve(self) -> tuple[tuple[float, float], ...]:
        """``(coverage, risk)`` at each threshold, surest first, the last one at coverage 1; at most 100 of them."""
        if not len(self._loss):
            return ()
        held, risk = self._risks(np.ones((1, len(self._loss))))
        coverage = np.cumsum(held[0]) / len(self._loss)
        shown = np.unique(np.linspace(0, len(coverage) - 1, min(MOST_POINTS, len(coverage))).round().astype(int))
        return tuple((float(coverage[index]), float(risk[0, index])) for index in shown)

    def area(self, weights: Floats) -> Floats:
        """Area under the curve for weights of shape (r, n), in [0, 1], lower is better: the mean over tasks of the
        risk at the threshold that just takes the task. Confidences that say nothing give 1 - mean score."""
        held, risk = self._risks(weights)
        return divided((held * risk).sum(1), held.sum(1))

    def _risks(self, weights: Floats) -> tuple[Floats, Floats]:
        held = np.add.reduceat(weights[:, self._order], self._starts, axis=1)
        lost = np.add.reduceat((weights * self._loss)[:, self._order], self._starts, axis=1)
        return held, divided(np.cumsum(lost, axis=1), np.cumsum(held, axis=1))

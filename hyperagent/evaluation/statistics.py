"""Intervals and paired tests: what a claim about scores has to carry.

Everything is two-sided. Resampling uses a fixed seed, so that a report printed twice says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hyperagent.evaluation.proportions import check_paired, mcnemar, wilson
from hyperagent.types import Interval

Floats = NDArray[np.float64]
__all__ = ["Resamples", "divided", "mcnemar", "mean_interval", "paired_bootstrap", "wilson"]

RESAMPLES = 2000
RANDOM_SEED = 20_240_229
_SLAB = 1 << 20
"""Most weights held as floats at once; bounds the memory that thousands of tasks need."""


def mean_interval(scores: Sequence[float]) -> Interval:
    """95% interval of a mean score: Wilson where every score is 0 or 1, else the percentile bootstrap.

    The bootstrap (Efron and Tibshirani 1993, ch. 13) knows nothing beyond the scores that it is given: below some ten
    scores it is too narrow.

    Args:
        scores: Scores in [0, 1]. Their order has no effect.
    """
    if all(score in (0, 1) for score in scores):
        return wilson(int(sum(scores)), len(scores))
    return _resamples(len(scores)).mean(sorted(scores))


@lru_cache(maxsize=4)
def _resamples(n: int) -> Resamples:
    """A table of a thousand variants draws its samples once, not a thousand times."""
    return Resamples(n)


def paired_bootstrap(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Mean of ``b - a`` over paired tasks, with its 95% percentile bootstrap interval over tasks, in [-1, 1].

    Tasks are drawn with replacement and keep their pairing (Efron and Tibshirani 1993, ch. 13).

    Raises:
        ValueError: Different lengths.
    """
    check_paired(a, b)
    return Resamples(len(a)).mean(np.asarray(b, dtype=float) - np.asarray(a, dtype=float), -1.0, 1.0)


class Resamples:
    """Bootstrap samples of one set of tasks, drawn once and shared by all figures about it.

    A sample is a row of weights: how often it holds each task. So any statistic that can weigh tasks gets an interval,
    and all samples are computed at once. Where several tasks share a group (solutions of one problem), whole groups
    are drawn: tasks of a group succeed and fail together, and drawing them singly makes intervals too narrow (cluster
    bootstrap, Davison and Hinkley 1997, section 3.8). Few tasks, or few groups, still give too narrow ones: below some
    ten, do not believe them.
    """

    def __init__(self, n: int, groups: Sequence[Hashable] = (), resamples: int = RESAMPLES) -> None:
        """``groups``: the group of each of ``n`` tasks; empty = every task is its own."""
        index: dict[Hashable, int] = {}
        member = np.array([index.setdefault(group, len(index)) for group in groups or range(n)], dtype=np.int64)
        if len(member) != n:
            raise ValueError(f"{n} tasks but {len(member)} groups")
        self.n = n
        self.clustered = len(index) < n
        self._weights = np.empty((resamples, n), dtype=np.uint16)
        generator = np.random.default_rng(RANDOM_SEED)
        for rows in self._slabs():
            counts = _drawn(generator, len(self._weights[rows]), len(index))
            self._weights[rows] = counts[:, member]

    def _slabs(self) -> list[slice]:
        step = max(1, _SLAB // max(1, self.n))
        return [slice(start, start + step) for start in range(0, len(self._weights), step)]

    def each(self, function: Callable[[Floats], Floats]) -> Floats:
        """A function of weights, of shape (r, n), over the tasks themselves (row 0: weights 1) and all samples."""
        slabs = (self._weights[rows].astype(np.float64) for rows in self._slabs())
        return np.concatenate([function(np.ones((1, self.n))), *map(function, slabs)])

    def interval_of(self, values: Floats, low: float = 0.0, high: float = 1.0) -> Interval:
        """Estimate and 95% percentile interval (Efron and Tibshirani 1993, ch. 13) of what :meth:`each` gave.

        Args:
            values: Shape (1 + samples,), the estimate first.
            low, high: Range of the figure, which is also its interval where there are no tasks.
        """
        if not self.n:
            return Interval(0.0, low, high, 0)
        estimate = float(values[0])
        below, above = (float(value) for value in np.quantile(values[1:], (0.025, 0.975)))
        return Interval(estimate, min(estimate, below), max(estimate, above), self.n)

    def interval(self, statistic: Callable[[Floats], Floats], low: float = 0.0, high: float = 1.0) -> Interval:
        """:meth:`interval_of` a statistic that maps weights of shape (r, n) to values of shape (r,)."""
        return self.interval_of(self.each(statistic) if self.n else np.zeros(1), low, high)

    def mean(self, values: Sequence[float] | Floats, low: float = 0.0, high: float = 1.0) -> Interval:
        """The mean of one value a task."""
        return self.ratio(values, np.ones(self.n), low, high)

    def ratio(
        self, parts: Sequence[float] | Floats, wholes: Sequence[float] | Floats, low: float = 0.0, high: float = 1.0
    ) -> Interval:
        """Sum of ``parts`` over sum of ``wholes``, one of each a task; 0 of nothing is 0 and could be anything."""
        part, whole = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
        if not whole.any():
            return Interval(0.0, low, high, 0)
        return self.interval(lambda weights: divided(weights @ part, weights @ whole), low, high)


def divided(part: Floats, whole: Floats, otherwise: float = 0.0) -> Floats:
    """``part / whole``, and ``otherwise`` where the whole is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    result: Floats = np.divide(part, whole, out=np.full(part.shape, otherwise), where=whole != 0)
    return result


def _drawn(generator: np.random.Generator, rows: int, n: int) -> NDArray[np.int64]:
    """How often each of ``n`` things is among ``n`` draws with replacement, shape (rows, n)."""
    drawn = generator.integers(0, max(1, n), (rows, n)) + np.arange(rows)[:, None] * n
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)

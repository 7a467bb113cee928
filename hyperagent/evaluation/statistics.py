"""Intervals and paired tests: what a claim about scores has to carry.

Everything is two-sided. Resampling uses a fixed seed, so that a report printed twice says the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hyperagent.evaluation.proportions import check_paired, mcnemar, wilson
from hyperagent.types import Interval, PairedTest

Floats = NDArray[np.float64]
__all__ = [
    "Resamples",
    "divided",
    "holm",
    "mcnemar",
    "mean_interval",
    "median_interval",
    "paired_bootstrap",
    "score_interval",
    "wilcoxon",
    "wilson",
    "winners",
]

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


def score_interval(scores: Sequence[Sequence[float]], aggregate: Callable[[Sequence[float]], float]) -> Interval:
    """95% interval of a score made of several benchmarks' means: each benchmark's tasks are drawn apart.

    Stratified percentile bootstrap (Efron and Tibshirani 1993, ch. 13); one benchmark is :func:`mean_interval`.

    Args:
        scores: Per benchmark its scores in [0, 1], none empty.
        aggregate: Means -> score in [0, 1].
    """
    if len(scores) <= 1:
        return mean_interval(scores[0] if scores else [])
    means = []
    for number, part in enumerate(scores):
        resamples = Resamples(len(part), random_seed=RANDOM_SEED + number)
        means.append(resamples.each(lambda weights, part=part: weights @ np.asarray(part) / len(part)))  # type: ignore[misc]
    values = [aggregate(row) for row in np.column_stack(means).tolist()]
    below, above = (float(value) for value in np.quantile(values[1:], (0.025, 0.975)))
    return Interval(values[0], min(values[0], below), max(values[0], above), sum(map(len, scores)))


def paired_bootstrap(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Mean of ``b - a`` over paired tasks, with its 95% percentile bootstrap interval over tasks, in [-1, 1].

    Tasks are drawn with replacement and keep their pairing (Efron and Tibshirani 1993, ch. 13).

    Raises:
        ValueError: Different lengths.
    """
    check_paired(a, b)
    return Resamples(len(a)).mean(np.asarray(b, dtype=float) - np.asarray(a, dtype=float), -1.0, 1.0)


def wilcoxon(a: Sequence[float], b: Sequence[float]) -> PairedTest:
    """Exact Wilcoxon signed-rank test: is ``b`` above ``a`` by more, and more often, than below?

    Differences of 0 are dropped; equal sizes share the mean of their ranks. Under the null hypothesis every sign is as
    likely, so the distribution of the sum of positive ranks, given the ranks, is counted out exactly, ties included:
    ``min(1, 2 * min(P[W <= w], P[W >= w]))`` (Wilcoxon 1945, Biometrics Bulletin 1:80-83; exact with ties as in
    Hollander, Wolfe and Chicken 2014, section 3.1).

    Args:
        a: One value a repeat.
        b: The values of the same repeats, in the same order. A win is a repeat in which ``b`` is above ``a``.

    Raises:
        ValueError: Different lengths.
    """
    check_paired(a, b)
    differences = [y - x for x, y in zip(a, b, strict=True)]
    sizes = sorted(abs(one) for one in differences if one)
    # Twice the mean rank of equals is whole: first place + last place, counted from 1.
    rank = {size: sizes.index(size) + 1 + bisect_right(sizes, size) for size in set(sizes)}
    observed = sum(rank[one] for one in differences if one > 0)
    ways = [1]  # number of sign patterns, by the sum of the positive doubled ranks
    for size in sizes:
        shift = [0] * rank[size]
        ways = [x + y for x, y in zip([*ways, *shift], [*shift, *ways], strict=True)]
    tail = min(sum(ways[: observed + 1]), sum(ways[observed:]))
    wins = sum(one > 0 for one in differences)
    return PairedTest(wins, len(sizes) - wins, len(a), min(1.0, 2 * tail / 2 ** len(sizes)))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for being several, in order (Holm 1979, Scandinavian Journal of Statistics 6:65-70)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def median_interval(values: Sequence[float], low: float = 0.0, high: float = 1.0) -> Interval:
    """The median with its 95% percentile bootstrap interval (Efron and Tibshirani 1993, ch. 13).

    Args:
        values: Any number of them; none says nothing: the interval is ``low`` to ``high``.
    """
    if not values:
        return Interval((low + high) / 2, low, high, 0)
    every = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(RANDOM_SEED).integers(0, len(every), (RESAMPLES, len(every)))
    below, above = np.quantile(np.median(every[drawn], axis=1), (0.025, 0.975))
    middle = float(np.median(every))
    return Interval(middle, min(middle, float(below)), max(middle, float(above)), len(every))


def winners(values: Sequence[float | None]) -> list[int | None]:
    """Who is best in each bootstrap sample of ``values``: what a choice of the best does when made again and again.

    Args:
        values: What each candidate is chosen by; None = it cannot be chosen.

    Returns:
        The index of the highest drawn value, of the earliest of equals, once for every resample; None where a sample
        holds no candidate.
    """
    n = len(values)
    if not n:
        return [None] * RESAMPLES
    order = sorted((i for i in range(n) if values[i] is not None), key=lambda i: (-(values[i] or 0.0), i))
    place = np.full(n, len(order))
    place[order] = np.arange(len(order))
    drawn = np.random.default_rng(RANDOM_SEED).integers(0, n, (RESAMPLES, n))
    first = place[drawn].min(axis=1)
    return [order[one] if one < len(order) else None for one in first.tolist()]


class Resamples:
    """Bootstrap samples of one set of tasks, drawn once and shared by all figures about it.

    A sample is a row of weights: how often it holds each task. So any statistic that can weigh tasks gets an interval,
    and all samples are computed at once. Where several tasks share a group (solutions of one problem), whole groups
    are drawn: tasks of a group succeed and fail together, and drawing them singly makes intervals too narrow (cluster
    bootstrap, Davison and Hinkley 1997, section 3.8). Few tasks, or few groups, still give too narrow ones: below some
    ten, do not believe them.
    """

    def __init__(
        self, n: int, groups: Sequence[Hashable] = (), resamples: int = RESAMPLES, random_seed: int = RANDOM_SEED
    ) -> None:
        """``groups``: the group of each of ``n`` tasks; empty = every task is its own."""
        index: dict[Hashable, int] = {}
        member = np.array([index.setdefault(group, len(index)) for group in groups or range(n)], dtype=np.int64)
        if len(member) != n:
            raise ValueError(f"{n} tasks but {len(member)} groups")
        self.n = n
        self.clustered = len(index) < n
        self._weights = np.empty((resamples, n), dtype=np.uint16)
        generator = np.random.default_rng(random_seed)
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

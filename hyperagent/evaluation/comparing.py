"""Two variants on the same tasks, two campaigns with their repeats: differences, and what it would take to be sure.

Plain Python, so that a verb that shows them does not wait for numpy; partial credit alone needs the bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist

from hyperagent.evaluation.proportions import check_paired, mcnemar, wilson
from hyperagent.types import Interval, Paired, PairedTest, Verdict

CONFIDENCE = 0.95
POWER = 0.8
MOST_ARRANGEMENTS = 200_000
"""Rank-sum tests of more repeats than give so many arrangements use the normal approximation."""


def paired(benchmark: str, tasks: Sequence[str], a: Sequence[float], b: Sequence[float]) -> Paired:
    """B against A over paired scores in [0, 1].

    Raises:
        ValueError: Different lengths, or no task.
    """
    check_paired(a, b)
    if not tasks or len(tasks) != len(a):
        raise ValueError(f"{len(tasks)} tasks for {len(a)} pairs of scores")
    binary = all(score in (0, 1) for score in (*a, *b))
    test = mcnemar(a, b) if binary else None
    difference = _binary_difference(a, b) if binary else _bootstrapped(a, b)
    verdict = _verdict(difference, test)
    return Paired(
        benchmark,
        mean(a),
        mean(b),
        difference,
        test,
        tuple(task for task, x, y in zip(tasks, a, b, strict=True) if y > x),
        tuple(task for task, x, y in zip(tasks, a, b, strict=True) if y < x),
        verdict,
        more_tasks([y - x for x, y in zip(a, b, strict=True)]) if verdict == "inconclusive" else None,
    )


def mean(scores: Sequence[float]) -> Interval:
    """See ``statistics.mean_interval``; without numpy where every score is 0 or 1."""
    if all(score in (0, 1) for score in scores):
        return wilson(int(sum(scores)), len(scores))
    from hyperagent.evaluation.statistics import mean_interval

    return mean_interval(scores)


def _bootstrapped(a: Sequence[float], b: Sequence[float]) -> Interval:
    from hyperagent.evaluation.statistics import paired_bootstrap

    return paired_bootstrap(a, b)


def _verdict(difference: Interval, test: PairedTest | None) -> Verdict:
    decided = test.p_value < 1 - CONFIDENCE if test else not difference.low <= 0 <= difference.high
    if not decided:
        return "inconclusive"
    return "better" if difference.estimate > 0 else "worse"


def _binary_difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Difference of two paired proportions with Agresti and Min's interval: Wald's after half a task is added to each
    of the four cells (2005, Statistics in Medicine 24:729-740). Unlike Wald's it has a width where nothing differs.
    """
    n = len(a)
    wins = sum(y > x for x, y in zip(a, b, strict=True))
    losses = sum(y < x for x, y in zip(a, b, strict=True))
    total, won, lost = n + 2, wins + 0.5, losses + 0.5
    centre = (won - lost) / total
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(won + lost - (won - lost) ** 2 / total) / total
    estimate = (wins - losses) / n
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Interval(estimate, min(estimate, low), max(estimate, high), n)


def more_tasks(differences: Sequence[float]) -> int | None:
    """How many more tasks decide at 5% with probability 80%, should the true rates be the ones seen.

    ``n = (z_0.975·sqrt(m) + z_0.8·sqrt(m - d²))² / d²`` with ``d`` the mean difference and ``m`` the mean squared
    difference, which for scores of 0 or 1 is the share of discordant pairs (Connor 1987, Biometrics 43:207-211). Rates
    seen on a few tasks are rough, and so is this number.

    Returns:
        At least 1; None where the mean difference is 0: then nothing says that there is anything to find.
    """
    n = len(differences)
    mean = sum(differences) / n if n else 0.0
    if abs(mean) < 1e-12:
        return None
    square = sum(difference**2 for difference in differences) / n
    normal = NormalDist()
    sure, power = normal.inv_cdf((1 + CONFIDENCE) / 2), normal.inv_cdf(POWER)
    needed = (sure * math.sqrt(square) + power * math.sqrt(max(0.0, square - mean**2))) ** 2 / mean**2
    return max(1, math.ceil(needed) - n)


def rank_sum(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p-value of the rank-sum test (Wilcoxon 1945, Biometrics Bulletin 1:80-83; Mann and Whitney 1947).

    Exact over all arrangements of the pooled mid-ranks, so ties are allowed; for many values the normal approximation
    with the tie correction of Lehmann 1975, Nonparametrics, section 1.4.

    Raises:
        ValueError: A side is empty.
    """
    if not a or not b:
        raise ValueError("a rank-sum test needs values on both sides")
    ranks = _mid_ranks([*a, *b])
    seen, n = sum(ranks[len(a) :]), len(ranks)
    centre = len(b) * (n + 1) / 2
    if math.comb(n, len(b)) <= MOST_ARRANGEMENTS:
        sums = [sum(chosen) for chosen in combinations(ranks, len(b))]
        return sum(abs(one - centre) >= abs(seen - centre) - 1e-9 for one in sums) / len(sums)
    mean_square = sum((rank - (n + 1) / 2) ** 2 for rank in ranks) / (n - 1)
    deviation = math.sqrt(len(a) * len(b) / n * mean_square)
    return 1.0 if not deviation else 2 * (1 - NormalDist().cdf(abs(seen - centre) / deviation))


def least_repeats(n: int, limit: float = 1 - CONFIDENCE) -> int:
    """Fewest repeats of each side with which an exact rank-sum test of ``n`` against as many could reach the limit."""
    while 2 / math.comb(2 * n, n) >= limit:
        n += 1
    return n


def _mid_ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for rank, value in enumerate(ordered, start=1):
        first.setdefault(value, rank)
        last[value] = rank
    return [(first[value] + last[value]) / 2 for value in values]

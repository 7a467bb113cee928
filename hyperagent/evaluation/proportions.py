"""Intervals and tests for scores of 0 or 1, in plain Python: a verb that shows a score does not wait for numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

from hyperagent.types import Interval, PairedTest


@lru_cache(maxsize=4096)  # a table of a thousand variants asks for the same few proportions
def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion.

    Centre ``(p + z²/2n) / (1 + z²/n)``, half width ``z·sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n)`` with ``p = successes/n``
    and ``z`` the normal quantile (Wilson 1927, JASA 22:209-212; recommended over the normal approximation by Brown,
    Cai and DasGupta 2001, Statistical Science 16:101-133).

    Args:
        successes: Number of successes, 0..n.
        n: Number of trials; 0 says nothing: the interval is 0..1.
        confidence: Coverage wanted, in (0, 1).

    Raises:
        ValueError: An argument out of its range.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes out of {n} trials")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    if n == 0:
        return Interval(0.0, 0.0, 1.0, 0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    # At the ends the bound is p exactly; rounding must not put the estimate outside of its own interval.
    return Interval(p, min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half)), n)


def mcnemar(a: Sequence[float], b: Sequence[float]) -> PairedTest:
    """Exact McNemar test: does B solve other tasks than A more often than the reverse?

    Of ``d`` discordant pairs each is a win with probability 1/2 under the null hypothesis; the two-sided p-value is
    ``min(1, 2·P[Binomial(d, 1/2) <= min(wins, losses)])`` (McNemar 1947, Psychometrika 12:153-157; exact form as in
    Agresti 2002, Categorical Data Analysis, section 10.1).

    Args:
        a: 0/1 scores of A.
        b: 0/1 scores of B on the same tasks in the same order. A win is a task that B solved and A did not.

    Raises:
        ValueError: Different lengths, or a score that is neither 0 nor 1 (use :func:`paired_bootstrap` for those).
    """
    check_paired(a, b)
    if not all(score in (0, 1) for score in (*a, *b)):
        raise ValueError("McNemar's test needs scores of 0 or 1; use paired_bootstrap for partial credit")
    wins = sum(1 for x, y in zip(a, b, strict=True) if y > x)
    losses = sum(1 for x, y in zip(a, b, strict=True) if x > y)
    discordant = wins + losses
    tail = sum(math.comb(discordant, k) for k in range(min(wins, losses) + 1))
    return PairedTest(wins, losses, len(a), min(1.0, 2 * tail / 2**discordant))


def check_paired(a: Sequence[float], b: Sequence[float]) -> None:
    if len(a) != len(b):
        raise ValueError(f"a paired comparison needs equal lengths, got {len(a)} and {len(b)}")

"""Statistics over repeats: the signed-rank test, adjusted p-values, medians, and who wins a resample."""

from __future__ import annotations

import itertools
import random

import pytest
from scipy import stats

from hyperagent.evaluation.statistics import RESAMPLES, holm, median_interval, wilcoxon, winners


def by_hand(differences: list[float]) -> float:
    """The two-sided p-value from all sign patterns, with mean ranks for equals and without zeros."""
    kept = [one for one in differences if one]
    ranks = stats.rankdata([abs(one) for one in kept])
    observed = sum(rank for rank, one in zip(ranks, kept, strict=True) if one > 0)
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product((0, 1), repeat=len(kept))]
    low, high = (sum(one <= observed for one in sums), sum(one >= observed for one in sums))
    return min(1.0, 2 * min(low, high) / len(sums))


@pytest.mark.parametrize("seed", range(6))
def test_wilcoxon_counts_every_sign_pattern_ties_and_zeros_included(seed: int) -> None:
    chance = random.Random(seed)
    a = [float(chance.randrange(4)) for _ in range(9)]
    b = [float(chance.randrange(5)) for _ in range(9)]
    found = wilcoxon(a, b)
    assert found.p_value == pytest.approx(by_hand([y - x for x, y in zip(a, b, strict=True)]))
    assert (found.wins, found.losses) == (
        sum(y > x for x, y in zip(a, b, strict=True)),
        sum(y < x for x, y in zip(a, b, strict=True)),
    )


def test_wilcoxon_agrees_with_scipy_where_nothing_is_tied() -> None:
    chance = random.Random(1)
    a, b = [chance.random() for _ in range(25)], [chance.random() + 0.1 for _ in range(25)]
    assert wilcoxon(a, b).p_value == pytest.approx(stats.wilcoxon(b, a, method="exact").pvalue)
    assert wilcoxon(b, a).p_value == pytest.approx(wilcoxon(a, b).p_value)


def test_wilcoxon_of_equals_says_nothing_and_of_different_lengths_is_refused() -> None:
    assert wilcoxon([0.5, 0.5], [0.5, 0.5]).p_value == 1
    assert wilcoxon([], []).p_value == 1
    with pytest.raises(ValueError, match="equal lengths"):
        wilcoxon([1.0], [])


def test_holm_multiplies_the_smallest_most_and_never_changes_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert holm([]) == []


def test_the_median_stands_in_its_interval() -> None:
    found = median_interval([0.1, 0.2, 0.9])
    assert (found.estimate, found.n) == (0.2, 3)
    assert 0.1 <= found.low <= 0.2 <= found.high <= 0.9
    assert (median_interval([]).low, median_interval([]).high) == (0.0, 1.0)


def test_winners_are_the_best_of_each_resample() -> None:
    found = winners([0.2, None, 0.9, 0.9])
    assert len(found) == RESAMPLES
    assert set(found) == {0, 2, 3, None}
    share = sum(one in (2, 3) for one in found) / RESAMPLES
    assert share == pytest.approx(1 - 0.5**4, abs=0.03)  # at least one of two of four in four draws
    assert found.count(None) / RESAMPLES == pytest.approx(0.25**4, abs=0.01)
    assert set(winners([None])) == set(winners([])) == {None}

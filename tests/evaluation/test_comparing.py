"""Paired differences, what would decide, and the rank-sum test, against scipy and by simulation."""

from __future__ import annotations

import random

import pytest
from scipy import stats

from hyperagent.evaluation.comparing import least_repeats, more_tasks, paired, rank_sum


def draw(chance: random.Random, n: int, gain: float) -> tuple[list[float], list[float]]:
    """Paired 0/1 scores: A right half the time, B wins a share of the rest and loses a little."""
    a = [float(chance.random() < 0.5) for _ in range(n)]
    b = [float(not x) if chance.random() < (0.2 + gain if not x else 0.2) else x for x in a]
    return a, b


def test_a_clear_gain_is_better_and_the_reverse_worse() -> None:
    tasks = [f"t{number}" for number in range(20)]
    low, high = [0.0] * 20, [1.0] * 12 + [0.0] * 8
    found = paired("b", tasks, low, high)
    assert (found.verdict, found.won, found.lost, found.more_tasks) == ("better", tuple(tasks[:12]), (), None)
    assert found.difference.estimate == pytest.approx(0.6)
    assert paired("b", tasks, high, low).verdict == "worse"


def test_equal_scores_are_inconclusive_and_nothing_would_decide() -> None:
    found = paired("b", ["x", "y"], [1.0, 0.0], [1.0, 0.0])
    assert (found.verdict, found.more_tasks, found.difference.estimate) == ("inconclusive", None, 0.0)
    assert found.difference.low < 0 < found.difference.high


def test_partial_credit_is_decided_by_the_bootstrap() -> None:
    a = [0.25] * 15
    found = paired(
        "b", [str(number) for number in range(15)], a, [x + 0.1 + number / 100 for number, x in enumerate(a)]
    )
    assert (found.test, found.verdict) == (None, "better")
    assert found.difference.low > 0


def test_the_interval_covers_the_true_difference() -> None:
    chance = random.Random(11)
    covered = 0
    for _ in range(400):
        a, b = draw(chance, 60, 0.3)
        found = paired("b", [str(number) for number in range(60)], a, b).difference
        covered += found.low <= 0.15 <= found.high  # half of the tasks gain 0.2 + 0.3, half lose 0.2
    assert covered / 400 > 0.92


def test_the_number_of_tasks_has_the_power_it_claims() -> None:
    """At the size that the formula asks for, about 80 of 100 draws at these rates are decided."""
    differences = [1.0] * 10 + [-1.0] * 4 + [0.0] * 26
    needed = 40 + (more_tasks(differences) or 0)
    chance, decided = random.Random(5), 0
    for _ in range(150):
        drawn = chance.choices(differences, k=needed)
        wins, losses = drawn.count(1.0), drawn.count(-1.0)
        decided += stats.binomtest(wins, wins + losses).pvalue < 0.05
    assert 0.68 < decided / 150 < 0.92


@pytest.mark.parametrize("seed", range(5))
def test_rank_sum_is_scipys_without_ties(seed: int) -> None:
    chance = random.Random(seed)
    a, b = [chance.random() for _ in range(5)], [chance.random() + 0.2 for _ in range(4)]
    expected = stats.mannwhitneyu(a, b, alternative="two-sided", method="exact").pvalue
    assert rank_sum(a, b) == pytest.approx(expected)


def test_rank_sum_of_many_is_the_normal_approximation() -> None:
    chance = random.Random(2)
    a, b = [chance.gauss(0, 1) for _ in range(40)], [chance.gauss(0.5, 1) for _ in range(40)]
    expected = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=False).pvalue
    assert rank_sum(a, b) == pytest.approx(expected, rel=1e-6)
    assert rank_sum([1.0] * 40, [1.0] * 40) == 1.0


def test_ties_and_the_fewest_repeats() -> None:
    assert rank_sum([1, 1, 2], [1, 2, 2]) == pytest.approx(1.0)
    assert rank_sum([1, 2, 3, 4], [5, 6, 7, 8]) == pytest.approx(2 / 70)
    assert least_repeats(2) == 4
    with pytest.raises(ValueError, match="both sides"):
        rank_sum([], [1.0])

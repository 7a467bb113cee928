"""Several benchmarks, one score: the rules, and the interval of what they give."""

from __future__ import annotations

import numpy as np
import pytest

from hyperagent.evaluation.aggregate import aggregate
from hyperagent.evaluation.statistics import mean_interval, score_interval


@pytest.mark.parametrize(
    ("method", "expected"), [("mean", 0.5), ("min", 0.2), ("weighted", 0.35), ("pareto", 0.5)]
)  # fmt: skip
def test_each_rule(method: str, expected: float) -> None:
    assert aggregate([0.2, 0.8], method, [3, 1]) == pytest.approx(expected)


@pytest.mark.parametrize("method", ["mean", "min", "weighted", "pareto"])
def test_one_benchmark_is_its_own_score(method: str) -> None:
    assert aggregate([0.3], method, [1.0]) == pytest.approx(0.3)


def mean(scores: list[float]) -> float:
    return sum(scores) / len(scores)


def test_one_benchmarks_interval_is_the_usual_one() -> None:
    assert score_interval([[1, 0, 1, 1]], mean) == mean_interval([1, 0, 1, 1])
    assert score_interval([], mean) == mean_interval([])


def test_the_interval_belongs_to_the_aggregate_not_to_the_pooled_tasks() -> None:
    easy, hard = [1.0] * 90 + [0.0] * 10, [1.0] * 2 + [0.0] * 8
    found = score_interval([easy, hard], mean)
    assert found.estimate == pytest.approx(0.55)  # pooled it would be 92 of 110
    assert found.n == 110
    # Var of the mean of two means: (p q / n + p q / n) / 4.
    deviation = ((0.9 * 0.1 / 100 + 0.2 * 0.8 / 10) / 4) ** 0.5
    assert (found.high - found.low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.1)
    assert score_interval([easy, hard], min).estimate == pytest.approx(0.2)


def test_benchmarks_of_equal_size_are_drawn_apart() -> None:
    scores = [float(n % 2) for n in range(40)]
    together = score_interval([scores, scores], mean)
    alone = mean_interval([*scores, 0.5])
    width = np.ptp([together.low, together.high]) / np.ptp([alone.low, alone.high])
    assert width == pytest.approx(2**-0.5, abs=0.08)

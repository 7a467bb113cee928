"""Our formulas against scipy's, and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hyperagent.evaluation.statistics import mcnemar, mean_interval, paired_bootstrap, wilson

scores = st.sampled_from([0.0, 1.0])


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy(counts: tuple[int, int], confidence: float) -> None:
    successes, n = counts
    ours = wilson(successes, n, confidence)
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-9)
    assert ours.high == pytest.approx(theirs.high, abs=1e-9)
    assert 0 <= ours.low <= ours.estimate <= ours.high <= 1


@pytest.mark.parametrize("p", [0.03, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("n", [10, 60, 300])
def test_wilson_covers_about_95_percent(p: float, n: int) -> None:
    # Exact: the chance of every possible count, added up over those whose interval holds the truth.
    covered = sum(stats.binom.pmf(k, n, p) for k in range(n + 1) if (i := wilson(k, n)).low <= p <= i.high)
    assert 0.90 <= covered <= 0.99


def test_wilson_covers_in_simulation() -> None:
    draws = np.random.default_rng(7).binomial(100, 0.7, size=1000)
    inside = [(i := wilson(int(k), 100)).low <= 0.7 <= i.high for k in draws]
    assert 0.925 <= float(np.mean(inside)) <= 0.975


def test_wilson_without_trials_says_nothing() -> None:
    interval = wilson(0, 0)
    assert (interval.low, interval.high, interval.n) == (0, 1, 0)


@pytest.mark.parametrize(("successes", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 0.0), (1, 2, 1.0)])
def test_wilson_refuses_impossible_arguments(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"successes|confidence"):
        wilson(successes, n, confidence)


@given(st.lists(st.tuples(scores, scores), max_size=300))
def test_mcnemar_agrees_with_the_binomial_test(pairs: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    result = mcnemar(a, b)
    assert result.wins == sum(y > x for x, y in pairs)
    assert result.losses == sum(x > y for x, y in pairs)
    assert result.n == len(pairs)
    discordant = result.wins + result.losses
    expected = stats.binomtest(result.wins, discordant, 0.5).pvalue if discordant else 1.0
    assert result.p_value == pytest.approx(expected, rel=1e-9)
    other = mcnemar(b, a)
    assert (other.wins, other.losses, other.p_value) == (result.losses, result.wins, result.p_value)


def test_mcnemar_keeps_its_level_and_has_the_power_it_should() -> None:
    generator = np.random.default_rng(3)

    def rejections(better: float, worse: float) -> float:
        found = 0
        for draw in generator.random((300, 100)):
            a = [float(x < worse) for x in draw]
            b = [float(worse <= x < worse + better) for x in draw]
            found += mcnemar(a, b).p_value < 0.05
        return found / 300

    assert rejections(0.1, 0.1) <= 0.07
    assert 0.48 <= rejections(0.15, 0.05) <= 0.66  # exact calculation: .54


def test_mcnemar_refuses_partial_credit_and_unpaired_scores() -> None:
    with pytest.raises(ValueError, match="paired_bootstrap"):
        mcnemar([0.5], [1.0])
    with pytest.raises(ValueError, match="equal lengths"):
        mcnemar([1.0], [])


def test_mean_interval_is_wilson_for_zeros_and_ones() -> None:
    assert mean_interval([1, 0, 1, 1]) == wilson(3, 4)
    assert mean_interval([]) == wilson(0, 0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
@settings(max_examples=15)
def test_mean_interval_holds_the_mean_and_is_repeatable(values: list[float]) -> None:
    first = mean_interval(values)
    assert first == mean_interval(values)
    assert first.estimate == pytest.approx(np.mean(values))
    assert -1e-12 <= first.low <= first.estimate <= first.high <= 1 + 1e-12


def test_bootstrap_agrees_with_scipy_on_partial_credit() -> None:
    values = np.random.default_rng(1).beta(2, 5, size=80)
    ours = mean_interval(list(values))
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.006)
    assert ours.high == pytest.approx(theirs.high, abs=0.006)


def test_paired_bootstrap_sees_what_pairing_shows() -> None:
    generator = np.random.default_rng(2)
    hard = generator.random(60)
    a, b = list(hard * 0.8), list(hard * 0.8 + 0.1)
    interval = paired_bootstrap(a, b)
    assert interval.estimate == pytest.approx(0.1)
    assert 0.09 < interval.low <= interval.high < 0.11
    assert paired_bootstrap(b, a).estimate == pytest.approx(-0.1)
    assert paired_bootstrap(a, a).low == paired_bootstrap(a, a).high == 0
    assert (paired_bootstrap([], []).low, paired_bootstrap([], []).high) == (-1, 1)

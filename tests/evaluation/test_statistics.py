"""Our formulas against scipy's, and against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hyperagent.evaluation.metrics import rank_auc
from hyperagent.evaluation.statistics import (
    RANDOM_SEED,
    RESAMPLES,
    Resamples,
    mcnemar,
    mean_interval,
    paired_bootstrap,
    wilson,
)
from hyperagent.types import Interval

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


# -- resamples -------------------------------------------------------------------------------------


def coverage(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


@pytest.mark.parametrize(("n", "p"), [(40, 0.5), (100, 0.7), (300, 0.15)])
def test_wilson_covers_2000_simulated_sets(n: int, p: float) -> None:
    draws = np.random.default_rng(5).binomial(n, p, size=2000)
    assert 0.93 <= coverage([wilson(int(k), n) for k in draws], p) <= 0.975


def test_bootstrap_covers_2000_simulated_sets_of_partial_credit() -> None:
    sets = np.random.default_rng(11).beta(2, 5, size=(2000, 80))
    resamples = Resamples(80)
    assert 0.93 <= coverage([resamples.mean(values) for values in sets], 2 / 7) <= 0.975


def test_whole_groups_must_be_drawn_where_tasks_of_a_group_succeed_together() -> None:
    generator = np.random.default_rng(13)
    difficulty = generator.beta(1, 1, size=(2000, 50))
    sets = (generator.random((2000, 50, 4)) < difficulty[:, :, None]).reshape(2000, 200).astype(float)
    by_group, singly = Resamples(200, [task // 4 for task in range(200)], 500), Resamples(200, resamples=500)
    assert by_group.clustered
    assert not singly.clustered
    assert 0.93 <= coverage([by_group.mean(values) for values in sets], 0.5) <= 0.975
    assert coverage([singly.mean(values) for values in sets[:500]], 0.5) < 0.9


def test_bootstrap_covers_the_area_under_the_curve() -> None:
    generator = np.random.default_rng(17)
    positive = np.arange(100) < 50
    truth = float(stats.norm.cdf(1 / math.sqrt(2)))  # of N(1, 1) against N(0, 1)
    resamples = Resamples(100, resamples=400)
    sets = generator.normal(size=(500, 100)) + positive
    found = [resamples.interval(lambda w, v=values: rank_auc(v, positive, w)) for values in sets]
    assert 0.92 <= coverage(found, truth) <= 0.975


def test_resamples_agree_with_drawing_one_by_one() -> None:
    values = np.random.default_rng(1).random(30)
    generator = np.random.default_rng(RANDOM_SEED)
    means = [values[generator.integers(0, 30, 30)].mean() for _ in range(RESAMPLES)]
    ours = Resamples(30).mean(values)
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))))


def test_samples_of_many_tasks_are_the_same_as_of_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random(50)
    groups = [task // 2 for task in range(50)]
    whole = Resamples(50, groups).mean(values)
    monkeypatch.setattr("hyperagent.evaluation.statistics._SLAB", 77)
    slabs = Resamples(50, groups).mean(values)
    assert (slabs.low, slabs.high) == pytest.approx((whole.low, whole.high))


def test_a_ratio_is_drawn_with_its_denominator() -> None:
    parts, wholes = [1.0, 0.0, 3.0], [2.0, 0.0, 4.0]
    found = Resamples(3).ratio(parts, wholes)
    assert found.estimate == pytest.approx(4 / 6)
    assert 0 <= found.low <= found.high <= 1
    assert Resamples(3).ratio([0.0] * 3, [0.0] * 3) == Interval(0.0, 0.0, 1.0, 0)


def test_no_tasks_say_nothing() -> None:
    assert Resamples(0).mean([]) == Interval(0.0, 0.0, 1.0, 0)
    assert Resamples(0).mean([], -1.0) == Interval(0.0, -1.0, 1.0, 0)
    with pytest.raises(ValueError, match="3 tasks but 1 groups"):
        Resamples(3, ["a"])

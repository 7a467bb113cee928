"""Confidences: against scikit-learn, against slow plain definitions, and in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from hyperagent.evaluation.calibration import (
    MOST_LOG_LOSS,
    MOST_POINTS,
    RiskCoverage,
    brier_terms,
    ece,
    ece_null,
    equal_mass,
    equal_width,
    log_loss_terms,
)

confidence = st.one_of(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]), st.floats(0, 1))
answers = st.lists(st.tuples(confidence, st.booleans()), min_size=1, max_size=50)
Answers = list[tuple[float, bool]]


def columns(found: Answers) -> tuple[np.ndarray, np.ndarray]:
    return np.array([c for c, _ in found]), np.array([float(right) for _, right in found])


@given(answers)
@settings(max_examples=40, deadline=None)
def test_brier_and_log_loss(found: Answers) -> None:
    said, got = columns(found)
    assert brier_terms(said, got).mean() == pytest.approx(sk.brier_score_loss(got, said, pos_label=1))
    clipped = np.clip(said, 1e-6, 1 - 1e-6)
    assert log_loss_terms(said, got).mean() == pytest.approx(sk.log_loss(got, clipped, labels=[0, 1]), abs=1e-9)


def test_certain_and_wrong_is_dear_but_not_infinite() -> None:
    assert (
        log_loss_terms(np.array([1.0]), np.array([0.0]))[0]
        == pytest.approx(MOST_LOG_LOSS)
        == pytest.approx(13.8155, 1e-4)
    )


@given(answers)
@settings(max_examples=60, deadline=None)
def test_calibration_error_by_its_definition(found: Answers) -> None:
    said, got = columns(found)
    for bins in (equal_width(said), equal_mass(said)):
        total = 0.0
        for number in set(bins.tolist()):
            inside = bins == number
            total += inside.sum() * abs(said[inside].mean() - got[inside].mean())
        assert ece(said, got, bins) == pytest.approx(total / len(said))


def test_bins_of_equal_width() -> None:
    assert equal_width(np.array([0.0, 0.05, 0.1, 0.55, 0.95, 1.0])).tolist() == [0, 0, 1, 5, 9, 9]


def test_bins_of_equal_mass_keep_ties_together() -> None:
    assert np.bincount(equal_mass(np.linspace(0, 1, 100))).tolist() == [10] * 10
    bins = equal_mass(np.array([0.2] * 50 + [0.8] * 50))
    assert sorted(np.bincount(bins)[np.bincount(bins) > 0].tolist()) == [50, 50]


def test_a_calibrated_predictor_exceeds_the_null_as_often_as_promised() -> None:
    generator = np.random.default_rng(19)
    exceeded = 0
    for _ in range(1000):
        said = generator.beta(4, 2, size=100)
        got = (generator.random(100) < said).astype(float)
        bins = equal_width(said)
        exceeded += ece(said, got, bins) > ece_null(said, bins, draws=300).percentile95
    assert 0.03 <= exceeded / 1000 <= 0.07


def test_a_calibrated_predictor_does_not_show_zero() -> None:
    said = np.random.default_rng(3).random(100)
    null = ece_null(said, equal_width(said))
    assert 0.08 < null.mean < 0.12
    assert null.mean < null.percentile95
    wrong = np.zeros(100)
    assert ece(said, wrong, equal_width(said)) > null.percentile95


def test_nothing_said_is_nothing_to_calibrate() -> None:
    empty = np.array([])
    assert float(ece(empty, empty, equal_mass(empty))) == ece_null(empty, equal_width(empty)).mean == 0
    assert RiskCoverage([], empty).curve() == ()


# -- risk and coverage -----------------------------------------------------------------------------


@given(st.lists(st.tuples(st.one_of(st.none(), confidence), st.floats(0, 1)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_risk_coverage_by_its_definition(found: list[tuple[float | None, float]]) -> None:
    scores = np.array([score for _, score in found])
    sure = [-1.0 if c is None else c for c, _ in found]
    risks = []
    for threshold in sure:  # answer all tasks that are at least as sure as this one
        risks.append(np.mean([1 - score for c, score in zip(sure, scores, strict=True) if c >= threshold]))
    curve = RiskCoverage([c for c, _ in found], scores)
    assert curve.area(np.ones((1, len(found))))[0] == pytest.approx(np.mean(risks))
    points = curve.curve()
    assert len(points) == len(set(sure))
    assert points[-1] == pytest.approx((1.0, 1 - scores.mean()))
    assert [coverage for coverage, _ in points] == sorted(coverage for coverage, _ in points)


def test_the_order_of_confidences_matters() -> None:
    scores = np.array([1.0, 1.0, 0.0, 0.0])
    ones = np.ones((1, 4))
    good, useless, bad = ([0.9, 0.8, 0.2, 0.1], [0.5] * 4, [0.1, 0.2, 0.8, 0.9])
    areas = [RiskCoverage(said, scores).area(ones)[0] for said in (good, useless, bad)]
    assert areas[0] < areas[1] == 0.5 < areas[2]


def test_the_curve_has_a_bounded_number_of_points() -> None:
    said = [float(c) for c in np.linspace(0, 1, 5000)]
    points = RiskCoverage(said, np.ones(5000)).curve()
    assert len(points) == MOST_POINTS
    assert points[-1] == (1.0, 0.0)

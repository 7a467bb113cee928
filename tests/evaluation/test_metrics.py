"""Every figure about labels and rankings against scikit-learn's or SciPy's."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from hyperagent.evaluation import metrics
from hyperagent.evaluation.metrics import Cells

IMO = {"correct": 7.0, "almost": 6.0, "partial": 1.0, "incorrect": 0.0}
LABELS = tuple(IMO)
NONE = ""
"""What scikit-learn is told where there is no valid answer: one more class."""

label = st.sampled_from(LABELS)
pairs = st.lists(st.tuples(label, st.one_of(label, st.none())), min_size=1, max_size=40)
valid_pairs = st.lists(st.tuples(label, label), min_size=1, max_size=40)
Pairs = list[tuple[str, str | None]]


@pytest.fixture(autouse=True)
def scikit_learn_may_warn() -> Iterator[None]:
    """Of single classes and of answers that never are true: cases that are compared on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def split(found: Pairs) -> tuple[list[str], list[str], np.ndarray]:
    truth, answered = [a for a, _ in found], [b for _, b in found]
    return truth, [b or NONE for b in answered], Cells(truth, answered, LABELS).confusion()


@given(pairs)
@settings(max_examples=40, deadline=None)
def test_confusion(found: Pairs) -> None:
    truth, answered, ours = split(found)
    theirs = sk.confusion_matrix(truth, answered, labels=[*LABELS, NONE])
    assert (ours == theirs[:-1]).all()
    table = Cells(truth, [b or None for b in answered], LABELS).table()
    assert [list(row.values()) for row in table.values()] == ours.tolist()
    assert list(next(iter(table.values()))) == [*LABELS, ""]


@given(pairs)
@settings(max_examples=40, deadline=None)
def test_accuracies_and_f1(found: Pairs) -> None:
    truth, answered, confusion = split(found)
    assert metrics.accuracy(confusion) == pytest.approx(sk.accuracy_score(truth, answered))
    assert metrics.balanced_accuracy(confusion) == pytest.approx(sk.balanced_accuracy_score(truth, answered))
    occurring = sorted({*truth, *answered} - {NONE})
    theirs = sk.f1_score(truth, answered, labels=occurring, average="macro", zero_division=0)
    assert metrics.macro_f1(confusion) == pytest.approx(theirs)


@given(pairs)
@settings(max_examples=40, deadline=None)
def test_matthews_and_kappa(found: Pairs) -> None:
    truth, answered, confusion = split(found)
    assert metrics.matthews(confusion) == pytest.approx(sk.matthews_corrcoef(truth, answered), abs=1e-12)
    theirs = sk.cohen_kappa_score(truth, answered)
    # One class on both sides: they have no number for it, we say 0.
    assert metrics.kappa(confusion) == pytest.approx(0.0 if math.isnan(theirs) else theirs, abs=1e-12)


@given(valid_pairs)
@settings(max_examples=40, deadline=None)
def test_weighted_kappa(found: Pairs) -> None:
    truth, answered, confusion = split(found)
    even = {label: float(place) for place, label in enumerate(LABELS)}
    ours = metrics.kappa(confusion, metrics.squared_error(even, LABELS))
    theirs = sk.cohen_kappa_score(truth, answered, labels=list(LABELS), weights="quadratic")
    assert ours == pytest.approx(0.0 if math.isnan(theirs) else theirs, abs=1e-9)


@given(valid_pairs)
@settings(max_examples=40, deadline=None)
def test_error_in_points(found: Pairs) -> None:
    truth, answered, confusion = split(found)
    ours = metrics.nmae(confusion, metrics.absolute_error(IMO, LABELS))
    theirs = sk.mean_absolute_error([IMO[a] for a in truth], [IMO[b] for b in answered]) / 7
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("label", "answered", "error"),
    [
        ("correct", "correct", 0),
        ("correct", "almost", 1 / 7),
        ("incorrect", "correct", 1),
        ("partial", None, 6 / 7),  # invalid: as far off as can be
        ("almost", None, 6 / 7),
        ("correct", None, 1),
    ],
)
def test_error_of_one_answer(label: str, answered: str | None, error: float) -> None:
    cells = Cells([label], [answered], LABELS)
    assert metrics.nmae(cells.confusion(), metrics.absolute_error(IMO, LABELS)) == pytest.approx(error)
    points = metrics.points_answered(IMO, cells)
    assert abs(points[0] - IMO[label]) / 7 == pytest.approx(error)


@given(pairs)
@settings(max_examples=40, deadline=None)
def test_an_invalid_answer_is_never_better_than_any_other(found: Pairs) -> None:
    truth, _, confusion = split(found)
    nothing = Cells(truth, [None] * len(truth), LABELS).confusion()
    error = metrics.absolute_error(IMO, LABELS)
    assert metrics.nmae(confusion, error) <= metrics.nmae(nothing, error) + 1e-12
    for statistic in (metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1):
        assert statistic(nothing) == 0
    assert metrics.matthews(nothing) == metrics.kappa(nothing) == 0


@given(pairs, st.lists(st.integers(0, 3), min_size=40, max_size=40))
@settings(max_examples=40, deadline=None)
def test_weights_are_repetitions(found: Pairs, counts: list[int]) -> None:
    truth, answered = [a for a, _ in found], [b for _, b in found]
    counts = counts[: len(found)]
    weighted = Cells(truth, answered, LABELS).confusion(np.array([counts, counts], dtype=float))
    repeated = [pair for pair, count in zip(found, counts, strict=True) for _ in range(count)]
    plain = Cells([a for a, _ in repeated], [b for _, b in repeated], LABELS).confusion()
    assert (weighted == plain).all()
    squares = metrics.squared_error(IMO, LABELS)
    for statistic in (
        metrics.accuracy,
        metrics.balanced_accuracy,
        metrics.macro_f1,
        metrics.matthews,
        metrics.kappa,
        lambda confusion: metrics.kappa(confusion, squares),
    ):
        assert statistic(weighted).tolist() == pytest.approx([float(statistic(plain))] * 2)


def test_no_answers_at_all_are_zero() -> None:
    empty = Cells([], [], LABELS).confusion()
    for statistic in (metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1, metrics.matthews, metrics.kappa):
        assert statistic(empty) == 0


def test_cells_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="2 labels but 1 answers"):
        Cells(["correct", "partial"], ["correct"], LABELS)
    with pytest.raises(ValueError, match="maybe"):
        Cells(["correct"], ["maybe"], LABELS)


# -- rankings --------------------------------------------------------------------------------------

few = st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0])  # with many ties
ranked = st.lists(
    st.tuples(st.one_of(few, st.floats(0, 1)), st.booleans(), few, st.integers(0, 3)), min_size=2, max_size=40
)
Ranked = list[tuple[float, bool, float, int]]


def repeated(column: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.repeat(column, counts)


@given(ranked)
@settings(max_examples=40, deadline=None)
def test_auc(found: Ranked) -> None:
    values, positive = np.array([row[0] for row in found]), np.array([row[1] for row in found])
    counts = np.array([row[3] for row in found])
    ours = metrics.rank_auc(values, positive, np.array([np.ones(len(found)), counts]))
    for auc, times in zip(ours, (np.ones(len(found), dtype=int), counts), strict=True):
        there = repeated(positive, times)
        one_sided = not there.any() or there.all()
        theirs = 0.5 if one_sided else sk.roc_auc_score(there, repeated(values, times))
        assert auc == pytest.approx(theirs)


@given(ranked)
@settings(max_examples=40, deadline=None)
def test_correlations(found: Ranked) -> None:
    a, b = np.array([row[0] for row in found]).round(6), np.array([row[2] for row in found])
    counts = np.array([row[3] for row in found])
    ones = np.ones(len(found), dtype=int)
    weights = np.array([ones, counts], dtype=float)
    ranks, linear = metrics.spearman(a, b, weights), metrics.pearson(a, b, weights)
    for row, times in enumerate((ones, counts)):
        x, y = repeated(a, times), repeated(b, times)
        if len(set(x)) < 2 or len(set(y)) < 2:
            assert ranks[row] == linear[row] == 0
        else:
            assert ranks[row] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)
            assert linear[row] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)


def test_what_rounding_leaves_is_no_correlation() -> None:
    same, rising = np.full(3, 0.1), np.arange(3.0)
    assert metrics.pearson(same, rising, np.ones((1, 3)))[0] == 0
    assert metrics.spearman(same, rising, np.ones((1, 3)))[0] == 0

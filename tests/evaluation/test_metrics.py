from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperagent.evaluation.metrics import LengthRule, constant_label, error_of, label_metrics, mean_error
from hyperagent.types import Task

IMO = {"correct": 7.0, "almost": 6.0, "partial": 1.0, "incorrect": 0.0}
LABELS = tuple(IMO)


def task(label: str, length: int) -> Task:
    return Task(f"{label}{length}", "toy", "test", "g", {"answer": "x" * length}, {"label": label})


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
def test_error_in_points(label: str, answered: str | None, error: float) -> None:
    assert error_of(IMO, label, answered) == pytest.approx(error)


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1))
def test_an_invalid_answer_is_never_better_than_any_other(pairs: list[tuple[str, str]]) -> None:
    truth, answered = [a for a, _ in pairs], [b for _, b in pairs]
    assert mean_error(IMO, truth, answered) <= mean_error(IMO, truth, [None] * len(pairs)) + 1e-12


def test_constant_label_prefers_the_one_declared_first() -> None:
    assert constant_label(["partial", "almost", "partial"], LABELS) == "partial"
    assert constant_label(["partial", "almost"], LABELS) == "almost"
    assert constant_label([], LABELS) == "correct"


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(LABELS)), min_size=1, max_size=30))
def test_length_rule_is_the_best_threshold_on_train(train: list[tuple[int, str]]) -> None:
    rule = LengthRule(train, LABELS)
    ours = sum(rule.judge(length) == label for length, label in train)
    best = max(
        sum((low if length <= threshold else high) == label for length, label in train)
        for threshold in range(10)
        for low in LABELS
        for high in LABELS
    )
    assert ours == best


def test_baselines_are_fitted_on_train_and_scored_on_the_tasks() -> None:
    train = [task("correct", 5), task("correct", 6), task("correct", 7), task("incorrect", 20), task("incorrect", 30)]
    tasks = [task("correct", 4), task("incorrect", 25), task("incorrect", 26), task("incorrect", 3)]
    points = {"correct": 1.0, "incorrect": 0.0}
    found = label_metrics(tasks, ["correct", None, "incorrect", "correct"], train, tuple(points), points, "answer")
    assert found == {
        "constant_baseline": 0.25,
        "length_baseline": 0.75,
        "nmae": 0.5,
        "constant_nmae": 0.75,
    }


def test_no_tasks_are_no_reason_to_fail() -> None:
    found = label_metrics([], [], [task("correct", 1)], LABELS, IMO, "answer")
    assert set(found.values()) == {0.0}

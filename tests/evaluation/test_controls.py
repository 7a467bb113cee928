"""Controls against plain slow versions of themselves."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperagent.evaluation.controls import (
    LengthRule,
    best_column,
    blind_deals,
    dealt,
    dealt_open,
    group_majority,
    score_table,
)
from hyperagent.types import Grade, Json, Task

LABELS = ("correct", "almost", "partial", "incorrect")
label = st.sampled_from(LABELS)


def tasks_of(*labels: str) -> list[Task]:
    return [Task(str(place), "toy", "test", "g", {}, {"label": label}) for place, label in enumerate(labels)]


def table_of(*labels: str) -> np.ndarray:
    return score_table(tasks_of(*labels), LABELS)


def test_score_tables() -> None:
    assert table_of("almost", "incorrect").tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
    assert table_of().shape == (0, 4)

    def half(task: Task, prediction: Json) -> Grade:
        return Grade(0.5 if prediction == "partial" else 0.0)

    assert score_table(tasks_of("almost"), LABELS, half).tolist() == [[0, 0, 0.5, 0]]


def test_the_best_answer_prefers_the_one_declared_first() -> None:
    assert best_column(table_of("partial", "almost", "partial")) == 2
    assert best_column(table_of("partial", "almost")) == 1
    assert best_column(table_of()) == 0


@given(st.lists(st.tuples(st.integers(1, 9), label), max_size=30))
@settings(max_examples=60, deadline=None)
def test_length_rule_is_the_best_threshold_on_train(train: list[tuple[int, str]]) -> None:
    lengths, table = [length for length, _ in train], table_of(*(label for _, label in train))
    rule = LengthRule(lengths, table)
    ours = table[np.arange(len(train)), rule.judge(lengths)].sum()
    best = max(
        sum((low if length <= threshold else high) == label for length, label in train)
        for threshold in range(10)
        for low in LABELS
        for high in LABELS
    )
    assert ours == best


def test_length_rule_on_other_tasks() -> None:
    rule = LengthRule([5, 6, 7, 20, 30], table_of("correct", "correct", "correct", "incorrect", "incorrect"))
    assert (rule.threshold, rule.low, rule.high) == (7, 0, 3)
    assert rule.judge([4, 7, 8, 99]).tolist() == [0, 0, 3, 3]


def test_group_majority_is_a_bound_and_without_oneself_it_is_not() -> None:
    groups = ["a", "a", "a", "b", "b", "c"]
    table = table_of("almost", "almost", "partial", "correct", "incorrect", "almost")
    assert group_majority(table, groups).tolist() == [1, 1, 0, 1, 0, 1]
    # a: the others of the first are almost, partial: a tie, for the one declared first. c: the majority of all others.
    assert group_majority(table, groups, leave_out=True).tolist() == [1, 1, 0, 0, 0, 1]


@given(st.lists(st.tuples(label, st.sampled_from("abc")), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_group_majority_without_oneself_never_sees_its_own_label(found: list[tuple[str, str]]) -> None:
    table, groups = table_of(*(label for label, _ in found)), [group for _, group in found]
    ours = group_majority(table, groups, leave_out=True)
    for own, group in enumerate(groups):
        others = [i for i, other in enumerate(groups) if i != own and other == group]
        others = others or [i for i in range(len(groups)) if i != own]
        counts = table[others].sum(axis=0)
        assert ours[own] == table[own, int(np.argmax(counts))]
    assert group_majority(table, groups).sum() >= ours.sum()


def test_no_tasks_have_no_groups() -> None:
    assert group_majority(table_of(), []).tolist() == group_majority(table_of(), [], leave_out=True).tolist() == []


@given(st.lists(st.tuples(label, st.integers(0, 4)), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_dealing_answers_out_is_exact(found: list[tuple[str, int]]) -> None:
    table, answered = table_of(*(label for label, _ in found)), np.array([column for _, column in found])
    padded = np.hstack([table, np.zeros((len(found), 1))])
    rows = np.arange(len(found))
    all_ways = [padded[rows, list(way)] for way in permutations(answered)]
    assert dealt(table, answered) == pytest.approx(np.mean(all_ways, axis=0))
    blind = blind_deals(table, answered)
    reached = np.mean([way.sum() >= padded[rows, answered].sum() for way in all_ways])
    assert blind.p_value == pytest.approx(reached, abs=0.04)
    assert blind.low - 1e-9 <= np.mean(all_ways) <= blind.high + 1e-9


def test_answers_that_know_their_task_are_told_from_those_that_do_not() -> None:
    truth = list(np.random.default_rng(1).choice(LABELS, 60))
    table = table_of(*truth)
    right = np.array([LABELS.index(label) for label in truth])
    assert blind_deals(table, right).p_value < 0.001
    assert blind_deals(table, np.zeros(60, dtype=np.intp)).p_value == 1
    assert blind_deals(table, right, sign=-1).p_value == 1
    found = [blind_deals(table, np.random.default_rng(seed).permutation(right)).p_value for seed in range(60)]
    assert sum(p < 0.05 for p in found) <= 7


def test_open_answers_are_moved_to_other_tasks_and_graded_there() -> None:
    tasks = tasks_of("a", "b", "a", "c")

    def exact(task: Task, prediction: Json) -> Grade:
        return Grade(float(task.hidden["label"] == prediction))

    assert dealt_open(tasks, ["a", "b", "a", "c"], exact) == pytest.approx([1 / 3, 0, 1 / 3, 0])
    assert dealt_open(tasks[:1], ["a"], exact) is None
    assert dealt_open([], [], exact) is None
    gradings = 0

    def counting(task: Task, prediction: Json) -> Grade:
        nonlocal gradings
        gradings += 1
        return Grade(0.0)

    dealt_open(tasks_of(*["a"] * 1000), ["a"] * 1000, counting)
    assert gradings == 5000

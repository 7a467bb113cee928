from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperagent.evaluation.grading import exact_grader, label_grader, label_of, pack_grader

LABELS = ("correct", "incorrect")
HIDDEN = {"label": "correct"}
garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.just("response"), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "prediction",
    ["correct", " Correct\n", "CORRECT", {"response": "correct"}, {"response": "correct", "confidence": 0.7, "x": []}],
)
def test_right_answers(prediction: Any) -> None:
    grade = label_grader(LABELS)({}, HIDDEN, prediction)
    assert (grade.score, grade.valid) == (1.0, True)


def test_a_wrong_label_is_a_valid_answer() -> None:
    grade = label_grader(LABELS)({}, HIDDEN, "incorrect")
    assert (grade.score, grade.valid) == (0.0, True)


@pytest.mark.parametrize(
    ("prediction", "detail"),
    [
        (None, "no answer"),
        ("", "not one of"),
        ("The answer is correct.", "not one of"),
        ("correct.", "not one of"),
        ("correct incorrect", "not one of"),
        (1, "not a string"),
        (True, "not a string"),
        (["correct"], "not a string"),
        ({}, "'response'"),
        ({"label": "correct"}, "'response'"),
        ({"response": None}, "no answer"),
        ({"response": "correct", "confidence": 1.5}, "confidence"),
        ({"response": "correct", "confidence": math.nan}, "confidence"),
        ({"response": "correct", "confidence": True}, "confidence"),
        ({"response": "correct", "confidence": 10**400}, "confidence"),
    ],
)
def test_invalid_answers_score_nothing_and_say_why(prediction: Any, detail: str) -> None:
    grade = label_grader(LABELS)({}, HIDDEN, prediction)
    assert (grade.score, grade.valid) == (0.0, False)
    assert detail in grade.detail


@given(garbage)
@settings(max_examples=60)
def test_no_garbage_raises(prediction: Any) -> None:
    for grader in (label_grader(LABELS), exact_grader(), pack_grader(lambda i, h, p: len(p))):
        grade = grader({}, HIDDEN, prediction)
        assert 0 <= grade.score <= 1
        assert len(grade.detail) < 300
        assert grade.valid or grade.score == 0


def test_long_answers_are_cut_in_the_detail() -> None:
    assert len(label_of("x" * 10**6, LABELS)[1]) < 200


def test_exact_answers() -> None:
    grade = exact_grader()
    assert grade({}, {"label": "42"}, " 42 ").score == 1
    assert grade({}, {"label": "42"}, "43").score == 0
    assert grade({}, {"label": [1, 2]}, {"response": [1, 2]}).score == 1
    assert grade({}, {"label": 1}, True).score == 0
    assert not grade({}, {"label": 1}, None).valid


def test_a_pack_may_bring_its_own_grader() -> None:
    assert pack_grader(lambda i, h, p: 0.25)({}, {}, "x").score == 0.25
    grade = pack_grader(lambda i, h, p: (0.5, False, "half"))({}, {}, "x")
    assert (grade.score, grade.valid, grade.detail) == (0.0, False, "half")


@pytest.mark.parametrize("result", [math.nan, 2.0, -0.1, "abc", (1.0,)])
def test_nonsense_of_a_packs_grader_is_invalid(result: Any) -> None:
    grade = pack_grader(lambda i, h, p: result)({}, {}, "x")
    assert (grade.score, grade.valid) == (0.0, False)
    assert "grader" in grade.detail

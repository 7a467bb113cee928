"""Graders: from a prediction to a :class:`~hyperagent.types.Grade`. They run on the host and never raise on garbage.

Nothing is guessed. ``"The answer is correct."`` is no label: a program that cannot say what it means has not answered.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hyperagent.types import Grade, Json

Grader = Callable[[Mapping[str, Json], Mapping[str, Json], Json, Json], Grade]
"""``(input, hidden, prediction, verdict) -> Grade``; the verdict is the examiner's, None where there is none."""
Asker = Callable[[Mapping[str, Json], Mapping[str, Json], Json], Mapping[str, Json] | Grade]
"""``(input, hidden, prediction) ->`` what the examiner is asked, or a grade at once."""

_REPR = reprlib.Repr()
_REPR.maxstring = 80
_REPR.maxlevel = 2


def response_of(prediction: Json) -> tuple[Json, str]:
    """The answer within a prediction, and what is wrong with its form (empty where nothing is).

    A prediction is the answer itself, or ``{"response": answer, "confidence": 0..1, ...}`` where ``confidence`` and
    further members are optional.
    """
    if not isinstance(prediction, Mapping):
        return prediction, ""
    if "response" not in prediction:
        return None, "an object without the member 'response'"
    confidence = prediction.get("confidence")
    if confidence is not None and not _in_unit_interval(confidence):
        return None, f"confidence is not a number from 0 to 1: {shortened(confidence)}"
    return prediction["response"], ""


def label_of(prediction: Json, labels: Sequence[str]) -> tuple[str | None, str]:
    """The label that a prediction gives, and the reason where it gives none.

    Only surrounding white space and case are forgiven.
    """
    response, wrong = response_of(prediction)
    if wrong:
        return None, wrong
    if response is None:
        return None, "no answer"
    if not isinstance(response, str):
        return None, f"not a string: {shortened(response)}"
    wanted = response.strip().casefold()
    for label in labels:
        if label.casefold() == wanted:
            return label, ""
    return None, f"not one of {', '.join(labels)}: {shortened(response)}"


def label_grader(labels: Sequence[str]) -> Grader:
    """1 for the label in ``hidden["label"]``, 0 for another, invalid for anything that is no label."""

    def grade(input: Mapping[str, Json], hidden: Mapping[str, Json], prediction: Json, _: Json = None) -> Grade:
        label, wrong = label_of(prediction, labels)
        if label is None:
            return Grade(0.0, valid=False, detail=wrong)
        return Grade(1.0 if label == hidden["label"] else 0.0, detail=f"answered {label}")

    return grade


def exact_grader() -> Grader:
    """1 for the JSON value in ``hidden["label"]`` (strings: but for surrounding white space), else 0."""

    def grade(input: Mapping[str, Json], hidden: Mapping[str, Json], prediction: Json, _: Json = None) -> Grade:
        response, wrong = response_of(prediction)
        if wrong or response is None:
            return Grade(0.0, valid=False, detail=wrong or "no answer")
        answer = response.strip() if isinstance(response, str) else response
        target = hidden["label"]
        # 1 == True in Python, but they are different JSON values.
        same = isinstance(answer, bool) == isinstance(target, bool) and answer == target
        return Grade(1.0 if same else 0.0, detail=f"answered {shortened(answer)}")

    return grade


def pack_grader(function: Callable[..., Any]) -> Grader:
    """Wrap a pack's own ``grade(input, hidden, prediction) -> score | (score, valid, detail)``."""

    def grade(input: Mapping[str, Json], hidden: Mapping[str, Json], prediction: Json, _: Json = None) -> Grade:
        return _graded(function, input, hidden, prediction)

    return grade


def verdict_grader(function: Callable[..., Any]) -> Grader:
    """Wrap a pack's ``grade(input, hidden, prediction, verdict)``; without a verdict there is nothing to grade."""

    def grade(input: Mapping[str, Json], hidden: Mapping[str, Json], prediction: Json, verdict: Json = None) -> Grade:
        if not isinstance(verdict, dict):
            return Grade(0.0, valid=False, detail="the examination gave no verdict")
        return _graded(function, input, hidden, prediction, verdict)

    return grade


def pack_asker(function: Callable[..., Any]) -> Asker:
    """Wrap a pack's ``examine(input, hidden, prediction)``; a ValueError says why a prediction is no answer."""

    def ask(input: Mapping[str, Json], hidden: Mapping[str, Json], prediction: Json) -> Mapping[str, Json] | Grade:
        try:
            asked = function(input, hidden, prediction)
        except ValueError as error:
            return Grade(0.0, valid=False, detail=str(error) or "no answer")
        except Exception as error:  # noqa: BLE001 - code of a pack; one prediction must not end a campaign
            return _failed(error)
        return asked if isinstance(asked, dict) else _failed(TypeError("examine() did not give a dict"))

    return ask


def _graded(function: Callable[..., Any], *arguments: Json) -> Grade:
    try:
        result = function(*arguments)
        score, valid, detail = result if isinstance(result, tuple) else (result, True, "")
        score = float(score)
    except Exception as error:  # noqa: BLE001 - code of a pack; one prediction must not end a campaign
        return _failed(error)
    if not _in_unit_interval(score):
        return Grade(0.0, valid=False, detail=f"the pack's grader gave {score}, which is not from 0 to 1")
    return Grade(score if valid else 0.0, bool(valid), str(detail))


def _failed(error: Exception) -> Grade:
    return Grade(0.0, valid=False, detail=f"the pack's grader failed: {type(error).__name__}: {error}")


def shortened(value: Json, limit: int = 80) -> str:
    """``repr`` of a value of unknown size, depth and kind, at most ``limit`` characters."""
    text = _REPR.repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _in_unit_interval(value: Json) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= value <= 1  # false for NaN, too

"""What a set of outcomes says, read from hostile text once and shared by all figures about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperagent.evaluation import controls
from hyperagent.evaluation.grading import label_of, response_of
from hyperagent.evaluation.metrics import Cells, Points
from hyperagent.evaluation.statistics import Floats, Resamples
from hyperagent.types import Interval, Json, Measure, Outcome, Task

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Answer:
    """What one outcome says.

    Attributes:
        prediction: The stored JSON value; None where it cannot be read.
        said: Text by which equal answers are told, confidence and citations aside.
        label: The label answered; None = no valid one, or not a label pack.
        confidence: In [0, 1]; None where none is given, where it is nonsense, and where the program abstained.
        abstained: The program said that it would rather not answer.
        invalid: No valid answer, though it did not abstain.
    """

    prediction: Json
    said: str
    label: str | None
    confidence: float | None
    abstained: bool
    invalid: bool


def read_answer(outcome: Outcome, labels: Sequence[str] = ()) -> Answer:
    """What an outcome says. A prediction of whatever shape is no reason to fail."""
    try:
        prediction = json.loads(outcome.prediction)
        members: Mapping[str, Json] = prediction if isinstance(prediction, Mapping) else {}
        said = json.dumps([members.get("response", prediction), members.get("files")], sort_keys=True)
    except (ValueError, RecursionError):  # not JSON; a number or a nesting beyond the parser's limits
        prediction, members, said = None, {}, outcome.prediction
    abstained = members.get("abstain") is True
    scored = outcome.status == "scored"
    label = label_of(prediction, labels)[0] if labels and scored and not abstained else None
    given = None if abstained else members.get("confidence")
    # response_of refuses a confidence that is no number from 0 to 1.
    confidence = None if given is None or response_of({"response": None, "confidence": given})[1] else float(given)
    invalid = not abstained and (not scored or bool(labels and label is None))
    return Answer(prediction, label or said, label, confidence, abstained, invalid)


@dataclass(frozen=True)
class Sheet:
    """The evaluated tasks with their outcomes, and what the pack says; see :func:`scorecard` for the members."""

    tasks: Sequence[Task]
    outcomes: Sequence[Outcome]
    train: Sequence[Task]
    metric: str
    direction: Direction
    labels: tuple[str, ...]
    points: Points
    positive: str
    length_field: str
    rating_field: str
    grade: controls.Regrade | None

    @property
    def sign(self) -> int:
        """1 where higher scores are better, else -1."""
        return 1 if self.direction == "higher" else -1

    @cached_property
    def answers(self) -> list[Answer]:
        return [read_answer(outcome, self.labels) for outcome in self.outcomes]

    @cached_property
    def scores(self) -> Floats:
        """Of every task, in order."""
        return np.array([outcome.score for outcome in self.outcomes], dtype=float)

    @cached_property
    def groups(self) -> list[str]:
        return [task.group for task in self.tasks]

    @cached_property
    def resamples(self) -> Resamples:
        """Bootstrap samples of the tasks, by group."""
        return Resamples(len(self.tasks), self.groups)

    def resamples_of(self, chosen: Sequence[int]) -> Resamples:
        """Bootstrap samples of some of the tasks, by group."""
        if len(chosen) == len(self.tasks):
            return self.resamples
        return Resamples(len(chosen), [self.groups[index] for index in chosen])

    @cached_property
    def confidences(self) -> list[float | None]:
        return [answer.confidence for answer in self.answers]

    @cached_property
    def cells(self) -> Cells:
        """True and answered labels; label packs only."""
        truth = [str(task.hidden["label"]) for task in self.tasks]
        return Cells(truth, [answer.label for answer in self.answers], self.labels)

    @cached_property
    def table(self) -> Floats:
        """What each label would score on each task; label packs only."""
        return controls.score_table(self.tasks, self.labels, self.grade)

    @cached_property
    def is_positive(self) -> NDArray[np.bool_]:
        """Whether a task's true label is the positive one; packs with two labels only."""
        positive: NDArray[np.bool_] = self.cells.truth == (self.labels.index(self.positive) if self.positive else 0)
        return positive

    @cached_property
    def leaning(self) -> Floats:
        """How far each answer leans to the positive one of two labels, in [0, 1]; packs with two labels only.

        The confidence, or what it leaves of 1 where the other label was answered; without a confidence 1 or 0. No
        valid answer leans to the wrong side with all its weight.
        """
        sure = np.array([1.0 if confidence is None else confidence for confidence in self.confidences])
        right = self.cells.answered == self.cells.truth
        missing = self.cells.answered == len(self.labels)
        to_truth = np.where(missing, 0.0, np.where(right, sure, 1.0 - sure))
        return np.where(self.is_positive, to_truth, 1.0 - to_truth)

    def measure(self, interval: Interval, kind: Literal["score", "metric", "control"] = "metric") -> Measure:
        """A figure on the scale of the score."""
        return Measure(interval, kind, self.direction)

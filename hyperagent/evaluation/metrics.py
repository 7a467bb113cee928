"""Metrics of packs whose answers are labels, each beside the baselines that any program has to beat.

Missing and invalid answers always count: as wrong in the accuracy, as the worst case in the error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hyperagent.types import Task

Points = Mapping[str, float]
"""Label -> points. A grade's error is measured in them."""


def error_of(points: Points, label: str, answered: str | None) -> float:
    """Absolute error in points over the range of points, in [0, 1]; None = no valid answer = the worst one possible."""
    low, high = min(points.values()), max(points.values())
    true = points[label]
    off = max(true - low, high - true) if answered is None else abs(true - points[answered])
    return off / (high - low)


def mean_error(points: Points, labels: Sequence[str], answered: Sequence[str | None]) -> float:
    """Normalised mean absolute error in [0, 1]; 0 where there are no tasks."""
    errors = [error_of(points, label, answer) for label, answer in zip(labels, answered, strict=True)]
    return sum(errors) / len(errors) if errors else 0.0


def constant_label(train: Sequence[str], labels: Sequence[str]) -> str:
    """The single label that is right most often on train; ties go to the one declared first."""
    count = Counter(train)
    return max(labels, key=lambda label: (count[label], -labels.index(label)))


class LengthRule:
    """Judges by length alone: one label up to a threshold, one above it; all three fitted on train.

    What it scores on other splits is how much of the benchmark can be had without reading (a known leak of graded
    solutions: wrong ones tend to be longer).
    """

    def __init__(self, train: Sequence[tuple[int, str]], labels: Sequence[str]) -> None:
        """``train``: (length in characters, label) of every train task."""
        rows = sorted(train)
        above = Counter(label for _, label in rows)
        below: Counter[str] = Counter()
        self.low = self.high = constant_label([label for _, label in rows], labels)
        self.threshold = 0
        best = above[self.low]
        for index, (length, label) in enumerate(rows):
            below[label] += 1
            above[label] -= 1
            if index + 1 < len(rows) and rows[index + 1][0] == length:
                continue  # equal lengths cannot be told apart
            low, high = _most_common(below, labels), _most_common(above, labels)
            if below[low] + above[high] > best:
                best, self.threshold, self.low, self.high = below[low] + above[high], length, low, high

    def judge(self, length: int) -> str:
        return self.low if length <= self.threshold else self.high


def label_metrics(
    tasks: Sequence[Task],
    answered: Sequence[str | None],
    train: Sequence[Task],
    labels: Sequence[str],
    points: Points,
    length_field: str,
) -> dict[str, float]:
    """Baselines and the error in points over paired tasks and answers (None = invalid), see the module's docstring.

    Returns:
        ``constant_baseline`` and ``length_baseline`` (accuracies in [0, 1] of rules fitted on train), and where labels
        carry points ``nmae`` (lower is better) with ``constant_nmae``, that of the one label best for it on train.
    """
    truth = [str(task.hidden["label"]) for task in tasks]
    train_truth = [str(task.hidden["label"]) for task in train]
    constant = constant_label(train_truth, labels)
    result = {"constant_baseline": _mean([label == constant for label in truth])}
    if length_field:
        rule = LengthRule([(_length(task, length_field), str(task.hidden["label"])) for task in train], labels)
        judged = [rule.judge(_length(task, length_field)) for task in tasks]
        result["length_baseline"] = _mean([a == b for a, b in zip(truth, judged, strict=True)])
    if points:
        steady = min(labels, key=lambda label: mean_error(points, train_truth, [label] * len(train)))
        result["nmae"] = mean_error(points, truth, answered)
        result["constant_nmae"] = mean_error(points, truth, [steady] * len(tasks))
    return result


def _most_common(count: Counter[str], labels: Sequence[str]) -> str:
    return max(labels, key=lambda label: (count[label], -labels.index(label)))


def _length(task: Task, field: str) -> int:
    return len(str(task.input[field]))


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0

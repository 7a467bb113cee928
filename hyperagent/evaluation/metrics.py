"""Figures about answers that are labels, and how well a ranking of tasks fits the truth.

Everything about labels is a function of the confusion array: true label x answered label -> weight, whose last column
holds missing and invalid answers. They always count: as wrong, and where errors have a size, as the worst one possible.
All functions work on stacks of arrays (leading axes), so that a bootstrap over thousands of samples is one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hyperagent.evaluation.statistics import Floats, divided

Points = Mapping[str, float]
"""Label -> points. A grade's error is measured in them."""


class Cells:
    """Which cell of the confusion array each task falls into."""

    def __init__(self, truth: Sequence[str], answered: Sequence[str | None], labels: Sequence[str]) -> None:
        """``answered``: None = no valid answer. Raises ValueError on different lengths or an unknown label."""
        if len(truth) != len(answered):
            raise ValueError(f"{len(truth)} labels but {len(answered)} answers")
        self.labels = tuple(labels)
        places = {label: index for index, label in enumerate(labels)}
        unknown = ({*truth, *answered} - {None}) - places.keys()
        if unknown:
            raise ValueError(f"not among the labels {', '.join(labels)}: {sorted(map(str, unknown))}")
        self.truth = np.array([places[label] for label in truth], dtype=np.intp)
        """Index of the true label of each task."""
        self.answered = np.array([len(labels) if label is None else places[label] for label in answered], dtype=np.intp)
        """Index of the answered label; ``len(labels)`` = no valid answer."""

    def confusion(self, weights: Floats | None = None) -> Floats:
        """Confusion arrays of shape (r, k, k + 1) for weights of shape (r, n); of shape (k, k + 1) without."""
        k, n = len(self.labels), len(self.truth)
        cell = np.zeros((n, k * (k + 1)))
        cell[np.arange(n), self.truth * (k + 1) + self.answered] = 1.0
        rows = np.ones((1, n)) if weights is None else weights
        stack: Floats = (rows @ cell).reshape(len(rows), k, k + 1)
        return stack[0] if weights is None else stack

    def table(self) -> dict[str, dict[str, int]]:
        """True label -> answered label (``""`` = none) -> number of tasks."""
        counts = self.confusion().astype(int).tolist()
        return {
            label: dict(zip((*self.labels, ""), row, strict=True))
            for label, row in zip(self.labels, counts, strict=True)
        }


def accuracy(confusion: Floats) -> Floats:
    """Share of right answers, in [0, 1]."""
    return divided(_hits(confusion).sum(-1), confusion.sum((-2, -1)))


def balanced_accuracy(confusion: Floats) -> Floats:
    """Mean recall over the labels that occur, in [0, 1]: each label counts the same however frequent it is."""
    occurring = confusion.sum(-1)
    return divided(divided(_hits(confusion), occurring).sum(-1), np.count_nonzero(occurring, axis=-1) * 1.0)


def macro_f1(confusion: Floats) -> Floats:
    """Mean over labels of the harmonic mean of precision and recall, in [0, 1]; labels that are neither true of a
    task nor answered are left out."""
    twice = confusion.sum(-1) + confusion[..., :-1].sum(-2)
    return divided(divided(2 * _hits(confusion), twice).sum(-1), np.count_nonzero(twice, axis=-1) * 1.0)


def matthews(confusion: Floats) -> Floats:
    """Correlation of true and answered labels, in [-1, 1] (Gorodkin 2004, Computational Biology and Chemistry
    28:367-374); no valid answer is a class of its own. 0 where there is but one true or one answered class."""
    n = confusion.sum((-2, -1))
    true, answered = confusion.sum(-1), confusion.sum(-2)
    covariance = _hits(confusion).sum(-1) * n - (true * answered[..., :-1]).sum(-1)
    spread = (n**2 - (true**2).sum(-1)) * (n**2 - (answered**2).sum(-1))
    return divided(covariance, np.sqrt(spread))


def kappa(confusion: Floats, cost: Floats | None = None) -> Floats:
    """Agreement beyond chance, at most 1: 1 - cost / cost expected of answers with the same frequencies, dealt anew
    (Cohen 1960, Educational and Psychological Measurement 20:37-46; weighted: Cohen 1968, Psychological Bulletin
    70:213-220). 0 where chance alone would cost nothing.

    Args:
        cost: Of each cell, shape (k, k + 1), see :func:`squared_error`; None = 1 for every wrong or invalid answer.
    """
    k = confusion.shape[-2]
    price = 1.0 - np.eye(k, k + 1) if cost is None else cost
    expected = np.einsum("...i,ij,...j->...", confusion.sum(-1), price, confusion.sum(-2))
    n = confusion.sum((-2, -1))
    paid = (confusion * price).sum((-2, -1)) * n
    return np.where(expected > 0, 1.0 - divided(paid, expected), 0.0)


def nmae(confusion: Floats, error: Floats) -> Floats:
    """Normalised mean absolute error, in [0, 1]; ``error`` as :func:`absolute_error` gives it."""
    return divided((confusion * error).sum((-2, -1)), confusion.sum((-2, -1)))


def absolute_error(points: Points, labels: Sequence[str]) -> Floats:
    """Error of each cell in points over the range of points, in [0, 1], shape (k, k + 1); invalid = the worst one."""
    values = np.array([points[label] for label in labels], dtype=float)
    between = np.abs(values[:, None] - values[None, :])
    error = np.hstack([between, between.max(axis=1, keepdims=True)])
    return divided(error, np.asarray(np.ptp(values)))


def squared_error(points: Points, labels: Sequence[str]) -> Floats:
    """Cost of each cell for the quadratically weighted kappa, shape (k, k + 1)."""
    return absolute_error(points, labels) ** 2


def points_answered(points: Points, cells: Cells) -> Floats:
    """Points of each answer, shape (n,); no valid answer is at the end of the scale farther from the truth."""
    values = np.array([points[label] for label in cells.labels], dtype=float)
    low, high = values.min(), values.max()
    far = np.where(values - low > high - values, low, high)
    answered = np.append(values, 0.0)[cells.answered]
    return np.where(cells.answered == len(values), far[cells.truth], answered)


def rank_auc(values: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Chance that a positive task has a higher value than another one, ties counting half, in [0, 1]: the area under
    the ROC curve (Hanley and McNeil 1982, Radiology 143:29-36). 0.5 where one of the two kinds is missing.

    Args:
        values, positive: Of each task, shape (n,).
        weights: Shape (r, n).
    """
    order, starts, _ = _ties(values)
    up = np.add.reduceat((weights * positive)[:, order], starts, axis=1)
    down = np.add.reduceat((weights * ~positive)[:, order], starts, axis=1)
    below = np.cumsum(down, axis=1) - down
    return divided((up * (below + down / 2)).sum(1), up.sum(1) * down.sum(1), 0.5)


def pearson(a: Floats, b: Floats, weights: Floats) -> Floats:
    """Linear correlation in [-1, 1] under each row of weights; 0 where either does not vary.

    Args:
        a, b: Shape (n,), or (r, n) where each row of weights has values of its own.
    """
    total = weights.sum(1, keepdims=True)
    left = a - divided((weights * a).sum(1, keepdims=True), total)
    right = b - divided((weights * b).sum(1, keepdims=True), total)
    spread = (weights * left**2).sum(1) * (weights * right**2).sum(1)
    # What rounding leaves of no spread at all is none.
    scale = (weights * np.asarray(a) ** 2).sum(1) * (weights * np.asarray(b) ** 2).sum(1)
    flat = spread <= 1e-24 * scale
    found = divided((weights * left * right).sum(1), np.where(flat, 0.0, np.sqrt(spread)))
    return np.clip(found, -1.0, 1.0)


def spearman(a: Floats, b: Floats, weights: Floats) -> Floats:
    """Rank correlation in [-1, 1] under each row of weights, ties at their mean rank; 0 where either does not vary."""
    return pearson(_ranks(a, weights), _ranks(b, weights), weights)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Mean rank of each value among the tasks that each row of weights holds, shape (r, n)."""
    order, starts, level = _ties(values)
    held = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(held, axis=1) - held / 2 + 0.5)[:, level]
    return ranks


def _ties(values: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The order of the values, where in it each level of equal ones starts, and the level of each task."""
    _, level, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.argsort(level, kind="stable"), np.cumsum(counts) - counts, level


def _hits(confusion: Floats) -> Floats:
    hits: Floats = np.diagonal(confusion, axis1=-2, axis2=-1)
    return hits

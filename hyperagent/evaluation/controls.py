"""What can be scored without solving any task. A score says nothing before it stands beside these.

All of it is read from score tables: row = task, column = label, cell = what that answer would score there. Rules are
fitted on train; only what a group is worth is fitted on the evaluated tasks, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperagent.evaluation.statistics import RANDOM_SEED, Floats
from hyperagent.types import Grade, Json, Task

PERMUTATIONS = 2000
MOST_DEALT_AT_ONCE = 1 << 20
MOST_REGRADES = 5000
MOST_SHIFTS = 20

Regrade = Callable[[Task, Json], Grade]
"""Scores any prediction for any task on the host."""


def score_table(tasks: Sequence[Task], labels: Sequence[str], grade: Regrade | None = None) -> Floats:
    """What each label would score on each task, shape (n, k); without a grader 1 for ``hidden["label"]``, else 0."""
    if grade is None:
        rows = [[float(task.hidden["label"] == label) for label in labels] for task in tasks]
    else:
        rows = [[grade(task, label).score for label in labels] for task in tasks]
    return np.array(rows, dtype=float).reshape(len(tasks), len(labels))


def best_column(table: Floats) -> int:
    """The label that scores most over all rows; the one declared first of equals."""
    return int(np.argmax(table.sum(axis=0).round(9)))


class LengthRule:
    """Judges by length alone: one label up to a threshold, one above it; all three are the best ones on train.

    What it scores on other splits is how much of the benchmark can be had without reading (a known leak of graded
    solutions: wrong ones tend to be longer).
    """

    def __init__(self, lengths: Sequence[int], table: Floats) -> None:
        """``lengths``: characters of each train task; ``table``: its score table."""
        order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable")
        sizes, sums = np.asarray(lengths, dtype=np.int64)[order], np.cumsum(table[order], axis=0)
        self.threshold = 0
        self.low = self.high = best_column(table)
        best = float(table.sum(axis=0)[self.low])
        # A rule may cut only between different lengths.
        for cut in np.flatnonzero(np.diff(sizes)):
            below, above = sums[cut].round(9), (sums[-1] - sums[cut]).round(9)
            if below.max() + above.max() > best + 1e-9:
                best = float(below.max() + above.max())
                self.threshold, self.low, self.high = int(sizes[cut]), int(below.argmax()), int(above.argmax())

    def judge(self, lengths: Sequence[int]) -> NDArray[np.intp]:
        """The label's column for each length."""
        sizes = np.asarray(lengths, dtype=np.int64)
        return np.where(sizes <= self.threshold, self.low, self.high).astype(np.intp)


def group_majority(table: Floats, groups: Sequence[Hashable], leave_out: bool = False) -> Floats:
    """What each task gets where its group's best label is answered, shape (n,).

    Fitted on these very tasks: an upper bound of what knowing the group is worth.

    Args:
        leave_out: Fit on the other tasks of the group alone (and on all other tasks where there are none): nearer to
            what a program could learn, and too low where labels are balanced within groups.
    """
    index: dict[Hashable, int] = {}
    member = np.array([index.setdefault(group, len(index)) for group in groups], dtype=np.intp)
    sums = np.zeros((len(index), table.shape[1]))
    np.add.at(sums, member, table)
    known = sums[member]
    if leave_out:
        alone = np.bincount(member, minlength=len(index))[member] == 1
        known = np.where(alone[:, None], table.sum(axis=0), known) - table
    chosen = known.round(9).argmax(axis=1) if len(table) else member
    picked: Floats = table[np.arange(len(table)), chosen]
    return picked


def dealt(table: Floats, answered: NDArray[np.intp]) -> Floats:
    """What each task gets on average over all ways of dealing the given answers out to the tasks, shape (n,).

    Args:
        answered: Column of each answer; ``k`` = no valid answer, which scores 0.
    """
    n, k = table.shape
    shares = np.bincount(answered, minlength=k + 1)[:k] / max(1, n)
    expected: Floats = table @ shares
    return expected


@dataclass(frozen=True)
class BlindDeals:
    """What the answers score where chance hands them to tasks.

    Attributes:
        p_value: Chance that they score at least as well as where they were given, in (0, 1]; 1 for equal answers.
        low, high: Between these lie 95% of the mean scores.
    """

    p_value: float
    low: float
    high: float


def blind_deals(table: Floats, answered: NDArray[np.intp], sign: int = 1) -> BlindDeals:
    """One-sided permutation test of whether answers have anything to do with their tasks.

    2,000 draws, with the observed order counted among them (Phipson and Smyth 2010, Statistical Applications in
    Genetics and Molecular Biology 9:39).

    Args:
        answered: As for :func:`dealt`.
        sign: -1 where lower scores are better.
    """
    n = len(table)
    if not n:
        return BlindDeals(1.0, 0.0, 1.0)
    padded = np.hstack([table, np.zeros((n, 1))])
    generator = np.random.default_rng(RANDOM_SEED)
    observed = padded[np.arange(n), answered].mean()
    step = max(1, MOST_DEALT_AT_ONCE // n)
    means = np.concatenate(
        [
            padded[np.arange(n), generator.permuted(np.tile(answered, (rows, 1)), axis=1)].mean(axis=1)
            for rows in (min(step, PERMUTATIONS - start) for start in range(0, PERMUTATIONS, step))
        ]
    )
    reached = np.count_nonzero(sign * (means - observed) >= -1e-9)
    low, high = np.quantile(means, (0.025, 0.975))
    return BlindDeals((1 + reached) / (1 + PERMUTATIONS), float(low), float(high))


def dealt_open(tasks: Sequence[Task], predictions: Sequence[Json], grade: Regrade) -> Floats | None:
    """What each task gets on average when it is given other tasks' answers, shape (n,); for open answers.

    Each of up to 20 rounds, and at most 5,000 gradings, moves all answers on by another number of tasks. None where
    there are not two tasks.
    """
    n = len(tasks)
    shifts = np.random.default_rng(RANDOM_SEED).permutation(np.arange(1, max(1, n)))
    shifts = shifts[: min(MOST_SHIFTS, max(1, MOST_REGRADES // max(1, n)))]
    if not len(shifts):
        return None
    moved = [[grade(task, predictions[(i + int(s)) % n]).score for i, task in enumerate(tasks)] for s in shifts]
    return np.asarray(np.mean(moved, axis=0), dtype=float)

"""The campaign's index in memory: what the loop and the parent selectors ask of all its variants.

Columns are indexed by step. A new or finished variant changes its own row, its parent's and, where results are read,
its ancestors'; no other. A selection is a few vectorised passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hyperagent.protocols import Reads
from hyperagent.types import Variant

SCORED = ("evaluated", "screened_out", "raced_out")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Results:
    """What a variant's validation evaluations hold so far.

    Attributes:
        vector: Stage score in [0, 1] per benchmark, in the order of the configuration.
        tasks: Score in [0, 1] of every outcome, by benchmark and task.
        score: The aggregate of ``vector``.
    """

    vector: tuple[float, ...] = ()
    tasks: Mapping[tuple[str, str], float] = field(default_factory=dict)
    score: float = 0.0


class Population:
    """All variants of one campaign. Not locked: the loop calls it under its own lock.

    Args:
        reads: How much of the evaluations to keep.
        results: Loads what one variant's evaluations hold; called once per scored variant unless ``reads`` is scores.
        partial: Count variants as candidates that are evaluated in part (status ``pending`` with outcomes).
    """

    def __init__(
        self,
        reads: Reads = "scores",
        results: Callable[[Variant], Results] = lambda variant: Results(),
        *,
        partial: bool = False,
    ) -> None:
        self.arrivals: list[int] = []
        self.best: Variant | None = None
        self.evaluations = 0
        """Outcomes counted so far, where results are read."""
        self._reads, self._results, self._partial_counts = reads, results, partial
        self._at: list[Variant | None] = []
        self._parents: list[int] = []
        self._step_of: dict[str, int] = {}
        self._partial: dict[int, None] = {}
        self._columns: dict[tuple[str, str], int] = {}
        self._attempts = self._done = 0
        self.rows = _Rows(reads)

    # -- what the loop asks ----------------------------------------------------------------------

    @property
    def next_step(self) -> int:
        return len(self._at)

    @property
    def attempts(self) -> int:
        """Steps begun beyond the seed."""
        return self._attempts

    @property
    def done(self) -> int:
        """Candidates beyond the seed."""
        return self._done

    @property
    def partial(self) -> Sequence[int]:
        """Steps of the candidates whose evaluation has not ended, in the order in which they came."""
        return list(self._partial)

    @property
    def seed(self) -> Variant | None:
        return self._at[0] if self._at else None

    def at(self, step: int) -> Variant:
        """The variant of a step; raises KeyError where there is none."""
        variant = self._at[step] if 0 <= step < len(self._at) else None
        if variant is None:
            raise KeyError(step)
        return variant

    def is_candidate(self, step: int) -> bool:
        return step < len(self._at) and bool(self.rows.candidate[step])

    def outcomes(self, step: int) -> int:
        """Outcomes counted of a candidate, where results are read."""
        return round(float(self.rows.own[step].sum())) if self._reads != "scores" else 0

    def candidates(self) -> View:
        """What a selector is given; a view of now, to be dropped before the next change."""
        return View(self, np.flatnonzero(self.rows.candidate[: len(self._at)]))

    # -- what the loop tells ---------------------------------------------------------------------

    def record(self, variant: Variant) -> None:
        """Take in a variant that is new or has changed. Parents come before their children."""
        step = variant.step
        if variant.id not in self._step_of:
            self._enter(variant)
        self._at[step] = variant
        scored = variant.status in SCORED
        if not scored and not (self._partial_counts and variant.status == "pending"):
            return
        fresh = not self.rows.candidate[step]
        if not fresh and step not in self._partial:
            return  # a finished row never changes
        found = self._results(variant) if self._reads != "scores" else Results()
        if not scored and not found.tasks:
            return  # committed, nothing of it has run yet
        self._score(step, found, (variant.score or 0.0) if scored else found.score)
        if scored:
            self._partial.pop(step, None)
        else:
            self._partial[step] = None
        if fresh:
            self.rows.candidate[step] = True
            self._done += step > 0
            self.arrivals.append(step)
        if scored and variant.status != "raced_out":  # whose score is a bound, never the best
            self._compare(variant, float(self.rows.score[step]))

    def _enter(self, variant: Variant) -> None:
        step = variant.step
        while len(self._at) <= step:
            self._at.append(None)
            self._parents.append(-1)
        self.rows.reserve(step + 1)
        self._step_of[variant.id] = step
        self._attempts += step > 0
        if variant.parent is not None and variant.parent in self._step_of:
            parent = self._step_of[variant.parent]
            self._parents[step] = parent
            self.rows.children[parent] += 1

    def _score(self, step: int, found: Results, score: float) -> None:
        rows = self.rows
        rows.score[step] = score
        if self._reads == "scores":
            return
        rows.set_vector(step, found.vector)
        won = sum(found.tasks.values())
        now = np.array([won, len(found.tasks) - won])
        # The difference to what is counted already, so that an evaluation in portions counts each outcome once.
        self._add_to_clades(step, now - rows.own[step])
        self.evaluations += len(found.tasks) - round(float(rows.own[step].sum()))
        rows.own[step] = now
        if self._reads == "tasks":
            columns = [self._columns.setdefault(task, len(self._columns)) for task in found.tasks]
            rows.set_tasks(step, columns, list(found.tasks.values()), len(self._columns))

    def _add_to_clades(self, step: int, change: Floats) -> None:
        path, parents = [], self._parents
        while step >= 0:
            path.append(step)
            step = parents[step]
        self.rows.clade[path] += change  # no step is twice on a path, so no addition is lost

    def _compare(self, variant: Variant, score: float) -> None:
        """Scores only grow until a row is final, so the best needs no second look at the others."""
        best = self.best
        if best is None or best.step == variant.step:
            self.best = variant
            return
        rank = float(self.rows.score[best.step])
        if score > rank or (score == rank and variant.step < best.step):
            self.best = variant


class _Rows:
    """Columns that double their length when they are full."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self.candidate = np.zeros(0, dtype=bool)
        self.score = np.zeros(0)
        self.children = np.zeros(0, dtype=np.int64)
        self.own: Floats = np.zeros((0, 2))
        self.clade: Floats = np.zeros((0, 2))
        self.vector: Floats = np.zeros((0, 0))
        self.tasks: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)

    def reserve(self, rows: int) -> None:
        if rows <= len(self.score):
            return
        length = max(64, 2 * rows)
        for name in (
            "candidate",
            "score",
            "children",
            *(("own", "clade", "vector", "tasks") * (self._reads != "scores")),
        ):
            old = getattr(self, name)
            setattr(self, name, _grown(old, (length, *old.shape[1:])))

    def set_vector(self, step: int, vector: tuple[float, ...]) -> None:
        if self.vector.shape[1] < len(vector):
            self.vector = _grown(self.vector, (len(self.vector), len(vector)))
        self.vector[step, : len(vector)] = vector

    def set_tasks(self, step: int, columns: list[int], scores: list[float], width: int) -> None:
        if self.tasks.shape[1] < width:
            self.tasks = _grown(self.tasks, (len(self.tasks), width))
        self.tasks[step, columns] = scores


def _grown(old: NDArray[Value], shape: tuple[int, ...]) -> NDArray[Value]:
    new = np.zeros(shape, dtype=old.dtype)
    new[tuple(slice(0, length) for length in old.shape)] = old
    return new


class View:
    """Rows of a population as :class:`~hyperagent.protocols.Candidates`."""

    def __init__(self, population: Population, steps: Ints) -> None:
        self._population = population
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def next_step(self) -> int:
        return self._population.next_step

    @property
    def arrivals(self) -> Sequence[int]:
        return self._population.arrivals

    def at(self, step: int) -> Variant:
        return self._population.at(step)

    def steps(self) -> Ints:
        return self._steps

    def scores(self) -> Floats:
        return self._population.rows.score[self._steps]

    def children(self) -> Ints:
        return self._population.rows.children[self._steps]

    def own(self) -> Floats:
        return self._population.rows.own[self._steps]

    def clades(self) -> Floats:
        return self._population.rows.clade[self._steps]

    def vectors(self) -> Floats:
        return self._population.rows.vector[self._steps]

    def tasks(self) -> Floats:
        return self._population.rows.tasks[self._steps].astype(np.float64)

    def only(self, rows: Ints) -> View:
        return View(self._population, self._steps[rows])

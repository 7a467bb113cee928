"""The Pareto front: variants that no other one beats everywhere."""

from __future__ import annotations

from random import Random
from typing import Literal

import numpy as np

from hyperagent.engine.population import Floats
from hyperagent.engine.selection.simple import draw
from hyperagent.protocols import Candidates, Reads
from hyperagent.types import Variant

Over = Literal["benchmarks", "tasks"]


class Front:
    """Non-dominated vectors, kept as they come: an addition costs one comparison with every distinct vector on it.

    ``a`` dominates ``b`` where it is nowhere lower and somewhere higher. Variants with equal vectors share a place.
    """

    def __init__(self) -> None:
        self.members: list[list[int]] = []
        self._vectors: Floats = np.zeros((0, 0))

    @property
    def vectors(self) -> Floats:
        """Shape (places, d), in the order of ``members``."""
        return self._vectors

    def add(self, step: int, vector: Floats) -> None:
        width = len(vector)
        if self._vectors.shape[1] < width:  # tasks that nobody had met: everyone before has 0 there
            self._vectors = np.pad(self._vectors, ((0, 0), (0, width - self._vectors.shape[1])))
        at_least = np.all(self._vectors >= vector, axis=1)
        at_most = np.all(self._vectors <= vector, axis=1)
        same = np.flatnonzero(at_least & at_most)
        if len(same):
            self.members[int(same[0])].append(step)
        elif not at_least.any():
            self._vectors = np.vstack([self._vectors[~at_most], vector])
            self.members = [m for m, beaten in zip(self.members, at_most.tolist(), strict=True) if not beaten] + [
                [step]
            ]


class Pareto:
    """A variant of the Pareto front.

    Over ``benchmarks``: every variant of the front with the same chance. Over ``tasks``: chance proportional to the
    number of tasks on which it is best, ties included (candidate selection of GEPA, Agrawal et al. 2025, arXiv
    2507.19457, algorithm 2). A task that did not run for a variant counts as 0.
    """

    def __init__(self, over: Over = "tasks") -> None:
        self.reads: Reads = "tasks" if over == "tasks" else "results"
        self._over = over
        self._front = Front()
        self._seen = 0

    def select(self, candidates: Candidates, random: Random) -> Variant:
        front = self._of(candidates)
        weights = np.array([len(steps) for steps in front.members], dtype=float)
        if self._over == "tasks":
            best = front.vectors.max(axis=0)
            wins = ((front.vectors == best) & (best > 0)).sum(axis=1)
            weights *= wins if wins.any() else 1
        steps = sorted(front.members[draw(weights, random)])
        return candidates.at(steps[int(random.random() * len(steps))])

    def _of(self, candidates: Candidates) -> Front:
        """The front of all variants goes on from where it was; that of a part (an island's) is made anew."""
        if len(candidates) < len(candidates.arrivals):
            front = Front()
            self._extend(front, candidates)
            return front
        new = np.array(sorted(candidates.arrivals[self._seen :]), dtype=np.int64)
        if len(new):
            self._extend(self._front, candidates.only(np.searchsorted(candidates.steps(), new)))
            self._seen = len(candidates.arrivals)
        return self._front

    def _extend(self, front: Front, candidates: Candidates) -> None:
        vectors = candidates.tasks() if self._over == "tasks" else candidates.vectors()
        for step, vector in zip(candidates.steps().tolist(), vectors, strict=True):
            front.add(step, vector)

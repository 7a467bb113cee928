"""Islands: several populations that develop apart and now and then send their best on."""

from __future__ import annotations

from random import Random

import numpy as np

from hyperagent.protocols import Candidates, ParentSelector, Reads
from hyperagent.types import Variant


class Islands:
    """Chooses within one island by another rule; islands take turns, and form a ring.

    Step s belongs to island ``(s - 1) mod k``; the seed program to all. Every ``every`` steps the best variant of each
    island (by score, the earliest of equals) visits the next one on the ring, where it can be a parent until the next
    migration; its children there stay. (Island model with ring migration: Tanese 1989, Distributed genetic algorithms;
    Romera-Paredes et al. 2024, FunSearch, for programs.) Who is where follows from step numbers and scores alone: there
    is nothing to store, and a resume finds it as it was.

    Args:
        inner: The rule within an island.
        count: Number of islands k, at least 2.
        every: Steps between two migrations, at least 1.
    """

    def __init__(self, inner: ParentSelector, count: int, every: int) -> None:
        self.reads: Reads = inner.reads
        self._inner, self._count, self._every = inner, count, every

    def select(self, candidates: Candidates, random: Random) -> Variant:
        steps = candidates.steps()
        home = (candidates.next_step - 1) % self._count
        island = (steps - 1) % self._count
        present = (island == home) | (steps == 0)
        arrived = candidates.next_step // self._every * self._every
        neighbours = np.flatnonzero((island == (home - 1) % self._count) & (steps < arrived) & (steps > 0))
        if len(neighbours):
            present[neighbours[int(np.argmax(candidates.scores()[neighbours]))]] = True
        rows = np.flatnonzero(present)
        # Without a scored seed an island can be empty; then it borrows from all.
        return self._inner.select(candidates.only(rows) if len(rows) else candidates, random)

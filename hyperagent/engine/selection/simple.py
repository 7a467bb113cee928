"""The rules that look at one thing only, and the weighted draw that the others share."""

from __future__ import annotations

from random import Random

import numpy as np

from hyperagent.engine.population import Floats
from hyperagent.protocols import Candidates, Reads
from hyperagent.types import Variant


def chosen(candidates: Candidates, row: int) -> Variant:
    """The variant of a row."""
    return candidates.at(int(candidates.steps()[row]))


def draw(weights: Floats, random: Random) -> int:
    """A row with a chance proportional to its weight; weights are at least 0, not all 0."""
    reached = np.cumsum(weights)
    row = int(np.searchsorted(reached, random.random() * reached[-1], side="right"))
    return min(row, int(np.flatnonzero(weights)[-1]))  # rounding may land beyond the last one


class Best:
    """Always the highest score; the earliest of equals. Hill climbing: the archive is only a record."""

    reads: Reads = "scores"

    def select(self, candidates: Candidates, random: Random) -> Variant:
        return chosen(candidates, int(np.argmax(candidates.scores())))


class Latest:
    """Always the newest scored variant: a chain without an archive (the ablation of Zhang et al. 2026)."""

    reads: Reads = "scores"

    def select(self, candidates: Candidates, random: Random) -> Variant:
        return chosen(candidates, len(candidates) - 1)


class Seed:
    """Always generation 0, so that no step builds on another: independent tries (mode best-of-n)."""

    reads: Reads = "scores"

    def select(self, candidates: Candidates, random: Random) -> Variant:
        return chosen(candidates, 0)


class Uniform:
    """Every variant with the same chance, ``1 / n``: the control of every other rule."""

    reads: Reads = "scores"

    def select(self, candidates: Candidates, random: Random) -> Variant:
        return chosen(candidates, min(int(random.random() * len(candidates)), len(candidates) - 1))

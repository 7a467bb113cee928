"""A quality-diversity grid (MAP-Elites): variants compete only with those that behave like them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Sequence
from random import Random

import numpy as np

from hyperagent.protocols import Archive, Candidates, ParentSelector, Reads
from hyperagent.types import Variant

TOKEN_RATIO, SIZE_RATIO = 1.25, 1.05
"""Width of a bin: the next one begins at so many times as much."""
SCORE_BINS = 10
_MOST_CHARACTERS = 100

Cell = tuple[Hashable, ...]
Measure = Callable[[Variant, float], Cell]
"""Variant and score -> its cell."""


class Grid:
    """Only the best of each cell can be a parent; another rule chooses among them.

    A cell is what the features say of a variant. Its elite is the variant with the highest score, the earliest of
    equals. With ``random`` as the rule this is MAP-Elites: a cell drawn uniformly, its elite the parent (Mouret and
    Clune 2015, arXiv 1504.04909).
    """

    def __init__(self, inner: ParentSelector, measure: Measure) -> None:
        self.reads: Reads = inner.reads
        self._inner, self._measure = inner, measure
        self._cells: dict[Cell, int] = {}
        self._cell_of = np.zeros(64, dtype=np.int64)
        self._seen = 0

    def select(self, candidates: Candidates, random: Random) -> Variant:
        self._place(candidates)
        cells, scores = self._cell_of[candidates.steps()], candidates.scores()
        best = np.full(len(self._cells), -1.0)
        np.maximum.at(best, cells, scores)
        top = np.flatnonzero(scores == best[cells])
        _, first = np.unique(cells[top], return_index=True)
        return self._inner.select(candidates.only(np.sort(top[first])), random)

    def _place(self, candidates: Candidates) -> None:
        """Measure what has come since the last time, each variant once."""
        for step in candidates.arrivals[self._seen :]:
            if step >= len(self._cell_of):
                self._cell_of = np.pad(self._cell_of, (0, step + 1))
            variant = candidates.at(step)
            cell = self._measure(variant, variant.score or 0.0)
            self._cell_of[step] = self._cells.setdefault(cell, len(self._cells))
        self._seen = len(candidates.arrivals)


class Features:
    """Measures variants of an archive by named features.

    * ``tokens``: model tokens per validation task, in bins each 1.25 times as wide as the one before;
    * ``size``: bytes of the program, in bins of 5%;
    * ``score``: tenths of the score;
    * ``NAME``: the value of the constant ``NAME`` at the start of a line of ``task_agent.py``, such as a strategy.
    """

    def __init__(self, archive: Archive, names: Sequence[str]) -> None:
        self._archive, self._names = archive, names

    def __call__(self, variant: Variant, score: float) -> Cell:
        return tuple(self._one(name, variant, score) for name in self._names)

    def _one(self, name: str, variant: Variant, score: float) -> Hashable:
        if name == "tokens":
            return _bin(self._tokens(variant), TOKEN_RATIO)
        if name == "score":
            return min(int(score * SCORE_BINS), SCORE_BINS - 1)
        tree = self._archive.read_tree(variant.commit)
        if name == "size":
            return _bin(sum(map(len, tree.values())), SIZE_RATIO)
        text = tree.get("task_agent.py", b"").decode("utf-8", "replace")
        found = re.search(rf"^{re.escape(name)}\s*(?::[^=\n]*)?=\s*(.*)$", text, re.MULTILINE)
        return found[1][:_MOST_CHARACTERS] if found else None

    def _tokens(self, variant: Variant) -> float:
        archive = self._archive
        spent = [
            outcome.spend.tokens
            for evaluation in archive.evaluations(variant.id)
            if evaluation.split == "validation"
            for outcome in archive.outcomes(evaluation.id)
        ]
        return sum(spent) / len(spent) if spent else 0.0


def _bin(value: float, ratio: float) -> int:
    return int(math.log(1 + value) / math.log(ratio))

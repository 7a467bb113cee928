"""What a skill goes along with: the scores of those that have it beside the scores of those that have not.

Nothing here is an experiment. A variant that invents a skill changes other things in the same edit, and carriers are
younger than the others and picked for their scores: a difference is a reason to try the skill elsewhere, not a proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hyperagent.evaluation.statistics import Floats, Resamples
from hyperagent.types import Interval, Skill, Variant

Scores = Mapping[str, Mapping[tuple[str, str], float]]
"""Variant id -> (benchmark, task) -> validation score in [0, 1]; a variant without outcomes may be left out."""


class Effects:
    """Adds effects to the skills of one campaign. Scores become one table: variants x tasks, NaN = not run."""

    def __init__(self, variants: Sequence[Variant], scores: Scores) -> None:
        columns: dict[tuple[str, str], int] = {}
        for row in scores.values():
            for task in row:
                columns.setdefault(task, len(columns))
        self._rows = {variant.step: index for index, variant in enumerate(variants)}
        self._parents = {one.step: one.parent for one in variants}
        self._steps = {one.id: one.step for one in variants}
        self._table = np.full((len(variants), len(columns)), np.nan)
        for variant in variants:
            for task, score in scores.get(variant.id, {}).items():
                self._table[self._rows[variant.step], columns[task]] = score
        self._resamples: dict[int, Resamples] = {}

    def of(self, skill: Skill) -> Skill:
        """The skill with its two differences, each None where no task is shared."""
        return replace(skill, against_parent=self._introduction(skill), against_others=self._carrying(skill))

    def _introduction(self, skill: Skill) -> Interval | None:
        """Per task: mean over the origins of (score - the parent's score)."""
        differences = [
            self._table[self._rows[step]] - self._table[self._rows[self._steps[parent]]]
            for step in skill.origins
            if (parent := self._parents[step]) in self._steps
        ]
        return self._interval(_means(np.array(differences))) if differences else None

    def _carrying(self, skill: Skill) -> Interval | None:
        """Per task: mean over carriers - mean over the others."""
        carries = np.zeros(len(self._table), dtype=bool)
        carries[[self._rows[step] for step in skill.carriers]] = True
        if carries.all() or not carries.any():
            return None
        return self._interval(_means(self._table[carries]) - _means(self._table[~carries]))

    def _interval(self, differences: Floats) -> Interval | None:
        """Mean with its 95% percentile bootstrap interval over tasks (Efron and Tibshirani 1993, ch. 13)."""
        paired = differences[~np.isnan(differences)]
        if not len(paired):
            return None
        if len(paired) not in self._resamples:  # drawn once, not once a skill
            self._resamples[len(paired)] = Resamples(len(paired))
        return self._resamples[len(paired)].mean(paired, -1.0, 1.0)


def _means(rows: Floats) -> Floats:
    """Column means over what is not NaN; NaN where a column holds nothing."""
    counts = (~np.isnan(rows)).sum(axis=0)
    sums = np.nansum(rows, axis=0)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means

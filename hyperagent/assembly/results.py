"""All task results of a campaign, benchmark by benchmark, in little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hyperagent.protocols import Archive
from hyperagent.report.text import clean
from hyperagent.types import Evaluation, Json, OutcomeStatus, Split, Variant

NOT_RUN, AGENT_ERROR, LOST = ".", "!", "?"
STEPS = "abcdefghijk"
"""Scores 0, 0.1 ... 1 of a task, as a page is told them."""
LONGEST_NOTE = 120
ALL_TEXTS = 400_000
"""Bytes of all reasons of failed tasks together; programs can make each of them another."""


@dataclass
class TaskSet:
    """One split of one benchmark.

    Attributes:
        tasks: Every task that some variant was planned to run, in the order of the plans.
        rows: Index of a variant -> task's index -> (status, score).
    """

    benchmark: str
    split: Split
    tasks: dict[str, int] = field(default_factory=dict)
    rows: dict[int, dict[int, tuple[OutcomeStatus, float]]] = field(default_factory=dict)

    def row(self, variant: int) -> str:
        """One character a task: ``a`` (0) to ``k`` (1), ``!`` agent error, ``?`` lost, ``.`` not run."""
        signs = [NOT_RUN] * len(self.tasks)
        for task, (status, score) in self.rows[variant].items():
            step = STEPS[round(score * 10)]
            signs[task] = {"scored": step, "agent_error": AGENT_ERROR, "lost": LOST}[status]
        return "".join(signs).rstrip(NOT_RUN)

    def scores(self, variant: int) -> list[float]:
        """Of the tasks that ran; one that our own side lost says nothing."""
        return [score for status, score in self.rows.get(variant, {}).values() if status != "lost"]


@dataclass
class Results:
    """Attributes:
    sets: Validation first, in the order in which they began.
    counts: (set's index, status) -> outcomes.
    notes: Reasons of failed tasks: ``texts``, and for a variant's index ``[set, task, text]`` triples.
    """

    sets: list[TaskSet]
    counts: dict[tuple[int, OutcomeStatus], int]
    notes: dict[str, Json]
    evaluations: Sequence[Evaluation]

    def validation(self, variant: int) -> list[float]:
        return [score for one in self.sets if one.split == "validation" for score in one.scores(variant)]

    def pairs(self, a: int, b: int) -> Iterator[tuple[float, float]]:
        """Validation scores of two variants on the tasks that both ran."""
        for one in self.sets:
            if one.split == "validation" and a in one.rows and b in one.rows:
                right = one.rows[b]
                for task, (status, score) in one.rows[a].items():
                    other = right.get(task)
                    if other is not None and "lost" not in (status, other[0]):
                        yield score, other[1]


def read_results(archive: Archive, campaign: str, variants: Sequence[Variant], *, hidden: bool, notes: int) -> Results:
    """Read them. Where a variant was evaluated twice on a split, the later evaluation counts.

    Args:
        hidden: With the test split.
        notes: Most reasons of failed tasks to keep.
    """
    number = {variant.id: index for index, variant in enumerate(variants)}
    # A running campaign may have begun others since the variants were read.
    began = [one for one in archive.campaign_evaluations(campaign) if one.variant in number]
    every = [one for one in began if hidden or one.split != "test"]
    order = {"validation": 0, "train": 1, "test": 2}
    found: dict[tuple[str, Split], TaskSet] = {}
    newest: dict[tuple[str, str, Split], int] = {}
    for one in sorted(every, key=lambda one: (order[one.split], one.id)):
        task_set = found.setdefault((one.benchmark, one.split), TaskSet(one.benchmark, one.split))
        for task in one.tasks:
            task_set.tasks.setdefault(task, len(task_set.tasks))
        newest[one.variant, one.benchmark, one.split] = one.id
    sets = list(found.values())
    places = {key: index for index, key in enumerate(found)}
    known = {
        one.id: (places[one.benchmark, one.split], number[one.variant])
        for one in every
        if newest[one.variant, one.benchmark, one.split] == one.id
    }
    room, texts = ALL_TEXTS, dict[str, int]()
    told: dict[str, list[Json]] = {}
    counts: dict[tuple[int, OutcomeStatus], int] = {}
    for result in archive.campaign_results(campaign, hidden=hidden, longest=4 * LONGEST_NOTE):
        if result.evaluation not in known:
            continue
        place, variant = known[result.evaluation]
        at = sets[place].tasks[result.task]
        sets[place].rows.setdefault(variant, {})[at] = (result.status, result.score)
        counts[place, result.status] = counts.get((place, result.status), 0) + 1
        if result.status != "scored" and notes > 0:
            notes -= 1
            text = clean(result.error, LONGEST_NOTE)
            if text not in texts:
                room -= written(text)
            if text in texts or room >= 0:
                told.setdefault(str(variant), []).append([place, at, texts.setdefault(text, len(texts))])
    return Results(sets, counts, {"texts": list(texts), "of": told}, every)


def written(text: str) -> int:
    """Bytes that a text takes in the file: all but plain ASCII is an escape there, and so is ``<``."""
    return len(json.dumps(text)) + 5 * text.count("<")

"""Choices of a recorded campaign, made again from what the journal says was known when each was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from hyperagent.engine.mutation import step_random
from hyperagent.engine.parts import Parts
from hyperagent.engine.population import Population, Results
from hyperagent.engine.selection import SELECTORS, make_selector
from hyperagent.evaluation.aggregate import aggregate
from hyperagent.evaluation.stages import stage_score
from hyperagent.protocols import Archive
from hyperagent.types import Campaign, Event, Json, Variant


class Choices:
    """Chooses the parents of a campaign's steps again. What is known comes from the recorded archive alone.

    Args:
        recorded: Only read.
        parts: Of the replay; a program that chooses runs in their sandbox, and its choices go into their journal.
    """

    def __init__(self, recorded: Archive, campaign: Campaign, parts: Parts) -> None:
        self._recorded, self._campaign, self._config = recorded, campaign, parts.config
        self._weights = {benchmark.name: entry.weight for entry, benchmark in parts.benchmarks}
        self._parts = replace(parts, archive=cast(Archive, _ReadingOne(recorded, parts.archive)))
        self._variants = {variant.step: variant for variant in recorded.variants(campaign.id)}
        self._plateaus: dict[int, str] = {}
        self._started: list[Variant] = []
        self._ran: dict[str, list[tuple[int, str]]] = {}
        self._limits: dict[str, int] = {}
        self.begin_session()

    def begin_session(self) -> None:
        """A session begins with what the archive holds, and learns it anew."""
        search = self._config.search
        self._selector = make_selector(self._parts, self._campaign.id)
        self._other = SELECTORS[search.plateau_selection]()
        self._population = Population(self._selector.reads, self._results, partial=search.decoupled)
        for variant in self._started:
            self._population.record(replace(variant, status="mutating"))

    def plateau(self, event: Event) -> None:
        """Take in the answer to a plateau, which stands in the journal before the choice that it changes."""
        self._plateaus[int(event.payload["step"])] = str(event.payload["action"])

    def started(self, variant: Variant) -> None:
        """Take in a step that has begun; every parent counts its children."""
        self._started.append(variant)
        self._population.record(replace(variant, status="mutating"))

    def parent(self, step: int, known: Sequence[Json]) -> Variant:
        """The parent of a step, chosen by the campaign's rule among what was known.

        Args:
            known: What had become known since the choice before: steps of scored variants, and ``[step, outcomes]`` of
                those evaluated in part, in the order in which they came.
        """
        for item in known:
            whole = isinstance(item, int)
            variant = self._variants[item if whole else item[0]]
            self._limits.pop(variant.id, None)
            if not whole:
                self._limits[variant.id] = item[1]
                variant = replace(variant, status="pending", score=None)
            self._population.record(variant)
        switched = self._config.search.plateau_action == "selection" and len(self._plateaus) % 2 == 1
        selector = self._other if switched else self._selector
        found = selector.select(self._population.candidates(), step_random(self._config.seed, step))
        return self._population.at(0) if self._plateaus.get(step) == "restart" else found

    def _results(self, variant: Variant) -> Results:
        """As ``Evaluator.results``, of the outcomes that there were at the time."""
        limit, search = self._limits.get(variant.id), self._config.search
        there = None if limit is None else self._first(variant, limit)
        vector, tasks = dict.fromkeys(self._weights, 0.0), {}
        for evaluation in self._recorded.evaluations(variant.id):
            if evaluation.split == "validation":
                outcomes = [one for one in self._recorded.outcomes(evaluation.id) if one.status != "lost"]
                ran = {o.task: o.score for o in outcomes if there is None or (evaluation.id, o.task) in there}
                vector[evaluation.benchmark] = stage_score(list(ran.values()), len(evaluation.tasks))
                tasks.update({(evaluation.benchmark, task): score for task, score in ran.items()})
        scores = list(vector.values())
        return Results(tuple(scores), tasks, aggregate(scores, search.aggregate, list(self._weights.values())))

    def _first(self, variant: Variant, count: int) -> set[tuple[int, str]]:
        """Evaluation and task of a variant's first validation outcomes, in the order in which they were archived."""
        evaluations = {one.id for one in self._recorded.evaluations(variant.id) if one.split == "validation"}
        if variant.id not in self._ran:
            added = [event.payload for event in self._recorded.events_of(variant.campaign, "outcome_added")]
            ran = [(int(one["evaluation"]), str(one["task"])) for one in added if one["status"] != "lost"]
            self._ran[variant.id] = [key for key in ran if key[0] in evaluations]
        return set(self._ran[variant.id][:count])


class _ReadingOne:
    """An archive that is read, while the journal is another one's: what comes later is not known yet."""

    def __init__(self, read: Archive, written: Archive) -> None:
        self._read = read
        self.append_event, self.events = written.append_event, written.events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._read, name)

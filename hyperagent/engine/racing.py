"""Races: an evaluation ends as soon as it is clear that the variant will not be chosen (``search.racing``).

Tasks run in a random order of the variant's own, a function of campaign seed, step and benchmark. What a race is held
against (the threshold) and what it bets on (guesses) are journalled before its first task, so that a resume and every
later reader come to the same decision from the same outcomes.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hyperagent.config import SearchConfig
from hyperagent.evaluation.eprocess import Race, Verdict
from hyperagent.protocols import Archive
from hyperagent.types import Evaluation, Json, Variant

RACE_STARTED = "race_started"
UNKNOWN = 0.5
"""Guess at the score of a task that nobody has run."""
_DIGITS = 4

Plans = Mapping[str, Sequence[str]]
"""Benchmark -> ids of the tasks planned, in the pack's order."""


def race_order(tasks: Sequence[str], benchmark: str, random_seed: int, step: int) -> list[str]:
    """The same tasks in the order of one step; equal arguments give equal orders."""
    order = list(tasks)
    random.Random(f"{random_seed}/{step}/{benchmark}").shuffle(order)
    return order


@dataclass(frozen=True)
class Terms:
    """What one variant's race is about, over all its benchmarks.

    Attributes:
        threshold: Mean score over benchmarks, in [0, 1], that has to be exceeded.
        step: Least distance between two totals of a benchmark (see :class:`~hyperagent.evaluation.eprocess.Race`).
        guesses: Benchmark -> task -> the parent's score and the archive's mean.
    """

    threshold: float
    step: float
    guesses: Mapping[str, Mapping[str, tuple[float, float]]]

    def verdict(
        self, evaluation: Evaluation, scores: Sequence[float], others: Sequence[float | None], alpha: float
    ) -> Verdict:
        """Whether the variant can still exceed the threshold, given what ran of this benchmark.

        Args:
            scores: In the order of ``evaluation.tasks``.
            others: The other benchmarks' mean scores; None = not run yet, for which the best is assumed when the
                question is whether it can still be reached, and the worst when it is whether it has been.
        """
        planned = len(evaluation.tasks)
        pairs = [self.guesses[evaluation.benchmark][task] for task in evaluation.tasks]
        columns = tuple(zip(*pairs, strict=True))
        verdicts: list[Verdict] = []
        for unknown in (1.0, 0.0):
            rest = sum(unknown if score is None else score for score in others)
            exceeded = planned * (self.threshold * (1 + len(others)) - rest)
            # One more than the threshold, where totals are whole numbers: the earliest of equals stays the best.
            need = _next_whole(exceeded) if self.step else exceeded
            verdicts.append(Race(need, columns, alpha, self.step).verdict(scores))
        return "below" if verdicts[0] == "below" else "above" if verdicts[1] == "above" else "open"


def _next_whole(value: float) -> float:
    """The least whole number above a value; rounding errors of a mean do not count."""
    return float(int(value + 1e-6) + 1) if value >= 0 else 0.0


class Racer:
    """Sets the terms of races; remembers what the archive knows so that a race costs the same in a large one.

    Thread-safe. Outcomes of variants that were raced out count in the tasks' means, and never as a threshold.
    """

    def __init__(self, archive: Archive, config: SearchConfig) -> None:
        self._archive, self._config = archive, config
        self._lock = threading.Lock()
        self._loaded = False
        self._top: list[float] = []
        self._sums: dict[tuple[str, str], tuple[float, int]] = {}
        self._whole = True

    def terms(self, variant: Variant, plans: Plans) -> Terms | None:
        """The journalled terms where the race has begun, else new ones; None = no race, it is evaluated in full.

        There is no race for a variant whose evaluation began without one, nor before ``racing_top`` variants are
        scored in full.
        """
        if any(evaluation.split == "validation" for evaluation in self._archive.evaluations(variant.id)):
            return recorded_terms(self._archive, variant)
        with self._lock:
            self._load(variant.campaign)
            if len(self._top) < self._config.racing_top:
                return None
            terms = self._new(variant, plans)
        facts = {"threshold": terms.threshold, "step": terms.step, "guesses": terms.guesses}
        blob = self._archive.put_blob(json.dumps(facts, sort_keys=True).encode())
        payload = {"variant": variant.id, "threshold": terms.threshold, "terms": blob}
        self._archive.append_event(variant.campaign, RACE_STARTED, payload)
        return terms

    def learn(self, variant: Variant, score: float | None) -> None:
        """Take in a variant whose validation has ended; ``score`` is None unless every task ran."""
        with self._lock:
            self._load(variant.campaign, but=variant.id)
            self._take(variant.id, score)

    def _load(self, campaign: str, but: str = "") -> None:
        if self._loaded:
            return
        self._loaded = True
        for variant in self._archive.variants(campaign):
            if variant.id != but and variant.score is not None:
                self._take(variant.id, variant.score if variant.status == "evaluated" else None)

    def _take(self, variant: str, score: float | None) -> None:
        evaluations = [e for e in self._archive.evaluations(variant) if e.split == "validation"]
        for evaluation in evaluations:
            for outcome in self._archive.outcomes(evaluation.id):
                key = (evaluation.benchmark, outcome.task)
                total, count = self._sums.get(key, (0.0, 0))
                self._sums[key] = (total + outcome.score, count + 1)
                self._whole = self._whole and outcome.score in (0, 1)
        if score is not None and all(e.state == "finished" for e in evaluations):
            self._top = sorted([*self._top, score], reverse=True)[: self._config.racing_top]

    def _new(self, variant: Variant, plans: Plans) -> Terms:
        parent: dict[tuple[str, str], float] = {}
        for evaluation in self._archive.evaluations(variant.parent or variant.id):
            if evaluation.split == "validation":
                scores = self._archive.outcomes(evaluation.id)
                parent.update({(evaluation.benchmark, outcome.task): outcome.score for outcome in scores})
        guesses = {
            benchmark: {task: self._guess((benchmark, task), parent) for task in tasks}
            for benchmark, tasks in plans.items()
        }
        return Terms(self._top[-1], 1.0 if self._whole else 0.0, guesses)

    def _guess(self, key: tuple[str, str], parent: Mapping[tuple[str, str], float]) -> tuple[float, float]:
        total, count = self._sums.get(key, (0.0, 0))
        mean = total / count if count else UNKNOWN
        return round(parent.get(key, mean), _DIGITS), round(mean, _DIGITS)


def recorded_terms(archive: Archive, variant: Variant) -> Terms | None:
    """What was journalled before a variant's race, or None where it was not raced."""
    for event in reversed(archive.events(variant.campaign)):
        if event.kind == RACE_STARTED and event.payload["variant"] == variant.id:
            facts: Json = json.loads(archive.get_blob(event.payload["terms"]))
            guesses = {
                benchmark: {task: (pair[0], pair[1]) for task, pair in tasks.items()}
                for benchmark, tasks in facts["guesses"].items()
            }
            return Terms(facts["threshold"], facts["step"], guesses)
    return None

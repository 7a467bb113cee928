"""Ensembles of programs: one answer from several, and which programs to take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from hyperagent.evaluation.answers import read_answer
from hyperagent.types import Json, Outcome

Weighing = Literal["majority", "confidence"]
NO_CONFIDENCE = 0.5
"""Weight of an answer without a confidence where confidences weigh."""


def vote(outcomes: Sequence[Outcome], labels: Sequence[str], weighing: Weighing) -> Json:
    """The prediction that most members gave to one task; the earliest member's among equals, None where none answered.

    Equal answers are told as scorecards tell them: by label where there are labels, else by the whole response.
    Members that crashed, abstained or answered nonsense do not vote.

    Args:
        outcomes: Of the same task, one per member.
        weighing: ``majority`` gives every member one vote; ``confidence`` weighs it by the stated confidence in [0, 1].
    """
    weights: dict[str, float] = {}
    predictions: dict[str, Json] = {}
    for outcome in outcomes:
        answer = read_answer(outcome, labels)
        if answer.invalid or answer.abstained:
            continue
        weight = 1.0
        if weighing == "confidence":
            weight = NO_CONFIDENCE if answer.confidence is None else answer.confidence
        weights[answer.said] = weights.get(answer.said, 0.0) + weight
        predictions.setdefault(answer.said, answer.prediction)
    return predictions[max(weights, key=weights.__getitem__)] if weights else None


def greedy(
    members: Sequence[str],
    score: Callable[[Sequence[str]], Sequence[float]],
    size: int,
) -> tuple[list[str], list[float]]:
    """Add, one at a time, the member that makes the ensemble's mean score best; keep the best ensemble met on the way.

    An addition may make nothing better by itself: two members that differ cannot outvote each other, three can.
    Forward selection as in Caruana et al. 2004 ("Ensemble selection from libraries of models", ICML), without
    replacement: a program that votes twice would only weigh more.

    Args:
        members: Candidates, the preferred one among equals first.
        score: Scores of an ensemble, one per task.
        size: Most members, at least 1.

    Returns:
        The members in the order of their choice, and the scores of the whole ensemble.
    """
    chosen: list[str] = []
    best: tuple[list[str], list[float]] = ([], [])
    while len(chosen) < min(size, len(members)):
        trials = {member: list(score([*chosen, member])) for member in members if member not in chosen}
        member = max(trials, key=lambda one: sum(trials[one]))
        chosen.append(member)
        if not best[0] or sum(trials[member]) > sum(best[1]) + 1e-9:
            best = list(chosen), trials[member]
    return best


def shared_tasks(tables: Mapping[str, Mapping[str, Outcome]]) -> list[str]:
    """Tasks of which every member has an outcome, sorted."""
    sets = [set(table) for table in tables.values()]
    return sorted(set.intersection(*sets)) if sets else []

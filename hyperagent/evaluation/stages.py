"""The two stages of an evaluation: a cheap screen, then the full set (the rule of the published Hyperagents code)."""

from __future__ import annotations

from collections.abc import Sequence


def screen_passed(outcome_scores: Sequence[float]) -> bool:
    """Whether a variant goes on to the full stage: at least one screen task scored above 0.

    Args:
        outcome_scores: Scores in [0, 1] of the screen's tasks. An empty screen was not asked for, and is passed.
    """
    return not outcome_scores or any(score > 0 for score in outcome_scores)


def stage_score(scores: Sequence[float], planned: int) -> float:
    """Mean over what ran, times the fraction of the planned tasks that ran (the published rule); in [0, 1].

    A variant that failed its screen thereby never outranks one that earned the same mean on every task.

    Args:
        scores: Scores in [0, 1] of the tasks that ran.
        planned: Number of tasks of the full stage, screen included.

    Raises:
        ValueError: More tasks ran than were planned.
    """
    if len(scores) > planned:
        raise ValueError(f"{len(scores)} tasks ran but only {planned} were planned")
    return sum(scores) / planned if scores else 0.0

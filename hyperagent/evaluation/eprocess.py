"""When a variant's evaluation has said enough: bets on a fixed set of tasks, drawn without replacement.

The tasks of an evaluation are a finite set in random order, so the scores that are still to come average exactly
``(total - seen) / left``. Whoever claims "the total will be at least ``need``" thereby offers odds on the next task; a
gambler who bets against the claim, at those odds, gets rich only if it is false. His capital is an e-process: where the
claim holds, it ever exceeds ``1/alpha`` with a probability of at most ``alpha``, however often one looks (Ville 1939).
So a race may be called off at any task (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
betting", JRSS B 86:1-27, section 5: sampling without replacement; Howard et al. 2021, Annals of Statistics
49:1055-1080).

The gambler bets on what a task's score differs from a *guess* that was written down before the race: what the parent
scored on it, what the archive scored on average. A guess cannot make him cheat, since the average of those still to
come is known as well; a good one takes away the noise of easy and hard tasks (a control variate).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hyperagent.evaluation.statistics import Floats
from hyperagent.types import Interval

STAKES = (0.6, 0.9, 0.99)
"""Shares of what a bet can at most lose; the capital is split evenly between them (a mixture of e-processes is one)."""
Verdict = Literal["open", "below", "above"]
_TINY = 1e-9


def log_capital(scores: Floats, guesses: Floats, need: Floats) -> Floats:
    """Log of the capital that a bet against "the total is at least ``need``" has after each task.

    With ``m`` the average that the claim leaves for the tasks to come, ``g`` a guess and ``g'`` its average over them,
    each task multiplies a stake ``c`` by ``1 - c·(x - g - (m - g')) / (1 - (m - g'))``: never negative, because
    ``x - g <= 1``, and 1 on average or less where the claim holds. Where it has become impossible the log is infinite.

    Args:
        scores: Shape (races, tasks run), in [0, 1], in the order of the race.
        guesses: Shape (races, guesses, tasks planned), in [0, 1], in the same order; at least one.
        need: Shape (races,): total claimed.

    Returns:
        Shape (races, tasks run).
    """
    run, planned = scores.shape[1], guesses.shape[2]
    left = planned - np.arange(run)
    seen = np.cumsum(scores, axis=1) - scores
    average = (need[:, None] - seen) / left
    to_come = (guesses.sum(axis=2, keepdims=True) - np.cumsum(guesses, axis=2) + guesses)[:, :, :run] / left
    claimed = average[:, None, :] - to_come
    gap = (scores[:, None, :] - guesses[:, :, :run] - claimed) / np.maximum(1 - claimed, _TINY)
    logs = [np.cumsum(np.log(np.maximum(1 - stake * gap, _TINY)), axis=2) for stake in STAKES]
    each = np.concatenate(logs, axis=1)
    top = each.max(axis=1)
    mixed = top + np.log(np.exp(each - top[:, None, :]).mean(axis=1))
    impossible = seen + scores + left - 1 < need[:, None] - _TINY
    capital: Floats = np.where(impossible, np.inf, mixed)
    return capital


@dataclass(frozen=True)
class Race:
    """What one variant has to reach, and how sure one wants to be that it cannot, or that it has.

    Attributes:
        need: Total score over all tasks, in [0, tasks planned], that makes the variant better than the threshold.
        guesses: Guess by guess one number in [0, 1] per task, in the order of the race.
        alpha: Chance in (0, 1) of calling off a race that would have been won.
        step: Least distance between two totals: 1 where a task scores 0 or 1, 0 where it may score anything between.
    """

    need: float
    guesses: tuple[tuple[float, ...], ...]
    alpha: float
    step: float = 0.0

    def verdict(self, scores: Sequence[float]) -> Verdict:
        """What the first tasks say; the same scores always say the same.

        ``below`` and ``above``: it will not, or it will, reach ``need``, up to the chance ``alpha`` each. A race of
        which no task has run is open.

        Raises:
            ValueError: More scores than tasks, or one outside of [0, 1].
        """
        planned = len(self.guesses[0])
        if len(scores) > planned or not all(0 <= score <= 1 for score in scores):
            raise ValueError(f"{len(scores)} scores in [0, 1] are not what a race over {planned} tasks gives")
        if not scores:
            return "open"
        won, guesses = np.array([scores], dtype=float), np.array([self.guesses], dtype=float)
        enough = -math.log(self.alpha)
        # An evaluation that went badly at first and then well has not gone badly: the first crossing decides.
        below = log_capital(won, guesses, np.array([self.need]))[0] >= enough
        least = planned - self.need + (self.step or 0.0)
        above = log_capital(1 - won, 1 - guesses, np.array([least]))[0] >= enough
        first = np.argmax(below | above)
        if not (below[first] or above[first]):
            return "open"
        return "below" if below[first] else "above"


def raced_score(scores: Sequence[float], planned: int) -> float:
    """Mean score over the tasks that ran; in [0, 1].

    They are a random sample of those planned, so the mean is an unbiased estimate for any fixed number of them. That a
    race is called off because it goes badly biases it downwards a little: it is a record of what was seen, and good
    for ranking parents, not for claims.

    Raises:
        ValueError: None ran, or more than were planned.
    """
    if not 0 < len(scores) <= planned:
        raise ValueError(f"{len(scores)} of {planned} planned tasks ran")
    return sum(scores) / len(scores)


def raced_interval(scores: Sequence[float], planned: int) -> Interval:
    """The score of a race that was called off between what is certain: all tasks left fail, or all succeed."""
    seen, left = sum(scores), planned - len(scores)
    return Interval(raced_score(scores, planned), seen / planned, (seen + left) / planned, len(scores))

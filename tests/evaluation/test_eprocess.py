"""Races: how often they are wrong, what they know for certain, and that they end at all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hyperagent.evaluation.eprocess import Race, log_capital, raced_interval, raced_score

ALPHA = 0.1
RACES, TASKS = 4000, 40


def orders(values: np.ndarray, seed: int = 3) -> np.ndarray:
    """The same values in ``RACES`` random orders, shape (races, ..., tasks)."""
    places = np.random.default_rng(seed).permuted(np.tile(np.arange(TASKS), (RACES, 1)), axis=1)
    return np.moveaxis(values[..., places], -2, 0)


def called_off(scores: np.ndarray, guesses: np.ndarray, need: float) -> float:
    stacked = orders(np.vstack([scores[None], guesses]))
    capital = log_capital(stacked[:, 0], stacked[:, 1:], np.full(RACES, need))
    return float((capital >= -math.log(ALPHA)).any(axis=1).mean())


@pytest.mark.parametrize("kind", ["no guess", "perfect guess", "opposite guess", "noisy guess"])
@pytest.mark.parametrize("scores", ["binary", "partial"])
def test_a_race_that_would_be_won_is_called_off_with_a_chance_of_at_most_alpha(kind: str, scores: str) -> None:
    """Just reaching the need is the hardest case; whatever the guess says, it cannot break the guarantee."""
    generator = np.random.default_rng(1)
    won = (np.arange(TASKS) < 20).astype(float) if scores == "binary" else generator.random(TASKS).round(2)
    noisy = np.clip(won + generator.normal(0, 0.4, TASKS), 0, 1)
    guess = {"no guess": 0 * won, "perfect guess": won, "opposite guess": 1 - won, "noisy guess": noisy}[kind]
    error = 3 * math.sqrt(ALPHA * (1 - ALPHA) / RACES)
    assert called_off(won, guess[None], won.sum()) <= ALPHA + error


def test_a_hopeless_race_is_called_off_sooner_with_a_good_guess() -> None:
    won = (np.arange(TASKS) < 16).astype(float)
    guess = won.copy()
    guess[:4] = 0

    def length(guesses: np.ndarray) -> float:
        stacked = orders(np.vstack([won[None], guesses[None]]))
        over = log_capital(stacked[:, 0], stacked[:, 1:], np.full(RACES, 26.0)) >= -math.log(ALPHA)
        return float(np.where(over.any(axis=1), over.argmax(axis=1) + 1, TASKS).mean())

    assert length(guess) < 0.85 * length(0 * won) < 0.5 * TASKS


def test_what_is_impossible_is_certain() -> None:
    race = Race(3, ((0.5,) * 4,), alpha=1e-6, step=1)
    assert race.verdict([1, 0]) == "open"
    assert race.verdict([1, 0, 0]) == "below"
    assert race.verdict([1, 1]) == "open"
    assert race.verdict([1, 1, 1]) == "above"
    assert race.verdict([]) == "open"


def test_the_first_crossing_decides() -> None:
    race = Race(10, ((0.5,) * 40,), alpha=0.1, step=1)
    assert race.verdict([1] * 10) == "above"
    assert race.verdict([1] * 10 + [0] * 30) == "above"


@pytest.mark.parametrize("scores", [[1.5], [-0.1], [1] * 5])
def test_scores_that_no_race_gives_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="race over 4 tasks"):
        Race(3, ((0.5,) * 4,), 0.1).verdict(scores)


def test_a_raced_score_stands_between_what_is_certain() -> None:
    interval = raced_interval([1, 0, 0, 0], 16)
    assert (interval.estimate, interval.low, interval.high, interval.n) == (0.25, 1 / 16, 13 / 16, 4)
    assert raced_score([0.5], 2) == 0.5
    with pytest.raises(ValueError, match="0 of 2"):
        raced_score([], 2)

"""Trainers: from a scorer of episodes to a policy. The one on the CPU is a cross-entropy method on a small policy.

Another trainer (MJX, Genesis, a GPU) is one more member of :data:`TRAINERS`; a task names its trainer in
``hidden.training.trainer``. It may simulate as it likes, as long as it shows the scorer whole :class:`Trajectory`
objects and gives back a :class:`ClockedPolicy`: that is always judged by the same metric on the same CPU simulation.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from robots import KINDS, Floats, Robot, Trajectory

Scorer = Callable[[Sequence[Trajectory]], list[float]]
"""Episodes -> the sum of the program's rewards over each."""


@dataclass(frozen=True)
class Plan:
    """What to train, and for how long.

    Attributes:
        robot: A key of ``robots.KINDS``.
        random_seed: Everything random comes from it: candidates and the states they start from.
        steps: Most actions of a training episode.
        population: Candidates of a generation, each one episode.
        elites: Candidates that the next generation is drawn around.
        spread: Standard deviation of the first generation's weights.
        extra: Added to the variance at first, and less and less: keeps the search from settling too soon.
    """

    trainer: str
    robot: str
    random_seed: int
    generations: int
    population: int
    elites: int
    steps: int
    spread: float
    extra: float


class ClockedPolicy:
    """Linear in what it watches and in a clock: ``W @ ((watched - rest) / scale) + S sin(wt) + C cos(wt) + bias``.

    Gaits are rhythms: with a clock of its own a policy of a few dozen numbers can hold one. ``parameters`` is a row of
    ``(W, S, C, bias)`` for each action, row after row.
    """

    def __init__(self, robot: str, parameters: Floats) -> None:
        kind = KINDS[robot]
        watched = list(kind.watched)
        rows = parameters.reshape(-1, len(watched) + 3)
        observed = 1 + max(watched)
        self.parameters = parameters
        self._gain: Floats = np.zeros((len(rows), observed))
        self._gain[:, watched] = rows[:, :-3] / np.array(kind.scale)
        self._sine, self._cosine = rows[:, -3].copy(), rows[:, -2].copy()
        self._offset: Floats = rows[:, -1] - self._gain[:, watched] @ np.array(kind.rest)
        self._rate, self._observed = 2 * math.pi * kind.clock, observed

    def __call__(self, observation: Floats, seconds: float) -> Floats:
        angle = self._rate * seconds
        wave = self._sine * math.sin(angle) + self._cosine * math.cos(angle)
        action: Floats = self._gain @ observation[: self._observed] + wave + self._offset
        return action

    @staticmethod
    def size(robot: Robot) -> int:
        """How many parameters a policy for that robot has."""
        return robot.action_size * (len(robot.kind.watched) + 3)


Trainer = Callable[[Plan, Scorer], ClockedPolicy]


class Crew:
    """Episodes side by side: one simulation and thread a core, MuJoCo lets go of Python's lock while it steps.

    Which thread runs an episode changes nothing about it.
    """

    def __init__(self, robot: str, threads: int = 0) -> None:
        threads = threads or len(os.sched_getaffinity(0))
        self._robots = [Robot(robot) for _ in range(threads)]
        self._pool = ThreadPoolExecutor(threads)
        self.robot = robot

    def run(self, jobs: Sequence[tuple[Floats, tuple[int, ...]]], steps: int) -> list[Trajectory]:
        """One episode for each ``(parameters, random seed of the start)``, in that order."""
        episodes: list[Trajectory | None] = [None] * len(jobs)
        waiting = iter(range(len(jobs)))  # next() on it is atomic: a thread takes the next job when it is free

        def work(robot: Robot) -> None:
            for i in waiting:
                parameters, seed = jobs[i]
                episodes[i] = robot.run(ClockedPolicy(self.robot, parameters), robot.start(seed), steps)

        for done in [self._pool.submit(work, robot) for robot in self._robots]:
            done.result()
        return [episode for episode in episodes if episode is not None]

    def close(self) -> None:
        self._pool.shutdown()


def cross_entropy(plan: Plan, score: Scorer) -> ClockedPolicy:
    """Cross-entropy method with decaying extra noise (Szita and Lorincz 2006, Neural Computation 18(12)).

    All candidates of a generation start from the same state, so that luck does not choose. Only the order of their
    returns counts: a reward that is ten times as large trains the same policy. Where all returns are equal nothing is
    learnt from them, and the policy stays where it was: at first, at zero.
    """
    random = np.random.default_rng((plan.random_seed, 0))
    crew = Crew(plan.robot)
    size = ClockedPolicy.size(Robot(plan.robot))
    mean, variance = np.zeros(size), np.full(size, plan.spread**2)
    try:
        for generation in range(plan.generations):
            candidates = mean + np.sqrt(variance) * random.standard_normal((plan.population, size))
            start = (plan.random_seed, 1, generation)
            returns = np.array(score(crew.run([(candidate, start) for candidate in candidates], plan.steps)))
            if returns.max() == returns.min():
                continue
            best = candidates[np.argsort(-returns, kind="stable")[: plan.elites]]
            left = 1.0 - (generation + 1) / plan.generations
            mean, variance = best.mean(axis=0), best.var(axis=0) + plan.extra * left
    finally:
        crew.close()
    return ClockedPolicy(plan.robot, mean)


TRAINERS: Mapping[str, Trainer] = {"cem-cpu": cross_entropy}

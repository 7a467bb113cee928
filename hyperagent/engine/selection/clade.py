"""Thompson sampling over clades, and when to make a variant rather than to evaluate one further."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

import numpy as np

from hyperagent.engine.population import Floats, Population
from hyperagent.engine.selection.simple import chosen
from hyperagent.protocols import Candidates, Reads
from hyperagent.types import Variant


def thompson(counts: Floats, random: Random) -> int:
    """The row with the highest draw from ``Beta(1 + s, 1 + f)`` (Thompson 1933, Biometrika 25:285-294).

    Args:
        counts: Shape (n, 2): successes s and failures f, fractions of partial credit included.
    """
    generator = np.random.default_rng(random.getrandbits(64))
    return int(np.argmax(generator.beta(1.0 + counts[:, 0], 1.0 + counts[:, 1])))


class Clade:
    """A parent is as promising as its whole clade: one draw each from ``Beta(1 + s, 1 + f)``, the highest wins.

    s and f are the summed scores, and what they lack to 1, of the validation outcomes of a variant *and all its
    descendants*, each outcome exactly once (the estimate of clade metaproductivity in Wang et al. 2025, the
    Huxley-Gödel Machine, arXiv 2510.21614; its released code counts descendants twice, which is not repeated here).
    """

    reads: Reads = "results"

    def select(self, candidates: Candidates, random: Random) -> Variant:
        return chosen(candidates, thompson(candidates.clades(), random))


class Decoupled:
    """Decides between making a variant and evaluating one further (Wang et al. 2025, section on expansion).

    * Expand while ``evaluations^0.6 >= variants``: evaluations are outcomes so far, variants those that are scored, in
      whole or in part, and those being made.
    * Else evaluate more tasks of a variant that has some left: one draw each from ``Beta(1 + s, 1 + f)`` over its *own*
      outcomes, the highest wins.
    * When no more variants are wanted, evaluate the variant with the highest posterior mean ``(1 + s) / (2 + s + f)``
      until that one is evaluated in full. All others are then scored on what ran.
    """

    def __init__(self, random_seed: int) -> None:
        self._random_seed = random_seed
        self.settled = False
        """Who is best is known: what is still evaluated in part is to be closed."""

    def further(self, population: Population, excluded: Collection[int], *, making: int, room: bool) -> Variant | None:
        """A variant evaluated in part to go on with; None: make a new one, wait, or end.

        Args:
            excluded: Steps in flight, and those that cannot go on.
            making: Variants in flight that are no candidates yet.
            room: Whether more variants are wanted.
        """
        free = sorted(step for step in population.partial if step not in excluded)
        if not room and not making:
            leader = self.leader(population)
            self.settled = self.settled or leader not in population.partial
            free = free if self.settled else [step for step in free if step == leader]
            return population.at(free[0]) if free else None
        if not free or not room or self.expand(population, making):
            return None
        # Keyed by what is durable, so that a resumed campaign goes on with the same draws.
        random = Random(f"{self._random_seed}/evaluate/{population.evaluations}")
        return population.at(free[thompson(population.rows.own[free], random)])

    @staticmethod
    def expand(population: Population, making: int) -> bool:
        """Whether a new variant is worth more than another evaluation: ``evaluations^0.6 >= variants``."""
        return bool(population.evaluations**3 >= (1 + population.done + making) ** 5)  # in whole numbers, so exact

    @staticmethod
    def leader(population: Population) -> int:
        """Step of the candidate with the highest posterior mean of its own outcomes; the earliest of equals."""
        candidates = population.candidates()
        own = candidates.own()
        return int(candidates.steps()[np.argmax((1.0 + own[:, 0]) / (2.0 + own.sum(axis=1)))])

"""Families of problems: what is asked, and the ways that lead to the answer. Every text is our own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

LEVELS = (1, 2, 3)
"""Difficulties: larger numbers, and one more step from level to level."""


@dataclass(frozen=True)
class Step:
    """One step of a solution: ``gives`` = ``formula``, which ``says`` names in words.

    Attributes:
        wrong: Formulas that a student with a wrong idea might use instead.
    """

    gives: str
    formula: str
    says: str
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """One way to the answer.

    Attributes:
        steps: The key steps, in an order in which they can be done; the last one gives ``r``, what level 1 asks for.
        routine: A small step that the way rests on, made of the problem's numbers alone.
        milestone: How many key steps count as substantial progress; at least 1, fewer than there are.
    """

    steps: tuple[Step, ...]
    routine: Step
    milestone: int


@dataclass(frozen=True)
class Family:
    """Problems that differ in their numbers only.

    Attributes:
        draw: ``(chance, level) -> numbers by name``.
        setup: What is given, with ``{name}`` for numbers and ``{thing}`` for one of ``things``.
        questions: What is asked at each level, likewise.
        routes: Ways to what level 1 asks for; the first is the reference.
        tail: The further step of level 2, and that of level 3.
        vary: A number that may be another one, as long as the others stay, and the first route still leads to the
            answer; empty where there is none.
    """

    name: str
    draw: Callable[[random.Random, int], dict[str, int]]
    setup: str
    questions: tuple[str, str, str]
    routes: tuple[Route, ...]
    tail: tuple[Step, Step]
    things: tuple[str, ...] = ("",)
    vary: str = ""


@dataclass(frozen=True)
class Problem:
    """A problem with its numbers."""

    family: Family
    area: str
    level: int
    text: str
    numbers: Mapping[str, int]

    def steps(self, route: Route) -> tuple[Step, ...]:
        """The key steps of a route at this problem's level."""
        return (*route.steps, *self.family.tail[: self.level - 1])

    def with_number(self, name: str, value: int) -> Problem:
        """The same problem (but for its text) with another number."""
        return replace(self, numbers={**self.numbers, name: value})


def drawn(family: Family, area: str, chance: random.Random) -> Problem:
    """A problem of the family."""
    level = chance.choice(LEVELS)
    numbers = family.draw(chance, level)
    text = f"{family.setup} {family.questions[level - 1]}".format(thing=chance.choice(family.things), **numbers)
    return Problem(family, area, level, text, numbers)

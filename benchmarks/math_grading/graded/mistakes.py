"""Solutions of a given worth: a right one, or one with a mistake of that severity planted."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .formula import evaluate, names, written
from .model import Problem, Route, Step

SEVERITY = {"correct": 0, "almost": 1, "partial": 2, "incorrect": 3}
MISTAKES: dict[str, tuple[str, ...]] = {
    "correct": ("",),
    "almost": ("slip", "copy", "unshown"),
    "partial": ("idea", "idea", "stated"),
    "incorrect": ("idea", "idea", "stated"),
}
"""Label -> mistakes that earn it, each as likely as often it stands here.

* slip: a step is set up rightly, but its value is wrong; later steps go on from there.
* copy: a value is right, but what is used of it later, or given as the answer, is another number.
* unshown: the routine step is stated without its calculation; all else is right.
* idea: a step is set up wrongly, after the milestone (partial) or before it (incorrect).
* stated: values are stated without any calculation, from some step after the milestone on, or from the start.
"""
TRIES = 12
GUESSED = 0.3
"""How often a solution that only states its values states a wrong answer."""


@dataclass(frozen=True)
class Line:
    """One line: what it names, the calculation (empty where there is none) and the value."""

    says: str
    calculation: str
    value: int


@dataclass(frozen=True)
class Solution:
    """A solution to be written down.

    Attributes:
        error: A member of :data:`MISTAKES`; empty where all is right.
        where: The first line that is wrong or lacks its calculation; ``len(lines)`` = the answer; None = none.
    """

    lines: tuple[Line, ...]
    answer: int
    error: str = ""
    where: int | None = None

    def at(self, error: str, where: int) -> Solution:
        """The same lines, known to hold that mistake there."""
        return replace(self, error=error, where=where)


def reference(problem: Problem) -> Solution:
    """The first route, step by step.

    Raises:
        ArithmeticError: The numbers do not allow it: no such problem should be set.
    """
    route = problem.family.routes[0]
    return _follow((route.routine, *problem.steps(route)), problem.numbers)


def solution(problem: Problem, label: str, chance: random.Random) -> Solution:
    """A solution that deserves the label, by one of the routes, in an order that may not be the usual one.

    Raises:
        ArithmeticError: No such solution was found.
    """
    route = chance.choice(problem.family.routes)
    order = _order((route.routine, *problem.steps(route)), chance)
    right = _follow(order, problem.numbers)
    for _ in range(TRIES):
        error = chance.choice(MISTAKES[label])
        try:
            return right if not error else _planted(error, label, problem, route, order, right, chance)
        except (ArithmeticError, NameError):
            continue  # e.g. a division that no longer comes out: nobody would write that down
    raise ArithmeticError(f"no {label} solution to a problem of {problem.family.name}")


def _planted(
    error: str,
    label: str,
    problem: Problem,
    route: Route,
    order: tuple[Step, ...],
    right: Solution,
    chance: random.Random,
) -> Solution:
    """A solution with that mistake.

    Raises:
        ArithmeticError: It cannot be had here.
    """
    numbers, key = problem.numbers, problem.steps(route)
    place = {step.gives: index for index, step in enumerate(order)}
    step = chance.choice(key[route.milestone :] if label == "partial" else key[: route.milestone])
    if error == "unshown":
        return _follow(order, numbers, stated={route.routine.gives}).at(error, place[route.routine.gives])
    if error == "stated":
        first = key.index(step) if label == "partial" else 0
        bare = {other.gives for other in key[first:]}
        guess = _disturbed(right.answer, chance) if chance.random() < GUESSED else right.answer
        made = _follow(order, numbers, stated=bare, results={key[-1].gives: guess})
        return made.at(error, min(place[name] for name in bare))
    if error == "idea":
        formula = chance.choice(step.wrong)
        made = _follow(order, numbers, formulas={step.gives: formula})
        where = place[step.gives]
        if made.lines[where].value == right.lines[where].value:
            raise ArithmeticError(f"{formula} happens to be right")
        return made.at(error, where)
    step = chance.choice(key)
    where = place[step.gives]
    other = _disturbed(right.lines[where].value, chance)
    if error == "slip":
        return _follow(order, numbers, results={step.gives: other}).at(error, where)
    users = (place[later.gives] for later in key if step.gives in names(later.formula))
    return _follow(order, numbers, copies={step.gives: other}).at(error, min(users, default=len(order)))


def _follow(
    order: tuple[Step, ...],
    numbers: Mapping[str, int],
    *,
    formulas: Mapping[str, str] = {},
    results: Mapping[str, int] = {},
    copies: Mapping[str, int] = {},
    stated: frozenset[str] | set[str] = frozenset(),
) -> Solution:
    """Work out the steps. By the name that a step gives: other formulas, results, values used later, and bare lines.

    Raises:
        ArithmeticError: A value is out of range.
        NameError: A formula needs what is not worked out yet.
    """
    values = dict(numbers)
    lines = []
    for step in order:
        formula = formulas.get(step.gives, step.formula)
        value = results[step.gives] if step.gives in results else evaluate(formula, values)
        calculation = "" if step.gives in stated else written(formula, values)
        lines.append(Line(step.says, calculation, value))
        values[step.gives] = copies.get(step.gives, value)
    return Solution(tuple(lines), values[order[-1].gives])


def _order(steps: tuple[Step, ...], chance: random.Random) -> tuple[Step, ...]:
    """The steps in any order in which each comes after those that it needs; the last one stays the last."""
    waiting = list(steps[:-1])
    given = {step.gives for step in steps}
    order: list[Step] = []
    while waiting:
        done = {step.gives for step in order}
        ready = [step for step in waiting if names(step.formula) & given <= done]
        order.append(chance.choice(ready))
        waiting.remove(order[-1])
    return (*order, steps[-1])


def _disturbed(value: int, chance: random.Random) -> int:
    """Another number that looks much like this one."""
    digits = list(str(value))
    at = chance.randrange(len(digits))
    digits[at] = chance.choice("123456789")
    other = chance.choice((int("".join(digits)), value + chance.choice((-10, -2, -1, 1, 2, 10))))
    if other == value or other < 0:
        return value + 1
    return other

"""A seeded generator of graded solutions: word problems and equations, solved step by step, errors planted in half.

Every text is our own. Right and wrong solutions are written in the same styles with the same small talk, so that
length alone says little. Some errors show in one line (a slip, a wrong copy); others only against the problem (a number
misread, a wrong operation, a step left out): a grader that only redoes the written sums finds only some of them.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

SHARES = (("train", 2), ("validation", 1), ("test", 3))
"""Splits and their shares, in sixths."""
SEVERITY = {"slip": 1, "copy": 1, "misread": 2, "omitted": 2, "operation": 3}
"""Error -> how bad it is, 1..3; kept in ``hidden``."""
NAMES = (
    "Amina",
    "Bela",
    "Chidi",
    "Dana",
    "Emil",
    "Farah",
    "Goran",
    "Hana",
    "Ivo",
    "Jun",
    "Kaja",
    "Lior",
    "Mei",
    "Nils",
)
REMARKS = (
    "Let us go through it step by step.",
    "We take the numbers from the text.",
    "Every number that matters is used.",
    "This follows from what is given.",
)
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
}


@dataclass(frozen=True)
class Step:
    """One line of a solution: ``gives = left op right``; ``says`` names the result in words."""

    gives: str
    left: str
    op: str
    right: str
    says: str


@dataclass(frozen=True)
class Problem:
    """A problem with its numbers by name and the steps that solve it; the last step gives the answer."""

    text: str
    numbers: dict[str, int]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Line:
    left: int
    op: str
    right: int
    value: int
    says: str


@dataclass(frozen=True)
class Solution:
    lines: tuple[Line, ...]
    answer: int


def generate(random_seed: int, count: int) -> list[dict[str, Any]]:
    """``count`` records, half of them right; the same for the same seed.

    Problems have two or four solutions, half of them right, which share a group and a split. The splits' shares are
    1/3 train, 1/6 validation, 1/2 test, exact where ``count`` is a multiple of 12.
    """
    chance = random.Random(f"math_grading/{random_seed}")
    records: list[dict[str, Any]] = []
    number, shares = 0, 0
    seen: set[str] = set()
    for split, share in SHARES:
        shares += share
        until = count * shares // 6
        while len(records) < until:
            problem = chance.choice(FAMILIES)(chance)
            if problem.text in seen:  # the same problem under two numbers could straddle splits
                continue
            seen.add(problem.text)
            pairs = min(chance.choice((1, 1, 2)), max(1, (until - len(records)) // 2))
            group = f"generated/{random_seed}/{number}"
            records += _solutions(problem, group, split, pairs, chance)[: until - len(records)]
            number += 1
    return records


def _solutions(problem: Problem, group: str, split: str, pairs: int, chance: random.Random) -> list[dict[str, Any]]:
    right = solve(problem)
    errors = [None] * pairs + [chance.choice(sorted(SEVERITY)) for _ in range(pairs)]
    chance.shuffle(errors)  # the place within the group, which the id shows, must say nothing
    records = []
    for index, error in enumerate(errors):
        solution, error = (right, None) if error is None else _wrong(problem, error, right.answer, chance)
        records.append(
            {
                "id": f"{group}/{index}",
                "domain": "math_grading",
                "source": "generated",
                "split": split,
                "group": group,
                "input": {"problem": problem.text, "student_answer": written(solution, chance)},
                "hidden": {
                    "label": "incorrect" if error else "correct",
                    "severity": SEVERITY[error] if error else 0,
                    "error": error or "",
                    "reference": str(right.answer),
                },
                "meta": {},
            }
        )
    return records


def solve(problem: Problem, off: tuple[str, int] = ("", 0)) -> Solution:
    """Follow the steps. ``off``: a step's result to write down wrongly, and by how much; later steps go on from there.

    Raises:
        ArithmeticError: A division leaves a remainder, or a result is not positive.
    """
    values = dict(problem.numbers)
    lines = []
    for step in problem.steps:
        left, right = values[step.left], values[step.right]
        if step.op == "/" and (right == 0 or left % right):
            raise ArithmeticError(f"{left} / {right} is no whole number")
        value = OPERATIONS[step.op](left, right) + (off[1] if step.gives == off[0] else 0)
        if value <= 0:
            raise ArithmeticError(f"{left} {step.op} {right} is not positive")
        values[step.gives] = value
        lines.append(Line(left, step.op, right, value, step.says))
    return Solution(tuple(lines), lines[-1].value)


def _wrong(problem: Problem, error: str, truth: int, chance: random.Random) -> tuple[Solution, str]:
    """A solution with that error, or with another where that one cannot be had; its answer is not the true one."""
    while True:
        try:
            solution = ERRORS[error](problem, chance)
            if solution.answer != truth:
                return solution, error
        except ArithmeticError:
            pass  # e.g. a misread number that no longer divides: nobody would write that down
        error = chance.choice(sorted(SEVERITY))


def _slip(problem: Problem, chance: random.Random) -> Solution:
    """One result is off, and the steps after it go on from there."""
    return solve(problem, off=(chance.choice(problem.steps).gives, chance.choice((-10, -2, -1, 1, 2, 10))))


def _copy(problem: Problem, chance: random.Random) -> Solution:
    """All lines are right; the answer at the end is another number: an earlier result, or digits changed round."""
    right = solve(problem)
    digits = list(str(right.answer))
    chance.shuffle(digits)
    other = chance.choice([line.value for line in right.lines] + [int("".join(digits))])
    return Solution(right.lines, other)


def _misread(problem: Problem, chance: random.Random) -> Solution:
    """One number of the problem is taken for another."""
    name = chance.choice(sorted(problem.numbers))
    value = problem.numbers[name]
    other = chance.choice([value + 1, value - 1, value + 10, 2 * value, *problem.numbers.values()])
    return solve(replace(problem, numbers={**problem.numbers, name: max(1, other)}))


def _operation(problem: Problem, chance: random.Random) -> Solution:
    """One step uses the wrong operation."""
    wrong = chance.choice(problem.steps)
    op = chance.choice([op for op in OPERATIONS if op != wrong.op])
    return solve(replace(problem, steps=tuple(replace(s, op=op) if s is wrong else s for s in problem.steps)))


def _omitted(problem: Problem, chance: random.Random) -> Solution:
    """One step is left out; what it started from stands for its result."""
    gone = chance.choice(problem.steps)

    def instead(name: str) -> str:
        return gone.left if name == gone.gives else name

    kept = (step for step in problem.steps if step is not gone)
    steps = tuple(replace(step, left=instead(step.left), right=instead(step.right)) for step in kept)
    return solve(replace(problem, steps=steps))


ERRORS: dict[str, Callable[[Problem, random.Random], Solution]] = {
    "slip": _slip,
    "copy": _copy,
    "misread": _misread,
    "operation": _operation,
    "omitted": _omitted,
}


def written(solution: Solution, chance: random.Random) -> str:
    """The solution as a student might write it; the style does not depend on whether it is right."""
    styles: tuple[Callable[[Line], str], ...] = (
        lambda line: f"{line.left} {line.op} {line.right} = {line.value}",
        lambda line: f"{line.says[0].upper()}{line.says[1:]}: {line.left} {line.op} {line.right} = {line.value}.",
        lambda line: f"To get {line.says}, work out {line.left} {line.op} {line.right} = {line.value}.",
        lambda line: (
            f"We know {line.left} and {line.right}, so {line.says} is {line.left} {line.op} {line.right} "
            f"= {line.value}."
        ),
    )
    style = chance.choice(styles)
    lines = [style(line) for line in solution.lines]
    if chance.random() < 0.5:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(REMARKS))
    return "\n".join([*lines, f"Answer: {solution.answer}"])


# -- families of problems ------------------------------------------------------------------------


def _shopping(chance: random.Random) -> Problem:
    name, goods = chance.choice(NAMES), chance.choice((("pens", "notebooks"), ("rolls", "cakes"), ("bulbs", "pots")))
    n = {"a": chance.randint(3, 12), "p": chance.randint(2, 9), "b": chance.randint(2, 8), "q": chance.randint(3, 15)}
    n["paid"] = n["a"] * n["p"] + n["b"] * n["q"] + chance.randint(3, 60)
    text = (
        f"{name} buys {n['a']} {goods[0]} at {n['p']} coins each and {n['b']} {goods[1]} at {n['q']} coins each, "
        f"and pays with {n['paid']} coins. How many coins come back?"
    )
    steps = (
        Step("first", "a", "*", "p", f"the price of the {goods[0]}"),
        Step("second", "b", "*", "q", f"the price of the {goods[1]}"),
        Step("sum", "first", "+", "second", "the price of everything"),
        Step("back", "paid", "-", "sum", "the change"),
    )
    return Problem(text, n, steps)


def _journey(chance: random.Random) -> Problem:
    name, vehicle = chance.choice(NAMES), chance.choice(("bus", "ferry", "train", "tram"))
    n = {"u": chance.randint(21, 80), "s": chance.randint(2, 6), "v": chance.randint(3, 19), "t": chance.randint(2, 5)}
    text = (
        f"{name} rides a {vehicle} at {n['u']} km an hour for {n['s']} hours, then cycles at {n['v']} km an hour for "
        f"{n['t']} hours. How many km is the whole way?"
    )
    steps = (
        Step("first", "u", "*", "s", f"the way by {vehicle}"),
        Step("second", "v", "*", "t", "the way by bicycle"),
        Step("sum", "first", "+", "second", "the whole way"),
    )
    return Problem(text, n, steps)


def _sharing(chance: random.Random) -> Problem:
    thing, friends, each = chance.choice(("plums", "stickers", "marbles")), chance.randint(3, 9), chance.randint(4, 14)
    boxes, per_box = chance.randint(3, 9), chance.randint(9, 24)
    lost = boxes * per_box - friends * each
    if lost <= 0:
        return _sharing(chance)
    text = (
        f"There are {boxes} boxes with {per_box} {thing} each. {lost} of the {thing} are spoilt and thrown away; "
        f"{friends} friends share the rest equally. How many {thing} does each friend get?"
    )
    steps = (
        Step("all", "boxes", "*", "per_box", f"the number of {thing} in all boxes"),
        Step("good", "all", "-", "lost", "what is left to share"),
        Step("each", "good", "/", "friends", "one friend's part"),
    )
    return Problem(text, {"boxes": boxes, "per_box": per_box, "lost": lost, "friends": friends}, steps)


def _wages(chance: random.Random) -> Problem:
    name, job = chance.choice(NAMES), chance.choice(("a baker", "a painter", "a gardener", "a driver"))
    n = {"h": chance.randint(20, 40), "r": chance.randint(9, 25), "o": chance.randint(2, 9), "e": chance.randint(2, 8)}
    text = (
        f"{name} works as {job} for {n['r']} coins an hour. An hour of overtime pays {n['e']} coins more than a usual "
        f"one. What does {name} earn in a week with {n['h']} usual hours and {n['o']} hours of overtime?"
    )
    steps = (
        Step("usual", "h", "*", "r", "the pay for usual hours"),
        Step("rate", "r", "+", "e", "the pay for one hour of overtime"),
        Step("over", "o", "*", "rate", "the pay for overtime"),
        Step("sum", "usual", "+", "over", "the pay of the week"),
    )
    return Problem(text, n, steps)


def _equation(chance: random.Random) -> Problem:
    x, a, b = chance.randint(3, 25), chance.randint(2, 12), chance.randint(2, 40)
    k, m = chance.randint(2, 9), chance.randint(2, 30)
    text = f"Let x be the number with {a}x + {b} = {a * x + b}. What is {k}x + {m}?"
    steps = (
        Step("ax", "c", "-", "b", f"{a}x"),
        Step("x", "ax", "/", "a", "x"),
        Step("kx", "k", "*", "x", f"{k}x"),
        Step("value", "kx", "+", "m", f"{k}x + {m}"),
    )
    return Problem(text, {"a": a, "b": b, "c": a * x + b, "k": k, "m": m}, steps)


def _ages(chance: random.Random) -> Problem:
    old, young = chance.sample(NAMES, 2)
    k, age, years = chance.randint(2, 6), chance.randint(4, 15), chance.randint(2, 12)
    total = (k + 1) * age + 2 * years
    text = (
        f"{old} is {k} times as old as {young}. In {years} years their ages will add up to {total}. "
        f"How old is {old} now?"
    )
    steps = (
        Step("both", "two", "*", "years", "the years that both gain"),
        Step("now", "total", "-", "both", "the sum of their ages now"),
        Step("parts", "k", "+", "one", f"the number of {young}'s ages in that sum"),
        Step("young", "now", "/", "parts", f"the age of {young}"),
        Step("old", "young", "*", "k", f"the age of {old}"),
    )
    return Problem(text, {"k": k, "years": years, "total": total, "one": 1, "two": 2}, steps)


def _field(chance: random.Random) -> Problem:
    width, length = chance.randint(4, 30), chance.randint(5, 45)
    place = chance.choice(("field", "yard", "garden", "hall"))
    text = (
        f"Walking once round a rectangular {place} takes {2 * (width + length)} steps; one side of it is {width} steps "
        f"long. How many square steps is its area?"
    )
    steps = (
        Step("half", "round", "/", "two", "half the way round"),
        Step("length", "half", "-", "width", "the other side"),
        Step("area", "length", "*", "width", "the area"),
    )
    return Problem(text, {"round": 2 * (width + length), "width": width, "two": 2}, steps)


def _discount(chance: random.Random) -> Problem:
    price, percent, n = 20 * chance.randint(2, 15), 5 * chance.randint(1, 10), chance.randint(2, 9)
    thing = chance.choice(("lamp", "chair", "coat", "kettle"))
    text = (
        f"A {thing} costs {price} coins. This week it is {percent} percent cheaper. What do {n} of them cost together "
        f"this week?"
    )
    steps = (
        Step("scaled", "price", "*", "percent", "price times percent"),
        Step("off", "scaled", "/", "hundred", "the reduction"),
        Step("now", "price", "-", "off", "the price this week"),
        Step("all", "now", "*", "n", "the price of all"),
    )
    return Problem(text, {"price": price, "percent": percent, "hundred": 100, "n": n}, steps)


def _average(chance: random.Random) -> Problem:
    name, first, second = chance.choice(NAMES), chance.randint(40, 95), chance.randint(40, 95)
    last = chance.randint(40, 100)
    last += -(first + second + last) % 3
    mean = (first + second + last) // 3
    text = (
        f"{name} scored {first} and {second} points in two tests. How many points are needed in the third test for an "
        f"average of {mean} over all three?"
    )
    steps = (
        Step("needed", "three", "*", "mean", "the points needed in all"),
        Step("have", "first", "+", "second", "the points of the first two tests"),
        Step("last", "needed", "-", "have", "the points of the third test"),
    )
    return Problem(text, {"three": 3, "mean": mean, "first": first, "second": second}, steps)


FAMILIES: tuple[Callable[[random.Random], Problem], ...] = (
    _shopping,
    _journey,
    _sharing,
    _wages,
    _equation,
    _ages,
    _field,
    _discount,
    _average,
)

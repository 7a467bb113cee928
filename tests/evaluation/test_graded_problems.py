"""Problems of the graded generator: the answer that each reference solution gives is the one that counting gives.

The numbers are taken from the problem's text, so a text that says something else than the solution would show.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import combinations, count
from math import comb
from types import ModuleType
from typing import Any

import pytest

from hyperagent.evaluation.manifest import load_module, read_manifest

Numbers = list[int]


def load() -> ModuleType:
    return load_module(read_manifest("math_grading"), "graded/__init__.py")


FAMILIES = [(area, family) for area, families in load().AREAS.items() for family in families]


def more(value: int, tail: Numbers) -> int:
    """What level 2 and 3 often ask for: so many times the value, and something on top."""
    times, plus = [*tail, *(1, 0)[len(tail) :]]
    return value * times + plus


def prices(level: int, n: Numbers) -> int:
    price = n[0] * Fraction(100 + n[1], 100) * Fraction(100 - n[2], 100)
    assert price.denominator == 1
    return more(int(price), n[3:])


def tank(level: int, n: Numbers) -> int:
    litres, a, s, b, t, *tail = n
    for minute in range(s + t):
        litres += a - (b if minute >= s else 0)
    places, taken = [*tail, *(1, 0)[len(tail) :]]
    return sum(litres - taken for _ in range(places))


def points(level: int, n: Numbers) -> int:
    given = sum(n[1] - n[4] for _ in range(n[0])) + sum(n[3] - n[4] for _ in range(n[2]))
    return more(given, [*n[6:7], *(-spent for spent in n[7:])])


def work(level: int, n: Numbers) -> int:
    w, t, h, x, k, *tail = n
    made = sum(t for hour in range(h + k) for worker in range(w) if hour < h or worker >= x)
    return more(made, [*tail[:1], *(-paid * w for paid in tail[1:])])


def timetable(level: int, n: Numbers) -> int:
    s, p, now, *tail = n
    later = (minute - now for minute in count(s, p) if minute > now)
    waits = [next(later) for _ in range(1 + (tail[0] if level > 1 else 0))]
    return waits[-1] + (tail[1] if level > 2 else 0)


def system(level: int, n: Numbers) -> int:
    total, a, b, other, *tail = n
    x = next(x for x in range(total + 1) if a * x + b * (total - x) == other)
    factor, k, m, c = {1: (1, *tail, 0), 2: (1, *tail), 3: tuple(tail)}[level]
    return factor * (k * x + m * (total - x) + c)


def progression(level: int, n: Numbers) -> int:
    a, d, length, *tail = n
    row = [a + d * i + (tail[0] if level > 1 else 0) for i in range(length)]
    return sum(row) % (tail[1] if level > 2 else 10**12)


def symmetric(level: int, n: Numbers) -> int:
    s, p, m = n[:3]
    x = next(x for x in range(s + 1) if x * (s - x) == p)
    return (x**3 + (s - x) ** 3 + m) * (n[3] if level > 1 else 1) + (n[6] if level > 2 else 0)


def composition(level: int, n: Numbers) -> int:
    def f(x: int) -> int:
        return n[0] * x + n[1]

    def g(x: int) -> int:
        return n[2] * x + n[3]

    z = f(g(n[-1])) + g(f(n[-1]))
    return z if level == 1 else f(z) + (n[4] if level > 2 else 0)


def polynomial(level: int, n: Numbers) -> int:
    _, p, _, q, s, *tail = n
    k, c, t = {1: (1, 0, *tail), 2: (tail[0], 0, tail[-1]), 3: tuple(tail)}[level]
    rest = [k, k * p, k * q, k * s + c]
    for i in range(3):  # long division by x - t
        rest[i + 1] += t * rest[i]
    return rest[3]


def multiples(level: int, n: Numbers) -> int:
    _, last, a, b = n
    some = sum(1 for x in range(1, last + 1) if x % a == 0 or x % b == 0)
    return (some, last - some, comb(last - some, 2))[level - 1]


def congruence(level: int, n: Numbers) -> int:
    a, b, m, *tail = n
    fitting = (x for x in range(1, tail[1] + 1 if tail else m + 1) if a * x % m == b)
    found = list(fitting)
    return (found[0], len(found), sum(found))[level - 1]


def divisors(level: int, n: Numbers) -> int:
    whole, p = n[:2]
    small = [x for x in range(1, int(whole**0.5) + 1) if whole % x == 0]
    every = {*small, *(whole // x for x in small)}
    some = [x for x in every if level == 1 or x % p == 0]
    return len(some) if level < 3 else comb(len(some), 2)


def remainders(level: int, n: Numbers) -> int:
    a, m, b, k = n
    fitting = (x for x in count(1) if x % m == a and x % k == b)
    found = [next(fitting) for _ in range(1 if level == 1 else 2)]
    return found[-1] if level < 3 else sum(int(digit) for digit in str(found[-1]))


def power(level: int, n: Numbers) -> int:
    base, exponent, p, *tail = n
    return more(base**exponent, tail[:-1]) % p


def parity(level: int, n: Numbers) -> int:
    even = sum((x * y + x + y) % 2 == 0 for x in range(1, n[1] + 1) for y in range(1, n[3] + 1))
    return more(even, [*n[4:5], *(-taken for taken in n[5:])])


def sharing(level: int, n: Numbers) -> int:
    things, children, low, *tail = n

    @cache
    def ways(left: int, waiting: int) -> int:
        if waiting == 0:
            return int(left == 0)
        top = tail[0] if tail and waiting == children else left + 1
        return sum(ways(left - gets, waiting - 1) for gets in range(low, min(top, left + 1)))

    return ways(things, children) * (tail[1] if level > 2 else 1)


def paths(level: int, n: Numbers) -> int:
    _, _, w, h, p, q, *tail = n

    @cache
    def ways(x: int, y: int) -> int:
        if x < 0 or y < 0 or (x, y) == (p, q):
            return 0
        return 1 if x == y == 0 else ways(x - 1, y) + ways(x, y - 1)

    many = ways(w, h) * (tail[0] if tail else 1)
    return many if level < 3 else comb(many, 2)


def committee(level: int, n: Numbers) -> int:
    m, w, *tail = n
    chosen = sum(1 for three in combinations(range(m + w), 3) if three[-1] >= m)
    return more(chosen, [*tail[:1], *(-forbidden for forbidden in tail[1:])])


def beads(level: int, n: Numbers) -> int:
    @cache
    def rows(red: int, blue: int, green: int) -> int:
        if red == blue == green == 0:
            return 1
        # A row that begins with red has all red ones there.
        first = rows(0, blue, green) if red else 0
        return first + (rows(red, blue - 1, green) if blue else 0) + (rows(red, blue, green - 1) if green else 0)

    return more(rows(n[0], n[1], n[2]), [*n[3:4], *(-lost for lost in n[4:])])


def languages(level: int, n: Numbers) -> int:
    everybody, a, b, c, x, y, z, t, *tail = n
    kinds = {"DGW": t, "DG": x - t, "DW": y - t, "GW": z - t}
    for tongue, knows in (("D", a), ("G", b), ("W", c)):
        kinds[tongue] = knows - sum(people for kind, people in kinds.items() if tongue in kind and len(kind) > 1)
    assert min(kinds.values()) >= 0
    none = everybody - sum(kinds.values())
    return (none, comb(none, 2), comb(none, 2) * (tail or [1])[-1])[level - 1]


def drawer(level: int, n: Numbers) -> int:
    a, b, c, *tail, k = n
    unlucky = [i + j + m for i in range(a + 1) for j in range(b + 1) for m in range(c + 1) if max(i, j, m) < k]
    return more(max(unlucky) + 1, tail)


COUNTED: dict[str, Callable[[int, Numbers], int]] = {
    function.__name__: function
    for function in (
        *(prices, tank, points, work, timetable),
        *(system, progression, symmetric, composition, polynomial),
        *(multiples, congruence, divisors, remainders, power, parity),
        *(sharing, paths, committee, beads, languages, drawer),
    )
}


@pytest.mark.parametrize(("area", "family"), FAMILIES, ids=[family.name for _, family in FAMILIES])
def test_every_way_gives_what_counting_gives(area: str, family: Any) -> None:
    graded, chance = load(), random.Random(family.name)
    levels = set()
    for _ in range(40):
        problem = graded.drawn(family, area, chance)
        try:
            _, answer = graded.model_answer(problem)
        except ArithmeticError:
            continue  # never set
        numbers = [int(found) for found in re.findall(r"\d+", problem.text)]
        assert answer == COUNTED[family.name](problem.level, numbers), problem.text
        for _ in range(4):
            assert graded.solution(problem, "correct", chance).answer == answer
        levels.add(problem.level)
    assert levels == {1, 2, 3}


def test_there_are_five_families_of_each_kind() -> None:
    for families in load().AREAS.values():
        assert len(families) >= 5
    assert {family.name for _, family in FAMILIES} == set(COUNTED)


@pytest.mark.parametrize(("area", "family"), FAMILIES, ids=[family.name for _, family in FAMILIES])
def test_every_mistake_can_be_made_on_every_way(area: str, family: Any) -> None:
    graded, chance = load(), random.Random(family.name)
    assert all(step.wrong for route in family.routes for step in route.steps)
    assert all(0 < route.milestone < len(route.steps) for route in family.routes)
    failed = 0
    for _ in range(40):
        problem = graded.drawn(family, area, chance)
        truth: dict[str, int] = {}
        for label in ("correct",) * 6 + graded_labels(graded):
            try:
                made = graded.solution(problem, label, chance)
            except ArithmeticError:
                failed += 1
                continue
            if label == "correct":
                truth |= {line.says: line.value for line in made.lines}
            elif made.error == "idea":  # a wrong calculation that happens to give the right value would be no mistake
                line = made.lines[made.where]
                assert line.value != truth.get(line.says), (problem.text, line)
    assert failed < 60  # of 360; such problems are drawn anew


def graded_labels(graded: ModuleType) -> tuple[str, ...]:
    return tuple(label for label in graded.POINTS if label != "correct")

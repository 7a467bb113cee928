"""Algebra: systems of equations, progressions, symmetric functions, composition and polynomials."""

from __future__ import annotations

import random

from .model import Family, Route, Step


def _system(chance: random.Random, level: int) -> dict[str, int]:
    x, y = chance.randint(3, 30 * level), chance.randint(3, 30 * level)
    b, e = chance.randint(2, 6 * level), chance.randint(1, 1 + level)
    return {
        "S": x + y,
        "a": b + e,
        "b": b,
        "T": (b + e) * x + b * y,
        "k": chance.randint(2, 9),
        "m": chance.randint(10, 19),
        "c": chance.randint(2, 60),
        "d": chance.randint(2, 9),
    }


SYSTEM = Family(
    "system",
    _system,
    "Two numbers x and y fulfil x + y = {S} and {a}x + {b}y = {T}.",
    ("What is {k}x + {m}y?", "What is {k}x + {m}y + {c}?", "What is {d} times as much as {k}x + {m}y + {c}?"),
    (
        Route(
            (
                Step(
                    "rest",
                    "T - b * S",
                    "what remains of the second equation once y is gone",
                    ("T - S", "T - b", "T - S * (b - 1)"),
                ),
                Step("x", "rest / (a - b)", "x", ("rest / a", "rest - a + b", "rest * (a - b)")),
                Step("y", "S - x", "y", ("S + x", "T - x", "T - a * x")),
                Step("r", "k * x + m * y", "the sum asked for", ("k * y + m * x", "(k + m) * S", "k * x + y")),
            ),
            Step("e", "a - b", "the difference of the two coefficients, which is not 0"),
            1,
        ),
        Route(
            (
                Step(
                    "over",
                    "a * S - T",
                    "what remains of the second equation once x is gone",
                    ("a * S - b", "a * (S + T) - T", "(a + 1) * S - T"),
                ),
                Step("y", "over / (a - b)", "y", ("over / b", "over - a + b", "over * (a - b)")),
                Step("x", "S - y", "x", ("S + y", "T - y", "T - b * y")),
                Step("r", "k * x + m * y", "the sum asked for", ("k * y + m * x", "(k + m) * S", "k * x + y")),
            ),
            Step("e", "a - b", "the difference of the two coefficients, which is not 0"),
            1,
        ),
    ),
    (
        Step("more", "r + c", "that sum with the constant", ("r + k * c", "r - c")),
        Step("times", "d * more", "the multiple", ("d + more", "d * r + c")),
    ),
    vary="k",
)


def _progression(chance: random.Random, level: int) -> dict[str, int]:
    return {
        "a": chance.randint(2, 40),
        "d": chance.randint(2, 9 * level),
        "n": chance.randint(8, 25 * level),
        "c": chance.randint(2, 30),
        "q": chance.randint(31, 99),
    }


PROGRESSION = Family(
    "progression",
    _progression,
    "A row of numbers starts with {a}, and each number is {d} more than the one before.",
    (
        "What is the sum of the first {n} numbers?",
        "What is the sum of the first {n} numbers after {c} has been added to each of them?",
        "To each of the first {n} numbers {c} is added. What remainder does their sum leave on division by {q}?",
    ),
    (
        Route(
            (
                Step("last", "a + (n - 1) * d", "the last of these numbers", ("a + n * d", "a * (n - 1) + d")),
                Step("ends", "a + last", "the first and the last together", ("last - a", "d + last", "last + n")),
                Step(
                    "r", "n * ends / 2", "the sum of these numbers", ("n * ends", "(n - 1) * ends / 2", "n + ends / 2")
                ),
            ),
            Step("gaps", "n - 1", "the number of gaps between these numbers"),
            1,
        ),
        Route(
            (
                Step("count", "n * (n - 1) / 2", "how often the difference occurs", ("n * (n + 1) / 2", "n * (n - 1)")),
                Step("rise", "d * count", "what the differences add up to", ("d + count", "a * count")),
                Step("base", "n * a", "what the starting number adds up to", ("(n - 1) * a", "n + a")),
                Step("r", "base + rise", "the sum of these numbers", ("base + rise - a", "base * rise")),
            ),
            Step("gaps", "n - 1", "the number of gaps between these numbers"),
            1,
        ),
    ),
    (
        Step("shifted", "r + n * c", "the sum after the addition", ("r + c", "r * c", "r + (n - 1) * c")),
        Step("left", "shifted % q", "the remainder of that sum", ("shifted // q", "shifted % q + c", "(r + c) % q")),
    ),
    vary="n",
)


def _symmetric(chance: random.Random, level: int) -> dict[str, int]:
    x, y = chance.randint(2, 10 * level), chance.randint(2, 12 * level)
    return {"s": x + y, "p": x * y, "k": chance.randint(2, 12), "c": chance.randint(2, 99), "m": chance.randint(2, 40)}


SYMMETRIC = Family(
    "symmetric",
    _symmetric,
    "Two real numbers x and y have the sum {s} and the product {p}. The number m is {m}.",
    (
        "What is x^3 + y^3 + m?",
        "What is {k} times as much as x^3 + y^3 + m?",
        "How much is {k} times as much as x^3 + y^3 + m, and {c} more?",
    ),
    (
        Route(
            (
                Step("squares", "s ** 2 - 2 * p", "x^2 + y^2", ("s ** 2", "s ** 2 - p", "s ** 2 + 2 * p")),
                Step("mixed", "squares - p", "x^2 - xy + y^2", ("squares + p", "squares - 2 * p")),
                Step("cubes", "s * mixed", "x^3 + y^3", ("s * squares", "s + mixed", "s * (mixed + p)")),
                Step("r", "cubes + m", "that sum with m", ("cubes * m", "cubes + m * s")),
            ),
            Step("double", "2 * p", "twice the product"),
            1,
        ),
        Route(
            (
                Step("cube", "s ** 3", "(x + y)^3", ("3 * s ** 2", "s ** 2 * p")),
                Step("extra", "3 * p * s", "3xy(x + y)", ("3 * p", "p * s", "2 * p * s")),
                Step("cubes", "cube - extra", "x^3 + y^3", ("cube + extra", "cube - p")),
                Step("r", "cubes + m", "that sum with m", ("cubes * m", "cubes + m * s")),
            ),
            Step("triple", "3 * p", "three times the product"),
            1,
        ),
    ),
    (
        Step("times", "k * r", "the multiple", ("k + r", "k * (r - m) + m")),
        Step("more", "times + c", "the sum asked for", ("times + k * c", "times - c")),
    ),
    vary="m",
)


def _composition(chance: random.Random, level: int) -> dict[str, int]:
    a, c = chance.sample(range(2, 6 + 4 * level), 2)
    b, d = chance.sample(range(1, 20), 2)
    return {"a": a, "b": b, "c": c, "d": d, "t": chance.randint(2, 12 * level), "e": chance.randint(2, 50)}


COMPOSITION = Family(
    "composition",
    _composition,
    "Let f(x) = {a}x + {b} and g(x) = {c}x + {d}.",
    (
        "What is f(g({t})) + g(f({t}))?",
        "What is f(z) for z = f(g({t})) + g(f({t}))?",
        "What is f(z) + {e} for z = f(g({t})) + g(f({t}))?",
    ),
    (
        Route(
            (
                Step("gt", "c * t + d", "the inner value of f(g)", ("c * (t + d)", "c + t + d")),
                Step("fg", "a * gt + b", "f(g)", ("gt * (a * t + b)", "a * t + b + gt", "a * (gt + b)")),
                Step("ft", "a * t + b", "the inner value of g(f)", ("a * (t + b)", "a + t + b")),
                Step("gf", "c * ft + d", "g(f)", ("ft * (c * t + d)", "c * t + d + ft", "c * (ft + d)")),
                Step("r", "fg + gf", "both values together", ("2 * fg", "fg + gf - t")),
            ),
            Step("slope", "a * c", "the coefficient of x in f(g) and in g(f)"),
            2,
        ),
        Route(
            (
                Step("k", "a * d + b", "the constant of f(g)", ("b + d", "a * d", "a * b + d")),
                Step("m", "c * b + d", "the constant of g(f)", ("b * d", "c * b", "c * d + b")),
                Step(
                    "r", "2 * a * c * t + k + m", "both values together", ("a * c * t + k + m", "(a + c) * t + k + m")
                ),
            ),
            Step("slope", "a * c", "the coefficient of x in f(g) and in g(f)"),
            1,
        ),
    ),
    (
        Step("fz", "a * r + b", "f(z)", ("c * r + d", "a * (r + b)", "a + r + b")),
        Step("more", "fz + e", "the sum asked for", ("fz + a * e", "fz - e")),
    ),
)


def _polynomial(chance: random.Random, level: int) -> dict[str, int]:
    p, q, s = chance.sample(range(2, 12 * level), 3)
    return {
        "t": chance.randint(2, 5 + 2 * level),
        "p": p,
        "q": q,
        "s": s,
        "k": chance.randint(2, 12),
        "c": chance.randint(2, 80),
    }


POLYNOMIAL = Family(
    "polynomial",
    _polynomial,
    "Let p(x) = x^3 + {p}x^2 + {q}x + {s}.",
    (
        "What remainder does p(x) leave on division by x - {t}?",
        "What remainder does {k} p(x) leave on division by x - {t}?",
        "What remainder does {k} p(x) + {c} leave on division by x - {t}?",
    ),
    (
        Route(
            (
                Step("first", "t + p", "the second coefficient of the quotient", ("t * p", "t + q", "t + p + 1")),
                Step(
                    "second", "first * t + q", "the third coefficient of the quotient", ("first + q", "first * (t + q)")
                ),
                Step("r", "second * t + s", "the remainder for p(x)", ("second + s", "second * (t + s)")),
            ),
            Step("degree", "3 - 1", "the degree of the quotient"),
            1,
        ),
        Route(
            (
                Step(
                    "square",
                    "p * t ** 2",
                    "the quadratic term at that place",
                    ("p * t * 2", "(p * t) ** 2", "p + t ** 2"),
                ),
                Step("linear", "q * t", "the linear term at that place", ("q + t", "q * t ** 2", "p * t")),
                Step(
                    "r",
                    "t ** 3 + square + linear + s",
                    "the remainder for p(x)",
                    ("3 * t + square + linear + s", "t ** 3 + square + linear", "square + linear + s"),
                ),
            ),
            Step("degree", "1 - 1", "the degree of the remainder"),
            1,
        ),
    ),
    (
        Step("times", "k * r", "the remainder for the multiple", ("k + r", "k ** 2 * r")),
        Step("more", "times + c", "the remainder with the constant", ("times + k * c", "times + c * t")),
    ),
    vary="t",
)

FAMILIES = (SYSTEM, PROGRESSION, SYMMETRIC, COMPOSITION, POLYNOMIAL)

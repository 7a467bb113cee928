"""Number theory: common multiples, inverses, divisors, simultaneous remainders, powers and parity."""

from __future__ import annotations

import random
from math import gcd

from .model import Family, Route, Step

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)


def _multiples(chance: random.Random, level: int) -> dict[str, int]:
    g = chance.randint(2, 2 + level)
    x, y = _coprime(chance, 2, 5 + 2 * level)
    return {"N": chance.randint(100 * level, 600 * level**2), "a": g * x, "b": g * y}


MULTIPLES = Family(
    "multiples",
    _multiples,
    "Look at the whole numbers from 1 to {N}.",
    (
        "How many of them are divisible by {a} or by {b} (or by both)?",
        "How many of them are divisible neither by {a} nor by {b}?",
        "In how many ways can two different ones that are divisible neither by {a} nor by {b} be chosen, regardless "
        "of order?",
    ),
    (
        Route(
            (
                Step("m", "a * b / gcd(a, b)", "the least number divisible by both", ("a * b", "a + b", "gcd(a, b)")),
                Step("both", "N // m", "how many are divisible by both", ("N // (a + b)", "m // a + m // b", "N % m")),
                Step("A", "N // a", "how many are divisible by the first", ("N // a + 1", "N - a", "N % a")),
                Step("B", "N // b", "how many are divisible by the second", ("N // b + 1", "N - b", "N % b")),
                Step("r", "A + B - both", "how many are divisible by one of them at least", ("A + B", "A + B + both")),
            ),
            Step("g", "gcd(a, b)", "the greatest common divisor of the two divisors"),
            2,
        ),
        Route(
            (
                Step("m", "a * b / gcd(a, b)", "the least number divisible by both", ("a * b", "a + b", "gcd(a, b)")),
                Step("x", "N // a - N // m", "how many are divisible by the first alone", ("N // a", "N // a - m")),
                Step("y", "N // b - N // m", "how many are divisible by the second alone", ("N // b", "N // b - m")),
                Step("both", "N // m", "how many are divisible by both", ("N // (a + b)", "m // a + m // b", "N % m")),
                Step("r", "x + y + both", "how many are divisible by one of them at least", ("x + y", "x + y - both")),
            ),
            Step("g", "gcd(a, b)", "the greatest common divisor of the two divisors"),
            1,
        ),
    ),
    (
        Step("rest", "N - r", "how many are divisible by neither", ("N - r - 1", "N - both", "N - r + both")),
        Step("pairs", "C(rest, 2)", "the number of choices", ("rest * (rest - 1)", "rest ** 2", "C(rest + 1, 2)")),
    ),
    vary="N",
)


def _congruence(chance: random.Random, level: int) -> dict[str, int]:
    a, m = _coprime(chance, 5, 20 + 25 * level)
    b = chance.randint(2, m - 1)
    x = b * pow(a, -1, m) % m
    return {
        "a": a,
        "m": m,
        "b": b,
        "u": (a * pow(a, -1, m) - 1) // m,
        "j": (a * x - b) // m if a * x >= b else 0,
        "N": chance.randint(5 * m, 40 * m),
    }


CONGRUENCE = Family(
    "congruence",
    _congruence,
    "The product of {a} and a positive whole number x leaves the remainder {b} on division by {m}.",
    (
        "What is the least such x?",
        "How many such x are there from 1 to {N}?",
        "What is the sum of all such x from 1 to {N}?",
    ),
    (
        Route(
            (
                Step(
                    "i",
                    "(u * m + 1) / a",
                    "the inverse of the factor for this divisor",
                    ("u * m + 1", "m - a % m", "(u * m + 1) / a + 1", "u + 1"),
                ),
                Step("product", "i * b", "the inverse times the remainder", ("i + b", "i * (b + 1)", "i * b + m - 1")),
                Step("r", "product % m", "the least x", ("product // m", "product % (m - 1)", "product % m + m")),
            ),
            Step("g", "gcd(a, m)", "the greatest common divisor of factor and divisor"),
            1,
        ),
        Route(
            (
                Step(
                    "lift",
                    "j * m + b",
                    "the least number with that remainder that the factor divides",
                    ("a * b", "a * (b + j)", "a * m - a * b", "a * (j + 1)"),
                ),
                Step("r", "lift / a", "the least x", ("lift % a + 1", "lift / a + m", "lift / a - 1")),
            ),
            Step("g", "gcd(a, m)", "the greatest common divisor of factor and divisor"),
            1,
        ),
    ),
    (
        Step("count", "(N - r) // m + 1", "how many such x there are", ("(N - r) // m", "N // r", "N // m + r")),
        Step(
            "total",
            "count * r + m * count * (count - 1) / 2",
            "the sum of these x",
            ("count * r", "count * r + m * count * (count + 1) / 2", "count * (r + N)"),
        ),
    ),
)


def _divisors(chance: random.Random, level: int) -> dict[str, int]:
    p, q, s = sorted(chance.sample(PRIMES[: 6 + 2 * level], 3))
    i, j, k = (chance.randint(1, 3 + level) for _ in range(3))
    numbers = {"p": p, "q": q, "s": s, "i": i, "j": j, "k": k, "N": p**i * q**j * s**k}
    return numbers if numbers["N"] <= 10**9 else _divisors(chance, level)


DIVISORS = Family(
    "divisors",
    _divisors,
    "Let N = {N}. Its only prime factors are {p}, {q} and {s}.",
    (
        "How many positive divisors does N have?",
        "How many positive divisors of N are divisible by {p}?",
        "In how many ways can two different positive divisors of N that are divisible by {p} be chosen, regardless "
        "of order?",
    ),
    (
        Route(
            (
                Step("x", "i + 1", "the choices for the exponent of the first prime", ("2 * i", "i + 2", "p - 1")),
                Step("y", "j + 1", "the choices for the exponent of the second prime", ("2 * j", "j + 2", "q - 1")),
                Step("z", "k + 1", "the choices for the exponent of the third prime", ("2 * k", "k + 2", "s - 1")),
                Step("r", "x * y * z", "the number of divisors", ("x + y + z", "x * y + z", "x * y * z - 2")),
            ),
            Step("N2", "p ** i * q ** j * s ** k", "the product of the prime powers"),
            1,
        ),
        Route(
            (
                Step(
                    "free",
                    "(j + 1) * (k + 1)",
                    "the divisors that are not divisible by the first prime",
                    ("j * k", "j + k + 2"),
                ),
                Step(
                    "having",
                    "i * free",
                    "the divisors that are divisible by the first prime",
                    ("(i + 1) * free", "i + free"),
                ),
                Step("r", "free + having", "the number of divisors", ("free * having", "free + having - 1")),
            ),
            Step("N2", "p ** i * q ** j * s ** k", "the product of the prime powers"),
            1,
        ),
    ),
    (
        Step("some", "r * i / (i + 1)", "the divisors that count", ("r - i", "r - p", "r * (i + 1) - r")),
        Step("pairs", "C(some, 2)", "the number of choices", ("some * (some - 1)", "some ** 2", "C(some + 1, 2)")),
    ),
)


def _remainders(chance: random.Random, level: int) -> dict[str, int]:
    m, n = _coprime(chance, 5, 15 + 15 * level)
    return {
        "m": m,
        "n": n,
        "a": chance.randint(1, 4),
        "b": chance.randint(1, n - 1),
        "u": (m * pow(m, -1, n) - 1) // n,
        "v": (n * pow(n, -1, m) - 1) // m,
    }


REMAINDERS = Family(
    "remainders",
    _remainders,
    "A positive whole number leaves the remainder {a} on division by {m} and the remainder {b} on division by {n}.",
    (
        "What is the least such number?",
        "What is the second least such number?",
        "What is the sum of the digits of the second least such number?",
    ),
    (
        Route(
            (
                Step(
                    "gap",
                    "(b - a) % n",
                    "the step from the first remainder to the second",
                    ("(a + b) % n", "(a - b) % n"),
                ),
                Step("i", "(u * n + 1) / m", "the inverse of the first divisor for the second", ("n - m % n", "u + 1")),
                Step("t", "gap * i % n", "how often the first divisor is added", ("(gap + i) % n", "gap * i % m")),
                Step("r", "a + m * t", "the least such number", ("b + m * t", "a + n * t", "a * m + t")),
            ),
            Step("g", "gcd(m, n)", "the greatest common divisor of the two divisors"),
            1,
        ),
        Route(
            (
                Step(
                    "gap",
                    "(a - b) % m",
                    "the step from the second remainder to the first",
                    ("(a + b) % m", "(b - a) % m"),
                ),
                Step("i", "(v * m + 1) / n", "the inverse of the second divisor for the first", ("m - n % m", "v + 1")),
                Step("t", "gap * i % m", "how often the second divisor is added", ("(gap + i) % m", "gap * i % n")),
                Step("r", "b + n * t", "the least such number", ("a + n * t", "b + m * t", "b * n + t")),
            ),
            Step("g", "gcd(m, n)", "the greatest common divisor of the two divisors"),
            1,
        ),
    ),
    (
        Step("second", "r + m * n", "the second least", ("r + m + n", "2 * r", "r + m")),
        Step("sum", "digits(second)", "the sum of its digits", ("second % 9 + 9", "digits(r) + digits(m * n)")),
    ),
)


def _power(chance: random.Random, level: int) -> dict[str, int]:
    p = chance.choice(PRIMES[4 : 10 + 5 * level])
    a = chance.randint(2, p - 2)
    order = next(o for o in range(1, p) if pow(a, o, p) == 1)
    return {
        "p": p,
        "a": a,
        "o": order,
        "e": chance.randint(2, 12 * level) * (p - 1) + chance.randint(2, p - 2),
        "c": chance.randint(2, 30),
        "d": chance.randint(2, 40),
    }


POWER = Family(
    "power",
    _power,
    "Let z = {a}^{e}. The number {p} is prime.",
    (
        "What remainder does z leave on division by {p}?",
        "What remainder does {c}z leave on division by {p}?",
        "What remainder does {c}z + {d} leave on division by {p}?",
    ),
    (
        Route(
            (
                Step("short", "e % (p - 1)", "the exponent that is enough", ("e % p", "e // (p - 1)", "e // p")),
                Step(
                    "r",
                    "a ** short % p",
                    "the remainder of z",
                    ("a * short % p", "short ** a % p", "a ** short % (p - 1)"),
                ),
            ),
            Step("g", "gcd(a, p)", "the greatest common divisor of base and prime"),
            1,
        ),
        Route(
            (
                Step(
                    "short",
                    "e % o",
                    "the exponent within one round of the remainders",
                    ("e % p", "e // o", "o - e % o"),
                ),
                Step(
                    "r",
                    "a ** short % p",
                    "the remainder of z",
                    ("a * short % p", "short ** a % p", "a ** short % (p - 1)"),
                ),
            ),
            Step("one", "a ** o % p", "the remainder of the power after which the remainders repeat"),
            1,
        ),
    ),
    (
        Step("times", "c * r % p", "the remainder of the multiple", ("(c + r) % p", "r ** c % p", "c * r // p")),
        Step("more", "(times + d) % p", "the remainder of the sum", ("times * d % p", "(times + c * d) % p")),
    ),
    vary="e",
)


def _parity(chance: random.Random, level: int) -> dict[str, int]:
    return {
        "m": chance.randint(5, 40 * level),
        "n": chance.randint(5, 40 * level),
        "c": chance.randint(3, 20),
        "d": chance.randint(2, 30),
    }


PARITY = Family(
    "parity",
    _parity,
    "Two whole numbers x and y are chosen, x from 1 to {m} and y from 1 to {n}; different choices of x or y count as "
    "different.",
    (
        "For how many choices is xy + x + y even?",
        "For each choice for which xy + x + y is even, there are {c} ways to paint it. How many painted choices are "
        "there?",
        "For each choice for which xy + x + y is even, there are {c} ways to paint it; {d} of all these painted "
        "choices are taken away. How many are left?",
    ),
    (
        Route(
            (
                Step("x", "m // 2", "how many x are even", ("(m + 2) // 2", "m - 1", "m // 2 + n // 2")),
                Step("y", "n // 2", "how many y are even", ("(n + 2) // 2", "n - 1", "m + n // 2")),
                Step("r", "x * y", "how many choices make it even", ("x + y", "m * n - x * y", "x * n + y * m")),
            ),
            Step("one", "1 * 1 + 1 + 1", "the value for two odd numbers, which is odd"),
            1,
        ),
        Route(
            (
                Step("odd", "(m + 1) // 2", "how many x are odd", ("(m + 3) // 2", "m - 1", "(m + n) // 2")),
                Step("first", "odd * n", "the choices with x odd", ("odd * (n // 2)", "odd + n", "m * n - odd")),
                Step(
                    "second",
                    "(m - odd) * ((n + 1) // 2)",
                    "the choices with y odd and x even",
                    ("m * ((n + 1) // 2)", "(m - odd) * n", "(m - odd) + (n + 1) // 2"),
                ),
                Step(
                    "r", "m * n - first - second", "how many choices make it even", ("first + second", "m * n - first")
                ),
            ),
            Step("all", "m * n", "how many choices there are"),
            1,
        ),
    ),
    (
        Step("ways", "c * r", "the painted choices", ("c + r", "r ** 2", "(c - 1) * r")),
        Step("left", "ways - d", "what is left of them", ("ways - c * d", "ways + d", "ways - d * 2")),
    ),
    vary="m",
)


def _coprime(chance: random.Random, low: int, high: int) -> tuple[int, int]:
    """Two different numbers without a common divisor."""
    while True:
        a, b = chance.randint(low, high), chance.randint(low, high)
        if a != b and gcd(a, b) == 1:
            return a, b


FAMILIES = (MULTIPLES, CONGRUENCE, DIVISORS, REMAINDERS, POWER, PARITY)

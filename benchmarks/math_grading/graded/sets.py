"""Combinatorics of sets: inclusion and exclusion, pigeonholes."""

from __future__ import annotations

import random

from .model import Family, Route, Step


def _languages(chance: random.Random, level: int) -> dict[str, int]:
    t = chance.randint(2, 5 * level)
    x, y, z = (chance.randint(1, 8 * level) for _ in range(3))
    a, b, c = (chance.randint(2, 20 * level) for _ in range(3))
    numbers = {"t": t, "x": x + t, "y": y + t, "z": z + t}
    numbers |= {"a": a + x + y + t, "b": b + x + z + t, "c": c + y + z + t}
    return {
        **numbers,
        "n": a + b + c + x + y + z + t + chance.randint(4, 30 * level),
        "q": chance.randint(2, 12),
    }


LANGUAGES = Family(
    "languages",
    _languages,
    "Of {n} {thing}, {a} know Danish, {b} know Greek and {c} know Welsh. {x} know Danish and Greek, {y} know Danish "
    "and Welsh, {z} know Greek and Welsh; {t} know all three.",
    (
        "How many know none of the three languages?",
        "In how many ways can two of those who know none of the three languages be chosen, regardless of order?",
        "In how many ways can two of those who know none of the three languages be chosen, regardless of order, "
        "together with one of {q} teachers?",
    ),
    (
        Route(
            (
                Step(
                    "singles",
                    "a + b + c",
                    "the three languages counted one by one",
                    ("a + b + c + t", "a + b + c - 2 * t"),
                ),
                Step("twos", "x + y + z", "the pairs of languages together", ("x + y + z + t", "x + y + z - 3 * t")),
                Step(
                    "union", "singles - twos + t", "those who know a language", ("singles - twos", "singles - twos - t")
                ),
                Step("r", "n - union", "those who know none", ("n - union - t", "n - union + t", "n - singles + t")),
            ),
            Step("rest", "n - a", "those who do not know the first language"),
            2,
        ),
        Route(
            (
                Step(
                    "first", "a - x - y + t", "those who know the first language alone", ("a - x - y", "a - x - y - t")
                ),
                Step(
                    "second",
                    "b - x - z + t",
                    "those who know the second language alone",
                    ("b - x - z", "b - x - z - t"),
                ),
                Step(
                    "third", "c - y - z + t", "those who know the third language alone", ("c - y - z", "c - y - z - t")
                ),
                Step("two", "x + y + z - 3 * t", "those who know two languages", ("x + y + z", "x + y + z - t")),
                Step(
                    "r",
                    "n - first - second - third - two - t",
                    "those who know none",
                    ("n - first - second - third - two", "n - first - second - third"),
                ),
            ),
            Step("rest", "n - a", "those who do not know the first language"),
            3,
        ),
    ),
    (
        Step("pairs", "C(r, 2)", "the choices of two", ("r * (r - 1)", "r ** 2", "C(r + 1, 2)")),
        Step("joined", "q * pairs", "the choices with a teacher", ("q + pairs", "C(q, 2) * pairs", "(q - 1) * pairs")),
    ),
    ("guests", "students", "sailors", "actors", "cooks", "pilots", "nurses"),
    "n",
)


def _drawer(chance: random.Random, level: int) -> dict[str, int]:
    k = chance.randint(4, 5 + 4 * level)
    a, b, c = (chance.randint(2, 3 * k) for _ in range(3))
    return {"k": k, "a": max(a, k + 1), "b": b, "c": c, "p": chance.randint(2, 15), "q": chance.randint(11, 80)}


DRAWER = Family(
    "drawer",
    _drawer,
    "A dark {thing} holds {a} red, {b} blue and {c} green balls. Somebody takes out balls without looking.",
    (
        "How many have to be taken so that {k} of one colour are certainly among them?",
        "Each ball taken costs {p} coins. What must one be ready to pay to have {k} balls of one colour for certain?",
        "Each ball taken costs {p} coins, and the first costs {q} more. What must one be ready to pay to have {k} "
        "balls of one colour for certain?",
    ),
    (
        Route(
            (
                Step(
                    "blue", "min(b, k - 1)", "the most blue balls without success", ("min(b, k)", "k + b", "b + k - 1")
                ),
                Step(
                    "green",
                    "min(c, k - 1)",
                    "the most green balls without success",
                    ("min(c, k)", "k + c", "c + k - 1"),
                ),
                Step(
                    "worst",
                    "k - 1 + blue + green",
                    "the most balls without success",
                    ("k + blue + green", "3 * (k - 1) + k"),
                ),
                Step("r", "worst + 1", "the balls that are certainly enough", ("worst + k", "worst + 3")),
            ),
            Step("red", "k - 1", "the most red balls without success"),
            1,
        ),
        Route(
            (
                Step(
                    "short",
                    "k - 1 - min(b, k - 1) + k - 1 - min(c, k - 1)",
                    "what scarce colours fall short of the worst case",
                    ("2 * k - min(b, k) - min(c, k) + 1", "k - 1 - min(b, c) + k", "b + c - k"),
                ),
                Step(
                    "worst",
                    "3 * (k - 1) - short",
                    "the most balls without success",
                    ("3 * k - short", "3 * (k - 1) + short + 1"),
                ),
                Step("r", "worst + 1", "the balls that are certainly enough", ("worst + k", "worst + 3")),
            ),
            Step("red", "k - 1", "the most red balls without success"),
            1,
        ),
    ),
    (
        Step("pay", "p * r", "what these balls cost", ("p + r", "p * (r + k)", "p * (r - 1)")),
        Step("more", "pay + q", "what one must be ready to pay", ("pay + q * r", "pay - q", "pay + p * q")),
    ),
    ("box", "drawer", "bag", "basket", "barrel", "sack"),
)

FAMILIES = (LANGUAGES, DRAWER)

"""Arithmetic: prices, rates, averages, work and timetables."""

from __future__ import annotations

import random

from .model import Family, Route, Step


def _prices(chance: random.Random, level: int) -> dict[str, int]:
    return {
        "P": 100 * chance.randint(3, 30 * level),
        "a": 10 * chance.randint(1, 9),
        "b": 10 * chance.randint(1, 8),
        "n": chance.randint(3, 30),
        "c": chance.randint(11, 99),
    }


PRICES = Family(
    "prices",
    _prices,
    "A {thing} costs {P} coins. Its price rises by {a} percent, and then the new price falls by {b} percent.",
    (
        "What does one cost in the end?",
        "What do {n} of them cost in the end?",
        "What do {n} of them cost in the end, with {c} coins for delivery on top?",
    ),
    (
        Route(
            (
                Step("up", "P * (100 + a) / 100", "the price after the rise", ("P + a", "P * a / 100")),
                Step(
                    "r", "up * (100 - b) / 100", "the price in the end", ("up - P * b / 100", "up - b", "up * b / 100")
                ),
            ),
            Step("stays", "100 - b", "the percentage that stays after the fall"),
            1,
        ),
        Route(
            (
                Step(
                    "scale",
                    "(100 + a) * (100 - b)",
                    "both changes as one factor, in ten-thousandths",
                    ("(100 + a - b) * 100", "(100 + b) * (100 - a)", "100 * a * b"),
                ),
                Step("r", "P * scale / 10000", "the price in the end", ("P * scale / 1000", "P + scale / 100")),
            ),
            Step("grown", "100 + a", "the percentage that the rise makes of the price"),
            1,
        ),
    ),
    (
        Step("all", "n * r", "the price of all of them", ("n + r", "n * P - r")),
        Step("sum", "all + c", "the price with delivery", ("all + n * c", "all - c")),
    ),
    ("lamp", "kettle", "bicycle", "tent", "guitar", "camera", "carpet", "radio"),
    "P",
)


def _tank(chance: random.Random, level: int) -> dict[str, int]:
    a = chance.randint(9, 20 * level)
    return {
        "V": chance.randint(20, 200 * level),
        "a": a,
        "s": chance.randint(3, 20),
        "b": chance.randint(2, a - 2),
        "t": chance.randint(3, 25),
        "k": chance.randint(2, 9),
        "c": chance.randint(11, 49),
    }


TANK = Family(
    "tank",
    _tank,
    "A {thing} holds {V} litres of water. A pump adds {a} litres a minute. It runs alone for {s} minutes; then a tap "
    "is opened which lets out {b} litres a minute, while the pump runs on for {t} minutes.",
    (
        "How many litres are there then?",
        "How many litres are there then in {k} such places together?",
        "How many litres are left in {k} such places together after {c} litres have been taken from each?",
    ),
    (
        Route(
            (
                Step("first", "a * s", "what the pump adds while it runs alone", ("a * (s + t)", "a + s", "b * s")),
                Step("net", "a - b", "what is gained a minute with the tap open", ("a + b", "a - b / 2")),
                Step("second", "net * t", "what is gained with the tap open", ("net * s", "net * (s + t)")),
                Step("r", "V + first + second", "the water in one place", ("first + second", "V + second")),
            ),
            Step("high", "V + a", "the water after the first minute"),
            2,
        ),
        Route(
            (
                Step("inflow", "a * (s + t)", "what the pump adds in all", ("a * s", "a + s + t", "(a - b) * (s + t)")),
                Step("outflow", "b * t", "what the tap lets out in all", ("b * (s + t)", "b * s", "b + t")),
                Step(
                    "r", "V + inflow - outflow", "the water in one place", ("inflow - outflow", "V + inflow + outflow")
                ),
            ),
            Step("minutes", "s + t", "the minutes for which the pump runs"),
            1,
        ),
    ),
    (
        Step("all", "k * r", "the water in all places", ("k + r", "V + k * (r - V)")),
        Step("left", "all - k * c", "the water that is left", ("all - c", "all + k * c")),
    ),
    ("tank", "pond", "pool", "barrel", "basin", "trough"),
    "s",
)


def _points(chance: random.Random, level: int) -> dict[str, int]:
    g = chance.randint(20, 50)
    return {
        "g": g,
        "n": chance.randint(5, 12 * level),
        "m": g + chance.randint(3, 30),
        "k": chance.randint(4, 12 * level),
        "q": g + chance.randint(2, 25),
        "c": chance.randint(3, 15),
        "d": chance.randint(5, 60),
    }


POINTS = Family(
    "points",
    _points,
    "In a {thing} test, {n} pupils of one class reach {m} points on average, and {k} pupils of another class {q}. "
    "Nobody has fewer than {g} points, and everybody gives away what is above {g}.",
    (
        "How many points are given away in all?",
        "How many coins do all these points bring at {c} coins each?",
        "How many coins are left of what these points bring at {c} coins each, once {d} coins have been spent?",
    ),
    (
        Route(
            (
                Step("one", "n * m", "the points of the first class", ("n + m", "k * m", "n * q")),
                Step("two", "k * q", "the points of the second class", ("k + q", "n * q")),
                Step("kept", "(n + k) * g", "the points that all pupils keep", ("2 * g", "n * g", "k * g")),
                Step("r", "one + two - kept", "the points given away", ("one + two - g", "one - kept + q")),
            ),
            Step("pupils", "n + k", "the number of pupils"),
            2,
        ),
        Route(
            (
                Step("here", "n * (m - g)", "what the first class gives", ("n * m - g", "m - g + n", "k * (m - g)")),
                Step("there", "k * (q - g)", "what the second class gives", ("k * q - g", "q - g + k", "n * (q - g)")),
                Step("r", "here + there", "the points given away", ("here + there - g", "here + there + q")),
            ),
            Step("above", "m - g", "what a pupil of the first class gives on average"),
            1,
        ),
    ),
    (
        Step("coins", "r * c", "what the points bring", ("r + c", "r * c - g")),
        Step("left", "coins - d", "the coins that are left", ("coins - c * d", "coins + d")),
    ),
    ("spelling", "geography", "music", "chess", "history", "swimming"),
    "n",
)


def _work(chance: random.Random, level: int) -> dict[str, int]:
    w = chance.randint(6, 15 * level)
    return {
        "w": w,
        "t": chance.randint(4, 20),
        "h": chance.randint(2, 9),
        "x": chance.randint(2, w - 3),
        "k": chance.randint(2, 10),
        "p": chance.randint(2, 9),
        "c": chance.randint(20, 99),
    }


WORK = Family(
    "work",
    _work,
    "Each of {w} workers makes {t} {thing} an hour. After {h} hours {x} of them go home, and the others work on for "
    "{k} hours.",
    (
        "How many {thing} are made?",
        "What do all the {thing} made bring at {p} coins each?",
        "What is earned with all the {thing} made at {p} coins each, if {c} coins have to be paid for each worker?",
    ),
    (
        Route(
            (
                Step("first", "w * t * h", "what is made before some go", ("t * h", "w * h", "(w - x) * t * h")),
                Step("stay", "w - x", "the number of workers who stay", ("w + x", "w - x - 1")),
                Step("second", "stay * t * k", "what is made after that", ("stay * k", "stay * t * h", "x * t * k")),
                Step("r", "first + second", "all that is made", ("first + second - x", "second + w * t")),
            ),
            Step("rate", "w * t", "what all of them make in the first hour"),
            1,
        ),
        Route(
            (
                Step("full", "w * t * (h + k)", "what all could have made", ("w * t * k", "w * (h + k)")),
                Step("lost", "x * t * k", "what is not made because some went home", ("x * t * h", "x * k", "x * t")),
                Step("r", "full - lost", "all that is made", ("full - lost * h", "full + lost")),
            ),
            Step("hours", "h + k", "the hours from beginning to end"),
            1,
        ),
    ),
    (
        Step("coins", "p * r", "what all of it brings", ("p + r", "p * (r + w)")),
        Step("gain", "coins - c * w", "what is earned", ("coins - c", "coins - c * (w - x)")),
    ),
    ("baskets", "candles", "bricks", "hats", "pots", "ropes"),
    "h",
)


def _timetable(chance: random.Random, level: int) -> dict[str, int]:
    s, p = chance.randint(180, 420), chance.randint(7, 20 * level)
    return {
        "s": s,
        "p": p,
        "T": s + p * chance.randint(2, 20) + chance.randint(1, p - 1),
        "n": chance.randint(3, 12),
        "d": chance.randint(5, 40),
    }


TIMETABLE = Family(
    "timetable",
    _timetable,
    "The first {thing} leaves {s} minutes after midnight, and from then on one leaves every {p} minutes. Somebody "
    "comes {T} minutes after midnight.",
    (
        "How many minutes is it until the next one leaves?",
        "This person lets {n} of them leave without boarding and takes the one after those. How many minutes is it "
        "until that one leaves?",
        "This person lets {n} of them leave without boarding and takes the one after those, which is on its way for "
        "{d} minutes. How many minutes is it until the arrival?",
    ),
    (
        Route(
            (
                Step("since", "T - s", "the minutes since the first one left", ("T + s", "T - s + p")),
                Step("gone", "since // p", "how often one has left after the first", ("T // p", "since // p + 1")),
                Step(
                    "next", "s + (gone + 1) * p", "when the next one leaves", ("(gone + 2) * p", "s + (gone + 2) * p")
                ),
                Step("r", "next - T", "the wait for the next one", ("next - s", "next - since")),
            ),
            Step("twice", "s + p", "when the second one leaves"),
            2,
        ),
        Route(
            (
                Step("since", "T - s", "the minutes since the first one left", ("T + s", "T - s + p - 1")),
                Step("late", "since % p", "the minutes since the last one left", ("T % p", "since // p")),
                Step("r", "p - late", "the wait for the next one", ("late + p", "2 * p - late")),
            ),
            Step("twice", "s + p", "when the second one leaves"),
            1,
        ),
    ),
    (
        Step("until", "r + n * p", "the time until departure", ("r + (n - 1) * p", "r * n", "r + n")),
        Step("arrival", "until + d", "the time until arrival", ("until + d + r", "until + n * d")),
    ),
    ("bus", "ferry", "tram", "boat", "train", "cable car"),
)

FAMILIES = (PRICES, TANK, POINTS, WORK, TIMETABLE)

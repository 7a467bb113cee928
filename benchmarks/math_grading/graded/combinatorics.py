"""Combinatorics: stars and bars, paths, committees, arrangements."""

from __future__ import annotations

import random

from .model import Family, Route, Step


def _sharing(chance: random.Random, level: int) -> dict[str, int]:
    k, low = chance.randint(3, 3 + level), chance.randint(1, 3)
    n = k * low + chance.randint(5, 20 + 8 * level)
    return {"n": n, "k": k, "l": low, "u": low + chance.randint(1, 4), "c": chance.randint(2, 19)}


SHARING = Family(
    "sharing",
    _sharing,
    "{n} equal {thing} are shared among {k} children, so that each child gets at least {l}.",
    (
        "In how many ways can this be done?",
        "In how many ways can this be done if the oldest child gets fewer than {u}?",
        "Each way in which the oldest child gets fewer than {u} is written on {c} cards. How many cards are there?",
    ),
    (
        Route(
            (
                Step("rest", "n - k * l", "what is left to share freely", ("n - l", "n - k", "n - k * l - 1")),
                Step(
                    "places",
                    "rest + k - 1",
                    "the places for things and bars",
                    ("rest + k", "rest - 1", "rest * (k - 1)"),
                ),
                Step(
                    "r",
                    "C(places, k - 1)",
                    "the ways to share",
                    ("C(places, k)", "C(places - 1, k - 1)", "places * (k - 1)"),
                ),
            ),
            Step("bars", "k - 1", "the number of bars between the children"),
            1,
        ),
        Route(
            (
                Step("moved", "n - k * (l - 1)", "what is shared if each has to get one", ("n - k * l", "n - l + 1")),
                Step("gaps", "moved - 1", "the gaps in which a bar may stand", ("moved + 1", "moved + k - 1")),
                Step(
                    "r", "C(gaps, k - 1)", "the ways to share", ("C(gaps, k)", "C(gaps + 1, k - 1)", "gaps * (k - 1)")
                ),
            ),
            Step("bars", "k - 1", "the number of bars between the children"),
            1,
        ),
    ),
    (
        Step(
            "few",
            "r - C(n - k * l - u + l + k - 1, k - 1)",
            "the ways in which the oldest child gets few",
            ("r - C(n - k * l - u + k - 1, k - 1)", "C(n - k * l - u + l + k - 1, k - 1)", "r - C(n - u, k - 1)"),
        ),
        Step("cards", "c * few", "the number of cards", ("c + few", "c * (r - few)", "C(few, c)")),
    ),
    ("marbles", "nuts", "stickers", "coins", "pencils", "shells", "plums"),
    "n",
)


def _paths(chance: random.Random, level: int) -> dict[str, int]:
    w, h = chance.randint(4, 5 + 2 * level), chance.randint(4, 5 + 2 * level)
    return {"w": w, "h": h, "p": chance.randint(1, w - 1), "q": chance.randint(1, h - 1), "c": chance.randint(2, 9)}


PATHS = Family(
    "paths",
    _paths,
    "A {thing} moves on crossings of streets, always one crossing to the east or one to the north. It wants to go from "
    "(0, 0) to ({w}, {h}); the crossing ({p}, {q}) is closed.",
    (
        "How many ways are there?",
        "How many ways are there if each may be followed in one of {c} colours?",
        "Two different pairs of a way and one of {c} colours are chosen, regardless of order. In how many ways is "
        "that possible?",
    ),
    (
        Route(
            (
                Step(
                    "all",
                    "C(w + h, w)",
                    "the ways if no crossing were closed",
                    ("C(w * h, w)", "2 ** (w + h)", "w * h"),
                ),
                Step(
                    "there", "C(p + q, p)", "the ways to the closed crossing", ("C(p * q, p)", "2 ** (p + q)", "p + q")
                ),
                Step(
                    "on",
                    "C(w - p + h - q, w - p)",
                    "the ways on from there",
                    ("C(w + h - p, w)", "2 ** (w - p + h - q)", "(w - p) * (h - q)"),
                ),
                Step("bad", "there * on", "the ways over the closed crossing", ("there + on", "there * on * 2")),
                Step("r", "all - bad", "the ways that are left", ("all - there - on", "all - bad + 1", "all + bad")),
            ),
            Step("moves", "w + h", "the number of moves"),
            3,
        ),
        Route(
            (
                Step(
                    "there", "C(p + q, q)", "the ways to the closed crossing", ("C(p * q, q)", "2 ** (p + q)", "p + q")
                ),
                Step(
                    "on",
                    "C(w - p + h - q, h - q)",
                    "the ways on from there",
                    ("C(w + h - q, h)", "2 ** (w - p + h - q)", "(w - p) * (h - q)"),
                ),
                Step("bad", "there * on", "the ways over the closed crossing", ("there + on", "there * on * 2")),
                Step(
                    "all",
                    "C(w + h, h)",
                    "the ways if no crossing were closed",
                    ("C(w * h, h)", "2 ** (w + h)", "w * h"),
                ),
                Step("r", "all - bad", "the ways that are left", ("all - there - on", "all - bad + 1", "all + bad")),
            ),
            Step("later", "w - p + h - q", "the number of moves after the closed crossing"),
            2,
        ),
    ),
    (
        Step("many", "c * r", "the pairs of a way and a colour", ("c + r", "C(r, c)", "c ** 2 * r")),
        Step("pairs", "C(many, 2)", "the choices of two", ("many * (many - 1)", "many ** 2", "C(many + 1, 2)")),
    ),
    ("robot", "postman", "taxi", "cyclist", "snail", "tram"),
)


def _committee(chance: random.Random, level: int) -> dict[str, int]:
    return {
        "m": chance.randint(5, 12 + 9 * level),
        "w": chance.randint(3, 8 + 6 * level),
        "c": chance.randint(2, 30),
        "d": chance.randint(2, 30),
    }


COMMITTEE = Family(
    "committee",
    _committee,
    "A {thing} has {m} members who sing and {w} members who play. Three members are sent out, at least one of whom "
    "plays; nobody does both.",
    (
        "In how many ways can they be chosen?",
        "In how many ways can they be chosen together with one of {c} guides?",
        "In how many ways can they be chosen together with one of {c} guides, if {d} of these ways are forbidden?",
    ),
    (
        Route(
            (
                Step("all", "C(m + w, 3)", "the choices without the condition", ("(m + w) ** 3", "C(m, 3) * C(w, 3)")),
                Step(
                    "none",
                    "C(m, 3)",
                    "the choices in which nobody plays",
                    ("C(w, 3)", "m ** 3", "m * (m - 1) * (m - 2)"),
                ),
                Step("r", "all - none", "the choices with a player", ("all - none - m", "all - m", "all + none")),
            ),
            Step("members", "m + w", "the number of members"),
            1,
        ),
        Route(
            (
                Step(
                    "one",
                    "w * C(m, 2)",
                    "the choices with one player",
                    ("w * m ** 2", "w * C(m + w - 1, 2)", "w + C(m, 2)"),
                ),
                Step(
                    "two",
                    "C(w, 2) * m",
                    "the choices with two players",
                    ("w * (w - 1) * m", "C(w, 2) + m", "w ** 2 * m"),
                ),
                Step(
                    "three", "C(w, 3)", "the choices with three players", ("w ** 3", "w * (w - 1) * (w - 2)", "C(w, 2)")
                ),
                Step("r", "one + two + three", "the choices with a player", ("one + two", "one * two * three")),
            ),
            Step("others", "3 - 1", "how many others go with a single player"),
            1,
        ),
    ),
    (
        Step("guided", "c * r", "the choices with a guide", ("c + r", "C(c, 2) * r", "(c - 1) * r")),
        Step("left", "guided - d", "the choices that are allowed", ("guided - c * d", "guided + d")),
    ),
    ("choir", "club", "school", "village", "company", "theatre"),
    "m",
)


def _beads(chance: random.Random, level: int) -> dict[str, int]:
    return {
        "a": chance.randint(2, 40),
        "b": chance.randint(2, 4 + level),
        "c": chance.randint(2, 4 + level),
        "k": chance.randint(3, 60),
        "d": chance.randint(2, 30),
    }


BEADS = Family(
    "beads",
    _beads,
    "{a} red, {b} blue and {c} green {thing} are to be put in a row so that all red ones stand next to each other; "
    "those of one colour look the same.",
    (
        "How many such rows are there?",
        "Each such row is drawn on {k} cards. How many cards are there?",
        "Each such row is drawn on {k} cards, and {d} cards are lost. How many cards are left?",
    ),
    (
        Route(
            (
                Step("units", "b + c + 1", "the places if the red ones count as one", ("a + b + c", "a + b + c - 1")),
                Step(
                    "blue", "C(units, b)", "the ways to place the blue ones", ("units * b", "C(units + b, b)", "b ** 2")
                ),
                Step(
                    "green", "C(units - b, c)", "the ways to place the green ones after that", ("C(units, c)", "c ** 2")
                ),
                Step(
                    "r",
                    "blue * green",
                    "the number of rows",
                    ("blue + green", "blue * green * a", "blue * (green - 1)"),
                ),
            ),
            Step("others", "b + c", "the number of things that are not red"),
            1,
        ),
        Route(
            (
                Step(
                    "mixed",
                    "C(b + c, b)",
                    "the rows of blue and green ones alone",
                    ("b * c", "2 ** (b + c)", "C(b * c, b)"),
                ),
                Step(
                    "gaps",
                    "b + c + 1",
                    "the places for the red ones in such a row",
                    ("b + c", "b + c - 1", "a + b + c"),
                ),
                Step(
                    "r",
                    "mixed * gaps",
                    "the number of rows",
                    ("mixed + gaps", "mixed * gaps * a", "C(mixed, 2) * gaps"),
                ),
            ),
            Step("others", "b + c", "the number of things that are not red"),
            1,
        ),
    ),
    (
        Step("cards", "k * r", "the number of cards", ("k + r", "C(k, 2) * r", "(k - 1) * r")),
        Step("left", "cards - d", "the cards that are left", ("cards - k * d", "cards + d")),
    ),
    ("beads", "flags", "cups", "tiles", "balls", "books"),
    "b",
)


FAMILIES = (SHARING, PATHS, COMMITTEE, BEADS)

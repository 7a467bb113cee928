"""A seeded generator of solutions graded on four labels, with a rubric for each problem.

Arithmetic, algebra, number theory and combinatorics, each in several families at three levels. Every problem has one
solution for each label; what sets them apart is a mistake of that severity, never the way they are written.

The pack loads this package by its path, as ``generator = "graded/__init__.py"``.
"""

from __future__ import annotations

import random
from typing import Any
from zlib import crc32

from . import algebra, arithmetic, combinatorics, number_theory, sets
from .mistakes import SEVERITY, solution
from .model import Family, Problem, drawn
from .writing import drafted, guidelines, model_answer

AREAS: dict[str, tuple[Family, ...]] = {
    "arithmetic": arithmetic.FAMILIES,
    "algebra": algebra.FAMILIES,
    "number theory": number_theory.FAMILIES,
    "combinatorics": (*combinatorics.FAMILIES, *sets.FAMILIES),
}
POINTS = {"correct": 7, "almost": 6, "partial": 1, "incorrect": 0}
"""Label -> points, as at the International Mathematical Olympiad."""
SHARES = (("train", 2), ("validation", 1), ("test", 3))
"""Splits and their shares, in sixths."""
DISJOINT = 32
"""Random seeds that differ modulo this number never make the same problem."""
LENGTH = (1.15, 1.6)
"""Range of a solution's wanted length, as a multiple of the reference solution's."""


def generate(random_seed: int, count: int) -> list[dict[str, Any]]:
    """``count`` records; the same for the same seed.

    Each problem has one solution for each label, in random order; they share a group and a split. The splits' shares
    are 1/3 train, 1/6 validation, 1/2 test; labels are balanced exactly where ``count`` is a multiple of 24.
    """
    chance = random.Random(f"math_grading/graded/{random_seed}")
    records: list[dict[str, Any]] = []
    seen: set[str] = set()
    number, shares = 0, 0
    for split, share in SHARES:
        shares += share
        until = count * shares // 6
        while len(records) < until:
            area = chance.choice(tuple(AREAS))
            problem = drawn(chance.choice(AREAS[area]), area, chance)
            # A problem belongs to one class of seeds; the same one under two numbers could straddle splits.
            if (crc32(problem.text.encode()) - random_seed) % DISJOINT or problem.text in seen:
                continue
            try:
                made = _records(problem, f"generated_graded/{random_seed}/{number}", split, chance)
            except ArithmeticError:
                continue  # e.g. a number too large: no such problem is set
            seen.add(problem.text)
            records += made[: until - len(records)]
            number += 1
    return records


def _records(problem: Problem, group: str, split: str, chance: random.Random) -> list[dict[str, Any]]:
    reference, answer = model_answer(problem)
    rubric = guidelines(problem)
    labels = list(POINTS)
    chance.shuffle(labels)  # the place within the group, which the id shows, must say nothing
    records = []
    for index, label in enumerate(labels):
        planned = solution(problem, label, chance)
        text, where = drafted(problem, planned, len(reference) * chance.uniform(*LENGTH), chance)
        records.append(
            {
                "id": f"{group}/{index}",
                "domain": "math_grading",
                "source": "generated_graded",
                "split": split,
                "group": group,
                "input": {
                    "problem": problem.text,
                    "reference_solution": reference,
                    "grading_guidelines": rubric,
                    "student_answer": text,
                },
                "hidden": {
                    "label": label,
                    "points": POINTS[label],
                    "severity": SEVERITY[label],
                    "error": planned.error,
                    "where": where,
                    "reference": str(answer),
                    "answer": str(planned.answer),
                    "area": problem.area,
                    "family": problem.family.name,
                    "level": problem.level,
                },
                "meta": {},
            }
        )
    return records

"""Prose: solutions as students write them, a reference solution, and guidelines for whoever grades.

Style, remarks and the number of side lines never depend on what a solution is worth, and a wrong step is named in the
same words as a right one: what is wrong stands in the calculation alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from .formula import NOTATION
from .mistakes import Line, Solution, reference
from .model import Problem, Route

Style = tuple[Callable[[str, str], str], str]
"""How a line is put, from what it names and what it gives; and what stands before the answer."""
STYLES: tuple[Style, ...] = (
    (lambda says, gives: f"{says}: {gives}", "Answer:"),
    (lambda says, gives: f"We look at {says}. That is {gives}.", "So the answer is"),
    (lambda says, gives: f"Take {says}; this comes to {gives}.", "Altogether, the answer:"),
    (lambda says, gives: f"- {says} => {gives}", "- answer =>"),
    (lambda says, gives: f"Next we want {says}, and find {gives}.", "This gives the answer"),
)
REMARKS = (
    "We go through it step by step.",
    "Only what is given in the problem is used.",
    "The order of the steps does not matter much here.",
    "Now we have what we need to go on.",
    "It helps to keep the parts apart.",
    "Nothing else plays a role at this point.",
    "Let us be careful at this point.",
    "That part is done.",
    "From here it is not far.",
    "One has to look at the text closely.",
)
SIDE_LINES = (0, 1, 1, 2, 2, 3)
"""Numbers of remarks and other side lines in a solution, each as likely as often it stands here."""
EXAMPLES = 0.5
"""How often a side line is an example, where the problem allows one, and no remark."""
DRAFTS = 4
"""Ways to write a solution down that are tried; the one nearest to the wanted length is taken."""


def drafted(problem: Problem, solution: Solution, target: float, chance: random.Random) -> tuple[str, int | None]:
    """The solution as a student may write it, of about ``target`` characters.

    Returns:
        The text, and the number of the line (from 0) in which the mistake stands; None where there is none.
    """
    drafts = [_draft(problem, solution, chance) for _ in range(DRAFTS)]
    return min(drafts, key=lambda draft: abs(len(draft[0]) - target))


def model_answer(problem: Problem) -> tuple[str, int]:
    """The reference solution in plain lines, and the answer.

    Raises:
        ArithmeticError: The numbers do not allow it.
    """
    solution = reference(problem)
    lines = [f"{_capital(line.says)}: {_gives(line)}." for line in solution.lines]
    return "\n".join([*lines, f"Answer: {solution.answer}"]), solution.answer


def guidelines(problem: Problem) -> str:
    """What earns which label, without numbers: the key steps of every route, and how far counts as progress."""
    routes = problem.family.routes
    ways = [_way(problem, route, number) for number, route in enumerate(routes, 1)]
    return "\n".join(
        [
            "The steps may be taken in any order that makes sense, and put in any words. Other valid ways are graded "
            "alike.",
            *ways,
            "correct: every key step and the routine step is worked out, all values are right, and so is the answer.",
            "almost: every key step is set up rightly, but a single value is worked out or copied wrongly (later "
            "values may follow from it), or the routine step is stated without its calculation.",
            "partial: the progress named above is made with right values, but a later key step is set up wrongly, or "
            "only stated without a calculation.",
            "incorrect: a key step that belongs to the progress named above is set up wrongly or only stated. Other "
            "cases and a right answer earn nothing of themselves.",
            "Set up wrongly means: another calculation, or a number that stands for something else.",
            NOTATION,
        ]
    )


def _way(problem: Problem, route: Route, number: int) -> str:
    key = "; ".join(f"({index}) {step.says}" for index, step in enumerate(problem.steps(route), 1))
    progress = "(1)" if route.milestone == 1 else f"(1) to ({route.milestone})"
    return f"Way {number}. Key steps: {key}. Routine step: {route.routine.says}. Progress: {progress}."


def _draft(problem: Problem, solution: Solution, chance: random.Random) -> tuple[str, int | None]:
    put, ending = chance.choice(STYLES)
    lines = [_capital(put(line.says, _gives(line))) for line in solution.lines]
    where = solution.where
    for remark in chance.sample(REMARKS, chance.choice(SIDE_LINES)):
        # An example is true in every solution, and worth nothing in any.
        side_line = _example(problem, chance) if chance.random() < EXAMPLES else ""
        at = chance.randrange(len(lines) + 1)
        lines.insert(at, side_line or remark)
        if where is not None and at <= where:
            where += 1
    return "\n".join([*lines, f"{ending} {solution.answer}"]), where


def _example(problem: Problem, chance: random.Random) -> str:
    """``With 7 in place of 12 it would be 35.``; empty where the problem's numbers do not allow it."""
    name = problem.family.vary
    if not name or len(re.findall(rf"(?<!\d){problem.numbers[name]}(?!\d)", problem.text)) != 1:
        return ""
    other = problem.family.draw(chance, problem.level)[name]
    if other == problem.numbers[name]:
        return ""
    try:
        answer = reference(problem.with_number(name, other)).answer
    except ArithmeticError:
        return ""
    return f"With {other} in place of {problem.numbers[name]} it would be {answer}."


def _gives(line: Line) -> str:
    return f"{line.calculation} = {line.value}" if line.calculation else f"{line.value}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:] if text[:2].isalpha() else text  # x^2 is not X^2

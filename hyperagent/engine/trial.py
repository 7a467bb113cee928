"""One edit tried for its own sake: how far does a model get in a format? What ``model test`` counts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from hyperagent.engine.budget import Budget
from hyperagent.engine.mutation import Mutator, behaviour
from hyperagent.engine.parts import Parts
from hyperagent.types import ProgramTree, RunResult, Variant

STEPS = ("nothing", "parses", "applies", "compiles", "changes")
"""How far a reply can get, each step past the one before: it is what was asked for; it fits the program; the program
then loads and answers; its code differs in more than words and layout."""
AT_RANDOM = "at random"
"""How the seed's meta agent begins the summary of an edit that no reply asked for."""
PROBLEM_CHARACTERS = 300


@dataclass(frozen=True)
class Trial:
    """What came of one trial.

    Attributes:
        first, reached: How far the first reply and the best one came; members of ``STEPS``.
        tree: The edited program, whoever's edit it is; None where there is none.
        own: The edit is one that the model asked for, not the random one that takes the place of what did not work.
        problem: What was wrong with the last reply that did not work (hostile text).
        summary: The meta agent's own words (hostile text).
        seconds: Wall clock, sandbox included.
    """

    editing: str
    first: str
    reached: str
    tree: ProgramTree | None
    own: bool
    problem: str
    summary: str
    seconds: float


def try_edit(
    parts: Parts, meter: Budget, program: ProgramTree, evidence: ProgramTree, editing: str, number: int
) -> Trial:
    """Let ``program`` rewrite a copy of itself once in a sandbox, with ``parts.config.models.mutation``.

    Args:
        editing: A format, see ``models.editing``.
        number: Trials of different numbers draw differently; equal ones ask the same.

    Raises:
        ModelLost, ModelUnavailable, BudgetReached, SandboxLost: No trial took place.
    """
    config = replace(parts.config, models=replace(parts.config.models, editing=editing, mutations=""))
    mutator = Mutator(replace(parts, config=config), meter, config.seed)
    variant = Variant("trial", f"trial-{editing}", number, 1, None, "mutating")
    return judged(editing, program, mutator.rerun(variant, program, evidence, 1))


def judged(editing: str, program: ProgramTree, result: RunResult) -> Trial:
    """A run of a meta agent as a trial. Its word on how far a reply came counts up to ``compiles``: whether the code
    has changed is seen here."""
    reports = _reports(result.stdout)
    summary = result.value if isinstance(result.value, str) else ""
    tree = result.tree if result.status == "ok" and result.tree is not None and _differs(program, result.tree) else None
    own = tree is not None and not summary.startswith(AT_RANDOM)
    steps = [STEPS.index(reached) for reached, _ in reports] or [0]
    if not own:
        steps = [min(step, STEPS.index("compiles")) for step in steps]
    problems = [problem for _, problem in reports if problem] or [result.error.strip().rpartition("\n")[2]]
    return Trial(
        editing,
        STEPS[steps[0]],
        STEPS[max(steps)],
        tree,
        own,
        problems[-1][:PROBLEM_CHARACTERS],
        summary[:PROBLEM_CHARACTERS],
        result.seconds,
    )


def _reports(output: str) -> list[tuple[str, str]]:
    """What a meta agent said of its replies: (a member of STEPS, what was wrong)."""
    found = []
    for line in output.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value.get("reached") in STEPS:
            found.append((str(value["reached"]), str(value.get("problem", ""))))
    return found


def _differs(program: ProgramTree, tree: ProgramTree) -> bool:
    try:
        return behaviour(tree) != behaviour(program)
    except (SyntaxError, ValueError):
        return False

"""A trial counts what the engine sees of an edit, and a meta agent's word only up to there."""

from __future__ import annotations

import json

import pytest

from hyperagent.engine.trial import PROBLEM_CHARACTERS, judged
from hyperagent.types import ProgramTree, RunResult

PROGRAM: ProgramTree = {"a.py": b"X = 1\n"}
CHANGED: ProgramTree = {"a.py": b"X = 2\n"}


def said(*reached: str) -> str:
    return "".join(json.dumps({"reached": step, "problem": f"not {step}"}) + "\n" for step in reached)


@pytest.mark.parametrize(
    ("output", "tree", "summary", "first", "reached", "own"),
    [
        (said("changes"), CHANGED, "more", "changes", "changes", True),
        (said("parses", "changes"), CHANGED, "more", "parses", "changes", True),
        (said("nothing", "applies"), CHANGED, "at random, no reply fitted: x", "nothing", "applies", False),
        (said("changes"), {"a.py": b"X = 1  # more\n"}, "more", "compiles", "compiles", False),
        (said("changes"), {"a.py": b"X ="}, "more", "compiles", "compiles", False),
        (said("changes"), None, "", "compiles", "compiles", False),
        ("", CHANGED, "more", "nothing", "nothing", True),
        ('{"reached": "the moon"}\n[' * 2, CHANGED, "more", "nothing", "nothing", True),
    ],
)
def test_what_is_seen_counts(
    output: str, tree: ProgramTree | None, summary: str, first: str, reached: str, own: bool
) -> None:
    trial = judged("menu", PROGRAM, RunResult("ok", summary, tree, stdout=output, seconds=2.0))
    assert (trial.first, trial.reached, trial.own) == (first, reached, own)
    assert (trial.tree is not None) == (tree == CHANGED)


def test_a_crash_is_told_and_bounded() -> None:
    trial = judged("tools", PROGRAM, RunResult("error", error="Traceback\nModelError: HTTP 400: " + "x" * 5000))
    assert (trial.reached, trial.tree, trial.own) == ("nothing", None, False)
    assert trial.problem.startswith("ModelError: HTTP 400")
    assert len(trial.problem) == PROBLEM_CHARACTERS

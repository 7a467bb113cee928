"""Typed edits: every one that a schema allows either applies as runnable Python or is refused with a reason."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .conftest import train_tasks


def every(option: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All values of an object schema; strings are taken from the examples."""
    parts = option["properties"]
    choices = [part.get("enum") or part.get("examples") or [part["const"]] for part in parts.values()]
    for values in product(*choices):
        yield dict(zip(parts, values, strict=True))


def make(seed: SimpleNamespace, edit: Any, files: dict[str, str], program: Path, evidence: Any) -> str:
    return str(seed.rounds.accept(seed.rounds.typed(edit, files, evidence), files, program, evidence))


def test_every_edit_compiles_or_is_refused(seed: SimpleNamespace, program: Path) -> None:
    evidence = seed.evidence.Evidence({}, train_tasks(8))
    files = seed.edits.read_files(program)
    applied = dict.fromkeys(seed.edits.KINDS, 0)
    for option in seed.edits.schema(files, evidence)["anyOf"]:
        values = list(every(option))
        for edit in random.Random(1).sample(values, min(15, len(values))):
            try:
                changed = seed.edits.apply(edit, files, evidence)
            except seed.edits.EditError:
                continue
            assert any(ast.dump(ast.parse(changed[n])) != ast.dump(ast.parse(files[n])) for n in files)
            applied[edit["edit"]] += 1
    assert {kind for kind, number in applied.items() if number == 0} == {"remove"}, "the seed has no rule to remove"


def test_edits_accumulate(seed: SimpleNamespace, program: Path) -> None:
    """Sixty random edits on top of each other: still a program that answers, and every kind has had its turn."""
    evidence = seed.evidence.Evidence({}, train_tasks())
    files, chance, kinds = seed.edits.read_files(program), random.Random(4), set()
    for _ in range(60):
        edit = seed.edits.draw(seed.edits.schema(files, evidence), chance)
        try:
            files = seed.edits.apply(edit, files, evidence)
        except seed.edits.EditError:
            continue
        kinds.add(edit["edit"])
        assert seed.rereading.measure(files, evidence) is not None, edit
    assert kinds == set(seed.edits.KINDS)
    seed.rounds.write(program, files, {})
    assert seed.selfcheck.check(program, evidence) == ""


def test_rule_is_plain_python_and_decides(seed: SimpleNamespace, program: Path) -> None:
    evidence = seed.evidence.Evidence({}, train_tasks())
    files = seed.edits.read_files(program)
    vote = {"edit": "vote", "measure": "words(essay)", "cut": 50, "above / below": "wrong / right", "weight": 1}
    changed = seed.edits.apply(vote, files, evidence)
    assert seed.rereading.measure(files, evidence) == 0
    assert seed.rereading.measure(changed, evidence) == 12
    assert "def words(text: str) -> int:" in changed["task_agent.py"]
    (removal,) = [
        o for o in seed.edits.schema(changed, evidence)["anyOf"] if o["properties"]["edit"]["const"] == "remove"
    ]
    restored = seed.edits.apply(next(every(removal)), changed, evidence)
    assert "def words" not in restored["task_agent.py"]
    assert seed.rereading.measure(restored, evidence) == 0


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        3,
        [],
        {},
        {"edit": []},
        {"edit": "rule"},
        {"edit": "default", "answer": "maybe"},
        {"edit": "remove", "statement": "x"},
    ],
)
def test_garbage_is_refused(seed: SimpleNamespace, program: Path, garbage: Any) -> None:
    evidence = seed.evidence.Evidence({}, train_tasks())
    with pytest.raises(seed.edits.EditError):
        seed.edits.apply(garbage, seed.edits.read_files(program), evidence)


def test_without_evidence_edits_remain(seed: SimpleNamespace, program: Path) -> None:
    options = seed.edits.schema(seed.edits.read_files(program), seed.evidence.read_evidence(None))["anyOf"]
    assert [option["properties"]["edit"]["const"] for option in options] == ["constant", "prompt"]


def test_an_edit_that_makes_no_difference_or_a_worse_one_is_refused(seed: SimpleNamespace, program: Path) -> None:
    evidence = seed.evidence.Evidence({}, train_tasks())
    vote = {"edit": "vote", "measure": "words(essay)", "cut": 50, "above / below": "wrong / right", "weight": 1}
    make(seed, vote, seed.edits.read_files(program), program, evidence)
    files = seed.edits.read_files(program)
    never_reached = {"edit": "reply", "word": "looks", "answer": "right"}
    with pytest.raises(seed.edits.EditError, match="no train task"):
        make(seed, never_reached, files, program, evidence)
    worse = {"edit": "rule", "measure": "words(essay)", "side": "above", "cut": 10, "answer": "right"}
    with pytest.raises(seed.edits.EditError, match="as it is on 12"):
        make(seed, worse, files, program, evidence)
    assert seed.edits.read_files(program) == files

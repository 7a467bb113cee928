"""The three leaks of graded mathematics: problems in two splits, text that tells the label, and length.

Figures of `benchmarks/math_grading/README.md`; run with ``-s`` to have them printed.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperagent.evaluation.controls import LengthRule, best_column, group_majority, score_table
from hyperagent.evaluation.leaks import measure_leak
from hyperagent.evaluation.pack import Pack, load_pack
from hyperagent.types import Task

pytestmark = pytest.mark.data
REAL = ("gsm8k", "imo_gradingbench", "opc")
# Constant label, length rule, per-problem majority fitted on train; then what knowing a problem's other labels of the
# same split would be worth. Validation, test.
BASELINES = {
    "gsm8k": ((0.500, 0.590, 0.500, None), (0.500, 0.607, 0.500, None)),
    "imo_gradingbench": ((0.303, 0.289, 0.303, 0.645), (0.371, 0.429, 0.371, 0.867)),
    "opc": ((0.632, 0.632, 0.632, 0.851), (0.626, 0.626, 0.626, 0.782)),
}
# Area under the curve of "is it correct?" from words alone, and from length alone; folds keep problems together.
WORDS = {"gsm8k": (0.516, 0.385), "imo_gradingbench": (0.763, 0.401), "opc": (0.724, 0.498)}
GRADED = re.compile(r"(?i)\b(?:label|grade|graded|reward)\b\**\s*[:=]|\b\d\s*/\s*7\s+points|\b\d\s+out of\s+7\b")


@pytest.fixture(scope="module", params=REAL)
def pack(request: pytest.FixtureRequest) -> Pack:
    return load_pack("math_grading", request.param)


def every_task(pack: Pack) -> list[Task]:
    return [task for split in ("train", "validation", "test") for task in pack.tasks(split)]  # type: ignore[arg-type]


def lengths(tasks: Sequence[Task]) -> list[int]:
    return [len(str(task.input["student_answer"])) for task in tasks]


def majority_from_train(pack: Pack, tasks: Sequence[Task]) -> float:
    """Accuracy of answering each problem with its most frequent label on train, an unknown one with that of all."""
    train = pack.tasks("train")
    table = score_table(train, pack.labels)
    chosen: dict[str, Any] = defaultdict(lambda: best_column(table))
    for group in {task.group for task in train}:
        chosen[group] = best_column(table[[task.group == group for task in train]])
    return float(np.mean([task.hidden["label"] == pack.labels[chosen[task.group]] for task in tasks]))


def test_no_problem_stands_in_two_splits(pack: Pack) -> None:
    homes: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for task in every_task(pack):
        # The text counts as well as the name: one problem under two names would do the same harm.
        homes[re.sub(r"\W+", "", str(task.input["problem"]).lower())].add((task.group, task.split))
    assert all(len(found) == 1 for found in homes.values())


def test_no_answer_stands_twice(pack: Pack) -> None:
    tasks = every_task(pack)
    assert len({re.sub(r"\s+", " ", str(task.input["student_answer"])) for task in tasks}) == len(tasks)


@pytest.mark.parametrize(("place", "split"), [(0, "validation"), (1, "test")])
def test_baselines(pack: Pack, place: int, split: Any) -> None:
    train, tasks = pack.tasks("train"), pack.tasks(split)
    fitted, table = score_table(train, pack.labels), score_table(tasks, pack.labels)
    judged = LengthRule(lengths(train), fitted).judge(lengths(tasks))
    constant, length, majority, informed = BASELINES[pack.source][place]
    found = (
        float(table[:, best_column(fitted)].mean()),
        float(table[np.arange(len(tasks)), judged].mean()),
        majority_from_train(pack, tasks),
        float(group_majority(table, [task.group for task in tasks], leave_out=True).mean()),
    )
    print(pack.source, split, len(tasks), *(f"{figure:.3f}" for figure in found))
    assert found[:3] == pytest.approx((constant, length, majority), abs=6e-4)
    # What train knows of problems helps nobody on other splits ...
    assert found[2] == found[0]
    if informed is not None:
        # ... and it would help a lot if splits shared problems.
        assert found[3] == pytest.approx(informed, abs=6e-4)
        assert found[3] > found[0] + 0.1


def test_nothing_shown_is_anothers_verdict(pack: Pack) -> None:
    for task in every_task(pack):
        shown = {name: str(text) for name, text in task.input.items() if name not in ("instructions", "answers")}
        assert not set(shown) & set(task.hidden)
        for name, text in shown.items():
            assert task.id not in text
            assert "canary" not in text.lower()
            if name != "grading_guidelines":  # which name labels, all of them and for every answer alike
                assert not GRADED.search(text), (task.id, name)
        author = str(task.hidden.get("author_model", ""))
        assert not author or author not in shown["student_answer"], task.id


def test_records_differ_within_a_problem_in_the_answer_alone(pack: Pack) -> None:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for task in every_task(pack):
        groups[task.group].append({name: value for name, value in task.input.items() if name != "student_answer"})
    assert all(member == members[0] for members in groups.values() for member in members)


def test_words_and_length(pack: Pack) -> None:
    tasks = every_task(pack)
    leak = measure_leak(
        [str(task.input["student_answer"]) for task in tasks],
        [task.hidden["label"] == "correct" for task in tasks],
        [task.group for task in tasks],
        longest=1,
    )
    words, length = WORDS[pack.source]
    print(pack.source, f"words {leak.words.estimate:.3f} length {leak.length.estimate:.3f}")
    assert leak.words.estimate == pytest.approx(words, abs=0.02)
    assert leak.length.estimate == pytest.approx(length, abs=6e-4)


def test_the_mirror_marks_its_records(mirror: Path) -> None:
    """So that a record which turns up where it should not can be told; the mark itself is never shown."""
    for path in sorted((mirror / "math_grading").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line:
                record = json.loads(line)
                canary = str(record["meta"]["canary"])
                assert canary
                assert canary not in json.dumps(record["input"])

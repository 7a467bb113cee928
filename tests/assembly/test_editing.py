"""``model test``: the evidence that it makes up, what it recommends, and one run for real."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hyperagent import assembly
from hyperagent.assembly import FormatRow
from hyperagent.assembly.editing import FORMATS, TASKS, made_up_evidence, recommended
from hyperagent.config import EDITING
from hyperagent.evaluation.pack import load_pack


def test_the_evidence_has_failures_of_both_labels() -> None:
    rows = [
        json.loads(line)
        for line in made_up_evidence(load_pack("math_grading", "generated"))["train.jsonl"].decode().splitlines()
    ]
    assert len(rows) == TASKS
    failed = [row for row in rows if row["score"] == 0]
    assert len(failed) < len(rows)
    assert {row["target"] for row in failed} == set(rows[0]["input"]["answers"])
    assert all(row["transcript"].endswith(f"--- assistant ---\n{row['prediction']}\n") for row in rows)


def test_the_freest_format_that_was_followed_is_recommended() -> None:
    row = FormatRow("", 3, 3, 3, 3, 0, 0, 1.0, "")
    rows = [replace(row, editing=name) for name in FORMATS]
    assert set(FORMATS) == set(EDITING) - {"auto"}
    assert recommended(rows) == ""
    assert (
        recommended([rows[0], replace(rows[1], changes=1), *(replace(row, changes=2) for row in rows[2:])])
        == FORMATS[2]
    )
    assert recommended([replace(row, changes=3) for row in rows]) == FORMATS[0]


@pytest.mark.docker
def test_the_control_picks_from_menus_and_writes_no_functions() -> None:
    said: list[str] = []
    found = assembly.test_editing("random/uniform", "", 1, said.append)
    rows = {row.editing: row for row in found.rows}
    assert tuple(rows) == FORMATS
    assert (rows["menu"].changes, rows["rewrite"].changes, rows["tools"].changes) == (1, 0, 0)
    assert "does not define the function" in rows["rewrite"].problem
    assert found.recommended in ("constrained", "menu")
    assert said[0] == "tools: 1 of 1"

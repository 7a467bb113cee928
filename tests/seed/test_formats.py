"""Rewrites and menus: what a reply can do to a program, and what the model is told when it does not work."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

from .conftest import train_tasks
from .test_agents import Script, say, script

__all__ = ["script"]

GOOD = '''Here it is:
```python
import re

def read_answer(inputs: dict[str, Any], reply: str) -> str:
    """Long essays are wrong."""
    # kept as written
    return "wrong" if words(inputs["essay"]) > 50 else "right"
```
It should help.'''


@pytest.fixture
def rewriting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERAGENT_EDITING", "rewrite")


def improve(seed: SimpleNamespace, program: Path, evidence: Path, tmp_path: Path) -> str:
    return str(seed.meta_agent.MetaAgent("local/m", str(tmp_path / "h")).forward(str(program), str(evidence)))


@pytest.mark.usefixtures("rewriting")
def test_a_fenced_function_takes_the_place_of_the_old_one(
    seed: SimpleNamespace,
    script: Script,
    program: Path,
    evidence_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    requests = script(say(GOOD))
    assert improve(seed, program, evidence_folder, tmp_path) == "rewrite: read_answer (train: 0 -> 12 of 12 right)"
    text = (program / "task_agent.py").read_text(encoding="utf-8")
    assert "# kept as written" in text
    assert "def words(text: str) -> int:" in text, "the measure that it calls is copied beside it"
    assert "import re\n" in text
    assert "def write_prompt" in text
    prompt = requests[0]["messages"][0]["content"]
    assert "def read_answer" in prompt
    assert "response_format" not in requests[0]
    assert json.loads(capsys.readouterr().out) == {"reached": "changes", "problem": ""}


@pytest.mark.usefixtures("rewriting")
@pytest.mark.parametrize(
    ("reply", "reached", "told"),
    [
        ("I would rather not.", "nothing", "no Python"),
        ("```python\ndef other():\n    pass\n```", "parses", "does not define"),
        ("```python\ndef read_answer(reply):\n    return reply\n```", "parses", "must keep its parameters"),
        ("```python\ndef read_answer(inputs, reply):\n    return reply +\n```", "nothing", "no Python"),
        ("```python\ndef read_answer(inputs, reply):\n    return nowhere\n```", "applies", "NameError"),
        ("```python\ndef read_answer(inputs, reply):\n    raise SystemExit\n```", "applies", "ends the program"),
        ("```python\ndef read_answer(inputs, reply):\n    return 'x'\n```", "changes", ""),
    ],
)
def test_the_repair_round_is_told_what_is_wrong(
    seed: SimpleNamespace,
    script: Script,
    program: Path,
    evidence_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    reply: str,
    reached: str,
    told: str,
) -> None:
    requests = script(say(reply), say(GOOD))
    improve(seed, program, evidence_folder, tmp_path)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said[0]["reached"] == reached
    assert told in said[0]["problem"]
    assert len(requests) == (1 if reached == "changes" else 2)
    assert told in requests[-1]["messages"][-1]["content"]


@pytest.mark.usefixtures("rewriting")
def test_a_reading_that_never_ends_is_stopped(
    seed: SimpleNamespace, program: Path, evidence_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed.rereading, "SECONDS", 0.2)
    files, evidence = seed.edits.read_files(program), seed.evidence.read_evidence(evidence_folder)
    change = seed.rounds.rewritten(
        "def read_answer(inputs, reply):\n    while True:\n        pass", "read_answer", files, evidence
    )
    with pytest.raises(seed.edits.EditError, match="did not end"):
        seed.rounds.accept(change, files, program, evidence)
    assert seed.edits.read_files(program) == files


def test_a_worse_rewrite_is_refused_with_an_example(
    seed: SimpleNamespace, program: Path, evidence_folder: Path
) -> None:
    evidence = seed.evidence.read_evidence(evidence_folder)
    files = seed.rewrite.apply(GOOD, "read_answer", seed.edits.read_files(program))
    change = seed.rounds.rewritten(
        "def read_answer(inputs, reply):\n    return 'right'", "read_answer", files, evidence
    )
    with pytest.raises(seed.edits.EditError, match=r'right on 6 .* as it is on 12.*"right" where "wrong" is right'):
        seed.rounds.value(change, files, evidence)


def test_the_function_that_failed_is_the_one_to_rewrite(seed: SimpleNamespace, program: Path) -> None:
    files, tasks = seed.edits.read_files(program), train_tasks()
    chance = random.Random(1)
    assert seed.rewrite.choose(files, seed.evidence.Evidence({}, tasks), chance) == "read_answer"
    tasks[3]["error"] = 'File "task_agent.py", line 30, in write_prompt\nKeyError: data'
    assert seed.rewrite.choose(files, seed.evidence.Evidence({}, tasks), chance) == "write_prompt"


def test_a_menu_offers_what_fits_and_the_number_decides(
    seed: SimpleNamespace, script: Script, program: Path, evidence_folder: Path, tmp_path: Path
) -> None:
    evidence = seed.evidence.read_evidence(evidence_folder)
    files = seed.edits.read_files(program)
    offered = seed.menu.offers(files, evidence, random.Random(0))
    rights = [sum(item.right) for item in offered if item.right is not None]
    assert 4 <= len(offered) <= seed.menu.LENGTH
    assert rights == sorted(rights, reverse=True)
    assert rights[0] >= 6
    assert len(offered) - len(rights) <= seed.menu.UNMEASURED
    requests = script(say('{"edit": 99}'), say('{"edit": 2}'))
    summary = improve(seed, program, evidence_folder, tmp_path)
    assert summary.startswith(seed.edits.describe(offered[1].edit))
    assert seed.edits.read_files(program) == offered[1].files
    menu = requests[0]["messages"][0]["content"]
    assert f"\n{len(offered)}. " in menu
    assert "halves" in menu
    assert "choose from 1 to" in requests[1]["messages"][-1]["content"]
    form = requests[0]["response_format"]["json_schema"]["schema"]
    assert form["properties"]["edit"]["enum"] == list(range(1, len(offered) + 1))


def test_what_was_tried_is_not_on_the_menu(seed: SimpleNamespace, program: Path) -> None:
    files = seed.edits.read_files(program)
    first = seed.menu.offers(files, seed.evidence.Evidence({}, train_tasks()), random.Random(0))[0]
    attempts = [{"summary": seed.edits.describe(first.edit) + " (train: ...)"}]
    again = seed.menu.offers(files, seed.evidence.Evidence({"attempts": attempts}, train_tasks()), random.Random(0))
    assert first.edit not in [item.edit for item in again]


def test_a_function_is_taken_where_a_number_was_asked_for(
    seed: SimpleNamespace, script: Script, program: Path, evidence_folder: Path, tmp_path: Path
) -> None:
    script(say(GOOD))
    assert improve(seed, program, evidence_folder, tmp_path).startswith("rewrite: read_answer")


def test_a_function_is_taken_where_a_tool_call_was_asked_for(
    seed: SimpleNamespace,
    script: Script,
    program: Path,
    evidence_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HYPERAGENT_EDITING", "tools")
    monkeypatch.setenv("HYPERAGENT_CALLS", "1")
    script(say(GOOD.replace("words(inputs", "len(inputs")))
    assert improve(seed, program, evidence_folder, tmp_path).startswith("calls used up")
    assert "# kept as written" in (program / "task_agent.py").read_text(encoding="utf-8")

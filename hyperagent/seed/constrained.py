"""Constrained editing, for small models: the model fills in one typed edit, decoding bound to a JSON schema.

What the meta agent can measure by itself on train tasks, it does, and shows the model: for edits of how a reply becomes
an answer, the recorded replies are read again by the edited code. Nothing needs a model for that.
"""

from __future__ import annotations

import json
import os
import random
import types
from pathlib import Path
from typing import Any

import edits
import source as code
from evidence import Evidence
from llm import chat
from selfcheck import check

CANDIDATES = 40  # edits drawn and measured before the model is asked
SHOWN = 5  # of these, how many the model sees
ROUNDS = 2  # replies asked for: the first and one repair
DRAWS = 50  # random edits tried where no reply fits
MAX_TOKENS = 120
REREAD = ("reply", "default", "rule", "vote", "remove")  # kinds that leave the conversation with the model as it is
GUIDE = """You improve a program that solves tasks with a small language model. Choose ONE edit of its code that makes \
more of its answers right. Reply with the edit as JSON.
Kinds: vote = a measure of the task votes for one answer above a cut and for another below it; rule = a measure \
decides the answer on one side of a cut; default = the answer where the reply is none of the labels; reply = a word in \
the reply decides; constrain = only labels can be replied; prompt = a line of the prompt; constant = a number; \
remove = take out a rule.
The best edit is the one that is right most often; take it, or one like it that should be better still. An edit that \
is right less often than the program is now is refused.
"""


def improve(model: str, history: str, root: Path, evidence: Evidence) -> str:
    """Make one edit in place; returns a line that says which.

    Raises:
        edits.EditError: Not even random edits fit the program.
    """
    files = edits.read_files(root)
    chance = random.Random(int(os.environ.get("HYPERAGENT_SEED", "0")))
    schema = edits.schema(files, evidence)
    messages = [{"role": "user", "content": GUIDE + situation(files, evidence, candidates(files, evidence, chance))}]
    form = {"type": "json_schema", "json_schema": {"name": "edit", "schema": schema}}
    for _ in range(ROUNDS):
        message = chat(model, messages, history, response_format=form, max_tokens=MAX_TOKENS)
        try:
            edit = json.loads(message["content"])
            return make(edit, files, root, evidence)
        except ValueError as error:
            messages += [message, {"role": "user", "content": f"That does not work: {error}. Choose a different edit."}]
    for _ in range(DRAWS):
        try:
            return "at random, no reply fitted: " + make(edits.draw(schema, chance), files, root, evidence)
        except edits.EditError:
            continue
    raise edits.EditError("no edit fits this program")


def make(edit: Any, files: edits.Files, root: Path, evidence: Evidence) -> str:
    """Write one edit to the program, unless it was tried before or breaks the program."""
    changed = edits.apply(edit, files, evidence)
    name = edits.describe(edit)
    if any(name in str(attempt.get("summary")) for attempt in evidence.attempts):
        raise edits.EditError("that edit was tried already")
    before, after = measure(files, evidence), measure(changed, evidence) if edit["edit"] in REREAD else None
    if before is not None and after is not None:
        if answers(changed, evidence) == answers(files, evidence):
            raise edits.EditError("it changes the answer of no train task")
        if after < before:
            raise edits.EditError(f"it is right on {after} train tasks, the program as it is on {before}")
    write(root, changed, files)
    if problem := check(root, evidence):
        write(root, files, changed)
        raise edits.EditError(problem)
    return name if after is None else f"{name} (train: {before} -> {after} of {len(evidence.tasks)} right)"


def write(root: Path, files: edits.Files, old: edits.Files) -> None:
    for name, text in files.items():
        if text != old.get(name):
            (root / name).write_text(text, encoding="utf-8")


def candidates(files: edits.Files, evidence: Evidence, chance: random.Random) -> list[tuple[edits.Edit, int | None]]:
    """Random edits that fit, the best measured first, with the number of train tasks that they would get right."""
    schema = edits.schema(files, evidence)
    tried = " ".join(str(attempt.get("summary")) for attempt in evidence.attempts)
    now = answers(files, evidence)
    found: dict[str, tuple[edits.Edit, int | None]] = {}
    for _ in range(CANDIDATES):
        edit = edits.draw(schema, chance)
        name = edits.describe(edit)
        if name in found or name in tried:
            continue
        try:
            changed = edits.apply(edit, files, evidence)
        except edits.EditError:
            continue
        if edit["edit"] not in REREAD:
            found[name] = edit, None
        elif answers(changed, evidence) != now:
            found[name] = edit, measure(changed, evidence)
    return sorted(found.values(), key=lambda item: -1 if item[1] is None else item[1], reverse=True)


def answers(files: edits.Files, evidence: Evidence) -> list[str] | None:
    """What the program's reading makes of the recorded replies of the train tasks; None where that cannot be told."""
    module = types.ModuleType("edited_task_agent")
    try:
        exec(compile(files[edits.TASK], edits.TASK, "exec"), module.__dict__)
        read = getattr(module, edits.READER)
        return [str(read(task["input"], reply)) for task, reply in zip(evidence.tasks, evidence.replies, strict=True)]
    except Exception:  # whatever the edited code raises: such an edit has no measure
        return None


def measure(files: edits.Files, evidence: Evidence) -> int | None:
    """Train tasks that the program's reading of the recorded replies gets right; None where that cannot be told."""
    read = answers(files, evidence)
    if read is None:
        return None
    targets = [str(task.get("target")) for task in evidence.tasks]
    return sum(a.strip().casefold() == t.strip().casefold() for a, t in zip(read, targets, strict=True))


def situation(files: edits.Files, evidence: Evidence, measured: list[tuple[edits.Edit, int | None]]) -> str:
    """The part of the prompt that differs from mutation to mutation."""
    total = len(evidence.tasks)
    parts = ["How a reply is read now:", *code.statements(files.get(edits.TASK, ""), edits.READER)[-8:]]
    if diagnosis := evidence.summary.get("diagnosis"):
        parts.append(f"Diagnosis: {' '.join(str(diagnosis).split())[:400]}")
    replies = dict(zip((str(task.get("id")) for task in evidence.tasks), evidence.replies, strict=True))
    for task in evidence.failures[:3]:
        reply = " ".join(replies[str(task.get("id"))].split())[:40]
        parts.append(f"Failed: reply {json.dumps(reply)}, right answer {json.dumps(task.get('target'))}")
    parts += [f"Tried already: {str(attempt.get('summary'))[:90]}" for attempt in evidence.attempts[-3:]]
    parts.append(f"Right now: {measure(files, evidence)} of {total} train tasks. Edits, measured:")
    known = [item for item in measured if item[1] is not None][: SHOWN - 1]
    unknown = [item for item in measured if item[1] is None][:1]
    for edit, right in [*known, *unknown]:
        parts.append(f"{json.dumps(edit)} {'not measured' if right is None else f'right {right} of {total}'}")
    return "\n".join([*parts, "Your edit:"])

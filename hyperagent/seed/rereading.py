"""What an edit of the reading is worth on train tasks: the recorded replies are read again by the edited code.

Nothing needs a model for that, so the meta agent measures many edits before it asks for one.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import edits
from evidence import Evidence

CANDIDATES = 60  # edits drawn and measured before the model is asked
KINDS = ("reply", "default", "rule", "vote", "remove")  # they leave the conversation with the model as it is
SECONDS = 20  # for a reading that a model wrote
READ = """
import json, sys
root, source, reader, pairs = json.load(sys.stdin)
sys.path.insert(0, root)
scope = {"__name__": "edited_task_agent"}
exec(compile(source, "task_agent.py", "exec"), scope)
answers = [str(scope[reader](inputs, reply)) for inputs, reply in pairs]
sys.__stdout__.write("\\n" + json.dumps(answers))
"""


@dataclass(frozen=True)
class Measured:
    """An edit that fits, what the program is after it, and its worth where that can be told without a model.

    ``right``: train tasks right after it, in the first and in the second half; ``changed``: answers that differ.
    """

    edit: edits.Edit
    files: edits.Files
    right: tuple[int, int] | None = None
    changed: int = 0


def answers(files: edits.Files, evidence: Evidence) -> list[str] | None:
    """What the program's reading makes of the recorded replies of the train tasks; None where that cannot be told."""
    module = types.ModuleType("edited_task_agent")
    try:
        exec(compile(files[edits.TASK], edits.TASK, "exec"), module.__dict__)
        read = getattr(module, edits.READER)
        return [str(read(task["input"], reply)) for task, reply in zip(evidence.tasks, evidence.replies, strict=True)]
    except Exception:  # whatever the edited code raises: such an edit has no measure
        return None


def answers_apart(files: edits.Files, evidence: Evidence) -> list[str]:
    """The same in a process of its own, for code that a model wrote: it may never end, or end this process.

    Raises:
        edits.EditError: With the end of the traceback.
    """
    pairs = [(task["input"], reply) for task, reply in zip(evidence.tasks, evidence.replies, strict=True)]
    root = str(Path(__file__).parent)  # what the task agent imports is beside this file
    order = json.dumps([root, files.get(edits.TASK, ""), edits.READER, pairs])
    command = [sys.executable, "-B", "-c", READ]
    try:
        result = subprocess.run(command, input=order, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise edits.EditError(f"{edits.READER} did not end within {SECONDS} s", "applies") from None
    if result.returncode:
        raise edits.EditError(f"{edits.READER} fails: {' '.join(result.stderr.split()[-40:])[-300:]}", "applies")
    try:
        read = json.loads(result.stdout.rpartition("\n")[2])
    except ValueError:
        read = None
    if not isinstance(read, list) or len(read) != len(pairs):
        raise edits.EditError(f"{edits.READER} ends the program", "applies")
    return [str(answer) for answer in read]


def hits(read: list[str], evidence: Evidence) -> list[bool]:
    """Which train tasks these answers get right."""
    targets = [str(task.get("target")) for task in evidence.tasks]
    return [a.strip().casefold() == t.strip().casefold() for a, t in zip(read, targets, strict=True)]


def measure(files: edits.Files, evidence: Evidence) -> int | None:
    """Train tasks that the program's reading of the recorded replies gets right; None where that cannot be told."""
    read = answers(files, evidence)
    return None if read is None else sum(hits(read, evidence))


def candidates(files: edits.Files, evidence: Evidence, chance: random.Random) -> list[Measured]:
    """Different random edits that fit, were not tried and measure no worse than the program as it is; the best first.

    Of two with as many right, the one whose worse half of the tasks is better comes first: luck seldom strikes twice.
    Edits without a measure come last.
    """
    schema, now = edits.schema(files, evidence), answers(files, evidence)
    floor = sum(hits(now, evidence)) if now is not None else 0
    found: dict[str, Measured] = {}
    for _ in range(CANDIDATES):
        edit = edits.draw(schema, chance)
        name = edits.describe(edit)
        if name in found or tried(name, evidence):
            continue
        try:
            measured = _measured(edit, edits.apply(edit, files, evidence), now, evidence)
        except edits.EditError:
            continue
        if measured is not None and (measured.right is None or sum(measured.right) >= floor):
            found[name] = measured
    return sorted(found.values(), key=_rank, reverse=True)


def tried(name: str, evidence: Evidence) -> bool:
    """Whether an earlier child of the same parent was made by that edit."""
    return any(name in str(attempt.get("summary")) for attempt in evidence.attempts)


def _measured(edit: edits.Edit, changed: edits.Files, now: list[str] | None, evidence: Evidence) -> Measured | None:
    """None for an edit of the reading that changes no answer."""
    read = answers(changed, evidence) if edit["edit"] in KINDS and now is not None else None
    if read is None or now is None:
        return Measured(edit, changed) if edit["edit"] not in KINDS else None
    differ = sum(a != b for a, b in zip(read, now, strict=True))
    right, half = hits(read, evidence), len(read) // 2
    return Measured(edit, changed, (sum(right[:half]), sum(right[half:])), differ) if differ else None


def _rank(item: Measured) -> tuple[int, int]:
    return (-1, -1) if item.right is None else (sum(item.right), min(item.right))

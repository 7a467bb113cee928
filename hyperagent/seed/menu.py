"""The menu: edits that fit, each tried on the train tasks, by number. The model picks one."""

from __future__ import annotations

import json
from random import Random

import edits
import rereading
import source as code
from evidence import Evidence

LENGTH = 8  # edits offered
UNMEASURED = 2  # of these, edits whose worth only a run of the program would tell
MAX_TOKENS = 24
GUIDE = """You improve a program that solves tasks with a small language model. Below are edits of its code. Each was \
tried on the train tasks, where that needs no model; "halves" is how many it gets right in \
the first and in the second half of them: what is good in both is no accident. Pick the edit that will be right \
most often on UNSEEN tasks. Reply with its number as JSON, like {"edit": 1}.
"""


def offers(files: edits.Files, evidence: Evidence, chance: Random) -> list[rereading.Measured]:
    """What is on the menu: the best measured edits, one per measure of the tasks, then some without a measure."""
    found = rereading.candidates(files, evidence, chance)
    best: dict[str, rereading.Measured] = {}
    for item in found:
        if item.right is not None:
            best.setdefault(str(item.edit.get("measure") or edits.describe(item.edit)), item)
    known = list(best.values())[: LENGTH - UNMEASURED]
    rest = [item for item in found if item.right is None]
    return [*known, *rest[: UNMEASURED if known else LENGTH]]


def prompt(offered: list[rereading.Measured], files: edits.Files, evidence: Evidence) -> str:
    total = len(evidence.tasks)
    parts = [GUIDE, "How a reply is read now:", *code.statements(files.get(edits.TASK, ""), edits.READER)[-8:]]
    parts += [f"Tried already: {str(attempt.get('summary'))[:90]}" for attempt in evidence.attempts[-3:]]
    parts.append(f"Right now: {rereading.measure(files, evidence)} of {total} train tasks. Edits:")
    for number, item in enumerate(offered, 1):
        parts.append(f"{number}. {edits.describe(item.edit)} [{_worth(item, total)}]")
    return "\n".join([*parts, "The number:"])


def schema(offered: list[rereading.Measured]) -> dict[str, object]:
    number = {"enum": list(range(1, len(offered) + 1))}
    return {"type": "object", "properties": {"edit": number}, "required": ["edit"], "additionalProperties": False}


def pick(reply: str, offered: list[rereading.Measured]) -> rereading.Measured:
    """The edit that a reply chooses.

    Raises:
        edits.EditError: It is no JSON, or names nothing on the menu.
    """
    try:
        value = json.loads(reply)
    except ValueError as error:
        raise edits.EditError(f"the reply is no JSON: {error}", "nothing") from error
    number = value.get("edit") if isinstance(value, dict) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(offered):
        raise edits.EditError(f"there is no edit {json.dumps(number)[:40]}; choose from 1 to {len(offered)}")
    return offered[number - 1]


def _worth(item: rereading.Measured, total: int) -> str:
    if item.right is None:
        return "not measured"
    return (
        f"right {sum(item.right)} of {total}, halves {item.right[0]} + {item.right[1]}, changes {item.changed} answers"
    )

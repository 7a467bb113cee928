"""Typed edits: the model fills in one edit, decoding bound to a JSON schema of all that fit the program."""

from __future__ import annotations

import json
from random import Random

import edits
import rereading
import source as code
from evidence import Evidence

SHOWN = 5  # measured edits that the model sees
MAX_TOKENS = 120
GUIDE = """You improve a program that solves tasks with a small language model. Choose ONE edit of its code that makes \
more of its answers right. Reply with the edit as JSON.
Kinds: vote = a measure of the task votes for one answer above a cut and for another below it; rule = a measure \
decides the answer on one side of a cut; default = the answer where the reply is none of the labels; reply = a word in \
the reply decides; constrain = only labels can be replied; prompt = a line of the prompt; constant = a number; \
remove = take out a rule.
The best edit is the one that is right most often; take it, or one like it that should be better still. An edit that \
is right less often than the program is now is refused.
"""


def prompt(files: edits.Files, evidence: Evidence, chance: Random) -> str:
    """The guide, how replies are read, what failed, and some edits with what they are worth."""
    total = len(evidence.tasks)
    parts = ["How a reply is read now:", *code.statements(files.get(edits.TASK, ""), edits.READER)[-8:]]
    if diagnosis := evidence.summary.get("diagnosis"):
        parts.append(f"Diagnosis: {' '.join(str(diagnosis).split())[:400]}")
    replies = dict(zip((str(task.get("id")) for task in evidence.tasks), evidence.replies, strict=True))
    for task in evidence.failures[:3]:
        reply = " ".join(replies[str(task.get("id"))].split())[:40]
        parts.append(f"Failed: reply {json.dumps(reply)}, right answer {json.dumps(task.get('target'))}")
    parts += [f"Tried already: {str(attempt.get('summary'))[:90]}" for attempt in evidence.attempts[-3:]]
    parts.append(f"Right now: {rereading.measure(files, evidence)} of {total} train tasks. Edits, measured:")
    measured = rereading.candidates(files, evidence, chance)
    known = [item for item in measured if item.right is not None][: SHOWN - 1]
    unknown = [item for item in measured if item.right is None][:1]
    for item in [*known, *unknown]:
        worth = "not measured" if item.right is None else f"right {sum(item.right)} of {total}"
        parts.append(f"{json.dumps(item.edit)} {worth}")
    return GUIDE + "\n".join([*parts, "Your edit:"])


def parse(reply: str) -> object:
    """The edit of a reply.

    Raises:
        edits.EditError: It is no JSON.
    """
    try:
        return json.loads(reply)
    except ValueError as error:
        raise edits.EditError(f"the reply is no JSON: {error}", "nothing") from error

"""One edit by a model that is too small for a tool loop: ask, read the reply, check the edit, write it.

A reply that does not work is answered once with the reason. If the next one does not work either, a random typed edit
takes its place: a step of the campaign is not lost to a small model's nonsense, and the summary says so.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import edits
import rereading
import rewrite
from evidence import Evidence
from llm import chat
from selfcheck import check

ROUNDS = 2  # replies asked for: the first and one repair
DRAWS = 50  # random edits tried where no reply fits


class Change(NamedTuple):
    """What a reply asks for: a line that names it, and the program's files after it.

    ``apart``: a model wrote code, which runs in a process of its own. ``reread``: it leaves the conversation with
    the model as it is, so that the train tasks say at once what it is worth.
    """

    name: str
    files: edits.Files
    reread: bool
    apart: bool = False


class Request(NamedTuple):
    """What a format asks of the model. ``read`` turns a reply into a change, or raises EditError."""

    prompt: str
    parameters: dict[str, Any]
    read: Callable[[str], Change]


Format = Callable[[edits.Files, Evidence, random.Random], Request]


def improve(form: Format, model: str, history: str, root: Path, evidence: Evidence) -> str:
    """Make one edit in place; returns a line that says which.

    Raises:
        edits.EditError: Not even random edits fit the program.
    """
    files = edits.read_files(root)
    chance = random.Random(int(os.environ.get("HYPERAGENT_SEED", "0")))
    request = form(files, evidence, chance)
    messages = [{"role": "user", "content": request.prompt}]
    for _ in range(ROUNDS):
        message = chat(model, messages, history, **request.parameters)
        try:
            name = accept(read(request, message["content"], files, evidence), files, root, evidence)
        except edits.EditError as error:
            report(error.reached, str(error))
            words = f"That does not work: {error}.\nReply again, in the same form, with something that works."
            messages += [message, {"role": "user", "content": words}]
        else:
            report("changes")
            return name
    for _ in range(DRAWS):
        try:
            return "at random, no reply fitted: " + accept(
                typed(edits.draw(edits.schema(files, evidence), chance), files, evidence), files, root, evidence
            )
        except edits.EditError:
            continue
    raise edits.EditError("no edit fits this program")


def read(request: Request, reply: str, files: edits.Files, evidence: Evidence) -> Change:
    """The change that a reply asks for; models often answer with a fenced function whatever they were asked for."""
    if rewrite.fenced(reply) and (name := rewrite.function_of(reply, files)):
        return rewritten(reply, name, files, evidence)
    return request.read(reply)


def typed(edit: Any, files: edits.Files, evidence: Evidence) -> Change:
    """The change that a typed edit makes."""
    changed = edits.apply(edit, files, evidence)
    return Change(edits.describe(edit), changed, edit["edit"] in rereading.KINDS)


def rewritten(reply: str, name: str, files: edits.Files, evidence: Evidence) -> Change:
    """The change that a function in a reply makes."""
    changed = rewrite.apply(reply, name, files)
    return Change(f"rewrite: {name}", changed, name == edits.READER and edits.has_reader(files, evidence), apart=True)


def accept(change: Change, files: edits.Files, root: Path, evidence: Evidence) -> str:
    """Write the change to the program, unless it was tried before, breaks the program or is worse on train tasks."""
    if not change.apart and rereading.tried(change.name, evidence):
        raise edits.EditError("that edit was tried already", "compiles")
    worth = value(change, files, evidence) if change.reread else ""
    write(root, change.files, files)
    if problem := check(root, evidence):
        write(root, files, change.files)
        raise edits.EditError(problem, "applies")
    return change.name + worth


def value(change: Change, files: edits.Files, evidence: Evidence) -> str:
    """How many train tasks are right before and after the change, in words; empty where that cannot be told.

    Raises:
        edits.EditError: Fewer are right after it, or no answer differs.
    """
    before = rereading.answers(files, evidence)
    after = (rereading.answers_apart if change.apart else rereading.answers)(change.files, evidence)
    if before is None or after is None:
        return ""
    if before == after:
        raise edits.EditError("it changes the answer of no train task", "compiles")
    old, new = rereading.hits(before, evidence), rereading.hits(after, evidence)
    if sum(new) < sum(old):
        broken = next(i for i, (was, now) in enumerate(zip(old, new, strict=True)) if was and not now)
        raise edits.EditError(
            f"it is right on {sum(new)} train tasks, the program as it is on {sum(old)}. For example it answers "
            f"{json.dumps(after[broken])[:60]} where {json.dumps(before[broken])[:60]} is right",
            "compiles",
        )
    return f" (train: {sum(old)} -> {sum(new)} of {len(evidence.tasks)} right)"


def write(root: Path, files: edits.Files, old: edits.Files) -> None:
    """Write the files that differ from ``old``."""
    for name, text in files.items():
        if text != old.get(name):
            (root / name).write_text(text, encoding="utf-8")


def report(reached: str, problem: str = "") -> None:
    """Say on standard output how far a reply came (one of ``edits.STEPS``): ``hyperagent model test`` counts these."""
    print(json.dumps({"reached": reached, "problem": problem[:300]}), flush=True)

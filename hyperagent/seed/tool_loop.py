"""Free editing, for capable models: a conversation with tools until the model says that it is finished."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edits
import rewrite
import rounds
import source as code
from evidence import Evidence
from llm import chat
from selfcheck import check
from tools import bash, editor

CALLS = 40  # model calls of one mutation where the environment does not say
TOOLS: dict[str, tuple[dict[str, Any], Callable[[Path, dict[str, Any]], str]]] = {
    "bash": (bash.DESCRIPTION, bash.run),
    "editor": (editor.DESCRIPTION, editor.run),
}
FINISH = {
    "name": "finish",
    "description": "End the edit. The program is checked first; if it fails the check you can go on editing.",
    "parameters": {
        "type": "object",
        "properties": {"summary": {"type": "string", "description": "One line: what you changed and why."}},
        "required": ["summary"],
    },
}
GOAL = """You are the meta agent of a program that rewrites itself. The program is a folder of Python files (standard \
library only): task_agent.py solves tasks with a language model, meta_agent.py and the files that it imports (you) \
rewrite the program. README.md explains them.

Change the BEHAVIOUR of the program so that it answers more unseen tasks right. A change of documentation, \
comments or layout alone is thrown away. Find out from the failed tasks below why answers are wrong, change the \
code accordingly, and check your change on them. Prefer what carries over to unseen tasks to what fits these few. \
What the task agent may become is open: other questions, several calls, reading the reply in another way, checking \
parts of a task with code. You may also rewrite the meta agent itself, where that makes later edits better. Keep \
the entry points of program.toml and their signatures. When you are done, call finish.
"""


class NoChange(ValueError):
    """The conversation ended without a program that runs and behaves differently."""


def improve(
    model: str, history: str, root: Path, evidence: Evidence, eval_path: str | None, iterations_left: int | None
) -> str:
    """Let the model edit the program in place; returns its summary.

    Raises:
        NoChange: The calls were used up, and what stands there does not run or behaves as before.
    """
    before = edits.read_files(root)
    functions = [{"type": "function", "function": d} for d in [*(d for d, _ in TOOLS.values()), FINISH]]
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": GOAL + describe(root, evidence, eval_path, iterations_left)}
    ]
    limit = int(os.environ.get("HYPERAGENT_CALLS") or CALLS)
    for number in range(1, limit + 1):
        message = chat(model, messages, history, tools=functions)
        messages.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            messages.append({"role": "user", "content": _without_call(str(message["content"]), root)})
        for call in calls:
            name, arguments = _arguments(call)
            if name == "finish" and not (problem := verdict(root, before, evidence)):
                rounds.report("changes")
                return str(arguments.get("summary", ""))[:500]
            result = f"Not finished: {problem}" if name == "finish" else _use(name, arguments, root)
            messages.append({"role": "tool", "tool_call_id": call.get("id", ""), "content": result})
        if number == limit - 3:
            messages.append({"role": "user", "content": "Three calls are left: make the program run, then finish."})
    if problem := verdict(root, before, evidence):
        rounds.report(_reached(root, before, messages, evidence), problem)
        raise NoChange(f"{limit} calls were used up: {problem}")
    rounds.report("changes")
    return "calls used up; the last state passes the check"


def verdict(root: Path, before: edits.Files, evidence: Evidence) -> str:
    """What speaks against the edited program; empty where nothing does."""
    if problem := check(root, evidence):
        return problem
    after = edits.read_files(root)
    if set(after) == set(before) and all(code.same_behaviour(before[name], after[name]) for name in after):
        return "no code has changed: documentation, comments and layout do not count"
    return ""


def describe(root: Path, evidence: Evidence, eval_path: str | None, iterations_left: int | None) -> str:
    """The evidence as text."""
    parts = [f"The program is in {root}. Files: {', '.join(sorted(p.name for p in root.iterdir()))}"]
    if eval_path:
        parts.append(f"All train results are in {eval_path}/train.jsonl, the history is in {eval_path}/summary.json.")
    if iterations_left is not None:
        parts.append(f"Edits left after this one: {iterations_left}. With few left, prefer safe gains.")
    if evidence.score is not None:
        parts.append(f"Score on {len(evidence.tasks)} train tasks: {evidence.score:.3f} (best possible 1).")
    if diagnosis := evidence.summary.get("diagnosis"):
        parts.append(f"Diagnosis, made before this edit: {str(diagnosis)[:2000]}")
    for ancestor in evidence.summary.get("ancestors") or []:
        parts.append(
            f"Ancestor, step {ancestor.get('step')}, train score {ancestor.get('train_score')}: "
            f"{ancestor.get('summary')}\n{str(ancestor.get('diff') or '')[:1500]}"
        )
    for attempt in evidence.attempts:
        parts.append(
            f"Tried from the same program, ended as {attempt.get('status')}: {attempt.get('summary')}\n"
            f"{str(attempt.get('diff') or '')[:800]}"
        )
    for other in evidence.inspirations:
        parts.append(
            f"An edit in another lineage, train gain {other.get('train_gain')}; take from it what fits here: "
            f"{other.get('summary')}\n{str(other.get('diff') or '')[:1500]}"
        )
    for task in evidence.failures[:6]:
        shown = {key: task.get(key) for key in ("input", "prediction", "target", "status", "error") if task.get(key)}
        parts.append("Failed task: " + json.dumps(shown, ensure_ascii=False)[:2000])
    return "\n\n".join(["", *parts])


def _without_call(reply: str, root: Path) -> str:
    """The answer to a message that calls no tool: a fenced function in it is taken as what the function shall be."""
    files = edits.read_files(root)
    if rewrite.fenced(reply) and (name := rewrite.function_of(reply, files)):
        try:
            rounds.write(root, rewrite.apply(reply, name, files), files)
        except edits.EditError as error:
            return f"error: {error}"
        return f"{name} of {edits.TASK} is now as in your message. Call finish when you are done."
    return "Go on with a tool call; call finish when you are done."


def _reached(root: Path, before: edits.Files, messages: list[dict[str, Any]], evidence: Evidence) -> str:
    """How far the conversation came, as one of ``edits.STEPS``."""
    if not any(_arguments(call)[0] in TOOLS for message in messages for call in message.get("tool_calls") or []):
        return "nothing"
    if edits.read_files(root) == before:
        return "parses"
    return "applies" if check(root, evidence) else "compiles"


def _arguments(call: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    function = call.get("function") or {}
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    return str(function.get("name")), arguments if isinstance(arguments, dict) else {}


def _use(name: str, arguments: dict[str, Any], root: Path) -> str:
    if name not in TOOLS:
        return f"error: no tool {name}; there are {', '.join(TOOLS)} and finish"
    try:
        return TOOLS[name][1](root, arguments) or "(nothing)"
    except KeyError as error:
        return f"error: argument {error} is missing or unknown"

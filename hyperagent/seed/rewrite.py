"""Whole-function rewriting: the model sees one function and what it does to train tasks, and answers with another."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from random import Random
from typing import Any

import edits
import rereading
import source as code
from evidence import Evidence

MAX_TOKENS = 400
SHOWN = 6  # rows of replies, and of measured edits, that the model sees
FENCE = re.compile(r"```[a-zA-Z]*\n(.*?)(?:```|\Z)", re.DOTALL)
GUIDE = """You improve a Python program that solves tasks with a small language model. Rewrite ONE function of it so \
that more answers on unseen tasks are right. Reply with the whole new function in one ```python block, and nothing \
else. Keep its name and its parameters. Use the standard library only.
"""


def prompt(name: str, files: edits.Files, evidence: Evidence, chance: Random) -> str:
    """All that the model needs to know about the function, on one screen."""
    parts = [GUIDE, "The function now:", "```python\n" + source_of(files, name) + "\n```"]
    if name == edits.READER and edits.has_reader(files, evidence):
        parts += _reading(files, evidence, chance)
    else:
        parts += [f"Failed: {_failure(task)}" for task in evidence.failures[:3]]
    parts += [f"Tried already: {str(attempt.get('summary'))[:90]}" for attempt in evidence.attempts[-3:]]
    return "\n".join([*parts, f"The new {name}:"])


def choose(files: edits.Files, evidence: Evidence, chance: Random) -> str:
    """The function that the evidence speaks of: one that train tasks failed in, else the reading, else any.

    Raises:
        edits.EditError: The task agent has no function.
    """
    names = functions(files)
    if not names:
        raise edits.EditError("the task agent has no function to rewrite", "nothing")
    errors = " ".join(str(task.get("error") or "") for task in evidence.failures)
    blamed = Counter({name: len(re.findall(rf"\bin {re.escape(name)}\b", errors)) for name in names})
    name, count = blamed.most_common(1)[0]
    if count:
        return name
    return edits.READER if edits.has_reader(files, evidence) else chance.choice(names)


def functions(files: edits.Files) -> list[str]:
    """The task agent's functions, without the measures that edits copied into it."""
    own = [node.name for node in code.tree_of(files.get(edits.TASK, "")).body if isinstance(node, ast.FunctionDef)]
    return [name for name in own if name not in edits.measures_by_name()]


def source_of(files: edits.Files, name: str) -> str:
    return code.source_of(files.get(edits.TASK, ""), name)


def fenced(reply: str) -> bool:
    return bool(FENCE.search(reply))


def function_of(reply: str, files: edits.Files) -> str:
    """The first function of the reply that the task agent has; empty where there is none."""
    own = functions(files)
    return next((n.name for n in _module(reply).body if isinstance(n, ast.FunctionDef) and n.name in own), "")


def apply(reply: str, name: str, files: edits.Files) -> edits.Files:
    """The files with the reply's function in place of the old one; its imports and helpers come along.

    Raises:
        edits.EditError: The reply is no Python, lacks the function, changes its parameters or changes nothing.
    """
    module = _module(reply, name)
    found = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    if name not in found:
        raise edits.EditError(f"the reply does not define the function {name}")
    text = files[edits.TASK]
    if [a.arg for a in found[name].args.args] != code.parameters(text, name):
        raise edits.EditError(f"{name} must keep its parameters: {', '.join(code.parameters(text, name))}")
    for helper, node in found.items():
        if helper == name or helper not in edits.measures_by_name():
            text = code.put_function(text, helper, ast.unparse(node) if helper != name else _text(reply, node))
    for statement in module.body:
        if isinstance(statement, ast.Import | ast.ImportFrom) and getattr(statement, "module", "") != "__future__":
            text = code.add_import(text, ast.unparse(statement))
    changed = {**files, edits.TASK: text}
    used = {n.id for node in found.values() for n in ast.walk(node) if isinstance(n, ast.Name)}
    for measure in sorted(used & set(edits.measures_by_name())):
        changed = edits.with_measure(changed, measure)
    changed[edits.TASK] = code.drop_unused(changed[edits.TASK], set(edits.measures_by_name()))
    edits.must_differ(files, changed)
    return changed


def _module(reply: str, name: str = "") -> ast.Module:
    """The reply's code; with a ``name`` it must parse, without it an empty module stands for what does not."""
    try:
        return ast.parse(_code(reply))
    except (SyntaxError, ValueError) as error:
        if name:
            raise edits.EditError(f"the reply is no Python: {error}", "nothing") from error
        return ast.Module(body=[], type_ignores=[])


def _code(reply: str) -> str:
    found = FENCE.search(reply)
    return found.group(1) if found else reply


def _text(reply: str, node: ast.FunctionDef) -> str:
    """The function as it was written, comments included."""
    return ast.get_source_segment(_code(reply), node) or ast.unparse(node)


def _reading(files: edits.Files, evidence: Evidence, chance: Random) -> list[str]:
    """What replies came, what was right, and which measures of the tasks tell the answers apart."""
    total, targets = len(evidence.tasks), [str(task.get("target")) for task in evidence.tasks]
    pairs = Counter(zip((" ".join(reply.split())[:60] for reply in evidence.replies), targets, strict=True))
    data = {key: f"{str(value)[:60]}..." for key, value in evidence.tasks[0]["input"].items() if key != "instructions"}
    parts = [f"inputs is like {json.dumps(data)}. It must return one of {json.dumps(evidence.labels)}."]
    parts += [f"{n} x reply {json.dumps(reply)}: right is {right}" for (reply, right), n in pairs.most_common(SHOWN)]
    parts.append(f"Right now: {rereading.measure(files, evidence)} of {total} tasks. Rules, measured on the tasks:")
    shown = [item for item in rereading.candidates(files, evidence, chance) if item.right is not None]
    for item in shown[:SHOWN]:
        new = code.new_statements(files[edits.TASK], item.files[edits.TASK], edits.READER)
        parts.append(f"right {sum(item.right or ())} of {total}: {'; '.join(new)}")
    names = sorted({item.edit["measure"].partition("(")[0] for item in shown[:SHOWN] if "measure" in item.edit})
    if names:
        parts.append(f"You may call these functions: {', '.join(names)}. You may combine rules.")
    return parts


def _failure(task: dict[str, Any]) -> str:
    shown = {key: task.get(key) for key in ("prediction", "target", "error") if task.get(key) is not None}
    return json.dumps(shown, ensure_ascii=False)[-300:]

"""Typed edits of a program's source: which there are (a JSON schema per kind) and how each is written into the code.

The schemas are computed from the program's own syntax tree and the evidence, so they fit whatever it has become.
An edit is ordinary Python in ordinary files. To add a kind: a function that returns its schema, and one that writes it.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measures
import source as code
from evidence import Evidence

TASK = "task_agent.py"
READER = "read_answer"  # the function of the task agent that rules and readings of replies go into
CONSTANTS_OF = (TASK, "meta_agent.py", "rounds.py", "rereading.py")
CUTS = [10, 20, 30, 40, 50, 60, 70, 80, 90]  # where a rule may divide the train tasks: per cent below
HINTS = [
    "Most answers contain a mistake: look for it.",
    "Check every calculation, line by line.",
    "Compare the final result with your own result.",
    "Answer with one of the given labels and nothing else.",
    "Think of the way in which a careless solver goes wrong.",
    "Be strict: any wrong step makes the whole wrong.",
]

Edit = dict[str, Any]
Files = dict[str, str]


STEPS = (
    "nothing",
    "parses",
    "applies",
    "compiles",
    "changes",
)  # how far a reply can get, each step past the one before


class EditError(ValueError):
    """The edit does not fit this program; ``reached``, one of STEPS, says how far it came."""

    def __init__(self, message: str, reached: str = "parses") -> None:
        super().__init__(message)
        self.reached = reached


def read_files(root: str | Path) -> Files:
    """The Python files of a program: path relative to its root -> source."""
    found = sorted(Path(root).rglob("*.py"))
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in found}


def schema(files: Files, evidence: Evidence) -> dict[str, Any]:
    """All edits that fit the program, as one JSON schema: a choice of kinds, everything bounded."""
    return {"anyOf": [option for name in KINDS if (option := _option(name, files, evidence))]}


def apply(edit: Edit, files: Files, evidence: Evidence) -> Files:
    """The program's files after the edit.

    Raises:
        EditError: The edit does not fit, or changes nothing but words and layout.
    """
    name = edit.get("edit") if isinstance(edit, dict) else None
    option = _option(name, files, evidence) if isinstance(name, str) and name in KINDS else None
    if option is None or not allows(option, edit):
        raise EditError(f"no edit of this program: {json.dumps(edit)[:200]}")
    changed = KINDS[edit["edit"]][1](edit, dict(files), evidence)
    changed[TASK] = code.drop_unused(changed[TASK], set(measures_by_name()))
    must_differ(files, changed)
    return changed


def must_differ(files: Files, changed: Files) -> None:
    """Raises EditError where the changed files do not compile, or differ in nothing but words and layout."""
    new = {name: text for name, text in changed.items() if text != files.get(name)}
    for name, text in new.items():
        try:
            compile(text, name, "exec")
        except (SyntaxError, ValueError) as error:
            raise EditError(f"{name} would not compile: {error}", "applies") from error
    if all(code.same_behaviour(files.get(name, ""), text) for name, text in new.items()):
        raise EditError("the edit changes nothing", "compiles")


def describe(edit: Edit) -> str:
    """One line for people, also the name under which earlier attempts are remembered."""
    return edit["edit"] + ": " + ", ".join(f"{key} {value}" for key, value in edit.items() if key != "edit")


def allows(option: dict[str, Any], value: Any) -> bool:
    """Whether a value fits the part of JSON Schema that the kinds use."""
    if "const" in option or "enum" in option:
        return value in option.get("enum", [option.get("const")])
    if option["type"] == "string":
        return isinstance(value, str) and 0 < len(value) <= option["maxLength"]
    properties = option["properties"]
    return (
        isinstance(value, dict)
        and set(value) == set(properties)
        and all(allows(part, value[name]) for name, part in properties.items())
    )


def draw(option: dict[str, Any], random: Any) -> Any:
    """A uniform draw from a schema: no model, no evidence."""
    if "anyOf" in option:
        return draw(random.choice(option["anyOf"]), random)
    if "const" in option:
        return option["const"]
    if "properties" in option:
        return {name: draw(part, random) for name, part in option["properties"].items()}
    return random.choice(option.get("enum") or option["examples"])


# -- kinds: constant and prompt ------------------------------------------------------------------


def constant_schema(files: Files, evidence: Evidence) -> dict[str, Any] | None:
    names = [f"{file}:{name}" for file in CONSTANTS_OF for name in code.constants(files.get(file, ""))]
    return {"name": _enum(names), "change": _enum(["halve", "double", "add one", "subtract one"])} if names else None


def constant_apply(edit: Edit, files: Files, evidence: Evidence) -> Files:
    file, _, name = edit["name"].partition(":")
    value = code.constants(files[file])[name]
    change: Callable[[Any], Any] = {
        "halve": lambda v: v / 2 if isinstance(v, float) else v // 2,
        "double": lambda v: v * 2,
        "add one": lambda v: v + 1,
        "subtract one": lambda v: v - 1,
    }[edit["change"]]
    if change(value) < 0 or (change(value) < 1 and isinstance(value, int)):
        raise EditError(f"{name} = {change(value)} makes no sense")
    return {**files, file: code.set_constant(files[file], name, change(value))}


def prompt_schema(files: Files, evidence: Evidence) -> dict[str, Any] | None:
    items = code.list_items(files.get(TASK, ""), "PROMPT")
    if not items:
        return None
    actions = ["insert before", "insert after"] + (["replace"] if len(items) > 2 else [])
    return {
        "action": _enum(actions),
        "line": _enum(list(range(1, len(items)))),
        "text": {"type": "string", "maxLength": 120, "examples": HINTS},
    }


def prompt_apply(edit: Edit, files: Files, evidence: Evidence) -> Files:
    index, text = edit["line"], " ".join(edit["text"].split())
    old = code.list_items(files[TASK], "PROMPT")
    if text in old:
        raise EditError("the prompt has that line already")
    if edit["action"] == "replace" and old[index].startswith("{"):
        raise EditError("a placeholder of the prompt cannot be replaced")
    start = index + (edit["action"] == "insert after")
    end = start + (edit["action"] == "replace")
    return {**files, TASK: code.set_list(files[TASK], "PROMPT", [*old[:start], text, *old[end:]])}


# -- kinds: how a reply becomes an answer --------------------------------------------------------


def reply_schema(files: Files, evidence: Evidence) -> dict[str, Any] | None:
    words = list(dict.fromkeys([*evidence.labels, *evidence.common_words]))
    return {"word": _enum(words), "answer": _enum(evidence.labels)} if has_reader(files, evidence) and words else None


def reply_apply(edit: Edit, files: Files, evidence: Evidence) -> Files:
    statement = f"if {_quote(edit['word'].lower())} in reply.lower():\n    return {_quote(edit['answer'])}"
    return {**files, TASK: code.insert(files[TASK], READER, statement, last=True)}


def default_schema(files: Files, evidence: Evidence) -> dict[str, Any] | None:
    return {"answer": _enum(evidence.labels)} if has_reader(files, evidence) else None


def default_apply(edit: Edit, files: Files, evidence: Evidence) -> Files:
    statement = f"if reply.strip().lower() not in {json.dumps(evidence.labels)}:\n    return {_quote(edit['answer'])}"
    return {**files, TASK: code.insert(files[TASK], READER, statement, last=True)}


def constrain_schema(files: Files, evidence: Evidence) -> dict[str, Any] | None:
    free = code.call_without(files.get(TASK, ""), "chat", "response_format")
    return {"to": _enum(["the given answers"])} if free and _every_task_names_answers(evidence) else None


def constrain_apply(edit: Edit, files: Files, evidence: Evidence) -> Files:
    form = '{"type": "json_schema", "json_schema": {"name": "answer", "schema": {"enum": inputs["answers"]}}}'
    return {**files, TASK: code.add_keyword(files[TASK], "chat", "response_format", form)}


# -- kinds: rules on what can be measured in a task ----------------------------------------------


def measures_by_name() -> dict[str, Callable[..., float]]:
    return {n: f for n, f in vars(measures).items() if callable(f) and getattr(f, "__module__", "") == "measures"}


def rule_schema(files: Files, evidence: Evidence) -> dict[str, Any] | None:
    """If the measure is on that side of a quantile of the train tasks, the answer is known without the reply."""
    if not (has_reader(files, evidence) and evidence.text_fields):
        return None
    return {
        "measure": _enum(_measure_calls(evidence.text_fields)),
        "side": _enum(["above", "at most"]),
        "cut": _enum(CUTS),
        "answer": _enum(evidence.labels),
    }


def rule_apply(edit: Edit, files: Files, evidence: Evidence) -> Files:
    expression, threshold, name = _measured(edit, evidence)
    sign = ">" if edit["side"] == "above" else "<="
    statement = f"if {expression} {sign} {threshold}:\n    return {_quote(edit['answer'])}"
    return with_measure({**files, TASK: code.insert(files[TASK], READER, statement)}, name)


def vote_schema(files: Files, evidence: Evidence) -> dict[str, Any] | None:
    """One answer above, another one at or below: a vote among others, the heaviest answer wins."""
    if not (has_reader(files, evidence) and evidence.text_fields):
        return None
    pairs = [f"{a} / {b}" for a in evidence.labels for b in evidence.labels if a != b]
    return {
        "measure": _enum(_measure_calls(evidence.text_fields)),
        "cut": _enum(CUTS),
        "above / below": _enum(pairs),
        "weight": _enum([1, 2, 3]),
    }


def vote_apply(edit: Edit, files: Files, evidence: Evidence) -> Files:
    expression, threshold, name = _measured(edit, evidence)
    pairs = {f"{a} / {b}": (a, b) for a in evidence.labels for b in evidence.labels}
    above, below = pairs[edit["above / below"]]
    vote = f"votes[{_quote(above)} if {expression} > {threshold} else {_quote(below)}] += {edit['weight']}"
    text = files[TASK]
    if "votes = Counter()" in code.statements(text, READER):
        text = code.insert(text, READER, vote, after="votes = Counter()")
    else:
        text = code.insert(text, READER, f"votes = Counter()\n{vote}\nif votes:\n    return votes.most_common(1)[0][0]")
        text = code.add_import(text, "from collections import Counter")
    return with_measure({**files, TASK: text}, name)


def remove_schema(files: Files, evidence: Evidence) -> dict[str, Any] | None:
    found = code.removable(files.get(TASK, ""), READER)
    return {"statement": _enum(found)} if found else None


def remove_apply(edit: Edit, files: Files, evidence: Evidence) -> Files:
    return {**files, TASK: code.remove(files[TASK], READER, edit["statement"])}


Kind = tuple[Callable[[Files, Evidence], dict[str, Any] | None], Callable[[Edit, Files, Evidence], Files]]
KINDS: dict[str, Kind] = {
    "constant": (constant_schema, constant_apply),
    "prompt": (prompt_schema, prompt_apply),
    "reply": (reply_schema, reply_apply),
    "default": (default_schema, default_apply),
    "constrain": (constrain_schema, constrain_apply),
    "rule": (rule_schema, rule_apply),
    "vote": (vote_schema, vote_apply),
    "remove": (remove_schema, remove_apply),
}


# -- helpers -------------------------------------------------------------------------------------


def _measure_calls(fields: list[str]) -> list[str]:
    """Every measure on every text field, and on every pair where it takes two."""
    single = [(name, field) for field in fields for name, f in measures_by_name().items() if _arity(f) == 1]
    pairs = [
        (n, f"{a}, {b}")
        for a in fields
        for b in fields
        if a != b
        for n, f in measures_by_name().items()
        if _arity(f) == 2
    ]
    return [f"{name}({arguments})" for name, arguments in [*single, *pairs]]


def _measured(edit: Edit, evidence: Evidence) -> tuple[str, str, str]:
    """The call as Python, the threshold at the cut, and the measure's name."""
    name, _, arguments = edit["measure"].rstrip(")").partition("(")
    fields = arguments.split(", ")
    function = measures_by_name()[name]
    values = [float(function(*(task["input"][field] for field in fields))) for task in evidence.tasks]
    if len(set(values)) < 2:
        raise EditError(f"{edit['measure']} is the same for every train task")
    quantile = statistics.quantiles(values, n=100, method="inclusive")[edit["cut"] - 1]
    call = f"{name}({', '.join(f'inputs[{_quote(field)}]' for field in fields)})"
    return call, f"{round(quantile, 2):g}", name


def with_measure(files: Files, name: str) -> Files:
    """Copy the measure into the task agent, so that it goes on standing alone."""
    text = code.add_function(files[TASK], code.function_source(measures.__file__, name))
    return {
        **files,
        TASK: code.add_import(text, "import re") if "re." in code.function_source(measures.__file__, name) else text,
    }


def has_reader(files: Files, evidence: Evidence) -> bool:
    """Whether answers are labels, and one function of the task agent reads them out of a reply."""
    return bool(evidence.labels) and code.parameters(files.get(TASK, ""), READER)[:2] == ["inputs", "reply"]


def _every_task_names_answers(evidence: Evidence) -> bool:
    return bool(evidence.tasks) and all(task.get("input", {}).get("answers") for task in evidence.tasks)


def _arity(function: Callable[..., float]) -> int:
    return function.__code__.co_argcount


def _quote(text: str) -> str:
    return json.dumps(text)


def _option(name: str, files: Files, evidence: Evidence) -> dict[str, Any] | None:
    properties = KINDS[name][0](files, evidence)
    return _object({"edit": {"const": name}, **properties}) if properties else None


def _enum(values: list[Any]) -> dict[str, Any]:
    return {"enum": values}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }

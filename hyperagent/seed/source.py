"""Small changes to Python source that keep the rest of the text as it is: comments, layout, quotes."""

from __future__ import annotations

import ast
import functools
import json
from pathlib import Path
from typing import Any

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@functools.lru_cache(maxsize=64)
def tree_of(text: str) -> ast.Module:
    """The syntax tree; an empty one where the text does not parse."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def same_behaviour(old: str, new: str) -> bool:
    """Whether two sources differ in nothing but comments, layout and docstrings."""
    return _shape(old) == _shape(new)


@functools.lru_cache(maxsize=64)
def _shape(text: str) -> str:
    tree = ast.parse(text)  # a tree of its own: it is changed below
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)


# -- constants and lists at module level ---------------------------------------------------------


def _assignments(text: str) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for node in tree_of(text).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def constants(text: str) -> dict[str, float]:
    """Numbers assigned to a name at module level."""
    values = {name: v.value for name, v in _assignments(text).items() if isinstance(v, ast.Constant)}
    return {n: v for n, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def set_constant(text: str, name: str, value: float) -> str:
    return _replace(text, _assignments(text)[name], repr(value))


def list_items(text: str, name: str) -> list[str]:
    """The strings of a list assigned at module level; empty where it is anything else."""
    node = _assignments(text).get(name)
    items = [i.value for i in node.elts if isinstance(i, ast.Constant)] if isinstance(node, ast.List) else []
    return items if items and all(isinstance(item, str) for item in items) else []


def set_list(text: str, name: str, items: list[str]) -> str:
    body = "".join(f"    {json.dumps(item, ensure_ascii=False)},\n" for item in items)
    return _replace(text, _assignments(text)[name], f"[\n{body}]")


# -- statements of one function ------------------------------------------------------------------


def _function(text: str, name: str) -> ast.FunctionDef | None:
    return next((n for n in tree_of(text).body if isinstance(n, ast.FunctionDef) and n.name == name), None)


def parameters(text: str, name: str) -> list[str]:
    """Names of a module-level function's parameters; empty where there is no such function."""
    function = _function(text, name)
    return [argument.arg for argument in function.args.args] if function else []


def _body(text: str, name: str) -> list[ast.stmt]:
    """Its statements without the docstring."""
    function = _function(text, name)
    body = function.body if function else []
    return body[1:] if function and ast.get_docstring(function) else body


def statements(text: str, name: str) -> list[str]:
    return [ast.unparse(node) for node in _body(text, name)]


def insert(text: str, name: str, statement: str, *, last: bool = False, after: str = "") -> str:
    """Insert a statement at the top of a function, before its last statement, or after the statement ``after``."""
    body = _body(text, name)
    if after:
        line = next(node.end_lineno or node.lineno for node in body if ast.unparse(node) == after)
    else:
        line = body[-1 if last else 0].lineno - 1
    new = ["    " + part for part in statement.splitlines()]
    lines = text.removesuffix("\n").split("\n")
    return "\n".join([*lines[:line], *new, *lines[line:]]) + "\n"


def removable(text: str, name: str) -> list[str]:
    """Statements that a function can do without: rules (if ...: return ...) and votes."""
    rules = [
        node
        for node in _body(text, name)[:-1]
        if isinstance(node, ast.AugAssign)
        or (isinstance(node, ast.If) and isinstance(node.body[0], ast.Return) and isinstance(node.test, ast.Compare))
    ]
    return list(dict.fromkeys(ast.unparse(node) for node in rules))


def remove(text: str, name: str, statement: str) -> str:
    node = next(node for node in _body(text, name) if ast.unparse(node) == statement)
    lines = text.removesuffix("\n").split("\n")
    return "\n".join([*lines[: node.lineno - 1], *lines[node.end_lineno :]]) + "\n"


# -- calls, imports, functions -------------------------------------------------------------------


def call_without(text: str, function: str, keyword: str) -> ast.Call | None:
    """The first call of a function that does not pass a keyword."""
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
            return None if any(argument.arg == keyword for argument in node.keywords) else node
    return None


def add_keyword(text: str, function: str, keyword: str, value: str) -> str:
    """Pass one more keyword in a call, which is laid out over several lines."""
    node = call_without(text, function, keyword)
    if node is None:
        return text
    arguments = [ast.unparse(argument) for argument in [*node.args, *node.keywords]]
    line = text.removesuffix("\n").split("\n")[node.lineno - 1]
    indent = " " * (len(line) - len(line.lstrip()))
    inner = "".join(f"{indent}    {argument},\n" for argument in [*arguments, f"{keyword}={value}"])
    return _replace(text, node, f"{function}(\n{inner}{indent})")


def add_import(text: str, statement: str) -> str:
    """Add an import in front of the first one that is not from the future, unless it is there."""
    imports = [node for node in tree_of(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    if any(ast.unparse(node) == statement for node in imports):
        return text
    known = [node for node in imports if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    rank = (statement.startswith("from"), statement)
    if not known:  # nothing but a docstring and the future stands in front of it
        past = [n for n in tree_of(text).body if isinstance(n, ast.Expr | ast.ImportFrom)]
        known = [n for n in tree_of(text).body if n not in past] or imports
    follower = next((n for n in known if (isinstance(n, ast.ImportFrom), ast.unparse(n)) > rank), known[-1])
    lines = text.removesuffix("\n").split("\n")
    return "\n".join([*lines[: follower.lineno - 1], statement, *lines[follower.lineno - 1 :]]) + "\n"


def function_source(path: str | None, name: str) -> str:
    """The text of one function of a file."""
    return source_of(Path(path or "").read_text(encoding="utf-8"), name)


def source_of(text: str, name: str) -> str:
    """The text of a module-level function; empty where there is none."""
    function = _function(text, name)
    return (ast.get_source_segment(text, function) or "") if function else ""


def put_function(text: str, name: str, new: str) -> str:
    """Replace a module-level function (its decorators too), or append it where there is none of that name."""
    function = _function(text, name)
    if function is None:
        return f"{text.rstrip()}\n\n\n{new}\n"
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    lines = text.removesuffix("\n").split("\n")
    return "\n".join([*lines[: first - 1], *new.split("\n"), *lines[function.end_lineno :]]) + "\n"


def new_statements(old: str, new: str, name: str) -> list[str]:
    """Statements of a function that it did not have before, each on one line."""
    known = statements(old, name)
    return [" ".join(statement.split()) for statement in statements(new, name) if statement not in known]


def add_function(text: str, function: str) -> str:
    """Append a function unless one of that name is there."""
    name = function.partition("(")[0].removeprefix("def ").strip()
    return text if _function(text, name) else f"{text.rstrip()}\n\n\n{function}\n"


def drop_unused(text: str, names: set[str]) -> str:
    """Take out those module-level functions of the given names that nothing refers to."""
    used = {node.id for node in ast.walk(tree_of(text)) if isinstance(node, ast.Name)}
    for name in sorted(names - used):
        if node := _function(text, name):
            lines = text.removesuffix("\n").split("\n")
            text = "\n".join([*lines[: node.lineno - 1], *lines[node.end_lineno :]]).rstrip() + "\n"
    return text


def _replace(text: str, node: Any, new: str) -> str:
    lines = text.splitlines(keepends=True)
    data = text.encode()  # the columns of syntax trees count bytes
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line.encode()))
    start, end = offsets[node.lineno - 1] + node.col_offset, offsets[node.end_lineno - 1] + node.end_col_offset
    return (data[:start] + new.encode() + data[end:]).decode()

"""A program file as a list of statements: which names each binds, which it needs, and its text."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hyperagent.engine.likeness import without_docstrings
from hyperagent.skills.definitions import UNPARSABLE, parsed
from hyperagent.types import ProgramTree


@dataclass(frozen=True)
class Import:
    """One name of an import: ``from module import name`` (level dots before it), or ``import module``."""

    module: str
    name: str
    level: int
    text: str


@dataclass(frozen=True)
class Statement:
    """A statement of a module, or one name of its imports.

    Attributes:
        form: What it does, without docstrings and layout; equal forms are equal code.
        text: Its lines, decorators included.
        start, end: Its first and last line, from 1.
        needs: Name that it reads -> attributes of it that are read; ``""`` where it is used whole.
        plain: An assignment of constants, which needs nothing to stand before it.
        inner: Imports inside of it.
    """

    binds: frozenset[str]
    form: str
    text: str
    start: int
    end: int
    needs: Mapping[str, frozenset[str]]
    imported: Import | None = None
    plain: bool = False
    inner: tuple[Import, ...] = ()


@dataclass(frozen=True)
class Source:
    """One file. ``head``: the last line of what must stay first (docstring, ``__future__``, first imports)."""

    path: str
    lines: tuple[str, ...]
    statements: tuple[Statement, ...]
    head: int
    future: bool

    def find(self, name: str) -> Statement | None:
        """The last statement that binds the name: the one that counts once the module is imported."""
        return next((one for one in reversed(self.statements) if name in one.binds), None)


def read_source(path: str, data: bytes) -> Source | None:
    """None where it does not parse."""
    try:
        text = data.decode("utf-8")
        module = parsed(data, path)
        lines = tuple(text.splitlines())
        statements = [made for node in module.body for made in _statements(node, lines)]
    except UNPARSABLE:
        return None
    head = 0
    for number, node in enumerate(module.body):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not isinstance(node, (ast.Import, ast.ImportFrom)) and not (number == 0 and is_text):
            break
        head = node.end_lineno or node.lineno
    future = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in module.body)
    return Source(path, lines, tuple(statements), head, future)


def _statements(node: ast.stmt, lines: tuple[str, ...]) -> Iterable[Statement]:
    decorators = [one.lineno for one in getattr(node, "decorator_list", ())]
    start, end = min([node.lineno, *decorators]), node.end_lineno or node.lineno
    if isinstance(node, ast.Import):
        for alias in node.names:
            words = f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            name = alias.asname or alias.name.partition(".")[0]
            yield Statement(frozenset([name]), words, words, start, end, {}, Import(alias.name, "", 0, words))
    elif isinstance(node, ast.ImportFrom):
        module, dots = node.module or "", "." * node.level
        for alias in node.names:
            words = f"from {dots}{module} import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            made = Import(module, alias.name, node.level, words)
            yield Statement(frozenset([alias.asname or alias.name]), words, words, start, end, {}, made)
    else:
        binds, needs = frozenset(_bound(node)), _needs(node)
        plain = isinstance(node, (ast.Assign, ast.AnnAssign)) and not _called_or_named(node)
        text = "\n".join(lines[start - 1 : end])
        form = ast.dump(without_docstrings(ast.Module([node], [])))
        yield Statement(binds, form, text, start, end, needs, None, plain, tuple(_inner(node)))


def _inner(node: ast.AST) -> Iterable[Import]:
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (Import(alias.name, "", 0, "") for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            yield from (Import(part.module or "", alias.name, part.level, "") for alias in part.names)


def _bound(node: ast.AST) -> Iterable[str]:
    """Names of the module that a statement binds; not those of scopes inside it."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _bound(child)


def _needs(node: ast.AST) -> dict[str, frozenset[str]]:
    """Every name that is read anywhere in it, names of its own locals included: those bind nothing in the module."""
    found: dict[str, set[str]] = {}
    owners = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            found.setdefault(part.value.id, set()).add(part.attr)
            owners.add(id(part.value))
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and id(part) not in owners:
            found.setdefault(part.id, set()).add("")
    return {name: frozenset(attributes) for name, attributes in found.items()}


def _called_or_named(node: ast.Assign | ast.AnnAssign) -> bool:
    value = node.value or ast.Constant(None)
    return any(isinstance(part, (ast.Name, ast.Call, ast.Attribute)) for part in ast.walk(value))


def module_file(tree: ProgramTree, module: str) -> str:
    """The program's file behind a dotted name; empty where it is not the program's."""
    path = module.replace(".", "/")
    return next((one for one in (f"{path}.py", f"{path}/__init__.py") if one in tree), "")


def absolute(path: str, found: Import) -> str:
    """The dotted module that an import in the file ``path`` means."""
    if not found.level:
        return found.module
    package = path.split("/")[:-1]
    parts = package[: len(package) - found.level + 1]
    return ".".join([*parts, found.module] if found.module else parts)

"""Programs that differ in words only: what is left of one when names, layout and order that mean nothing are taken out.

Two programs with equal forms do the same, so the second is not paid for. A form errs on the side of difference: where
code looks at its own names (``locals``, ``eval`` ...), or a name is shared between nested functions, names stay.
"""

from __future__ import annotations

import ast
import hashlib
import json
import threading
import tomllib
from collections.abc import Callable, Iterator
from functools import lru_cache

from hyperagent.protocols import Archive
from hyperagent.types import Json, ProgramTree, Variant

PROGRAM_FORM = "program_form"
DOCUMENTATION = (".md", ".rst", ".txt")
_INTROSPECTION = {"locals", "vars", "eval", "exec", "dir", "globals", "compile"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BY_PARSER: dict[str, Callable[[str], Json]] = {".json": json.loads, ".toml": tomllib.loads}
PARSING = threading.Lock()
"""CPython 3.11 counts the depth of a syntax tree under construction per interpreter, not per thread: two threads in
``ast.parse`` at once can end in ``SystemError: AST constructor recursion depth mismatch``."""


def form(tree: ProgramTree) -> str:
    """Hash (hex, 64 characters) over a program without docstrings, comments, layout, names of local variables, the
    spelling of constants, the order of imports that stand together, and documentation files.

    Raises:
        SyntaxError, ValueError: A Python file does not parse.
    """
    parts = {path: _file_form(path, data) for path, data in tree.items() if not path.lower().endswith(DOCUMENTATION)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=512)  # a child shares most files with its parent
def _file_form(path: str, data: bytes) -> str:
    if path.endswith(".py"):
        with PARSING:
            module = ast.parse(data, path)
        without_docstrings(module)
        for function in [
            node for node in ast.walk(module) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]:
            rename_locals(function)
        for node in ast.walk(module):
            if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)):
                node.body = list(_sorted_imports(node.body))
        return ast.dump(module)
    parse = _BY_PARSER.get(path[path.rfind(".") :])
    if parse is not None:
        try:
            return json.dumps(parse(data.decode("utf-8")), sort_keys=True, default=str)
        except (ValueError, RecursionError):  # not what its name says: taken as it is
            pass
    return hashlib.sha256(data).hexdigest()


def without_docstrings(module: ast.Module) -> ast.Module:
    """The module itself, its docstrings removed."""
    for node in ast.walk(module):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]
    return module


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a function's own scope, without those of scopes inside it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _own_nodes(child)


def rename_locals(function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Number the plain local variables in the order of their first appearance; parameters keep their names."""
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    if any(node.id in _INTROSPECTION for node in names):
        return
    own = list(_own_nodes(function))
    inside = set(map(id, own))
    fixed = {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            fixed.update(node.names)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            fixed.add(node.name)
        elif isinstance(node, ast.alias):
            fixed.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            fixed.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            fixed.add(node.rest)
    # Bound again in a scope inside: two variables of one name, which only a full analysis could tell apart.
    fixed |= {node.id for node in names if id(node) not in inside and not isinstance(node.ctx, ast.Load)}
    bound = {node.id for node in names if id(node) in inside and isinstance(node.ctx, ast.Store)} - fixed
    numbers: dict[str, str] = {}
    for node in names:
        if node.id in bound:
            node.id = numbers.setdefault(node.id, f"{len(numbers)} of {function.name}")  # no identifier has a space


def _sorted_imports(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements with each run of imports split into single ones and sorted; ``__future__`` ones stay first."""
    run: list[ast.stmt] = []
    for statement in [*body, None]:
        if isinstance(statement, ast.Import):
            run += [ast.Import(names=[alias]) for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            run += [ast.ImportFrom(statement.module, [alias], statement.level) for alias in statement.names]
        else:
            yield from sorted(run, key=ast.dump)
            run = []
            if statement is not None:
                yield statement


class Likenesses:
    """The forms of a campaign's programs, so that a new one is compared with all of them at once. Thread-safe.

    Forms are journalled (``program_form``) and read back by later sessions; only programs without one are read again.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.RLock()
        self._forms: dict[str, str] | None = None

    def twin(self, variant: Variant, tree: ProgramTree) -> str:
        """Id of the earliest committed variant of the campaign with an equal form; empty where there is none."""
        with self._lock:
            found = self._known(variant.campaign).get(form(tree), "")
        return "" if found == variant.id else found

    def remember(self, variant: Variant, tree: ProgramTree) -> None:
        """Take in a variant that has just been committed."""
        with self._lock:
            known, own = self._known(variant.campaign, but=variant.id), form(tree)
            known.setdefault(own, variant.id)
        self._archive.append_event(variant.campaign, PROGRAM_FORM, {"variant": variant.id, "form": own}, durable=False)

    def _known(self, campaign: str, but: str = "") -> dict[str, str]:
        if self._forms is None:
            journalled = {
                event.payload["variant"]: event.payload["form"]
                for event in self._archive.events_of(campaign, PROGRAM_FORM)
            }
            self._forms = {}
            for variant in self._archive.variants(campaign):
                if variant.commit and variant.id != but:
                    own = journalled.get(variant.id) or form(self._archive.read_tree(variant.commit))
                    self._forms.setdefault(own, variant.id)
        return self._forms

"""What a program file defines, each definition with a hash of what it does. Programs are hostile: nothing is run."""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hyperagent.engine.likeness import PARSING, rename_locals, without_docstrings
from hyperagent.types import ProgramTree, SkillKind

TOOLS = "tools/"
SHORTEST_PROMPT = 40
"""Characters of text from which on a constant of a module is a prompt and not a name or a label."""
LONGEST_PARSED = 300_000
"""Bytes; what a larger file defines is not looked at."""
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError, SystemError)
"""All that ``ast`` raises for texts that somebody made to break it."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Definition:
    """``name`` is qualified within the file; ``digest`` does not depend on it. ``size``: characters of a text."""

    kind: SkillKind
    file: str
    name: str
    digest: str
    about: str = ""
    size: int = 0


def parsed(data: bytes, path: str = "program") -> ast.Module:
    """Raises one of ``UNPARSABLE``."""
    if len(data) > LONGEST_PARSED:
        raise ValueError("too large")
    with PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in a program's text is no news
        return ast.parse(data, path)


def definitions(tree: ProgramTree) -> dict[str, tuple[Definition, ...]]:
    """Path -> what the file defines; a file whose bytes are equal gives the same tuple object."""
    return {path: file_definitions(path, data) for path, data in tree.items() if path.endswith(".py") or _tool(path)}


@lru_cache(maxsize=8192)  # a variant shares most files with its parent
def file_definitions(path: str, data: bytes) -> tuple[Definition, ...]:
    """Functions, classes with their methods, and texts of a file; a file of ``tools/`` is also one as a whole."""
    try:
        module = parsed(data, path)
        about = _about(module)
        without = list(_defined(path, module.body))
        whole = _hash("tool", ast.dump(without_docstrings(module)))
    except UNPARSABLE:
        without, about, whole = [], "", hashlib.sha256(b"tool\0" + data).hexdigest()
    return (Definition("tool", path, path, whole, about), *without) if _tool(path) else tuple(without)


def _tool(path: str) -> bool:
    return path.startswith(TOOLS) and not path.endswith("/__init__.py")


def _defined(path: str, body: list[ast.stmt]) -> Iterator[Definition]:
    for statement in body:
        if isinstance(statement, Function):
            yield Definition("function", path, statement.name, *_of_code("function", statement))
        elif isinstance(statement, ast.ClassDef):
            methods = [node for node in statement.body if isinstance(node, Function)]
            name = statement.name
            inner = [Definition("method", path, f"{name}.{one.name}", *_of_code("method", one)) for one in methods]
            yield Definition("class", path, name, *_of_code("class", statement))
            yield from inner
        elif (named := text_constant(statement)) is not None:
            name, text = named
            yield Definition("prompt", path, name, _hash("prompt", text), "", len(text))


def text_constant(statement: ast.stmt) -> tuple[str, str] | None:
    """Name and text of an assignment of nothing but text: a string, or a list, tuple or dict of strings."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value = statement.target, statement.value
    else:
        return None
    texts = _texts(value)
    return (target.id, "\n".join(texts)) if isinstance(target, ast.Name) and texts else None


def _texts(value: ast.expr | None) -> list[str] | None:
    """None where there is anything but text."""
    if isinstance(value, ast.Constant):
        return [value.value] if isinstance(value.value, str) else None
    parts: list[ast.expr | None]
    if isinstance(value, (ast.List, ast.Tuple)):
        parts = list(value.elts)
    elif isinstance(value, ast.Dict):
        parts = [*value.keys, *value.values]
    else:
        return None
    found = [_texts(part) for part in parts]
    return None if any(one is None for one in found) else [text for one in found for text in one or ()]


def _of_code(kind: SkillKind, node: Function | ast.ClassDef) -> tuple[str, str]:
    """Digest and first docstring line. Changes the node."""
    about, own = _about(node), node.name
    without_docstrings(ast.Module([node], []))
    node.name = "_"  # first: locals are numbered under their function's name
    for part in ast.walk(node):
        if isinstance(part, Function):
            rename_locals(part)
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id == own:  # it calls itself, by whatever name
            part.id = "_"
    digest = _hash(kind, ast.dump(node))
    node.name = own
    return digest, about


def _about(node: ast.Module | Function | ast.ClassDef) -> str:
    return ((ast.get_docstring(node) or "").strip().splitlines() or [""])[0][:200]


def _hash(kind: SkillKind, text: str) -> str:
    return hashlib.sha256(f"{kind}\0{text}".encode(errors="surrogatepass")).hexdigest()

"""What differs between two programs: files, lines, and functions by their syntax trees. Pure; programs are hostile."""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hyperagent.types import FileChange

if TYPE_CHECKING:
    from hyperagent.types import ProgramTree

LONGEST_PARSED = 300_000
"""Bytes; a larger file is compared by its lines only."""
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def changes(before: ProgramTree, after: ProgramTree) -> tuple[FileChange, ...]:
    """The files that differ, in path order."""
    paths = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    return tuple(_change(path, before.get(path), after.get(path)) for path in paths)


def _change(path: str, old: bytes | None, new: bytes | None) -> FileChange:
    kind = "added" if old is None else "removed" if new is None else "changed"
    added, removed = _lines(old or b"", new or b"")
    if not path.endswith(".py"):
        return FileChange(path, kind, added, removed)  # type: ignore[arg-type]
    try:
        functions = _functions(_definitions(old or b""), _definitions(new or b""))
        note = "" if functions or kind != "changed" else "outside of functions, or layout only"
    except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError):
        functions, note = (), "does not parse, or is too large to"
    return FileChange(path, kind, added, removed, functions, note)  # type: ignore[arg-type]


def _lines(old: bytes, new: bytes) -> tuple[int, int]:
    """Lines that came and went, as multisets: exact up to moved lines, and linear however long a file is."""
    before, after = Counter(old.splitlines()), Counter(new.splitlines())
    return sum((after - before).values()), sum((before - after).values())


def _definitions(data: bytes) -> dict[str, str]:
    """Qualified name -> what its body does; a class stands for what is in it but outside of its methods."""
    if len(data) > LONGEST_PARSED:
        raise ValueError("too large")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in a program's text is no news
        module = ast.parse(data)
    return {name: _dump(node) for name, node in _named(module, "")}


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[str, _Definition]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from _named(child, f"{prefix}{child.name}.")


def _dump(node: _Definition) -> str:
    if not isinstance(node, ast.ClassDef):
        return ast.dump(node)
    rest = [ast.dump(part) for part in node.body if not isinstance(part, _Definition)]
    return "\n".join([*map(ast.dump, node.bases), *map(ast.dump, node.decorator_list), *rest])


def _functions(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    found = [f"~{name}" for name in after if name in before and before[name] != after[name]]
    found += [f"+{name}" for name in after if name not in before]
    return (*found, *(f"-{name}" for name in before if name not in after))

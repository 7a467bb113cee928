"""Which part of an agent a file belongs to, as its ``program.toml`` says, and how one part is kept."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hyperagent.types import Json, ProgramTree

MANIFEST = "program.toml"
ENTRIES = {"task": "task_agent:TaskAgent", "meta": "meta_agent:MetaAgent"}
"""Entry points of a program whose ``program.toml`` names none; the runtime has the same."""

Part = Literal["task", "meta", "both"]
Keep = Literal["meta", "task", "both"]


@dataclass(frozen=True)
class Ownership:
    """Lists of names from ``[ownership]``; a name with a final slash is a folder. What no list has belongs to both."""

    task: tuple[str, ...]
    meta: tuple[str, ...]

    def of(self, path: str) -> Part:
        """The owner of a file; a file that both lists name belongs to both."""
        task, meta = _listed(path, self.task), _listed(path, self.meta)
        if task == meta:
            return "both"
        return "task" if task else "meta"


def ownership(tree: ProgramTree) -> Ownership:
    """What a program's ``program.toml`` says of its files; its entry points' modules where it says nothing.

    A ``program.toml`` that cannot be read says nothing: a variant may have written it.
    """
    table = manifest(tree)
    owned = _table(table.get("ownership"))
    lists = {part: _strings(owned.get(part)) for part in ENTRIES}
    if not any(lists.values()):
        lists = {part: (f"{entry(tree, part).partition(':')[0].replace('.', '/')}.py",) for part in ENTRIES}
    return Ownership(lists["task"], lists["meta"])


def entry(tree: ProgramTree, part: str) -> str:
    """``module:Class`` of a part, ``task`` or ``meta``."""
    named = _table(manifest(tree).get("entry")).get(part)
    return named if isinstance(named, str) else ENTRIES[part]


def manifest(tree: ProgramTree) -> Mapping[str, Json]:
    """``program.toml`` as data; empty where it is missing or cannot be read."""
    try:
        return tomllib.loads(tree.get(MANIFEST, b"").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return {}


def with_part(program: ProgramTree, other: ProgramTree, part: Literal["task", "meta"]) -> ProgramTree:
    """``program`` with one part's files, its entry point and its list of files taken from ``other`` instead.

    Files of both, and files that no list names, stay those of ``program``.
    """
    own, others = ownership(program), ownership(other)
    kept = {path: data for path, data in program.items() if own.of(path) != part}
    taken = {path: data for path, data in other.items() if others.of(path) == part}
    lists: dict[str, tuple[str, ...]] = {"task": own.task, "meta": own.meta, part: getattr(others, part)}
    entries = {name: entry(other if name == part else program, name) for name in ENTRIES}
    return described({**kept, **taken}, entries, lists)


def described(tree: ProgramTree, entries: Mapping[str, str], lists: Mapping[str, Sequence[str]]) -> ProgramTree:
    """The program with a ``program.toml`` that says this; unchanged where it says so already."""
    known = ownership(tree)
    same = all(entry(tree, part) == entries[part] for part in ENTRIES)
    if same and (known.task, known.meta) == (tuple(lists["task"]), tuple(lists["meta"])):
        return tree
    both = _strings(_table(manifest(tree).get("ownership")).get("both"))
    lines = ["[entry]", *(f"{part} = {json.dumps(entries[part])}" for part in ENTRIES), "", "[ownership]"]
    lines += [f"{part} = {json.dumps(list(lists[part]))}" for part in ENTRIES]
    lines += [f"both = {json.dumps(list(both))}"] if both else []
    return {**tree, MANIFEST: ("\n".join(lines) + "\n").encode()}


def _listed(path: str, names: Sequence[str]) -> bool:
    return any(path == name or (name.endswith("/") and path.startswith(name)) for name in names)


def _table(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _strings(value: Json) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()

"""The programs of a bundle: git objects from outside, checked without letting git at them.

git would accept more than an archive holds: symbolic links, submodules, hooks of other tools, trees that unfold into
billions of files. What stands here accepts exactly what :class:`~hyperagent.archive.lineage.Lineage` writes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

from hyperagent.archive.bundle import Bundle, damaged
from hyperagent.archive.lineage import IDENTITY, tree_id
from hyperagent.archive.schema import Row

_ENTRY = re.compile(rb"(40000|100644) ([^\0/]+)\0(.{20})", re.DOTALL)
MOST_FILES = 10_000
MOST_BYTES = 1 << 27
MOST_DEPTH = 64
"""Of one program: files and folders, bytes, folders in folders."""


def read_objects(bundle: Bundle) -> dict[str, bytes]:
    """Every git object of the bundle, id -> header and content.

    Raises:
        ArchiveDamaged: One has other bytes than its id says.
    """
    found = {}
    for object_id in bundle.names("git"):
        packed = bundle.read(f"git/{object_id}")
        if hashlib.sha1(packed, usedforsecurity=False).hexdigest() != object_id:
            raise damaged(f"git object {object_id} in the bundle has other bytes")
        found[object_id] = packed
    return found


def check_programs(variants: Sequence[Row], objects: Mapping[str, bytes]) -> None:
    """Commits and trees are what the rows say, programs hold only what programs may, and nothing else is there.

    Raises:
        ArchiveDamaged: With the first thing that is wrong.
    """
    programs = _Programs(objects)
    commits = {row["id"]: row["commit"] for row in variants}
    for row in variants:
        if row["commit"]:
            parent = commits.get(row["parent"], "") if row["parent"] else ""
            if row["parent"] and not parent:
                raise damaged(f"variant {row['id']} in the bundle has a program, and its parent has none")
            programs.check(row, parent)
    if programs.used != objects.keys():
        raise damaged("the bundle holds git objects that belong to none of its programs")


class _Programs:
    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = objects
        self._checked: set[str] = set()
        self.used: set[str] = set()

    def check(self, row: Row, parent: str) -> None:
        where = f"variant {row['id']} in the bundle"
        lines = [f"tree {row['tree']}", *([f"parent {parent}"] if parent else [])]
        lines += [f"{role} {IDENTITY} {row['step']} +0000" for role in ("author", "committer")]
        head = "".join(f"{line}\n" for line in lines) + "\n"
        commit = self._content(row["commit"], "commit")
        if not commit.startswith(head.encode()) or b"\0" in commit:
            raise damaged(f"{where}: commit {row['commit']} is not that of its tree and parent")
        if row["tree"] in self._checked:
            return
        files: dict[str, bytes] = {}
        self._walk(row["tree"], "", 0, files, [0, 0])
        try:
            found = tree_id(files)
        except ValueError as error:
            raise damaged(f"{where}: {error}") from None
        if found != row["tree"]:
            raise damaged(f"{where}: tree {row['tree']} is not one that this archive would write")
        self._checked.add(row["tree"])

    def _walk(self, tree: str, prefix: str, depth: int, files: dict[str, bytes], used: list[int]) -> None:
        """Collect the files of a tree; ``used`` counts entries and bytes, so that no tree unfolds without end."""
        for mode, name, object_id in _entries(tree, self._content(tree, "tree")):
            used[0] += 1
            if mode == "40000" and depth < MOST_DEPTH and used[0] <= MOST_FILES:
                self._walk(object_id, f"{prefix}{name}/", depth + 1, files, used)
                continue
            content = self._content(object_id, "blob") if mode == "100644" else b""
            used[1] += len(content)
            if mode != "100644" or used[0] > MOST_FILES or used[1] > MOST_BYTES:
                raise damaged(f"git tree {tree} in the bundle unfolds into more than a program may hold")
            files[prefix + name] = content

    def _content(self, object_id: str, kind: str) -> bytes:
        packed = self._objects.get(object_id)
        if packed is None:
            raise damaged(f"the bundle lacks the git {kind} {object_id}")
        head = re.match(rb"(commit|tree|blob) (0|[1-9][0-9]{0,11})\0", packed)
        if head is None or head[1] != kind.encode() or int(head[2]) != len(packed) - head.end():
            raise damaged(f"git object {object_id} in the bundle is no {kind}")
        self.used.add(object_id)
        return packed[head.end() :]


def _entries(tree: str, content: bytes) -> Iterator[tuple[str, str, str]]:
    """Mode, name and object of each entry."""
    position = 0
    while position < len(content):
        entry = _ENTRY.match(content, position)
        if entry is None:
            raise damaged(f"git tree {tree} in the bundle is broken, or holds a link")
        position = entry.end()
        try:
            yield entry[1].decode(), entry[2].decode(), entry[3].hex()
        except UnicodeDecodeError:
            raise damaged(f"git tree {tree} in the bundle holds a name that is no UTF-8") from None

"""The lineage as a bare git repository: one commit per variant, its git parent the parent variant's commit.

Objects are written by this module (an index, a work tree and a subprocess per variant would cost far more), read
through gitdb, and compared, listed and checked by git itself. Nothing of the user's git configuration has an effect.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from hyperagent.archive.blobs import remove_unfinished, sync_folder, write_all_durably, write_durably
from hyperagent.archive.differ import Differ
from hyperagent.errors import ArchiveDamaged, PrerequisiteError
from hyperagent.types import ProgramTree

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # a missing git is reported by Lineage, not by an import

if TYPE_CHECKING:
    import git
    import gitdb  # type: ignore[import-untyped]

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
IDENTITY = "hyperagent <noreply@hyperagent.invalid>"
REFS = "refs/variants"
_BATCH = 64
"""Pairs compared by one git process: a bound on the memory that their diffs take together."""
_PAIR = re.compile(rb"^[0-9a-f]{40} [0-9a-f]{40}\n", re.MULTILINE)
_CONFIG = f"""[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\thooksPath = {os.devnull}
\tlogAllRefUpdates = false
[gc]
\tauto = 0
"""
_KEPT, _KEPT_BYTES = 256, 65_536
_RESERVED = {".git", ".gitmodules", ".gitattributes"}
_DAMAGED_HINT = "run `git fsck` in the archive's lineage.git and restore it from a backup"


class Lineage:
    """The repository of one archive. Safe to use from several threads.

    Raises:
        PrerequisiteError: There is no git on this machine.
        ArchiveDamaged: The folder is no repository.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path.absolute()
        if create and not (self.path / "HEAD").is_file():
            _make_repository(self.path)
        if not (self.path / "HEAD").is_file() or not (self.path / "objects").is_dir():
            raise ArchiveDamaged(f"{self.path} is no git repository", hint=_DAMAGED_HINT)
        self._lock = threading.Lock()
        self._differ = Differ(self.path, _environment(self.path))
        self._kept: dict[str, bytes] = {}

    def close(self) -> None:
        self._differ.close()

    # Both are loaded on first use: a verb that reads rows only does not wait for GitPython.

    @cached_property
    def _git(self) -> git.Git:
        import git

        commands = git.Git(str(self.path.parent))
        commands.update_environment(**_environment(self.path))
        return commands

    @cached_property
    def _objects(self) -> gitdb.GitDB:
        import gitdb

        return gitdb.GitDB(str(self.path / "objects"))

    # -- writing

    def commit(self, tree: ProgramTree, parent: str, campaign: str, step: int, message: str) -> tuple[str, str]:
        """Store a program and point its ref at it; returns commit and tree id. Durable when it returns.

        Equal arguments give equal ids. Author, committer and date (epoch + ``step`` seconds) are fixed.

        Args:
            parent: Commit of the parent variant; empty for a seed.

        Raises:
            ValueError: A path that must not be in a program, see :func:`check_paths`.
        """
        objects = dict(_objects_of(tree))
        tree_id = _root(objects)
        text = message.replace("\0", "").encode("utf-8", "replace").decode().strip() or f"step {step}"
        trailers = [f"Campaign: {campaign}", f"Step: {step}", *([f"Parent: {parent}"] if parent else [])]
        header = [f"tree {tree_id}", *([f"parent {parent}"] if parent else [])]
        header += [f"{role} {IDENTITY} {step} +0000" for role in ("author", "committer")]
        body = "\n".join([*header, "", text, "", *trailers, ""])
        commit = _add(objects, "commit", body.encode())
        files = {self.path / "objects" / name[:2] / name[2:]: packed for name, packed in objects.items()}
        missing = {file: zlib.compress(packed, 1) for file, packed in files.items() if not file.exists()}
        write_all_durably({**missing, self._ref(campaign, step): f"{commit}\n".encode()}, scratch=self.path)
        return commit, tree_id

    def restore_ref(self, campaign: str, step: int, commit: str) -> None:
        """Point a variant's ref at its commit again."""
        write_durably(self._ref(campaign, step), f"{commit}\n".encode(), scratch=self.path)

    def add_objects(self, objects: Mapping[str, bytes]) -> None:
        """Store loose objects, id -> header and content; durable when it returns. Nothing refers to them yet."""
        for object_id, packed in objects.items():
            self._add_object(object_id, packed)
        for folder in {object_id[:2] for object_id in objects}:
            sync_folder(self.path / "objects" / folder)

    def delete_ref(self, campaign: str, step: int) -> None:
        self._run("update-ref", "-d", f"{REFS}/{campaign}/{step}")

    def remove_unfinished(self) -> int:
        """Delete what interrupted writes left; returns how many files that were."""
        return remove_unfinished(self.path)

    # -- reading

    def refs(self) -> dict[tuple[str, int], str]:
        """(campaign name, step) -> commit, for every variant's ref."""
        found = {}
        for line in self._run("for-each-ref", "--format=%(objectname) %(refname)", REFS).decode().splitlines():
            commit, name = line.split(" ", 1)
            campaign, _, step = name.removeprefix(REFS + "/").rpartition("/")
            if step.isdigit():
                found[campaign, int(step)] = commit
        return found

    def tree_of(self, commit: str) -> str:
        """The tree id of a commit.

        Raises:
            ArchiveDamaged: The commit is missing or broken.
        """
        first = self._read(commit, "commit").split(b"\n", 1)[0]
        return first.removeprefix(b"tree ").decode("ascii", "replace")

    def read_tree(self, commit: str) -> dict[str, bytes]:
        """All files of a commit, in path order.

        Raises:
            ArchiveDamaged: An object is missing or broken.
        """
        return dict(sorted(self._files(self.tree_of(commit), "")))

    def _files(self, tree: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        for mode, name, object_id in _entries(self._read(tree, "tree")):
            if mode == "40000":
                yield from self._files(object_id, f"{prefix}{name}/")
            else:
                yield prefix + name, self._blob(object_id)

    def _blob(self, object_id: str) -> bytes:
        """Variants share most of their files, so the last ones that were read are kept."""
        data = self._kept.get(object_id)
        if data is None:
            data = self._read(object_id, "blob")
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            if len(data) <= _KEPT_BYTES:
                self._kept[object_id] = data
        return data

    def objects(self, commit: str) -> dict[str, bytes]:
        """Everything that a commit consists of but its ancestors: id -> header and content.

        Raises:
            ArchiveDamaged: An object is missing or broken.
        """
        found = {commit: _pack("commit", self._read(commit, "commit"))}
        trees = [self.tree_of(commit)]
        while trees:
            tree = trees.pop()
            content = self._read(tree, "tree")
            found[tree] = _pack("tree", content)
            for mode, _, object_id in _entries(content):
                if object_id not in found:
                    if mode == "40000":
                        trees.append(object_id)
                    else:
                        found[object_id] = _pack("blob", self._read(object_id, "blob"))
        return found

    def diff(self, commit_a: str, commit_b: str) -> str:
        """Unified diff with renames; an empty ``commit_a`` stands for the empty program.

        Raises:
            ArchiveDamaged: A commit is missing.
        """
        a, b = (EMPTY_TREE if commit == "" else self.tree_of(commit) for commit in (commit_a, commit_b))
        return self._differ.diff(a, b)

    def diffs(self, trees: Sequence[tuple[str, str]]) -> Iterator[str]:
        """Unified diffs of pairs of tree ids (empty = the empty program), in their order, a batch per git process.

        Raises:
            ArchiveDamaged: A tree is missing.
        """
        options = ("--stdin", "-r", "-p", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames")
        for start in range(0, len(trees), _BATCH):
            batch = [(a or EMPTY_TREE, b or EMPTY_TREE) for a, b in trees[start : start + _BATCH]]
            with tempfile.TemporaryFile() as asked:
                asked.write("".join(f"{a} {b}\n" for a, b in batch).encode())
                asked.seek(0)
                output = self._run("diff-tree", *options, stdin=cast(BinaryIO, asked))
            # git repeats each pair before its diff. No line of a diff begins with an id: hunks are indented.
            parts = _PAIR.split(output)[1:]
            if len(parts) != len(batch):
                raise ArchiveDamaged(f"git diff-tree answered {len(parts)} of {len(batch)} pairs", hint=_DAMAGED_HINT)
            yield from (part.decode("utf-8", "replace") for part in parts)

    def check(self) -> list[str]:
        """What ``git fsck`` complains about, one line each; empty where all is well."""
        status, output, errors = self._execute("fsck", "--full", "--strict", "--no-dangling", "--no-progress")
        lines = [line for line in (output + b"\n" + errors).decode("utf-8", "replace").splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith("notice: ")]  # no branch: HEAD points nowhere
        return lines or ([f"git fsck ended with {status}"] if status else [])

    # -- below

    def _add_object(self, object_id: str, packed: bytes) -> None:
        file = self.path / "objects" / object_id[:2] / object_id[2:]
        if not file.exists():
            write_durably(file, zlib.compress(packed, 1), sync_folder=False)

    def _ref(self, campaign: str, step: int) -> Path:
        return self.path / REFS / campaign / str(step)

    def _read(self, object_id: str, kind: str) -> bytes:
        from gitdb.exc import BadObject, ParseError  # type: ignore[import-untyped]

        try:
            with self._lock:
                stream = self._objects.stream(bytes.fromhex(object_id))
                data: bytes = stream.read()
        except (BadObject, ParseError, zlib.error, OSError, ValueError) as error:
            raise ArchiveDamaged(f"git {kind} {object_id!r} cannot be read", hint=_DAMAGED_HINT) from error
        if _identify(_pack(kind, data)) != object_id:
            raise ArchiveDamaged(f"git {kind} {object_id} holds other bytes than were stored", hint=_DAMAGED_HINT)
        return data

    def _run(self, *command: str, stdin: BinaryIO | None = None) -> bytes:
        status, output, errors = self._execute(*command, stdin=stdin)
        if status:
            reason = errors.decode("utf-8", "replace").strip()
            raise ArchiveDamaged(f"git {command[0]} failed in {self.path}: {reason}", hint=_DAMAGED_HINT)
        return output

    def _execute(self, *command: str, stdin: BinaryIO | None = None) -> tuple[int, bytes, bytes]:
        from git.exc import GitCommandNotFound

        try:
            result: Any = self._git.execute(
                ["git", *command],
                istream=stdin,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        except GitCommandNotFound as error:
            raise PrerequisiteError(
                "git is not installed", hint="install git (for example: apt install git)"
            ) from error
        status, output, errors = result
        return status, output, errors if isinstance(errors, bytes) else errors.encode("utf-8", "replace")


def _make_repository(path: Path) -> None:
    """An empty bare repository; `git init` would take templates, formats and hooks from the user's settings."""
    try:
        for folder in ("objects/info", "objects/pack", "refs/heads", REFS):
            (path / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrerequisiteError(f"cannot make {path}: {error.strerror}", hint="name another --archive") from error
    write_durably(path / "config", _CONFIG.encode())
    write_durably(path / "HEAD", b"ref: refs/heads/main\n")  # last: where it is, the rest is


def _environment(path: Path) -> dict[str, str]:
    """Variables that cut git off from the user's settings and from any repository around this process."""
    return {
        "GIT_DIR": str(path),
        "GIT_OBJECT_DIRECTORY": str(path / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "0",
        "GIT_CONFIG_PARAMETERS": "",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NAMESPACE": "",
        "GIT_WORK_TREE": str(path),
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


# -- objects


def tree_id(tree: ProgramTree) -> str:
    """The git tree id of these files, without storing anything.

    Raises:
        ValueError: See :func:`check_paths`.
    """
    return _root(dict(_objects_of(tree)))


def check_paths(tree: Mapping[str, object]) -> None:
    """Refuse paths that could leave the program's folder, or that git or another file system reads as its own.

    Raises:
        ValueError: Absolute, empty, ``.``, ``..``, ``.git`` in any disguise, ``.gitmodules``, ``.gitattributes``,
            backslashes, control characters, text that is no UTF-8, overlong names, a file that is also a folder.
    """
    folders: set[str] = set()
    for path in tree:
        parts = path.split("/")
        for part in parts:
            _check_part(part, path)
        if len(path.encode()) > 1024:
            raise ValueError(f"path too long for a program: {path[:80]!r}...")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    for path in folders.intersection(tree):
        raise ValueError(f"{path!r} is both a file and a folder of the program")


def _check_part(part: str, path: str) -> None:
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        raise ValueError(f"path {path!r} is not valid Unicode") from None
    # Some file systems ignore case, invisible characters, trailing dots and spaces, and a ":stream" at the end.
    plain = "".join(character for character in part if unicodedata.category(character) != "Cf").casefold()
    plain = plain.split(":", 1)[0].rstrip(" .")
    if not plain or size > 255 or any(ord(character) < 32 or character in "\\\x7f" for character in part):
        raise ValueError(f"path {path!r} must not be part of a program")
    if plain in _RESERVED or re.fullmatch(r"gi[0-9a-z]*~[0-9]+", plain):
        raise ValueError(f"path {path!r} is reserved for git and must not be part of a program")


def _objects_of(tree: ProgramTree) -> Iterator[tuple[str, bytes]]:
    """Every object of a program, id -> header and content; the root tree comes last."""
    check_paths(tree)
    objects: dict[str, bytes] = {}
    folders: dict[str, list[tuple[bytes, bytes]]] = {"": []}
    for path, content in tree.items():
        blob = _add(objects, "blob", content)
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append((name.encode(), b"100644 %s\0" % name.encode() + bytes.fromhex(blob)))
        while folder:
            folder = folder.rpartition("/")[0]
            folders.setdefault(folder, [])
    for folder in sorted(folders, key=lambda path: (-path.count("/") - bool(path), path)):
        # git orders a folder as if its name ended in a slash
        content = b"".join(entry for _, entry in sorted(folders[folder]))
        object_id = _add(objects, "tree", content)
        if folder:
            above, _, name = folder.rpartition("/")
            entry = b"40000 %s\0" % name.encode() + bytes.fromhex(object_id)
            folders[above].append((name.encode() + b"/", entry))
        else:
            objects[object_id] = objects.pop(object_id)
    yield from objects.items()


def _root(objects: Mapping[str, bytes]) -> str:
    return next(reversed(list(objects)))


def _pack(kind: str, content: bytes) -> bytes:
    return f"{kind} {len(content)}\0".encode() + content


def _identify(packed: bytes) -> str:
    return hashlib.sha1(packed, usedforsecurity=False).hexdigest()


def _add(objects: dict[str, bytes], kind: str, content: bytes) -> str:
    packed = _pack(kind, content)
    object_id = _identify(packed)
    objects[object_id] = packed
    return object_id


def _entries(tree: bytes) -> Iterator[tuple[str, str, str]]:
    position = 0
    while position < len(tree):
        end = tree.index(b"\0", position)
        mode, name = tree[position:end].decode("utf-8", "surrogateescape").split(" ", 1)
        yield mode, name, tree[end + 1 : end + 21].hex()
        position = end + 21

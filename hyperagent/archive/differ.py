"""Diffs from one long-lived git: starting one for each of the dozen diffs of a step costs more than the step."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from hyperagent.errors import ArchiveDamaged, PrerequisiteError

_OPTIONS = ("-r", "-p", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames")
_END = b"end of this diff\n"
"""A line that names no object is echoed by git as it is; within a diff no line begins with a letter `e`."""
_KEPT = 1024
_KEPT_CHARACTERS = 8192


class Differ:
    """Unified diffs between trees of one repository. Safe to use from several threads.

    Args:
        environment: Of git, complete but for PATH.
    """

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self._path = path
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    def diff(self, tree_a: str, tree_b: str) -> str:
        """Both are ids of trees that are there; a tree never changes, so short diffs are kept.

        Raises:
            ArchiveDamaged: An object below one of the trees is missing or broken.
            PrerequisiteError: There is no git on this machine.
        """
        key = (tree_a, tree_b)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            text = self._ask(f"{tree_a} {tree_b}\n".encode()).decode("utf-8", "replace")
            if len(text) <= _KEPT_CHARACTERS:
                self._known[key] = text
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            return text

    def close(self) -> None:
        """Let git end; the next diff starts another one."""
        with self._lock:
            self._end()

    def __del__(self) -> None:
        self._end()

    def _ask(self, line: bytes) -> bytes:
        if self._process is None:
            self._process = self._start()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        lines: list[bytes] = []
        try:
            stdin.write(line + _END)
            stdin.flush()
            while (said := stdout.readline()) != _END:
                if not said:
                    raise BrokenPipeError
                lines.append(said)
        except BrokenPipeError:
            self._end()
            raise ArchiveDamaged(
                f"git diff-tree {line.decode().strip()} failed in {self._path}",
                hint="run `git fsck` in the archive's lineage.git and restore it from a backup",
            ) from None
        return b"".join(lines[1:])  # the first one repeats what was asked

    def _start(self) -> subprocess.Popen[bytes]:

        environment = {**self._environment, "PATH": os.environ.get("PATH", os.defpath)}
        try:
            return subprocess.Popen(
                ["git", "diff-tree", "--stdin", *_OPTIONS],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._path.parent,
                env=environment,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise PrerequisiteError(
                "git is not installed", hint="install git (for example: apt install git)"
            ) from error

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with process, contextlib.suppress(BrokenPipeError):
                if process.stdin is not None:
                    process.stdin.close()
                process.terminate()

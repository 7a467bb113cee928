"""Runs the examiner of ``benchmarks/reward_design`` outside of a container: its files in a folder, a fresh Python.

Without the rights of root, as in a sandbox: with them any process's memory can be read and any file written, and what
keeps a reward function away from its examiner would not be seen to work.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACK = ROOT / "benchmarks" / "reward_design"
CAPBSET_DROP, CAPABILITIES = 24, 41
MISSING = [name for name in ("mujoco", "gymnasium") if importlib.util.find_spec(name) is None]

needs_robots = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} not installed: see [examiner] in reward_design/benchmark.toml"
)

HONEST = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from task_agent import TaskAgent
verdicts = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    verdicts.write(json.dumps(TaskAgent("", "").forward(json.loads(line))) + "\\n")
    verdicts.flush()
"""
NAIVE = """
import sys
sys.path.insert(0, sys.argv[1])
import reward_child, rewards


class InTheSameProcess(rewards.RewardFunction):
    def __init__(self, source, folder, seconds, memory_mb):
        self.seconds_used, self.child = 0.0, reward_child.Child()
        self._ask({"source": source})

    def _ask(self, message):
        return self.child.answer(message)

    def close(self):
        pass


rewards.RewardFunction = InTheSameProcess
"""
"""What an examiner without a captive would be."""


def tree() -> Mapping[str, bytes]:
    """The files that a sandbox gets to examine with."""
    folders = (PACK / "examiner", ROOT / "hyperagent" / "examining")
    return {path.name: path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py"))}


@contextmanager
def placed() -> Iterator[Path]:
    """A folder that everybody may write to, with the tree in ``program`` below it."""
    folder = Path(mkdtemp(prefix="examiner-"))
    try:
        program = folder / "program"
        program.mkdir()
        for name, content in tree().items():
            (program / name).write_bytes(content)
        program.chmod(0o555)
        folder.chmod(0o777)
        yield folder
    finally:
        (folder / "program").chmod(0o755)
        shutil.rmtree(folder)


def examinations(
    folder: Path, questions: Sequence[Mapping[str, Any]], *, naive: bool = False
) -> list[dict[str, Any] | None]:
    """Verdicts of one examiner process, in order; None where it ended before. See :func:`placed` for ``folder``."""
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run(
        [sys.executable, "-s", "-B", "-c", (NAIVE if naive else "") + HONEST, str(folder / "program")],
        input=lines,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(folder)},
        timeout=300,
        check=False,
        preexec_fn=_without_roots_rights,
    )
    verdicts = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not verdicts and "Traceback" in done.stderr and not naive:
        raise AssertionError(done.stderr)
    return [*verdicts, *[None] * (len(questions) - len(verdicts))]


def _without_roots_rights() -> None:
    for right in range(CAPABILITIES):  # refused, and not needed, where the tests are not run by root
        ctypes.CDLL(None).prctl(CAPBSET_DROP, right, 0, 0, 0)

"""Forgeries against the coding grader, in the real sandbox, and against a naive one that they do fool."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hyperagent.sandbox import DockerSandbox
from hyperagent.types import JobSpec, Limits, ProgramTree, RunRequest, RunResult

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PACK = ROOT / "benchmarks" / "coding"
HIDDEN = {
    "asserts": ({}, {"setup": "", "tests": "ASSERTS", "reference": "REFERENCE"}),
    "unittest": ({}, {"module": "solution", "unittest": "UNITTEST", "reference": "REFERENCE"}),
    "check": ({"entry_point": "f", "instruction": ""}, {"test": "CHECK", "reference": "REFERENCE"}),
    "cases": ({}, {"cases": "CASES"}),
}


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"loaded_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


forged = load(HERE / "coding_forgeries.py")
grader = load(PACK / "grader.py")


def examiner_tree() -> ProgramTree:
    folders = (PACK / "examiner", ROOT / "hyperagent" / "examining")
    return {path.name: path.read_bytes() for folder in folders for path in folder.glob("*.py")}


def task(suite: str) -> tuple[dict[str, Any], dict[str, Any]]:
    input, hidden = HIDDEN[suite]
    cases = [{"call": "f", "args": [x], "expected": y, "raises": False} for x, y in forged.EXPECTED.items()]
    return dict(input), {k: cases if v == "CASES" else getattr(forged, v, v) for k, v in hidden.items()}


class Room:
    """A sandbox for examinations, a new one after one was destroyed."""

    def __init__(self, program: ProgramTree) -> None:
        self._program = program
        self._sandbox = DockerSandbox("forgeries")
        self._sandbox.prepare()
        self._context: Any = None
        self._session: Any = None
        self._count = 0

    def run(self, inputs: dict[str, Any]) -> RunResult:
        if self._session is None:
            self._count += 1
            limits = Limits(memory_mb=1024, processes=64, cpus=1.0, tmpfs_mb=32)
            self._context = self._sandbox.session(JobSpec(f"forgeries-{self._count}", self._program, limits=limits))
            self._session = self._context.__enter__()
        result: RunResult = self._session.run(RunRequest("task", {"model": "", "inputs": inputs}, 60.0))
        if result.status == "killed":
            self.close()
        return result

    def close(self) -> None:
        if self._session is not None:
            self._context.__exit__(None, None, None)
        self._session = None

    def score(self, suite: str, solution: str) -> tuple[float, bool, str]:
        """As the engine does it: no verdict, or one without the secret, is no score."""
        input, hidden = task(suite)
        asked = {**grader.examine(input, hidden, solution), "call_seconds": 2.0, "secret": "a secret"}
        result = self.run(asked)
        if result.status != "ok" or result.value.get("secret") != "a secret":
            return 0.0, False, result.status
        scored: tuple[float, bool, str] = grader.grade(input, hidden, solution, result.value)
        return scored


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    made = Room(examiner_tree())
    yield made
    made.close()


@pytest.mark.docker
@pytest.mark.parametrize("suite", HIDDEN)
def test_the_reference_scores_and_nothing_does_not(room: Room, suite: str) -> None:
    assert room.score(suite, forged.REFERENCE)[:2] == (1.0, True), room.score(suite, forged.REFERENCE)
    assert room.score(suite, "")[0] == 0.0


@pytest.mark.docker
@pytest.mark.parametrize("name", forged.FORGERIES)
def test_a_forgery_scores_nothing(room: Room, name: str) -> None:
    # The slow ones need not be slow four times.
    suites = ["asserts"] if name in ("hang", "memory", "huge answer", "search of the disk") else ["asserts", "unittest"]
    for suite in suites:
        score, _, detail = room.score(suite, forged.FORGERIES[name])
        assert score == 0.0, detail
    # and took nobody with it
    assert room.score("asserts", forged.REFERENCE)[0] == 1.0


@pytest.mark.docker
@pytest.mark.parametrize("suite", ["check", "cases"])
def test_objects_that_equal_everything_score_nothing_in_any_suite(room: Room, suite: str) -> None:
    for name in ("always equal", "always equal int", "adapting", "__class__", "exit in the call"):
        assert room.score(suite, forged.FORGERIES[name])[0] == 0.0, name


@pytest.mark.docker
def test_without_its_defence_the_examiners_memory_can_be_read() -> None:
    """The attack is a real one: it wins against an examiner that may be dumped."""
    program = dict(examiner_tree())
    program["captive.py"] = program["captive.py"].replace(b"prctl(_SET_DUMPABLE, 0,", b"prctl(_SET_DUMPABLE, 1,")
    assert program != examiner_tree()
    room = Room(program)
    try:
        assert room.score("asserts", forged.FORGERIES["parent's memory"])[0] == 1.0
    finally:
        room.close()


def naive(folder: Path, solution: str) -> bool:
    """A naive grader: solution and tests in one folder; exit code 0 of both usual commands means solved."""
    (folder / "solution.py").write_text(solution)
    (folder / "test_solution.py").write_text(forged.UNITTEST)
    command = [sys.executable, "test_solution.py"]
    if "conftest" in solution:  # the program ran its code, so what it writes is there when the tests begin
        subprocess.run([sys.executable, "solution.py"], cwd=folder, check=False, timeout=20)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=."]
    result = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=60)
    return result.returncode == 0


def test_a_naive_grader_tells_right_from_wrong(tmp_path: Path) -> None:
    assert naive(tmp_path, forged.REFERENCE)
    assert not naive(tmp_path, forged.WRONG)


@pytest.mark.parametrize("name", forged.FOOL_A_NAIVE_GRADER)
def test_the_same_forgeries_fool_a_naive_grader(tmp_path: Path, name: str) -> None:
    assert naive(tmp_path, forged.FORGERIES[name])


def test_there_are_enough_of_them() -> None:
    assert len(forged.FORGERIES) >= 20
    assert len(forged.FOOL_A_NAIVE_GRADER) >= 8
    assert not forged.DESTRUCTIVE & set(forged.FOOL_A_NAIVE_GRADER)

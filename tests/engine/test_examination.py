"""From a run to an outcome, through real sandboxes: what the program left is graded where the program never was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hyperagent.engine.examination import WORKSPACE_BYTES, Examination
from hyperagent.errors import EvaluationsLost, SandboxLost
from hyperagent.evaluation.pack import EXAMINING
from hyperagent.protocols import Benchmark, Sandbox, Session
from hyperagent.sandbox import ProcessSandbox
from hyperagent.types import (
    Examiner,
    Grade,
    JobSpec,
    Json,
    Limits,
    Needs,
    Outcome,
    RunRequest,
    RunResult,
    SandboxInfo,
    Scorecard,
    Split,
    Task,
)

LIMITS = Limits(memory_mb=256)

EXAMINER = b"""
import os, signal


def examine(inputs):
    what = inputs["answer"]
    if what == "crash":
        raise RuntimeError("the examiner failed")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        while True:
            pass
    return {"right": what == "42", "seen": sorted(inputs)}
"""

FORGED_SHIM = b"""
class TaskAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, inputs):
        return {"right": True, "secret": "guessed"}
"""

WORKER = b"""
import pathlib


class TaskAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, inputs):
        place = pathlib.Path(inputs["workspace"])
        exec(inputs["code"], {"place": place})
        return inputs.get("response"), ""


class MetaAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, repo_path, eval_path, iterations_left=None):
        pass
"""


class Examined:
    """A benchmark with an examiner: right is whoever answers 42."""

    name = "examined"
    needs = Needs()

    def __init__(self, shim: bytes = b"") -> None:
        files = {path.name: path.read_bytes() for path in EXAMINING.glob("*.py")}
        program = {**files, "examiner.py": EXAMINER, "program.toml": b"", **({"task_agent.py": shim} if shim else {})}
        self.examiner = Examiner(program, Needs(seconds=2.0))

    def tasks(self, split: Split, limit: int = 0) -> list[Task]:
        return [a_task()]

    def examine(self, task: Task, prediction: Json) -> dict[str, Json] | Grade:
        return {"answer": prediction} if isinstance(prediction, str) else Grade(0.0, False, "not a string")

    def grade(self, task: Task, prediction: Json, verdict: Json = None) -> Grade:
        assert "secret" not in verdict
        return Grade(float(verdict["right"]), True, ",".join(verdict.get("seen", ())))

    def feedback(self, task: Task) -> Json:
        return None

    def scorecard(self, tasks: object, outcomes: object) -> Scorecard:
        return Scorecard({})


class Failing:
    """A sandbox that fails so many times, then hands over to a real one."""

    info = SandboxInfo("failing", "none")

    def image(self, packages: object = ()) -> str:
        return ""

    def __init__(self, real: Sandbox, failures: int) -> None:
        self.real, self.failures = real, failures

    def prepare(self, packages: object = ()) -> None: ...

    def abort(self) -> None: ...

    def reap(self) -> int:
        return 0

    @contextmanager
    def session(self, spec: JobSpec) -> Iterator[Session]:
        if self.failures:
            self.failures -= 1
            raise SandboxLost("the engine went away")
        with self.real.session(spec) as session:
            yield session


def a_task(files: dict[str, str] | None = None) -> Task:
    return Task("t", "examined", "train", "g", {}, {}, files)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    made = ProcessSandbox("examination")
    made.prepare()
    return made


def graded(sandbox: Sandbox, *answers: Json, benchmark: Benchmark | None = None) -> list[Outcome]:
    with Examination(sandbox, benchmark or Examined(), "job", LIMITS, 20.0) as examination:
        return [examination.outcome(a_task(), RunResult("ok", answer)) for answer in answers]


def test_the_verdict_decides_and_the_secret_is_not_the_packs_business(sandbox: Sandbox) -> None:
    right, wrong = graded(sandbox, "42", "41")
    assert (right.status, right.score, wrong.status, wrong.score) == ("scored", 1.0, "scored", 0.0)
    assert right.error == "answer"


def test_what_is_no_answer_is_never_examined(sandbox: Sandbox) -> None:
    (outcome,) = graded(Failing(sandbox, 99), 42)
    assert (outcome.status, outcome.score, outcome.error) == ("agent_error", 0.0, "not a string")


@pytest.mark.parametrize(("answer", "word"), [("crash", "the examiner failed"), ("die", "killed"), ("hang", "timeout")])
def test_an_examination_that_fails_scores_nothing_and_the_next_one_works(
    sandbox: Sandbox, answer: str, word: str
) -> None:
    failed, right = graded(sandbox, answer, "42")
    assert (failed.status, failed.score) == ("agent_error", 0.0)
    assert word in failed.error
    assert right.score == 1.0


def test_a_verdict_without_the_secret_is_none(sandbox: Sandbox) -> None:
    (outcome,) = graded(sandbox, "42", benchmark=Examined(FORGED_SHIM))
    assert (outcome.status, outcome.score) == ("agent_error", 0.0)
    assert "no verdict of its own" in outcome.error


def test_a_sandbox_that_fails_is_tried_again_and_then_lost_never_wrong(sandbox: Sandbox) -> None:
    (outcome,) = graded(Failing(sandbox, 2), "42")
    assert outcome.score == 1.0
    with pytest.raises(EvaluationsLost, match="the engine went away"):
        graded(Failing(sandbox, 3), "42")


def worked(sandbox: Sandbox, code: str, files: dict[str, str], response: Json = None) -> RunResult:
    spec = JobSpec("work", {"task_agent.py": WORKER, "program.toml": b""}, limits=LIMITS)
    inputs = {"code": code, "response": response}
    given = {name: text.encode() for name, text in files.items()}
    with sandbox.session(spec) as session:
        return session.run(RunRequest("task", {"model": "", "inputs": inputs}, 20.0, given))


class OnHost(Examined):
    examiner = None  # type: ignore[assignment]

    def __init__(self) -> None: ...

    def grade(self, task: Task, prediction: Json, verdict: Json = None) -> Grade:
        return Grade(1.0)


def outcome_of(sandbox: Sandbox, task: Task, result: RunResult) -> Outcome:
    with Examination(sandbox, OnHost(), "job", LIMITS, 20.0) as examination:
        return examination.outcome(task, result)


def test_new_and_changed_files_of_a_workspace_are_part_of_the_answer(sandbox: Sandbox) -> None:
    files = {"a.py": "old", "kept.py": "same", "gone.py": "x"}
    code = (
        "assert (place / 'a.py').read_text() == 'old'; (place / 'a.py').write_text('new')\n"
        "(place / 'sub').mkdir(); (place / 'sub' / 'b.txt').write_text('b'); (place / 'gone.py').unlink()\n"
        "(place / 'binary').write_bytes(bytes([255, 254])); (place / 'link').symlink_to('/etc/passwd')"
    )
    result = worked(sandbox, code, files, "done")
    assert result.status == "ok", result
    outcome = outcome_of(sandbox, a_task(files), result)
    assert outcome.prediction == '{"files":{"a.py":"new","sub/b.txt":"b"},"response":"done"}'


def test_a_workspace_too_large_is_the_programs_fault(sandbox: Sandbox) -> None:
    result = worked(sandbox, f"(place / 'big').write_text('x' * {WORKSPACE_BYTES + 1})", {})
    outcome = outcome_of(sandbox, a_task({}), result)
    assert (outcome.status, outcome.score) == ("agent_error", 0.0)
    assert "changed files" in outcome.error


def test_a_task_without_a_workspace_has_none(sandbox: Sandbox) -> None:
    spec = JobSpec("work", {"task_agent.py": WORKER, "program.toml": b""}, limits=LIMITS)
    with sandbox.session(spec) as session:
        result = session.run(RunRequest("task", {"model": "", "inputs": {"code": ""}}, 20.0))
    assert result.status == "error"
    assert "KeyError" in result.error

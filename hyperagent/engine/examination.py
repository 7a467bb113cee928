"""From how a run ended to an outcome: graded on the host, or examined in a sandbox that never held the program."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack
from types import TracebackType

from hyperagent.errors import EvaluationsLost, SandboxLost
from hyperagent.protocols import Benchmark, Sandbox, Session
from hyperagent.types import Grade, JobSpec, Json, Limits, Outcome, OutcomeStatus, RunRequest, RunResult, Task

INFRASTRUCTURE_TRIES = 3
"""How often something is run again when our side failed under it, before it counts as lost."""
WORKSPACE_BYTES = 1_000_000
"""Most text that a program may leave in its workspace: it is kept with every outcome."""
_ERROR_CHARACTERS = 2000


def canonical(value: Json) -> str:
    """The one JSON text of a value: what replay compares byte for byte."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Examination:
    """Grades the runs of one job. Use as a context manager.

    A benchmark with an examiner is graded in a session of its own, opened when it is first needed: it never holds the
    program, and what a task's grading needs enters it only after the program's run for that task has ended.

    Args:
        job: Of the program; the examiner's is ``<job>/examiner``.
        base: Limits of the campaign, where the pack says nothing.
        seconds: Wall clock of one examination, likewise.
    """

    def __init__(self, sandbox: Sandbox, benchmark: Benchmark, job: str, base: Limits, seconds: float) -> None:
        self._sandbox = sandbox
        self._benchmark = benchmark
        self._job = f"{job}/examiner"
        self._base, self._seconds = base, seconds
        self._stack = ExitStack()
        self._session: Session | None = None

    def __enter__(self) -> Examination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def outcome(self, task: Task, result: RunResult) -> Outcome:
        """Grade one run. A crash, a timeout or nonsense is the program's own ``agent_error`` and scores 0.

        Raises:
            EvaluationsLost: The examiner's sandbox failed ``INFRASTRUCTURE_TRIES`` times, or so did what it examines
                with (a verdict ``{"broken": why}``, e.g. the reference solution was too slow).
        """
        if result.status != "ok":
            return _agent_error(task, f"{result.status}: {result.error}".strip(": "))
        try:
            prediction = prediction_of(task, result)
        except ValueError as error:
            return _agent_error(task, str(error))
        grade = self._grade(task, prediction)
        status: OutcomeStatus = "scored" if grade.valid else "agent_error"
        return Outcome(task.id, status, grade.score, canonical(prediction), grade.detail[:_ERROR_CHARACTERS])

    def _grade(self, task: Task, prediction: Json) -> Grade:
        if self._benchmark.examiner is None:
            return self._benchmark.grade(task, prediction)
        asked = self._benchmark.examine(task, prediction)
        if isinstance(asked, Grade):
            return asked
        secret = secrets.token_hex(16)
        result = self._examined({"inputs": {**asked, "secret": secret}, "model": ""}, task)
        if result.status != "ok":
            return Grade(0.0, valid=False, detail=f"the examination ended with {result.status}: {result.error}")
        verdict = result.value
        # Whoever answered without knowing the secret was not the examiner.
        if not isinstance(verdict, dict) or verdict.pop("secret", None) != secret:
            return Grade(0.0, valid=False, detail="the examination gave no verdict of its own")
        return self._benchmark.grade(task, prediction, verdict)

    def _examined(self, arguments: dict[str, Json], task: Task) -> RunResult:
        for _ in range(INFRASTRUCTURE_TRIES):
            try:
                session, seconds = self._opened()
                result = session.run(RunRequest("task", arguments, seconds))
            except SandboxLost as error:
                lost = error
                self._close()
                continue
            if result.status in ("killed", "memory"):
                self._close()  # what examined a destructive answer examines no other one
            why = result.value.get("broken") if isinstance(result.value, dict) else None
            if not why:
                return result
            lost = SandboxLost(f"the examiner could not do its work: {why}", hint="is this machine overloaded?")
        raise EvaluationsLost(f"task {task.id} could not be graded: {lost.message}", hint=lost.hint) from lost

    def _opened(self) -> tuple[Session, float]:
        examiner = self._benchmark.examiner
        assert examiner is not None
        needs = examiner.needs
        if self._session is None:
            spec = JobSpec(self._job, examiner.program, limits=needs.over(self._base), packages=needs.packages)
            self._session = self._stack.enter_context(self._sandbox.session(spec))
        return self._session, needs.seconds or self._seconds

    def _close(self) -> None:
        self._stack.close()
        self._session = None


def prediction_of(task: Task, result: RunResult) -> Json:
    """What a run answered: the value, with every text file that is new or changed where the task has a workspace.

    Raises:
        ValueError: The files are more than ``WORKSPACE_BYTES``.
    """
    if task.files is None:
        return result.value
    given = {name: text.encode() for name, text in task.files.items()}
    changed = {name: data for name, data in (result.tree or {}).items() if given.get(name) != data}
    if sum(map(len, changed.values())) > WORKSPACE_BYTES:
        raise ValueError(f"output: the workspace's changed files are more than {WORKSPACE_BYTES:,} bytes")
    files = {}
    for name, data in sorted(changed.items()):
        try:
            files[name] = data.decode("utf-8")
        except UnicodeDecodeError:  # no solution is a binary file
            continue
    answer = dict(result.value) if isinstance(result.value, dict) else {"response": result.value}
    return {**answer, "files": files}


def _agent_error(task: Task, error: str) -> Outcome:
    return Outcome(task.id, "agent_error", 0.0, error=error[:_ERROR_CHARACTERS])

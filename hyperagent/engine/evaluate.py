"""Evaluation of one variant: tasks into a sandbox, predictions out, grades on the host, one durable row per task."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace

from hyperagent.config import BenchmarkConfig, Config
from hyperagent.engine.budget import Budget, JobMeter
from hyperagent.engine.examination import INFRASTRUCTURE_TRIES, Examination, canonical
from hyperagent.engine.population import Results
from hyperagent.engine.racing import Racer, Terms, race_order
from hyperagent.engine.repeats import merged
from hyperagent.engine.reuse import take_over
from hyperagent.errors import AllowanceSpent, EvaluationsLost, HyperagentError, ModelLost, SandboxLost
from hyperagent.evaluation.aggregate import aggregate
from hyperagent.evaluation.eprocess import Verdict, raced_score
from hyperagent.evaluation.stages import screen_passed, stage_score
from hyperagent.protocols import Archive, Benchmark, Broker, ModelChannel, Sandbox, Session
from hyperagent.types import (
    Evaluation,
    Examiner,
    JobSpec,
    Json,
    Limits,
    Outcome,
    ProgramTree,
    Purpose,
    RunRequest,
    RunResult,
    SandboxInfo,
    Spend,
    Split,
    Task,
    Variant,
    VariantStatus,
)


class Cancelled(HyperagentError):
    """The user asked twice to stop; nothing finished is lost."""

    exit_code = 130


@dataclass(frozen=True)
class Parts:
    """Everything the engine works with, handed in by ``assembly``."""

    archive: Archive
    broker: Broker
    sandbox: Sandbox
    benchmarks: Sequence[tuple[BenchmarkConfig, Benchmark]]
    config: Config


def limits_of(config: Config) -> Limits:
    limits = config.limits
    return Limits(
        memory_mb=limits.memory_mb,
        processes=limits.processes,
        cpus=limits.cpus,
        tmpfs_mb=limits.tmpfs_mb,
        output_bytes=limits.program_kb * 1024 + 2_000_000,
    )


def evaluation_job(campaign: str, step: int, benchmark: str, split: Split) -> str:
    """Name of the job under which an evaluation's model calls are recorded."""
    return f"{campaign}/{step}/{benchmark}/{split}"


_Door = tuple[ModelChannel, JobMeter]
"""A job's way to its model, and what counts on it."""


class TaskRunner:
    """Runs tasks of one program in sandboxes; opens a fresh one after a program destroyed its own.

    Args:
        purpose: What the model calls are recorded for.
        cancelled: Checked between tasks.
    """

    def __init__(self, parts: Parts, meter: Budget, purpose: Purpose, cancelled: threading.Event) -> None:
        self._parts = parts
        self._meter = meter
        self._purpose = purpose
        self._cancelled = cancelled

    def run(
        self, job: str, variant: Variant, program: ProgramTree, benchmark: Benchmark, tasks: Sequence[Task]
    ) -> Generator[tuple[Outcome, str], None, None]:
        """Yield one outcome and its transcript per task, in order.

        Raises:
            EvaluationsLost: Infrastructure failed under the same task ``INFRASTRUCTURE_TRIES`` times.
            BudgetReached, ModelUnavailable, ReplayDiverged: See ``ModelChannel.end``.
            Cancelled: Between two tasks.
        """
        if not tasks:
            return
        models = self._parts.config.models
        defaults = {"temperature": models.evaluation_temperature, "max_tokens": models.max_tokens}
        meter = self._meter.job(variant.id, job)
        with self._parts.broker.channel(
            job,
            campaign=variant.campaign,
            variant=variant.id,
            purpose=self._purpose,
            model=models.evaluation,
            meter=meter,
            defaults=defaults,
        ) as channel:
            base, needs = limits_of(self._parts.config), benchmark.needs
            limits = needs.over(base)
            spec = JobSpec(job, program, model_directory=channel.directory, limits=limits, packages=needs.packages)
            seconds = self._parts.config.limits.task_seconds
            with Examination(self._parts.sandbox, benchmark, job, base, seconds) as examination:
                seconds = needs.seconds or seconds
                yield from self._in_sandboxes(spec, (channel, meter), examination, tasks, seconds, needs.repeats)

    def _in_sandboxes(
        self,
        spec: JobSpec,
        door: _Door,
        examination: Examination,
        tasks: Sequence[Task],
        seconds: float,
        repeats: int,
    ) -> Generator[tuple[Outcome, str], None, None]:
        session: Session | None = None
        failures = 0
        queue = list(tasks)
        ran: list[tuple[Outcome, RunResult]] = []
        with ExitStack() as stack:
            while queue:
                if self._cancelled.is_set():
                    raise Cancelled("cancelled between two tasks")
                task = queue[0]
                try:
                    if session is None:
                        session = stack.enter_context(self._parts.sandbox.session(spec))
                    result, spend = self._one(session, door, task, seconds, len(ran))
                except (SandboxLost, ModelLost) as error:
                    failures += 1
                    if failures >= INFRASTRUCTURE_TRIES:
                        raise EvaluationsLost(
                            f"task {task.id} has no outcome: {error.message}", hint=error.hint
                        ) from error
                    stack.close()
                    session = None
                    continue
                failures = 0
                if result.status in ("killed", "memory"):
                    # The program may have destroyed its sandbox; later tasks must not pay for this one.
                    stack.close()
                    session = None
                outcome = examination.outcome(task, result)
                ran.append((replace(outcome, seconds=result.seconds, peak_mb=result.peak_mb, spend=spend), result))
                if len(ran) == repeats:
                    yield merged([(one, run.transcript) for one, run in ran])
                    queue.pop(0)
                    ran.clear()

    def _one(self, session: Session, door: _Door, task: Task, seconds: float, run: int) -> tuple[RunResult, Spend]:
        channel, meter = door
        name = f"{task.id}#{run + 1}" if run else task.id  # calls of each run are recorded under a name of its own
        arguments = {"model": self._parts.config.models.evaluation, "inputs": dict(task.input)}
        files = None if task.files is None else {name: text.encode() for name, text in task.files.items()}
        meter.begin(name)
        channel.begin(name)
        try:
            result = session.run(RunRequest("task", arguments, seconds, files))
        except SandboxLost:
            with suppress(AllowanceSpent):
                channel.end()
            raise
        try:
            return result, channel.end()
        except AllowanceSpent as spent:
            # Whatever it answered without the call that was refused: it has failed by spending what it was given.
            status = "error" if result.status == "ok" else result.status
            return replace(result, status=status, value=None, tree=None, error=spent.message), meter.spent


class Evaluator:
    """Scores variants stage by stage, or as races, and keeps every finished task.

    Args:
        reuse: Take over what the archive knows of an equal program under equal conditions (never on the hidden test).
    """

    def __init__(self, parts: Parts, meter: Budget, cancelled: threading.Event, *, reuse: bool = False) -> None:
        self._parts = parts
        self._meter = meter
        self._cancelled = cancelled
        self._reuse = reuse
        self._racer = Racer(parts.archive, parts.config.search) if parts.config.search.racing else None
        self._train_locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def validation(
        self, variant: Variant, *, screen: bool, report: Callable[[str], None]
    ) -> tuple[float, VariantStatus]:
        """Screen, then full stage; or a race. Resumes where an earlier session was cut off.

        Returns:
            The aggregated score over benchmarks in [0, 1] and what becomes of the variant: ``evaluated``,
            ``screened_out`` or ``raced_out``.
        """
        if self._racer is None:
            return self._staged(variant, screen, report)
        terms = self._racer.terms(variant, self._plans()) if screen else None
        score, status = self._raced(variant, terms, report) if terms else self._staged(variant, False, report)
        self._racer.learn(variant, score if status == "evaluated" else None)
        return score, status

    def _plans(self) -> dict[str, list[str]]:
        return {b.name: [task.id for task in b.tasks("validation", c.validation)] for c, b in self._setups()}

    def _raced(self, variant: Variant, terms: Terms, report: Callable[[str], None]) -> tuple[float, VariantStatus]:
        """Benchmark after benchmark, until the threshold is out of reach (or, where asked for, safely exceeded)."""
        search, archive = self._parts.config.search, self._parts.archive
        scores: dict[str, float | None] = {benchmark.name: None for _, benchmark in self._setups()}
        for setup in self._setups():
            name = setup[1].name
            others = [score for other, score in scores.items() if other != name]
            evaluation = self._start(variant, setup, "validation", 0, shuffled=True)
            stops = ("below", "above") if search.racing_above == "stop" else ("below",)

            def said(evaluation: Evaluation = evaluation, others: Sequence[float | None] = others) -> Verdict:
                ran = [outcome.score for outcome in archive.outcomes(evaluation.id)]
                return terms.verdict(evaluation, ran, others, search.racing_alpha)

            def over(stops: Sequence[str] = stops, said: Callable[[], Verdict] = said) -> bool:
                return said() in stops

            self._run(variant, evaluation, setup, len(evaluation.tasks), "race", report, over=over)
            early = over() and len(archive.outcomes(evaluation.id)) < len(evaluation.tasks)
            scores[name] = self._finish(evaluation, "raced" if early else "finished")
            if early:
                known = [score for score in scores.values() if score is not None]
                score = sum(known) / len(known)
                if said() == "above":
                    return score, "evaluated"
                # A lucky start must not make it the best of the archive: that it is not is what the race has found.
                return min(score, terms.threshold), "raced_out"
        return sum(score or 0.0 for score in scores.values()) / len(scores), "evaluated"

    def _staged(self, variant: Variant, screen: bool, report: Callable[[str], None]) -> tuple[float, VariantStatus]:
        started = [
            self._start(variant, setup, "validation", setup[0].screen if screen else 0) for setup in self._setups()
        ]
        if screen and not all(
            self._screen(variant, e, s, report) for e, s in zip(started, self._setups(), strict=True)
        ):
            scores = [self._finish(e, "screened_out") for e in started]
            return self.aggregate(scores), "screened_out"
        scores = []
        for evaluation, setup in zip(started, self._setups(), strict=True):
            self._run(variant, evaluation, setup, len(evaluation.tasks), "validation", report)
            scores.append(self._finish(evaluation, "finished"))
        return self.aggregate(scores), "evaluated"

    def further(self, variant: Variant, tasks: int, report: Callable[[str], None]) -> bool:
        """The screen where it has not run, else ``tasks`` more validation tasks of each benchmark.

        Returns:
            Whether nothing is left to run, so that :meth:`validation` only adds up: all has run, or the screen failed.
        """
        started = [(self._start(variant, setup, "validation", setup[0].screen), setup) for setup in self._setups()]
        done = [len(self._parts.archive.outcomes(evaluation.id)) for evaluation, _ in started]
        if any(ran < evaluation.screen for ran, (evaluation, _) in zip(done, started, strict=True)):
            # As in `validation`, a benchmark whose screen fails spares the ones after it.
            if not all(self._screen(variant, evaluation, setup, report) for evaluation, setup in started):
                return True
            return all(evaluation.screen == len(evaluation.tasks) for evaluation, _ in started)
        left = False
        for ran, (evaluation, setup) in zip(done, started, strict=True):
            upto = min(ran + tasks, len(evaluation.tasks))
            self._run(variant, evaluation, setup, upto, "validation", report)
            left = left or upto < len(evaluation.tasks)
        return not left

    def close(self, variant: Variant, report: Callable[[str], None]) -> tuple[float, str]:
        """End an evaluation in part; returns the score on what ran, by the published rule, and how much that was."""
        scores, ran, planned = [], 0, 0
        for setup in self._setups():
            evaluation = self._start(variant, setup, "validation", setup[0].screen)
            self._screen(variant, evaluation, setup, report)
            scores.append(self._finish(evaluation, "screened_out"))
            ran += len(self._parts.archive.outcomes(evaluation.id))
            planned += len(evaluation.tasks)
        return self.aggregate(scores), f"evaluated on {ran} of {planned} tasks: others were more promising"

    def aggregate(self, scores: Sequence[float]) -> float:
        """One score in [0, 1] out of one per benchmark, as the configuration says."""
        weights = [config.weight for config, _ in self._setups()]
        return aggregate(scores, self._parts.config.search.aggregate, weights)

    def results(self, variant: Variant) -> Results:
        """What the archive holds of a variant's validation so far."""
        archive, tasks = self._parts.archive, {}
        vector = dict.fromkeys((benchmark.name for _, benchmark in self._setups()), 0.0)
        for evaluation in archive.evaluations(variant.id):
            if evaluation.split == "validation":
                ran = {o.task: o.score for o in archive.outcomes(evaluation.id) if o.status != "lost"}
                vector[evaluation.benchmark] = stage_score(list(ran.values()), len(evaluation.tasks))
                tasks.update({(evaluation.benchmark, task): score for task, score in ran.items()})
        return Results(tuple(vector.values()), tasks, self.aggregate(list(vector.values())))

    def split(
        self, variant: Variant, split: Split, report: Callable[[str], None], workers: int = 1
    ) -> list[Evaluation]:
        """All planned tasks of a split: train for evidence, test for reports that are asked for.

        Args:
            workers: Sandboxes that share the tasks; each runs its part in order.
        """
        with self._train_lock(f"{variant.id}/{split}"):
            finished = []
            for setup in self._setups():
                evaluation = self._start(variant, setup, split, 0)
                self._run(variant, evaluation, setup, len(evaluation.tasks), split, report, workers)
                self._finish(evaluation, "finished")
                finished.append(evaluation)
            return finished

    def _setups(self) -> Sequence[tuple[BenchmarkConfig, Benchmark]]:
        return self._parts.benchmarks

    def _train_lock(self, key: str) -> threading.Lock:
        with self._guard:
            return self._train_locks.setdefault(key, threading.Lock())

    def _start(
        self,
        variant: Variant,
        setup: tuple[BenchmarkConfig, Benchmark],
        split: Split,
        screen: int,
        *,
        shuffled: bool = False,
    ) -> Evaluation:
        config, benchmark = setup
        limit = {"train": config.train, "validation": config.validation, "test": config.test}[split]
        tasks = [task.id for task in benchmark.tasks(split, limit)]
        context = context_of(self._parts, benchmark, split, tasks)
        if shuffled:  # conditions are those of the set of tasks: in what order they run changes no outcome
            tasks = race_order(tasks, benchmark.name, self._parts.config.seed, variant.step)
        archive = self._parts.archive
        evaluation = archive.start_evaluation(
            variant.id,
            benchmark.name,
            split,
            tasks,
            min(screen, len(tasks)),
            context,
            sandbox_of(self._parts, benchmark),
        )
        if self._reuse and split != "test" and not benchmark.needs.stochastic:
            take_over(archive, variant, evaluation)
        return evaluation

    def _screen(
        self,
        variant: Variant,
        evaluation: Evaluation,
        setup: tuple[BenchmarkConfig, Benchmark],
        report: Callable[[str], None],
    ) -> bool:
        self._run(variant, evaluation, setup, evaluation.screen, "screen", report)
        outcomes = self._parts.archive.outcomes(evaluation.id)
        return not evaluation.screen or screen_passed([o.score for o in outcomes])

    def _run(
        self,
        variant: Variant,
        evaluation: Evaluation,
        setup: tuple[BenchmarkConfig, Benchmark],
        upto: int,
        label: str,
        report: Callable[[str], None],
        workers: int = 1,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run the first ``upto`` tasks that have no outcome yet, or until ``over`` says that they were enough."""
        archive, benchmark = self._parts.archive, setup[1]
        done = {outcome.task for outcome in archive.outcomes(evaluation.id)}
        planned = evaluation.tasks[:upto]
        by_id = {task.id: task for task in benchmark.tasks(evaluation.split)}
        todo = [by_id[task] for task in planned if task not in done]
        if not todo or evaluation.state != "running" or over():
            return
        job = evaluation_job(variant.campaign, variant.step, benchmark.name, evaluation.split)
        runner = TaskRunner(
            self._parts, self._meter, "test" if evaluation.split == "test" else "evaluate", self._cancelled
        )
        program = archive.read_tree(variant.commit)
        count = _Count(len(planned) - len(todo), len(planned), label, report)

        def part(tasks: Sequence[Task]) -> None:
            with closing(runner.run(job, variant, program, benchmark, tasks)) as outcomes:
                for outcome, transcript in outcomes:
                    blob = archive.put_blob(transcript.encode(errors="replace")) if transcript else ""
                    archive.add_outcome(evaluation.id, replace(outcome, transcript_blob=blob))
                    count.one_more()
                    if over():
                        return

        if workers <= 1:
            part(todo)
            return
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(part, [todo[worker::workers] for worker in range(workers)]):
                pass

    def _finish(self, evaluation: Evaluation, state: str) -> float:
        outcomes = self._parts.archive.outcomes(evaluation.id)
        scores = [outcome.score for outcome in outcomes]
        rule = raced_score if "raced" in (state, evaluation.state) else stage_score
        score = rule(scores, len(evaluation.tasks))
        if evaluation.state == "running":
            self._parts.archive.finish_evaluation(evaluation.id, state, score)
        return score


class _Count:
    """Tasks done of an evaluation, told after each; several threads may count."""

    def __init__(self, done: int, planned: int, label: str, report: Callable[[str], None]) -> None:
        self._done, self._planned, self._label, self._report = done, planned, label, report
        self._lock = threading.Lock()
        report(f"{label} {done}/{planned}")

    def one_more(self) -> None:
        with self._lock:
            self._done += 1
            self._report(f"{self._label} {self._done}/{self._planned}")


def sandbox_of(parts: Parts, benchmark: Benchmark) -> SandboxInfo:
    """What a benchmark's programs and their examiner run in here."""
    sandbox, examiner = parts.sandbox, benchmark.examiner
    examined_in = sandbox.image(examiner.needs.packages) if examiner is not None else ""
    return replace(sandbox.info, image=sandbox.image(benchmark.needs.packages), examiner=examined_in)


def context_of(parts: Parts, benchmark: Benchmark, split: Split, tasks: Sequence[str]) -> str:
    """Hash over everything a score depends on but the program (hex, 64 characters)."""
    models, needs = parts.config.models, benchmark.needs
    limits = needs.over(limits_of(parts.config))
    seconds = needs.seconds or parts.config.limits.task_seconds
    facts: dict[str, Json] = {
        "benchmark": benchmark.name,
        "split": split,
        "tasks": list(tasks),
        "model": models.evaluation,
        "temperature": models.evaluation_temperature,
        "max_tokens": models.max_tokens,
        "limits": [seconds, limits.memory_mb, limits.processes, limits.cpus, limits.tmpfs_mb],
        "sandbox": [parts.sandbox.info.backend, parts.sandbox.image(needs.packages)],
    }
    if needs.repeats > 1:
        facts["repeats"] = needs.repeats
    if benchmark.examiner is not None:
        facts["examiner"] = examiner_digest(benchmark.examiner)
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def examiner_digest(examiner: Examiner) -> str:
    """Hash over everything that an examination depends on but what is examined (hex, 64 characters)."""
    needs = examiner.needs
    texts = {name: data.decode("latin-1") for name, data in examiner.program.items()}
    return hashlib.sha256(
        canonical([texts, list(needs.packages), needs.seconds, dict(needs.limits)]).encode()
    ).hexdigest()

"""Replay: rebuild an archived variant from git and rerun it, from recorded or from live model calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from hyperagent.engine.budget import FreeMeter
from hyperagent.engine.evaluate import TaskRunner, evaluation_job
from hyperagent.engine.journal import recorded_mutation
from hyperagent.engine.mutation import Mutator
from hyperagent.engine.parts import Parts
from hyperagent.engine.reuse import origin_of
from hyperagent.errors import NotFoundError, ReplayDiverged, UsageError
from hyperagent.evaluation.statistics import mean_interval
from hyperagent.protocols import Benchmark
from hyperagent.types import Divergence, Evaluation, Outcome, ReplayReport, Task, Variant

EXCERPT = 40
REPORT_EVERY = 20
"""Characters shown on each side of a first difference."""


class Replayer:
    """Replays variants of one campaign.

    Args:
        parts: For recorded replays the broker must be in replay mode; for ``live`` it must be an ordinary one.
        report: Told ``"17 tasks"`` and the like while it works.
    """

    def __init__(self, parts: Parts, report: Callable[[str], None]) -> None:
        self._parts = parts
        self._report = report
        self._runner = TaskRunner(parts, FreeMeter(), "evaluate", threading.Event())

    def evaluation(self, variant: Variant, task: str = "") -> ReplayReport:
        """Rerun every validation task, or one, from recorded calls; compare predictions and scores byte for byte.

        Raises:
            UsageError: The variant was never evaluated.
            NotFoundError: Not on that task.
        """
        archive = self._parts.archive
        scores: list[float] = []
        for evaluation in self._with_task(variant, task):
            outcomes = [o for o in archive.outcomes(evaluation.id) if task in ("", o.task)]
            origin = origin_of(archive, variant, evaluation)  # whose calls were recorded
            job = evaluation_job(origin.campaign, origin.step, evaluation.benchmark, evaluation.split)
            done = 0
            try:
                for new, _ in self._run(job, variant, evaluation, outcomes):
                    old = outcomes[done]
                    difference = first_difference(old, new)
                    if difference is not None:
                        return self._diverged(variant, len(scores), difference)
                    done += 1
                    scores.append(old.score)
                    if len(scores) % REPORT_EVERY == 0:
                        self._report(f"{len(scores)} tasks identical")
            except ReplayDiverged as diverged:
                first = Divergence(outcomes[done].task, "calls", None, "", diverged.message)
                return self._diverged(variant, len(scores), first)
        interval = mean_interval(scores)
        return ReplayReport(variant, "evaluation", True, len(scores), "", interval, interval)

    def mutation(self, variant: Variant) -> ReplayReport:
        """Rerun the mutation that made the variant from recorded calls; it must reach the same git tree.

        Raises:
            UsageError: The variant was not made by a mutation that ended in a program.
        """
        archive = self._parts.archive
        recorded = recorded_mutation(archive, variant)
        if variant.parent is None or recorded is None or not variant.tree:
            raise UsageError(
                f"variant {variant.id} ({variant.status}) has no mutation that made a program",
                hint="choose an evaluated variant other than the seed",
            )
        evidence, left = recorded
        mutator = Mutator(self._parts, FreeMeter(), self._parts.config.seed)
        program = archive.read_tree(archive.variant(variant.parent).commit)
        try:
            result = mutator.rerun(variant, program, evidence, left)
        except ReplayDiverged as diverged:
            return ReplayReport(variant, "mutation", False, 1, diverged.message)
        if result.tree is None:
            return ReplayReport(variant, "mutation", False, 1, f"ended with {result.status}: {result.error}")
        tree = archive.tree_id(result.tree)
        if tree == variant.tree:
            return ReplayReport(variant, "mutation", True, 1)
        stored = archive.read_tree(variant.commit)
        changed = sorted(p for p in {*stored, *result.tree} if stored.get(p) != result.tree.get(p))
        reason = f"tree {tree[:12]} instead of {variant.tree[:12]}: {', '.join(changed)}"
        return ReplayReport(variant, "mutation", False, 1, reason)

    def live(self, variant: Variant) -> ReplayReport:
        """Evaluate the variant again with the real model, on the same tasks; the archive keeps its recorded scores."""
        archive = self._parts.archive
        recorded: list[float] = []
        scores: list[float] = []
        # A job of its own: recorded calls belong to the first evaluation and must stay what they are.
        attempt = sum(event.kind == "live_replay" for event in archive.events(variant.campaign)) + 1
        for evaluation in self._evaluations(variant):
            outcomes = archive.outcomes(evaluation.id)
            recorded += [outcome.score for outcome in outcomes]
            job = evaluation_job(variant.campaign, variant.step, evaluation.benchmark, evaluation.split)
            for outcome, _ in self._run(f"{job}/live-{attempt}", variant, evaluation, outcomes):
                scores.append(outcome.score)
                self._report(f"{len(scores)} tasks")
        before, after = mean_interval(recorded), mean_interval(scores)
        archive.append_event(
            variant.campaign, "live_replay", {"variant": variant.id, "score": after.estimate, "tasks": after.n}
        )
        return ReplayReport(variant, "live", False, len(scores), "", before, after)

    def _evaluations(self, variant: Variant) -> list[Evaluation]:
        found = [e for e in self._parts.archive.evaluations(variant.id) if e.split == "validation"]
        found = [e for e in found if e.state != "running"]
        if not found:
            raise UsageError(
                f"variant {variant.id} ({variant.status}) has no finished evaluation to replay",
                hint="`hyperagent ls` shows which variants were evaluated",
            )
        return found

    def _with_task(self, variant: Variant, task: str) -> list[Evaluation]:
        found = [one for one in self._evaluations(variant) if not task or task in one.tasks]
        if not found:
            raise NotFoundError(
                f"variant {variant.id} was not evaluated on task {task!r}",
                hint=f"`hyperagent show {variant.id[:8]} --transcript` lists its tasks",
            )
        return found

    def _run(
        self, job: str, variant: Variant, evaluation: Evaluation, outcomes: Sequence[Outcome]
    ) -> Iterator[tuple[Outcome, str]]:
        benchmark = self._benchmark(evaluation)
        by_id = {task.id: task for task in benchmark.tasks(evaluation.split)}
        missing = [outcome.task for outcome in outcomes if outcome.task not in by_id]
        if missing:
            raise UsageError(
                f"benchmark {evaluation.benchmark} no longer has task {missing[0]}",
                hint="replay needs the same benchmark data as the campaign had",
            )
        tasks: list[Task] = [by_id[outcome.task] for outcome in outcomes]
        program = self._parts.archive.read_tree(variant.commit)
        return self._runner.run(job, variant, program, benchmark, tasks)

    def _benchmark(self, evaluation: Evaluation) -> Benchmark:
        for _, benchmark in self._parts.benchmarks:
            if benchmark.name == evaluation.benchmark:
                return benchmark
        raise UsageError(f"the campaign's config names no benchmark {evaluation.benchmark}")

    @staticmethod
    def _diverged(variant: Variant, identical: int, first: Divergence) -> ReplayReport:
        return ReplayReport(variant, "evaluation", False, identical, described(first), first=first)


def first_difference(old: Outcome, new: Outcome) -> Divergence | None:
    """The first thing that differs between two outcomes of a task; None where nothing does.

    Compared: status, score and the bytes of the prediction; times and memory differ from run to run by nature.
    """
    if old.prediction != new.prediction:
        # Predictions are canonical JSON in ASCII: a character is a byte.
        length = min(len(old.prediction), len(new.prediction))
        at = next((i for i in range(length) if old.prediction[i] != new.prediction[i]), length)
        start = max(at - EXCERPT // 2, 0)
        was, now = old.prediction[start : start + EXCERPT], new.prediction[start : start + EXCERPT]
        return Divergence(old.task, "prediction", at, was, now, at - start)
    if old.status != new.status:
        return Divergence(old.task, "status", None, old.status, f"{new.status} ({new.error[:200]})")
    if old.score != new.score:
        return Divergence(old.task, "score", None, str(old.score), str(new.score))
    return None


def described(first: Divergence) -> str:
    """A divergence in one line."""
    if first.what == "calls":
        return f"{first.task}: {first.replayed}"
    where = "" if first.at is None else f" differs at byte {first.at}"
    return f"{first.task}: {first.what}{where}: recorded {first.recorded!r}, replayed {first.replayed!r}"

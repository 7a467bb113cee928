"""Any program on any benchmark, without a campaign of the user's making: ``benchmark run``.

It is entered in the archive as a campaign with one variant and no mutation. So every call, outcome and cost is
recorded, and ``show``, ``compare`` and ``replay`` work on it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hyperagent.assembly.scoring import TEST_READ
from hyperagent.assembly.wiring import Wiring, load_program, resolve_models
from hyperagent.assembly.wiring import pack_program as packed
from hyperagent.config import Config, to_json
from hyperagent.errors import BudgetReached, EvaluationsLost, HyperagentError, UsageError
from hyperagent.evaluation.statistics import mcnemar, mean_interval, paired_bootstrap
from hyperagent.protocols import Archive, Observer
from hyperagent.types import (
    Campaign,
    CampaignState,
    Caps,
    Examiner,
    Grade,
    Interval,
    Json,
    Measure,
    Needs,
    Outcome,
    PairedTest,
    ProgramTree,
    Purpose,
    Scorecard,
    Spend,
    Split,
    Task,
    Variant,
)

if TYPE_CHECKING:
    from hyperagent.engine.budget import CampaignMeter
    from hyperagent.evaluation.pack import Pack

NO_MODEL = "none/none"
"""Model of a program that asks none; a call to it fails."""
SHUFFLED_TASKS = 20
_SIGNIFICANT_FEW = 3
"""Fewer answers than this may be equal by chance."""


@dataclass(frozen=True)
class BenchmarkRun:
    """What ``benchmark run`` found.

    Attributes:
        scorecard: The pack's, with the controls that were run added to it.
        seed: The shipped program's variant with the same model on the same tasks; None = not run, or the same program.
        against_seed: McNemar of the program against it, where all scores are 0 or 1.
        difference: Mean of score minus the seed's, with a 95% bootstrap interval over tasks.
        lost: Controls that infrastructure failed under.
    """

    campaign: Campaign
    variant: Variant
    benchmark: str
    source: str
    split: Split
    model: str
    tasks: int
    scorecard: Scorecard
    spend: Spend
    seed: Variant | None = None
    against_seed: PairedTest | None = None
    difference: Interval | None = None
    lost: tuple[str, ...] = ()


class BenchmarkRunner:
    """One program on one split: ``run`` once, then ``close``. ``request_stop`` and ``cancel`` may come from a signal.

    Args:
        config: Its first benchmark is run with the program, models, limits and caps that it names.
        limit: First tasks of the split; 0 = all.
        workers: Sandboxes side by side.
        controls: Also run the seed program on the same tasks, and the program on other tasks' inputs.
        report: Told (what, tasks done, tasks in all).
    """

    def __init__(
        self,
        config: Config,
        archive: Archive,
        observer: Observer,
        *,
        split: Split,
        limit: int,
        workers: int,
        controls: bool,
        report: Callable[[str, int, int], None],
    ) -> None:
        self._archive, self._observer, self._report = archive, observer, report
        self._split, self._workers, self._controls = split, workers, controls
        self._program = load_program(config.program, Path())
        config = resolve_models(_alone(config, split, limit), observer)
        self._cancelled = threading.Event()
        self._wiring = Wiring(config, archive, observer)
        try:
            if config.models.evaluation != NO_MODEL:
                self._wiring.preflight()
            entry, pack = self._wiring.parts.benchmarks[0]
            self._pack = cast("Pack", pack)
            # A screen belongs to a search; what is stored is what ran.
            self._config = replace(config, benchmarks=(replace(entry, screen=0),))
        except BaseException:
            self._wiring.close()
            raise

    def close(self) -> None:
        self._wiring.close()

    def request_stop(self) -> None:
        """Finish the tasks in flight, begin no other."""
        self._cancelled.set()

    def cancel(self) -> None:
        """Break off the tasks in flight, too."""
        self._cancelled.set()
        self._wiring.parts.sandbox.abort()

    def run(self) -> BenchmarkRun:
        """Evaluate the program, then its controls.

        Raises:
            UsageError: The split has no tasks.
            Cancelled: It was stopped; what is finished stays in the archive.
            EvaluationsLost: Tasks of the program have no outcome because infrastructure failed.
            BudgetReached, ModelUnavailable: See ``ModelChannel.end``.
        """
        tasks = self._pack.tasks(self._split, self._limit())
        if not tasks:
            raise UsageError(
                f"benchmark {self._pack.name} has no {self._split} tasks",
                hint="`hyperagent benchmark show` counts them",
            )
        campaign, variant, outcomes = self._evaluated(self._config.name, self._program, self._split)
        card = self._pack.scorecard(tasks, outcomes)
        if all(outcome.status == "agent_error" for outcome in outcomes):
            last = (outcomes[0].error.strip().splitlines() or ["no answer"])[-1]
            card = _warned(card, f"no task was answered; the first one ended with: {last}")
        found = BenchmarkRun(
            campaign,
            variant,
            self._pack.name,
            self._config.benchmarks[0].source,
            self._split,
            self._config.models.evaluation,
            len(tasks),
            card,
            self._archive.spend(campaign.id),
        )
        if not self._controls:
            return found
        for name, control in (("shuffled input", self._shuffled), ("seed program", self._against_seed)):
            try:
                found = control(found, tasks, outcomes)
            except EvaluationsLost as lost:
                self._observer.message(f"the control '{name}' is lost: {lost.message}")
                found = replace(found, lost=(*found.lost, name))
        return found

    def _limit(self) -> int:
        return int(getattr(self._config.benchmarks[0], self._split))

    def _meter(self, campaign: Campaign) -> CampaignMeter:
        from hyperagent.engine.budget import CampaignMeter

        budget = self._config.budget
        caps = Caps(0, budget.seconds, budget.tokens, budget.cost)
        return CampaignMeter(
            caps,
            self._archive.spend(campaign.id),
            calls=budget.calls,
            variant=budget.variant,
            task=budget.task,
            ledger=self._archive,
        )

    def _evaluated(self, name: str, program: ProgramTree, split: Split) -> tuple[Campaign, Variant, Sequence[Outcome]]:
        """Enter a program in the archive and run its tasks."""
        from hyperagent.engine.evaluate import Evaluator
        from hyperagent.engine.journal import SESSION_STARTED
        from hyperagent.engine.parts import Cancelled

        archive = self._archive
        config = replace(self._config, name=name)
        stored = {**to_json(config), "program_files": archive.put_blob(packed(program))}
        campaign = archive.create_campaign(name, config.seed, stored)
        campaign = archive.set_campaign_state(campaign.id, "running")
        archive.append_event(campaign.id, SESSION_STARTED, {"workers": self._workers})
        variant = archive.start_step(campaign.id, 0, None, {})
        variant = archive.commit_program(variant.id, program, "program under test")
        if split == "test":
            archive.append_event(campaign.id, TEST_READ, {"variant": variant.id, "limit": self._limit()})
        evaluator = Evaluator(self._wiring.parts, self._meter(campaign), self._cancelled)
        try:
            evaluation = evaluator.split(variant, split, self._counted(name), self._workers)[0]
        except HyperagentError as error:
            stopped = self._cancelled.is_set()
            archive.set_campaign_state(campaign.id, _state(error, stopped), "stopped" if stopped else error.message)
            if stopped and not isinstance(error, Cancelled):
                raise Cancelled(f"{name} was cancelled") from error  # a run that the cancelling itself broke off
            raise
        outcomes = archive.outcomes(evaluation.id)
        score = sum(outcome.score for outcome in outcomes) / len(outcomes)
        variant = archive.finish_variant(variant.id, "evaluated", score=score if split == "validation" else None)
        return archive.set_campaign_state(campaign.id, "finished"), variant, outcomes

    def _counted(self, name: str) -> Callable[[str], None]:
        def report(text: str) -> None:
            done, _, total = text.rpartition(" ")[2].partition("/")
            self._report(name, int(done), int(total))

        return report

    # -- controls --------------------------------------------------------------------------------

    def _against_seed(self, found: BenchmarkRun, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> BenchmarkRun:
        """The shipped program with the same model on the same tasks; not run again where the archive has it."""
        from hyperagent.engine.parts import context_of

        program = load_program("seed", Path())
        tree = self._archive.tree_id(program)
        if tree == found.variant.tree:
            return found
        if found.model == NO_MODEL:
            self._observer.message("no seed program beside it: that one asks a model (--model)")
            return found
        ids = [task.id for task in tasks]
        context = context_of(self._wiring.parts, self._pack, self._split, ids)
        known = self._archive.find_evaluation(tree, self._pack.name, self._split, context)
        if known is not None and known.state == "finished" and not self._pack.manifest.stochastic:
            seed, others = self._archive.variant(known.variant), self._archive.outcomes(known.id)
        else:
            _, seed, others = self._evaluated(f"{self._config.name}-seed", program, self._split)
        mine, theirs = [one.score for one in outcomes], [one.score for one in others]
        binary = all(score in (0, 1) for score in (*mine, *theirs))
        return replace(
            found,
            seed=seed,
            against_seed=mcnemar(theirs, mine) if binary else None,
            difference=paired_bootstrap(theirs, mine),
            scorecard=self._with(found.scorecard, "seed_program", theirs),
        )

    def _shuffled(self, found: BenchmarkRun, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> BenchmarkRun:
        """The program on other tasks' inputs: where no answer changes, it does not read its input."""
        from hyperagent.engine.evaluate import TaskRunner, evaluation_job

        moved = _moved(tasks[:SHUFFLED_TASKS])
        if not moved:
            return found
        purpose: Purpose = "test" if self._split == "test" else "evaluate"
        runner = TaskRunner(self._wiring.parts, self._meter(found.campaign), purpose, self._cancelled)
        job = evaluation_job(found.campaign.id, 0, self._pack.name, self._split)
        before = {outcome.task: answer_of(outcome) for outcome in outcomes}
        again: list[Outcome] = []
        for outcome, _ in runner.run(f"{job}/shuffled", found.variant, self._program, Ungraded(self._pack), moved):
            again.append(outcome)
            self._report("shuffled input", len(again), len(moved))
        given = [one for one in again if before[one.task] is not None]
        same = sum(answer_of(one) == before[one.task] for one in given)
        facts = {"variant": found.variant.id, "tasks": len(again), "answers": len(given), "same": same}
        self._archive.append_event(found.campaign.id, "shuffled_control", facts)
        if same < len(given) or len(given) < _SIGNIFICANT_FEW:
            return found
        line = f"the program ignores its input: given those of other tasks, all its {same} answers stay the same"
        return replace(found, scorecard=_warned(found.scorecard, line))

    def _with(self, card: Scorecard, name: str, scores: Sequence[float]) -> Scorecard:
        measure = Measure(mean_interval(list(scores)), "control")
        return replace(card, measures={**card.measures, name: measure})


class Ungraded:
    """A benchmark whose answers are kept and not scored: what they are worth is not asked, and examiners cost time."""

    examiner: Examiner | None = None

    def __init__(self, inner: Pack) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def needs(self) -> Needs:
        return self._inner.needs

    def tasks(self, split: Split, limit: int = 0) -> Sequence[Task]:
        return self._inner.tasks(split, limit)

    def examine(self, task: Task, prediction: Json) -> Mapping[str, Json] | Grade:
        return self.grade(task, prediction)

    def grade(self, task: Task, prediction: Json, verdict: Json = None) -> Grade:
        return Grade(0.0)

    def feedback(self, task: Task) -> Json:
        return self._inner.feedback(task)

    def scorecard(self, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> Scorecard:
        return self._inner.scorecard(tasks, outcomes)


def answer_of(outcome: Outcome) -> str | None:
    """The answer alone, as canonical text: a confidence that differs is no other answer. None where there is none."""
    prediction = json.loads(outcome.prediction)
    if isinstance(prediction, dict) and ("response" in prediction or "files" in prediction):
        prediction = [prediction.get("response"), prediction.get("files", {})]
        if prediction == [None, {}]:
            return None
    return None if prediction is None else json.dumps(prediction, sort_keys=True)


def _warned(card: Scorecard, line: str) -> Scorecard:
    return replace(card, warnings=(*card.warnings, line))


def _moved(tasks: Sequence[Task]) -> list[Task]:
    """Each task with the input of the next one that has another; none where all are alike."""
    moved = []
    for index, task in enumerate(tasks):
        others = [*tasks[index + 1 :], *tasks[:index]]
        other = next((o for o in others if (o.input, o.files) != (task.input, task.files)), None)
        if other is None:
            return []
        moved.append(replace(task, input=other.input, files=other.files))
    return moved


def _alone(config: Config, split: Split, limit: int) -> Config:
    """No mutation: one benchmark, one split, and a budget that `resume` ends at the program itself."""
    counts = {"train": 0, "validation": 0, "test": 0, split: limit}
    entry = replace(
        config.benchmarks[0], screen=0, train=counts["train"], validation=counts["validation"], test=counts["test"]
    )
    budget = replace(config.budget, variants=0, steps=1)
    models = replace(config.models, mutation="random/uniform", mutations="")
    return replace(config, benchmarks=(entry,), budget=budget, models=models)


def _state(error: HyperagentError, stopped: bool) -> CampaignState:
    if isinstance(error, BudgetReached):
        return "budget_reached"
    return "stopped" if stopped or isinstance(error, EvaluationsLost) else "failed"

"""The campaign loop: workers that take steps until the target, a cap or a stop.

One step: select a parent -> journal it -> mutate in a sandbox -> check -> commit -> evaluate in stages -> one final
row. A free worker takes the next step at once (steady state, no generations). Everything finished is durable, so a
session may end at any instant; the next one finishes the steps it finds open before it takes new ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TypeVar

from hyperagent.engine.budget import CampaignMeter
from hyperagent.engine.evaluate import Evaluator
from hyperagent.engine.evidence import EvidenceBuilder
from hyperagent.engine.journal import SESSION_STARTED, record_mutation, recorded_mutation
from hyperagent.engine.mutation import Mutator, step_random
from hyperagent.engine.parts import Cancelled, Parts
from hyperagent.engine.plateau import PLATEAU, Plateau
from hyperagent.engine.population import SCORED, Population
from hyperagent.engine.selection import Decoupled
from hyperagent.errors import BudgetReached, EvaluationsLost, PrerequisiteError
from hyperagent.evaluation.eprocess import raced_interval
from hyperagent.evaluation.statistics import score_interval
from hyperagent.protocols import Archive, Observer, ParentSelector
from hyperagent.types import (
    Campaign,
    CampaignResult,
    CampaignState,
    Interval,
    Json,
    ProgramTree,
    Progress,
    Variant,
    VariantStatus,
)

T = TypeVar("T")
EVALUATION_CHOSEN = "evaluation_chosen"
MOST_LOST_IN_A_ROW = 3
"""Steps in a row that our own infrastructure may lose before the session stops instead of burning on."""


class CampaignRunner:
    """Runs one session of a campaign.

    Args:
        seed_program: Generation 0; used when the campaign has no step 0 yet.
        meter: Carries what earlier sessions spent.
        other_selector: Chooses parents after a plateau, where ``search.plateau_action`` says so.
    """

    def __init__(
        self,
        campaign: Campaign,
        parts: Parts,
        seed_program: ProgramTree,
        selector: ParentSelector,
        meter: CampaignMeter,
        observer: Observer,
        other_selector: ParentSelector | None = None,
    ) -> None:
        self._campaign = campaign
        self._archive = parts.archive
        self._config = parts.config
        self._parts = parts
        self._seed_program = seed_program
        self._selector = selector
        self._other_selector = other_selector or selector
        self._plateau = Plateau(self._config.search, parts.archive.events_of(campaign.id, PLATEAU))
        self._plateau_stop = False
        self._meter = meter
        self._observer = observer
        self._stopping = threading.Event()
        self._cancelled = threading.Event()
        self._evaluator = Evaluator(parts, meter, self._cancelled, reuse=self._config.search.reuse_evaluations)
        self._mutator = Mutator(parts, meter, self._config.seed)
        self._evidence = EvidenceBuilder(parts, self._evaluator)
        # One condition guards everything below; workers wait on it for a step to become free.
        self._changed = threading.Condition(threading.RLock())
        decoupled = self._config.search.decoupled
        self._population = Population(selector.reads, self._evaluator.results, partial=decoupled)
        self._schedule = Decoupled(self._config.seed) if decoupled else None
        self._news: list[Json] = []  # what a selector gets to know, for the journal of the next choice
        self._open: list[Variant] = []
        self._resumed: set[str] = set()
        self._busy: dict[int, str] = {}
        self._intervals: dict[str, Interval] = {}
        self._lost: set[str] = set()
        self._lost_in_a_row = 0
        self._failure: BaseException | None = None
        self._cap: BudgetReached | None = None
        self._session_start = 0.0
        self._session_done = 0

    # -- control ---------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Finish the steps in flight, take no new ones."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def cancel(self) -> None:
        """Break the steps in flight off, running tasks included; a resume goes on there."""
        self._cancelled.set()
        self.request_stop()
        self._parts.sandbox.abort()

    # -- the session -----------------------------------------------------------------------------

    def run(self) -> CampaignResult:
        """Run until the target, a cap, or a stop.

        Raises:
            PrerequisiteError: Something the campaign needs is missing (image, weights, a valid key).
        """
        for line in self._archive.recover():
            self._observer.message(line)
        self._campaign = self._archive.set_campaign_state(self._campaign.id, "running")
        told = {"workers": self._config.search.workers, "caps": asdict(self._meter.caps)}
        self._archive.append_event(self._campaign.id, SESSION_STARTED, told)
        self._session_start = time.monotonic()
        for variant in self._archive.variants(self._campaign.id):
            self._remember(variant)
            if variant.status in ("mutating", "pending") and not self._population.is_candidate(variant.step):
                self._open.append(variant)
                self._resumed.add(variant.id)
        self._guarded(self._seed_step)
        self._busy.clear()
        workers = [threading.Thread(target=self._work, name=f"worker-{i}") for i in range(self._config.search.workers)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return self._conclude()

    def _conclude(self) -> CampaignResult:
        state, reason = self._end_state()
        self._campaign = self._archive.set_campaign_state(self._campaign.id, state, reason)
        self._report()
        if self._failure is not None:
            raise self._failure
        return CampaignResult(self._campaign, self._done(), len(self._lost))

    def _end_state(self) -> tuple[CampaignState, str]:
        if self._failure is not None:
            return "failed", str(self._failure)
        if self._cap is not None:
            return "budget_reached", self._cap.message
        if self._lost:
            return "stopped", f"{len(self._lost)} variants wait for evaluations that infrastructure lost"
        if self._done() >= self._target():
            return "finished", ""
        if self._plateau_stop:
            return "finished", f"a plateau: no improvement in {self._config.search.plateau_steps} steps"
        if self._stopping.is_set():
            return "stopped", "stopped by the user"
        return "finished", f"{self._attempts()} mutation attempts made {self._done()} evaluated variants"

    # -- workers ---------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            step = self._guarded(self._take)
            if step is None:
                return
            self._guarded(partial(self._step, step))
            with self._changed:
                self._busy.pop(step.step, None)
                self._changed.notify_all()
            self._report()

    def _guarded(self, action: Callable[[], T]) -> T | None:
        """Run one action of a worker and sort its failures into what they mean for the campaign."""
        try:
            return action()
        except Cancelled:
            pass
        except BudgetReached as reached:
            self._cap = self._cap or reached
            self.request_stop()
        except EvaluationsLost as lost:
            if self._cancelled.is_set():
                return None  # a run that the cancelling itself broke off
            self._observer.message(f"lost: {lost.message}")
            with self._changed:
                self._lost_in_a_row += 1
                if self._lost_in_a_row >= MOST_LOST_IN_A_ROW:
                    self.request_stop()
        except Exception as failure:  # noqa: BLE001 - thread boundary: run() raises it again in the caller's thread
            self._failure = self._failure or failure
            self.cancel()
        return None

    def _take(self) -> Variant | None:
        """The next step to work on; waits while others may still free one. None: nothing is left to do."""
        with self._changed:
            while not self._stopping.is_set():
                if self._open:
                    step = self._open.pop(0)
                    self._busy[step.step] = "resuming"
                    return step
                if (further := self._further()) is not None:
                    return further
                if self._attempts() >= self._most_steps() or self._done() >= self._target():
                    if not (self._population.partial and self._busy):
                        return None
                elif self._done() + self._in_the_making() < self._target():
                    self._meter.check()
                    return self._new_step()
                self._changed.wait()
            return None

    def _in_the_making(self) -> int:
        """Steps in flight that are no candidates yet."""
        return sum(not self._population.is_candidate(step) for step in self._busy)

    def _further(self) -> Variant | None:
        """A variant evaluated in part to go on with, where that is worth more than a new one."""
        if self._schedule is None:
            return None
        making = self._in_the_making()
        room = self._attempts() < self._most_steps() and self._done() + making < self._target()
        lost = {step for step in self._population.partial if self._population.at(step).id in self._lost}
        variant = self._schedule.further(self._population, {*self._busy, *lost}, making=making, room=room)
        if variant is not None:
            if not self._schedule.settled:
                self._meter.check()
            self._busy[variant.step] = "evaluating further"
            detail = {"variant": variant.id, "evaluations": self._population.evaluations}
            self._archive.append_event(self._campaign.id, EVALUATION_CHOSEN, detail)
        return variant

    def _new_step(self) -> Variant | None:
        """Select a parent and journal the step. Called with the lock held, so that choices are made one at a time."""
        candidates = self._population.candidates()
        if not len(candidates):
            return None
        number = self._population.next_step
        answer = self._plateau.before(self._archive, self._campaign.id, number, self._by_step(), self._interval)
        if answer == "stop":
            self._plateau_stop = True
            self.request_stop()
            return None
        selector = self._other_selector if self._plateau.switched else self._selector
        parent = selector.select(candidates, step_random(self._config.seed, number))
        if answer == "restart":
            parent = self._population.at(0)
        search = self._config.search
        detail = {"mode": search.mode, "selection": search.selection, "parent_score": parent.score, "known": self._news}
        self._news = []
        variant = self._archive.start_step(self._campaign.id, number, parent.id, detail)
        self._remember(variant)
        self._busy[number] = f"mutating {parent.step}"
        return variant

    # -- one step --------------------------------------------------------------------------------

    def _seed_step(self) -> None:
        seed = self._committed_seed()
        if seed.status == "pending":
            self._evaluate(seed, screen=False)

    def _committed_seed(self) -> Variant:
        seed = self._population.seed
        if seed is None:
            seed = self._archive.start_step(self._campaign.id, 0, None, {})
        self._open = [v for v in self._open if v.step != 0]
        if seed.status == "mutating":
            failure = self._mutator.check(f"{self._campaign.id}/0", self._seed_program)
            if failure:
                raise PrerequisiteError(
                    f"the seed program does not load: {failure}",
                    hint="mend the program named by `program` in the config",
                )
            origin = self._config.origin
            source = f"\n\nFrom: {origin.variant}\nKeep: {origin.keep}" if origin.variant else ""
            seed = self._archive.commit_program(seed.id, self._seed_program, f"generation 0{source}")
        self._remember(seed)
        return seed

    def _step(self, variant: Variant) -> None:
        if variant.status == "mutating":
            variant = self._mutate(variant)
        if variant.status == "pending" and not (self._schedule and self._in_part(variant, self._schedule)):
            self._evaluate(variant, screen=True)
        self._lost_in_a_row = 0

    def _mutate(self, variant: Variant) -> Variant:
        archive = self._archive
        parent = archive.variant(variant.parent or "")
        recorded = recorded_mutation(archive, variant) if variant.id in self._resumed else None
        if recorded is None:
            self._tell(variant, f"evidence of {parent.step}")
            left = max(self._target() - self._done(), 0)
            doing = f"evidence of {parent.step}"
            evidence = self._evidence.build(
                parent, left, variant.step, lambda done: self._tell(variant, f"{doing}, {done}")
            )
            record_mutation(archive, variant, evidence, left, self._config.models.mutation)
        else:
            evidence, left = recorded
        self._tell(variant, f"mutating {parent.step}")
        result = self._mutator.mutate(variant, archive.read_tree(parent.commit), evidence, left)
        transcript = archive.put_blob(result.transcript.encode(errors="replace")) if result.transcript else ""
        archive.describe_mutation(
            variant.id, summary=result.summary, seconds=result.seconds, transcript_blob=transcript
        )
        status, reason = result.status, result.reason
        with self._changed:  # two workers may have made the same program at the same time: one of them is the twin
            if result.tree is not None and (twin := self._mutator.twin(variant, result.tree)):
                status, reason = "duplicate", twin
            if result.tree is not None and status == "pending":
                message = result.summary.split("\n")[0][:100] or f"step {variant.step}"
                variant = archive.commit_program(variant.id, result.tree, message)
                self._mutator.remember(variant, result.tree)
            else:
                variant = archive.finish_variant(
                    variant.id, status, reason=reason, summary=result.summary, seconds=result.seconds
                )
        self._remember(variant)
        return variant

    def _in_part(self, variant: Variant, schedule: Decoupled) -> bool:
        """Evaluate a portion, or close what is evaluated in part; False: nothing is left but to add up."""
        with self._may_be_lost(variant):
            if schedule.settled:
                score, reason = self._evaluator.close(variant, lambda text: self._tell(variant, text))
                self._finish(variant, "screened_out", score, reason)
                return True
            portion = self._config.search.portion
            if self._evaluator.further(variant, portion, lambda text: self._tell(variant, text)):
                return False
        self._remember(variant)
        return True

    def _evaluate(self, variant: Variant, *, screen: bool) -> None:
        with self._may_be_lost(variant):
            score, status = self._evaluator.validation(
                variant, screen=screen, report=lambda text: self._tell(variant, text)
            )
        self._finish(variant, status, score)

    @contextmanager
    def _may_be_lost(self, variant: Variant) -> Iterator[None]:
        """Note that infrastructure lost an evaluation; it waits for a resume."""
        try:
            yield
        except EvaluationsLost:
            if not self._cancelled.is_set():
                self._lost.add(variant.id)
            raise
        self._lost.discard(variant.id)

    def _finish(self, variant: Variant, status: VariantStatus, score: float, reason: str = "") -> None:
        finished = self._archive.finish_variant(
            variant.id, status, score=score, reason=reason, summary=variant.summary, seconds=variant.seconds
        )
        with self._changed:
            self._remember(finished)
            self._session_done += variant.step > 0

    # -- bookkeeping -----------------------------------------------------------------------------

    def _remember(self, variant: Variant) -> None:
        with self._changed:
            self._population.record(variant)
            if self._population.is_candidate(variant.step):
                ran = self._population.outcomes(variant.step)
                self._news.append(variant.step if variant.status in SCORED else [variant.step, ran])

    def _interval(self, variant: Variant | None) -> Interval | None:
        """Of the score of one that is shown; kept, because who is best changes rarely and is told often."""
        if variant is None or variant.status not in SCORED:
            return None
        if variant.id not in self._intervals:
            self._intervals[variant.id] = validation_interval(self._archive, variant, self._evaluator.aggregate)
        return self._intervals[variant.id]

    def _by_step(self) -> Iterator[Variant]:
        return (self._population.at(int(step)) for step in self._population.candidates().steps())

    def _done(self) -> int:
        return self._population.done

    def _attempts(self) -> int:
        return self._population.attempts

    def _target(self) -> int:
        return self._config.budget.variants

    def _most_steps(self) -> int:
        return self._config.budget.steps or 4 * self._config.budget.variants

    def _tell(self, variant: Variant, text: str) -> None:
        with self._changed:
            self._busy[variant.step] = text
        self._report()

    def _report(self) -> None:
        with self._changed:
            best, seed = self._population.best, self._population.seed
            done, seconds = self._done(), time.monotonic() - self._session_start
            made = self._session_done
            eta = seconds / made * (self._target() - done) if made else None
            self._observer.progress(
                Progress(
                    campaign=self._campaign,
                    done=done,
                    target=self._target(),
                    attempts=self._attempts(),
                    in_flight=tuple(sorted(self._busy.items())),
                    best=best,
                    best_interval=self._interval(best),
                    seed_interval=self._interval(seed),
                    spend=self._meter.spent,
                    caps=self._meter.caps,
                    seconds=self._meter.seconds,
                    eta=eta,
                )
            )


def validation_interval(archive: Archive, variant: Variant, aggregate: Callable[[Sequence[float]], float]) -> Interval:
    """95% interval of the score over all validation tasks that ran; ``aggregate`` makes one of several benchmarks.

    A raced variant's interval is what is certain.
    """
    evaluations = [evaluation for evaluation in archive.evaluations(variant.id) if evaluation.split == "validation"]
    scores = [[outcome.score for outcome in archive.outcomes(evaluation.id)] for evaluation in evaluations]
    if any(evaluation.state == "raced" for evaluation in evaluations):
        ran = [score for one in scores for score in one]
        return raced_interval(ran, sum(len(evaluation.tasks) for evaluation in evaluations))
    return score_interval([ran for ran in scores if ran], aggregate)

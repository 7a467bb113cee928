"""Proposals for held-out parents, made as a campaign makes them: the parent's own meta agent in a sandbox, the broker,
the evaluation. Every model's trials are a campaign of their own in the archive: recorded, resumed and replayed alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from hyperagent.distil.compare import Trial
from hyperagent.distil.history import conversation_of, last_calls, outcome_scores, paired_gain
from hyperagent.distil.pairs import Mutation, made_edit
from hyperagent.engine.budget import Budget
from hyperagent.engine.evaluate import Evaluator
from hyperagent.engine.journal import record_mutation, recorded_mutation
from hyperagent.engine.mutation import Mutator
from hyperagent.engine.parts import Parts, context_of
from hyperagent.errors import DataUnavailable
from hyperagent.types import Campaign, Variant

Report = Callable[[int, int], None]


class Trials:
    """The trials of one model.

    Args:
        parts: Their config names the model as ``models.mutation``.
        campaign: Where the trials are entered: step ``1 + number x parents + parent``, so that more proposals asked
            for later are added to those there are. Its random seed makes the same step of two campaigns draw the same.
        parents: One recorded mutation of each held-out parent: its evidence is what all proposals are made from.
    """

    def __init__(self, parts: Parts, meter: Budget, campaign: Campaign, parents: Sequence[Mutation]) -> None:
        self._parts = parts
        self._archive = parts.archive
        self._campaign = campaign
        self._parents = parents
        self._mutator = Mutator(parts, meter, campaign.random_seed)
        self._evaluator = Evaluator(parts, meter, threading.Event())

    def run(self, proposals: int, report: Report = lambda done, total: None) -> list[Trial]:
        """Make and evaluate what is missing; returns all trials in step order.

        Raises:
            EvaluationsLost, BudgetReached, ModelUnavailable: Nothing finished is lost; run it again.
        """
        known = {variant.step: variant for variant in self._archive.variants(self._campaign.id)}
        trials, total = [], len(self._parents) * proposals
        for number in range(proposals):
            for index, source in enumerate(self._parents):
                step = 1 + number * len(self._parents) + index
                variant = known.get(step) or self._archive.start_step(
                    self._campaign.id, step, source.parent, {"proposal": number}
                )
                trials.append(self._trial(source, number, self._finished(variant, source)))
                report(len(trials), total)
        return trials

    def _finished(self, variant: Variant, source: Mutation) -> Variant:
        if variant.status == "mutating":
            variant = self._mutated(variant, source)
        if variant.status != "pending":
            return variant
        if twin := self._evaluated_twin(variant):
            return self._archive.finish_variant(variant.id, "duplicate", reason=twin)
        score, _ = self._evaluator.validation(variant, screen=False, report=lambda _: None)
        return self._archive.finish_variant(variant.id, "evaluated", score=score)

    def _mutated(self, variant: Variant, source: Mutation) -> Variant:
        archive = self._archive
        given = recorded_mutation(archive, variant)
        if given is None:
            given = recorded_mutation(archive, archive.variant(source.variant))
            if given is None:
                raise DataUnavailable(f"the journal holds no evidence for the mutation of {source.variant}")
            record_mutation(archive, variant, *given)
        program = archive.read_tree(archive.variant(source.parent).commit)
        result = self._mutator.mutate(variant, program, *given)
        transcript = archive.put_blob(result.transcript.encode(errors="replace")) if result.transcript else ""
        archive.describe_mutation(
            variant.id, summary=result.summary, seconds=result.seconds, transcript_blob=transcript
        )
        if result.tree is None or result.status != "pending":
            return archive.finish_variant(variant.id, result.status, reason=result.reason)
        return archive.commit_program(variant.id, result.tree, f"proposal for {source.parent}")

    def _evaluated_twin(self, variant: Variant) -> str:
        """An equal program of any campaign that was evaluated under equal conditions; empty where there is none."""
        twins = set()
        for entry, benchmark in self._parts.benchmarks:
            tasks = [task.id for task in benchmark.tasks("validation", entry.validation)]
            context = context_of(self._parts, benchmark, "validation", tasks)
            found = self._archive.find_evaluation(variant.tree, benchmark.name, "validation", context)
            if found is None or found.state != "finished":
                return ""
            twins.add(found.variant)
        return twins.pop() if len(twins) == 1 else ""

    def _trial(self, source: Mutation, number: int, variant: Variant) -> Trial:
        archive = self._archive
        scored = variant
        while scored.status == "duplicate":  # of one that may be a duplicate itself; each is of an earlier one
            scored = archive.variant(scored.reason)
        gain = paired_gain(outcome_scores(archive, source.parent), outcome_scores(archive, scored.id))
        call = last_calls(archive.calls(variant=variant.id)).get(variant.id)
        conversation = conversation_of(archive, call) if call else None
        own = bool(conversation and made_edit(conversation[1], archive.variant(variant.id).summary))
        return Trial(source.parent_tree, number, variant.id, variant.status, own, gain)

"""Ensembles of a campaign's variants: chosen on validation as recorded, reported on the hidden test where asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hyperagent.assembly.reports import best, evaluate_test
from hyperagent.assembly.wiring import load_benchmarks, stored_config
from hyperagent.errors import UsageError
from hyperagent.evaluation.votes import Weighing
from hyperagent.protocols import Archive, Benchmark, Observer
from hyperagent.types import Campaign, Interval, Outcome, Split, Variant

TEST_READ = "test_read"


@dataclass(frozen=True)
class EnsembleScore:
    """An ensemble and the best single variant on the same tasks; ``difference`` is paired, ensemble minus single."""

    split: Split
    ensemble: Interval
    single: Interval
    difference: Interval


@dataclass(frozen=True)
class Ensemble:
    """``members`` in the order of their choice. ``validation`` is where they were chosen: it flatters them.

    Attributes:
        missing: Task evaluations that the hidden test would take (``test`` is None until they are there).
    """

    campaign: Campaign
    weighing: Weighing
    members: Sequence[Variant]
    single: Variant
    candidates: int
    validation: EnsembleScore
    test: EnsembleScore | None
    missing: int


def ensemble(
    archive: Archive,
    campaign: Campaign,
    size: int,
    weighing: Weighing,
    *,
    test: bool,
    pay: bool,
    observer: Observer,
) -> Ensemble:
    """Choose up to ``size`` variants whose votes are best on validation; nothing is run for that.

    Args:
        test: Report on the hidden test, which is journalled; what is missing there is evaluated where ``pay``.

    Raises:
        UsageError: The campaign has several benchmarks, or one with an examiner (a vote of its answers cannot be graded
            on the host), or no variant that was evaluated in full.
        DataUnavailable: The benchmark's data is not at hand.
    """
    from hyperagent.evaluation.votes import greedy

    pack, labels = _pack(campaign)
    tables = _outcomes(archive, campaign)
    single = best(archive, campaign.id)
    if single is None or single.id not in tables:
        raise UsageError(f"campaign {campaign.name} has no variant that was evaluated on all of validation")
    voters = _Voters(pack, labels, weighing, "validation", tables)
    variants = {variant.id: variant for variant in archive.variants(campaign.id)}
    order = sorted(tables, key=lambda one: (-(variants[one].score or 0.0), variants[one].step))
    chosen, _ = greedy(order, voters.scores, size)
    members = [variants[one] for one in chosen]
    wanted = list({one.id: one for one in (*members, single)}.values())
    asked = _Asked(archive, campaign, pack)
    missing = sum(asked.missing(variant) for variant in wanted)
    found = None
    if test and (pay or not missing):
        found = _tested(asked, wanted, _Voters(pack, labels, weighing, "test", {}), chosen, single, observer)
        missing = 0
    compared = voters.compare(chosen, single.id)
    return Ensemble(campaign, weighing, members, single, len(order), compared, found, missing)


def _pack(campaign: Campaign) -> tuple[Benchmark, Sequence[str]]:
    packs = load_benchmarks(stored_config(campaign), None)
    if len(packs) != 1:
        raise UsageError(f"campaign {campaign.name} has {len(packs)} benchmarks; votes are of one")
    pack = packs[0][1]
    if pack.examiner is not None:
        raise UsageError(
            f"answers of {pack.name} are graded in a sandbox: their votes cannot be counted here",
            hint="ensembles are for benchmarks whose answers the host grades",
        )
    return pack, getattr(pack, "labels", ())


def _outcomes(archive: Archive, campaign: Campaign) -> dict[str, Mapping[str, Outcome]]:
    """Variant id -> task -> outcome on validation, of the variants that ran all of it."""
    found: dict[str, Mapping[str, Outcome]] = {}
    for variant in archive.variants(campaign.id):
        for evaluation in archive.evaluations(variant.id) if variant.status == "evaluated" else ():
            if evaluation.split == "validation" and evaluation.state == "finished":
                found[variant.id] = {outcome.task: outcome for outcome in archive.outcomes(evaluation.id)}
    return found


class _Voters:
    """Grades votes on one split; each distinct answer to a task once."""

    def __init__(
        self,
        pack: Benchmark,
        labels: Sequence[str],
        weighing: Weighing,
        split: Split,
        tables: Mapping[str, Mapping[str, Outcome]],
    ) -> None:
        from hyperagent.evaluation.votes import shared_tasks

        self._pack, self._labels, self._weighing, self.split = pack, labels, weighing, split
        self._tables = tables
        self._tasks = {task.id: task for task in pack.tasks(split)}
        self._shared = [task for task in shared_tasks(tables) if task in self._tasks]
        self._grades: dict[tuple[str, str], float] = {}

    def over(self, tables: Mapping[str, Mapping[str, Outcome]]) -> _Voters:
        """The same rules over other outcomes."""
        return _Voters(self._pack, self._labels, self._weighing, self.split, tables)

    def scores(self, members: Sequence[str]) -> list[float]:
        """Scores of the vote of these variants, one per shared task; a single one keeps its recorded scores."""
        if len(members) == 1:
            return [self._tables[members[0]][task].score for task in self._shared]
        return [self._score(task, members) for task in self._shared]

    def _score(self, task: str, members: Sequence[str]) -> float:
        from hyperagent.engine.examination import canonical
        from hyperagent.evaluation.votes import vote

        prediction = vote([self._tables[member][task] for member in members], self._labels, self._weighing)
        if prediction is None:
            return 0.0
        key = (task, canonical(prediction))
        if key not in self._grades:
            self._grades[key] = self._pack.grade(self._tasks[task], prediction).score
        return self._grades[key]

    def compare(self, members: Sequence[str], single: str) -> EnsembleScore:
        from hyperagent.evaluation.statistics import mean_interval, paired_bootstrap

        many, one = self.scores(members), self.scores([single])
        return EnsembleScore(self.split, mean_interval(many), mean_interval(one), paired_bootstrap(one, many))


class _Asked:
    """What the archive knows of the hidden test of some variants, under the campaign's own settings."""

    def __init__(self, archive: Archive, campaign: Campaign, pack: Benchmark) -> None:
        self.archive, self.campaign = archive, campaign
        limit = stored_config(campaign).benchmarks[0].test
        self.tasks = [task.id for task in pack.tasks("test", limit)]

    def outcomes(self, variant: Variant) -> dict[str, Outcome]:
        wanted, found = set(self.tasks), {}
        for evaluation in self.archive.evaluations(variant.id):
            if evaluation.split == "test":
                for outcome in self.archive.outcomes(evaluation.id):
                    if outcome.task in wanted and outcome.status != "lost":
                        found[outcome.task] = outcome
        return found

    def missing(self, variant: Variant) -> int:
        return len(self.tasks) - len(self.outcomes(variant))


def _tested(
    asked: _Asked, wanted: Sequence[Variant], empty: _Voters, chosen: Sequence[str], single: Variant, observer: Observer
) -> EnsembleScore:
    short = [variant for variant in wanted if asked.missing(variant)]
    if short:
        evaluate_test(short, asked.archive, observer)  # journals its readings itself
    facts = {"ensemble": list(chosen), "single": single.id}
    asked.archive.append_event(asked.campaign.id, TEST_READ, facts)
    tables = {variant.id: asked.outcomes(variant) for variant in wanted}
    return empty.over(tables).compare(chosen, single.id)

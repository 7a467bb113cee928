"""Do an adapter's proposals improve more often than the base model's? Shares, their difference, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hyperagent.evaluation.statistics import Resamples, mcnemar
from hyperagent.types import Interval, PairedTest

FEWEST_PARENTS = 10
"""On fewer groups a cluster bootstrap is too narrow to decide anything (see ``evaluation.statistics.Resamples``)."""


@dataclass(frozen=True)
class Trial:
    """One proposal for a held-out parent.

    Attributes:
        parent: Its program (tree id); ``proposal`` counts the parent's from 0: trials of two models with the same
            parent and number got the same evidence and the same random seed.
        variant: Id of the proposal in the archive.
        own: The edit was the model's reply, not one drawn by the program where no reply fitted.
        gain: Paired, on the fixed tasks; None where there was nothing to evaluate.
    """

    parent: str
    proposal: int
    variant: str
    status: str
    own: bool
    gain: float | None

    @property
    def improved(self) -> bool:
        """The model's own edit made the program right more often; what was drawn at random is not to its credit."""
        return self.own and self.gain is not None and self.gain > 0


@dataclass(frozen=True)
class Arm:
    """All trials of one model, with the shares that improved and that were its own."""

    role: str
    model: str
    trials: tuple[Trial, ...]
    improved: Interval
    own: Interval


@dataclass(frozen=True)
class Comparison:
    """``second`` against ``first`` (roles): difference of the shares that improved, in [-1, 1], and McNemar's test."""

    first: str
    second: str
    difference: Interval
    test: PairedTest


def summarise(role: str, model: str, trials: Sequence[Trial]) -> Arm:
    """Shares with 95% bootstrap intervals over parents: proposals for one parent succeed and fail together."""
    resamples = Resamples(len(trials), [trial.parent for trial in trials])
    return Arm(
        role,
        model,
        tuple(trials),
        resamples.mean([float(trial.improved) for trial in trials]),
        resamples.mean([float(trial.own) for trial in trials]),
    )


def compare(first: Arm, second: Arm) -> Comparison:
    """The paired comparison of two arms over the same proposals of the same parents.

    Raises:
        ValueError: They are not of the same proposals in the same order.
    """
    keys = [(trial.parent, trial.proposal) for trial in first.trials]
    if keys != [(trial.parent, trial.proposal) for trial in second.trials]:
        raise ValueError(f"{first.role} and {second.role} were not tried on the same proposals")
    before = [float(trial.improved) for trial in first.trials]
    after = [float(trial.improved) for trial in second.trials]
    resamples = Resamples(len(keys), [parent for parent, _ in keys])
    difference = resamples.mean([b - a for a, b in zip(before, after, strict=True)], -1.0, 1.0)
    return Comparison(first.role, second.role, difference, mcnemar(before, after))


def verdict(comparison: Comparison, parents: int) -> tuple[bool, str]:
    """Whether the adapter is offered, and why, or why not: only an interval above 0 counts, on enough parents."""
    gain = comparison.difference
    interval = f"{gain.estimate:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    said = f"{interval} in the share of proposals that improve, against the base model's"
    if parents < FEWEST_PARENTS:
        return False, f"{said}; on {parents} held-out parents that says nothing, {FEWEST_PARENTS} are needed"
    if gain.low > 0:
        return True, f"better: {said}"
    return False, f"not shown to be better: {said}"

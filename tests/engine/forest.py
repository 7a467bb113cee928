"""Populations made by hand, for the tests of selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hyperagent.engine.population import Population, Results
from hyperagent.protocols import Reads
from hyperagent.types import Variant


def node(step: int, score: float | None = None, parent: int | None = None, status: str = "evaluated") -> Variant:
    above = None if parent is None else f"{parent:012x}"
    return Variant(f"{step:012x}", "c", step, 0, above, status, commit="c", score=score)  # type: ignore[arg-type]


def grown(
    scores: Sequence[float],
    parents: Sequence[int | None] = (),
    *,
    reads: Reads = "scores",
    vectors: Mapping[int, Sequence[float]] | None = None,
    tasks: Mapping[int, Sequence[float]] | None = None,
) -> Population:
    """One scored variant per score; all but the first are children of the seed unless ``parents`` says otherwise."""

    def results(variant: Variant) -> Results:
        outcomes = (tasks or {}).get(variant.step, ())
        return Results(
            tuple((vectors or {}).get(variant.step, (variant.score or 0.0,))),
            {("b", f"t{number}"): score for number, score in enumerate(outcomes)},
        )

    population = Population(reads, results)
    above = parents or [None] + [0] * (len(scores) - 1)
    for step, (score, parent) in enumerate(zip(scores, above, strict=True)):
        population.record(node(step, score, parent))
    return population

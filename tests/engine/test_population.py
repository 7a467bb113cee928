"""The index in memory: exact under any order of arrival, and flat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from forest import grown, node
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperagent.engine.population import Population, Results
from hyperagent.types import Variant

EIGHTHS = st.integers(0, 8).map(lambda n: n / 8)
"""Sums of these are exact, so that counts can be compared for equality."""


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int | None], list[list[list[float]]], list[tuple[int, int]]]:
    """Parents, outcomes per step in portions, and the order in which the portions arrive."""
    count = draw(st.integers(1, 14))
    parents: list[int | None] = [None, *(draw(st.integers(0, step - 1)) for step in range(1, count))]
    portions = [draw(st.lists(st.lists(EIGHTHS, min_size=1, max_size=3), max_size=3)) for _ in range(count)]
    left = [(step, number) for step, own in enumerate(portions) for number in range(len(own))]
    order = draw(st.permutations(left))
    return parents, portions, [(step, sorted(n for s, n in order if s == step)[k]) for step, k in _ranked(order)]


def _ranked(order: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each portion with how many of its variant came before it: portions of one variant come in their own order."""
    seen: dict[int, int] = {}
    ranked = []
    for step, _ in order:
        ranked.append((step, seen.get(step, 0)))
        seen[step] = seen.get(step, 0) + 1
    return ranked


@settings(max_examples=80, deadline=None)
@given(histories())
def test_clade_counts_equal_brute_force_after_every_arrival(
    history: tuple[list[int | None], list[list[list[float]]], list[tuple[int, int]]],
) -> None:
    parents, portions, order = history
    had: dict[int, list[float]] = {step: [] for step in range(len(parents))}

    def results(variant: Variant) -> Results:
        return Results((0.0,), {("b", str(n)): score for n, score in enumerate(had[variant.step])})

    population = Population("results", results, partial=True)
    for step, parent in enumerate(parents):
        population.record(node(step, None, parent, "pending"))
    for step, number in order:
        had[step] += portions[step][number]
        last = number == len(portions[step]) - 1
        status, score = ("evaluated", 0.5) if last else ("pending", None)
        population.record(node(step, score, parents[step], status))
        _check(population, parents, had)
    _check(population, parents, had)


def _check(population: Population, parents: list[int | None], had: Mapping[int, list[float]]) -> None:
    def below(step: int) -> list[int]:
        return [step, *(d for child, parent in enumerate(parents) if parent == step for d in below(child))]

    view = population.candidates()
    assert view.steps().tolist() == [step for step in had if had[step]]
    for row, step in enumerate(view.steps().tolist()):
        scores = [score for one in below(step) for score in had[one]]
        assert view.clades()[row].tolist() == [sum(scores), len(scores) - sum(scores)]
        assert view.own()[row].tolist() == [sum(had[step]), len(had[step]) - sum(had[step])]
    assert population.evaluations == sum(map(len, had.values()))


def test_recording_a_finished_variant_again_counts_nothing_twice() -> None:
    population = grown([0.5, 0.5], reads="results", tasks={0: [1, 0], 1: [1]})
    population.record(population.at(1))
    assert population.candidates().clades().tolist() == [[2.0, 1.0], [1.0, 0.0]]
    assert (population.evaluations, population.done, population.arrivals) == (3, 1, [0, 1])


def test_children_count_from_the_start_of_a_step_and_failures_count_too() -> None:
    population = grown([0.2, 0.4])
    population.record(node(2, None, 1, "mutating"))
    population.record(node(3, None, 1, "invalid"))
    assert population.candidates().children().tolist() == [1, 2]
    assert (population.attempts, population.done, population.next_step) == (3, 1, 4)


def test_candidates_stand_in_step_order_however_they_finish() -> None:
    population = Population()
    population.record(node(0, 0.1))
    for step in (1, 2, 3):
        population.record(node(step, None, 0, "mutating"))
    for step in (3, 1):
        population.record(node(step, step / 10, 0))
    view = population.candidates()
    assert view.steps().tolist() == [0, 1, 3]
    assert view.scores().tolist() == [0.1, 0.1, 0.3]
    assert population.arrivals == [0, 3, 1]


def test_the_best_is_the_earliest_of_equals_however_they_finish() -> None:
    population = Population()
    for step, score in ((0, 0.1), (2, 0.5), (1, 0.5), (3, 0.4)):
        population.record(node(step, score, 0 if step else None))
    assert population.best is not None
    assert population.best.step == 1


def test_only_what_is_asked_for_is_loaded() -> None:
    def refuse(variant: Variant) -> Results:
        raise AssertionError("a rule that reads scores costs no reading of results")

    population = Population("scores", refuse)
    population.record(node(0, 0.5))
    assert len(population.candidates()) == 1


def test_a_variant_evaluated_in_part_is_a_candidate_only_where_asked_for() -> None:
    def results(variant: Variant) -> Results:
        return Results((0.25,), {("b", "t"): 1.0}, 0.25)

    for partial in (True, False):
        population = Population("results", results, partial=partial)
        population.record(node(0, 0.5))
        population.record(node(1, None, 0, "pending"))
        assert population.is_candidate(1) == partial
        assert population.partial == ([1] if partial else [])
    assert population.best == replace(node(0), score=0.5)


def test_tasks_that_did_not_run_are_zero() -> None:
    population = grown([1, 0], reads="tasks", tasks={0: [1.0, 0.5, 1.0], 1: [1.0]})
    assert population.candidates().tasks().tolist() == [[1.0, 0.5, 1.0], [1.0, 0.0, 0.0]]


def test_an_unknown_step_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        grown([0.5]).at(1)


def test_a_part_of_the_candidates_keeps_their_columns() -> None:
    view = grown([0.1, 0.2, 0.3]).candidates().only(np.array([0, 2]))
    assert (view.steps().tolist(), view.scores().tolist(), view.next_step) == ([0, 2], [0.1, 0.3], 3)

"""Parent selection: each rule's frequencies follow its own formula, and not the neighbouring one."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import numpy as np
import pytest
from forest import grown, node
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hyperagent.engine.population import Population, View
from hyperagent.engine.selection import SELECTORS, Clade, Decoupled, Pareto
from hyperagent.engine.selection.clade import thompson
from hyperagent.engine.selection.pareto import Front
from hyperagent.protocols import ParentSelector

DRAWS = 6000
SCORES = [0.2, 0.5, 0.6, 0.55, 0.58, 0.35]
PARENTS = [None, 0, 0, 0, 2, 4]
EXTRA = {1: 2, 2: 6}
"""Failed children of a step, beside those with a score."""


def forest() -> Population:
    """Children: 3, 2, 7, 0, 1, 0."""
    population = grown(SCORES, PARENTS)
    for parent, count in EXTRA.items():
        for _ in range(count):
            population.record(node(population.next_step, None, parent, "invalid"))
    return population


CHILDREN = [3, 2, 7, 0, 1, 0]


def counts(selector: ParentSelector, view: View, draws: int = DRAWS) -> list[int]:
    random = Random(20)
    found = Counter(selector.select(view, random).step for _ in range(draws))
    return [found[step] for step in view.steps().tolist()]


def p_value(observed: list[int], weights: list[float]) -> float:
    expected = np.array(weights) / sum(weights) * sum(observed)
    return float(stats.chisquare(observed, expected).pvalue)


def sigmoids() -> list[float]:
    middle = (0.6 + 0.58 + 0.55) / 3
    return [1 / (1 + math.exp(-10 * (score - middle))) for score in SCORES]


FORMULAS = {
    "random": [1.0] * 6,
    "score_prop": sigmoids(),
    "score_child_prop": [s / (1 + n) for s, n in zip(sigmoids(), CHILDREN, strict=True)],
    "score_child_prop_code": [s * math.exp(-((n / 8) ** 3)) for s, n in zip(sigmoids(), CHILDREN, strict=True)],
}


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_frequencies_follow_the_formula_and_no_other_one(name: str) -> None:
    observed = counts(SELECTORS[name](), forest().candidates())
    assert p_value(observed, FORMULAS[name]) > 0.01
    for other in FORMULAS.keys() - {name}:
        assert p_value(observed, FORMULAS[other]) < 1e-6, other


@pytest.mark.parametrize(("name", "step"), [("best", 2), ("latest", 5)])
def test_rules_without_chance(name: str, step: int) -> None:
    assert counts(SELECTORS[name](), forest().candidates(), 50)[step] == 50


def test_best_prefers_the_earliest_of_equals() -> None:
    assert SELECTORS["best"]().select(grown([0.5, 0.5]).candidates(), Random(1)).step == 0


def test_the_codes_penalty_still_chooses_where_all_weights_vanish() -> None:
    population = grown([0.5, 0.5], [None, None])
    for parent, count in ((0, 90), (1, 120)):
        for _ in range(count):
            population.record(node(population.next_step, None, parent, "invalid"))
    assert counts(SELECTORS["score_child_prop_code"](), population.candidates(), 20) == [20, 0]


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_every_rule_takes_a_single_candidate_and_repeats_its_draws(name: str) -> None:
    only = grown([0.0], reads="tasks", tasks={0: [0.0]}).candidates()
    assert SELECTORS[name]().select(only, Random(3)).step == 0
    many = grown(SCORES, PARENTS, reads="tasks", tasks={s: [s % 2, 1 - s % 2] for s in range(6)}).candidates()
    first, second = ([SELECTORS[name]().select(many, Random(f"{seed}")).step for seed in range(20)] for _ in range(2))
    assert first == second


# -- clade ---------------------------------------------------------------------------------------

TASKS = {0: [1, 0, 0], 1: [1, 1, 0], 2: [0, 0, 0.5], 3: [1, 0, 1]}
TREE = [None, 0, 1, 0]
OWN = [(1.0, 2.0), (2.0, 1.0), (0.5, 2.5), (2.0, 1.0)]
CLADES = [(5.5, 6.5), (2.5, 3.5), (0.5, 2.5), (2.0, 1.0)]
"""Each outcome once. What a code that adds descendants at every level would count follows."""
INFLATED = [(6.0, 9.0), (2.5, 3.5), (0.5, 2.5), (2.0, 1.0)]


def chances(clades: list[tuple[float, float]]) -> list[float]:
    """How often each of some Beta(1 + s, 1 + f) is the highest, by numerical integration."""
    x = np.linspace(0, 1, 20_001)
    below = np.array([stats.beta.cdf(x, 1 + s, 1 + f) for s, f in clades])
    density = np.array([stats.beta.pdf(x, 1 + s, 1 + f) for s, f in clades])
    others = [np.prod(np.delete(below, index, axis=0), axis=0) for index in range(len(clades))]
    return [float((density[index] * others[index]).mean()) for index in range(len(clades))]


def test_clade_follows_the_posteriors_of_whole_clades() -> None:
    view = grown([0.5] * 4, TREE, reads="results", tasks=TASKS).candidates()
    assert view.clades().tolist() == [list(pair) for pair in CLADES]
    observed = counts(Clade(), view)
    assert p_value(observed, chances(CLADES)) > 0.01
    for other in (OWN, INFLATED):
        assert p_value(observed, chances(other)) < 1e-6


def test_further_evaluation_follows_a_variants_own_posterior() -> None:
    view = grown([0.5] * 4, TREE, reads="results", tasks=TASKS)
    random = Random(5)
    found = Counter(thompson(view.rows.own[[0, 1, 2, 3]], random) for _ in range(DRAWS))
    observed = [found[row] for row in range(4)]
    assert p_value(observed, chances(OWN)) > 0.01
    assert p_value(observed, chances(CLADES)) < 1e-6


@pytest.mark.parametrize(("outcomes", "variants", "making", "expand"), [
    (32, 8, 0, True),  # 32^0.6 is 8
    (31, 8, 0, False),
    (32, 8, 1, False),
    (32, 7, 1, True),
    (1, 1, 0, True),
])  # fmt: skip
def test_expansion_waits_for_evaluations(outcomes: int, variants: int, making: int, expand: bool) -> None:
    own = {0: [1.0] * (outcomes - variants + 1), **{step: [1.0] for step in range(1, variants)}}
    population = grown([1.0] * variants, reads="results", tasks=own)
    assert population.evaluations == outcomes
    assert Decoupled.expand(population, making) == expand


# -- pareto --------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=12), st.randoms())
def test_the_front_is_what_nobody_dominates_in_any_order(rows: list[list[int]], random: Random) -> None:
    def dominates(a: list[int], b: list[int]) -> bool:
        return all(x >= y for x, y in zip(a, b, strict=True)) and a != b

    front = Front()
    for step in random.sample(range(len(rows)), len(rows)):
        front.add(step, np.array(rows[step], dtype=float))
    expected = {i for i, row in enumerate(rows) if not any(dominates(other, row) for other in rows)}
    assert {step for steps in front.members for step in steps} == expected
    for steps, vector in zip(front.members, front.vectors, strict=True):
        assert all(rows[step] == vector.tolist() for step in steps)


VECTORS = {0: (0.2, 0.2), 1: (0.9, 0.1), 2: (0.1, 0.9), 3: (0.5, 0.5), 4: (0.5, 0.4), 5: (0.9, 0.1)}


def test_pareto_over_benchmarks_is_even_over_the_front() -> None:
    view = grown([0.5] * 6, reads="results", vectors=VECTORS).candidates()
    observed = counts(Pareto("benchmarks"), view)
    assert [observed[0], observed[4]] == [0, 0]
    front = [observed[step] for step in (1, 2, 3, 5)]
    assert p_value(front, [1, 1, 1, 1]) > 0.01


def test_pareto_over_tasks_follows_the_tasks_on_which_a_variant_is_best() -> None:
    tasks = {0: [0, 0, 0, 0], 1: [1, 1, 0, 0], 2: [0, 1, 1, 0], 3: [0, 0, 0, 1], 4: [0, 0, 1, 0], 5: [1, 1, 0, 0]}
    view = grown([0.5] * 6, reads="tasks", tasks=tasks).candidates()
    observed = counts(Pareto("tasks"), view)
    assert [observed[0], observed[4]] == [0, 0]
    winners = [observed[step] for step in (1, 2, 3, 5)]
    assert p_value(winners, [2, 2, 1, 2]) > 0.01
    assert p_value(winners, [1, 1, 1, 1]) < 1e-6


def test_the_kept_front_equals_one_made_anew() -> None:
    random = Random(4)
    tasks = {step: [random.choice((0.0, 0.5, 1.0)) for _ in range(4)] for step in range(60)}
    kept = Pareto("tasks")
    population = grown([0.5], reads="tasks", tasks=tasks)
    for step in range(1, 60):
        population.record(node(step, 0.5, 0))
        view = population.candidates()
        assert kept.select(view, Random(step)) == Pareto("tasks").select(view, Random(step))

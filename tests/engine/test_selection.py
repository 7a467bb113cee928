"""Parent selection: exact weights of the published rule, and frequencies that follow them."""

import math
import random
from collections import Counter

import pytest

from hyperagent.engine.selection import SELECTORS, ScoreChildProportional
from hyperagent.types import Variant


def variant(step: int, score: float) -> Variant:
    return Variant(f"{step:012x}", "c", step, 0, None, "evaluated", score=score)


CANDIDATES = [variant(0, 0.2), variant(1, 0.5), variant(2, 0.6), variant(3, 0.55)]
CHILDREN = {CANDIDATES[0].id: 3, CANDIDATES[2].id: 1}


def test_weights_are_the_papers_formula() -> None:
    middle = (0.6 + 0.55 + 0.5) / 3
    expected = [
        1 / (1 + math.exp(-10 * (score - middle))) / (1 + children)
        for score, children in ((0.2, 3), (0.5, 0), (0.6, 1), (0.55, 0))
    ]
    assert ScoreChildProportional().weights(CANDIDATES, CHILDREN) == pytest.approx(expected)


def test_frequencies_follow_the_weights() -> None:
    selector = ScoreChildProportional()
    weights = selector.weights(CANDIDATES, CHILDREN)
    draws = random.Random(1)
    counts = Counter(selector.select(CANDIDATES, CHILDREN, draws.random()).step for _ in range(20_000))
    for candidate, weight in zip(CANDIDATES, weights, strict=True):
        share = weight / sum(weights)
        assert counts[candidate.step] / 20_000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 20_000))


@pytest.mark.parametrize(("name", "step"), [("best", 2), ("latest", 3)])
def test_methods_without_chance(name: str, step: int) -> None:
    assert SELECTORS[name]().select(CANDIDATES, CHILDREN, 0.99).step == step


def test_best_prefers_the_earliest_of_equals() -> None:
    assert SELECTORS["best"]().select([variant(0, 0.5), variant(1, 0.5)], {}, 0.0).step == 0


def test_random_covers_every_candidate_evenly() -> None:
    selector = SELECTORS["random"]()
    assert [selector.select(CANDIDATES, {}, x).step for x in (0.0, 0.3, 0.5, 0.999999)] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", sorted(SELECTORS))
@pytest.mark.parametrize("draw", [0.0, 0.5, 1 - 2**-53])
def test_every_method_takes_a_single_candidate(name: str, draw: float) -> None:
    only = variant(0, 0.0)
    assert SELECTORS[name]().select([only], {}, draw) is only

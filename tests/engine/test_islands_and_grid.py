"""What islands and the grid let through to the rule within them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import cast

import pytest
from forest import grown
from scipy import stats

from hyperagent.engine.selection import Grid, Islands
from hyperagent.engine.selection.grid import Features
from hyperagent.engine.selection.simple import Best, Uniform
from hyperagent.protocols import Archive, Candidates, Reads
from hyperagent.types import Evaluation, Outcome, SandboxInfo, Spend, Variant


class Watching:
    """Takes the first one, and remembers who was there."""

    reads: Reads = "scores"

    def __init__(self) -> None:
        self.steps: list[int] = []

    def select(self, candidates: Candidates, random: Random) -> Variant:
        self.steps = candidates.steps().tolist()
        return candidates.at(self.steps[0])


def present(scores: Sequence[float], count: int, every: int) -> list[int]:
    """Who can be the parent of the next step."""
    watching = Watching()
    Islands(watching, count, every).select(grown(scores).candidates(), Random(1))
    return watching.steps


def test_an_island_sees_the_seed_and_its_own() -> None:
    assert present([0.5] * 7, 3, 100) == [0, 1, 4]  # step 7 is the first island's, as 1 and 4 are
    assert present([0.5] * 8, 3, 100) == [0, 2, 5]


def test_the_best_of_the_island_before_on_the_ring_visits() -> None:
    scores = [0.9, 0.1, 0.2, 0.3, 0.1, 0.2, 0.8, 0.1, 0.2]
    # Step 9 is the third island's; the second one's are 2, 5 and 8. The last migration was before step 8.
    assert present(scores, 3, 8) == [0, 2, 3, 6]
    assert present([*scores[:5], 0.7, *scores[6:]], 3, 8) == [0, 3, 5, 6]
    # A migration before step 9: step 8 is there by then.
    assert present([*scores[:8], 0.9], 3, 9) == [0, 3, 6, 8]


def test_the_ring_closes_from_the_last_island_to_the_first() -> None:
    assert present([0.5, 0.1, 0.2, 0.3, 0.1, 0.2, 0.9], 3, 1) == [0, 1, 4, 6]


def test_before_the_first_migration_nobody_visits() -> None:
    assert present([0.5] * 7, 3, 8) == [0, 1, 4]


def test_islands_take_turns_evenly() -> None:
    turns: Counter[int] = Counter()
    for length in range(4, 34):
        turns[present([0.5] * length, 3, 1000)[1] - 1] += 1
    assert set(turns.values()) == {10}


# -- the grid ------------------------------------------------------------------------------------


def grid(inner: Watching | Uniform | Best, cells: dict[int, str]) -> Grid:
    return Grid(inner, lambda variant, score: (cells[variant.step],))


def test_only_elites_are_let_through_and_the_earliest_of_equals() -> None:
    watching = Watching()
    cells = {0: "a", 1: "a", 2: "b", 3: "b", 4: "b", 5: "c"}
    grid(watching, cells).select(grown([0.5, 0.4, 0.1, 0.3, 0.3, 0.0]).candidates(), Random(1))
    assert watching.steps == [0, 3, 5]


def test_a_better_one_takes_the_cell_over_later() -> None:
    watching = Watching()
    elites = grid(watching, {0: "a", 1: "b", 2: "a"})
    elites.select(grown([0.5, 0.4]).candidates(), Random(1))
    assert watching.steps == [0, 1]
    elites.select(grown([0.5, 0.4, 0.6]).candidates(), Random(1))
    assert watching.steps == [1, 2]


def test_with_random_as_the_rule_cells_are_drawn_uniformly() -> None:
    cells = {0: "a", 1: "a", 2: "a", 3: "a", 4: "b", 5: "c"}
    elites, view, random = grid(Uniform(), cells), grown([0.1, 0.2, 0.9, 0.8, 0.1, 0.2]).candidates(), Random(2)
    found = Counter(elites.select(view, random).step for _ in range(4000))
    assert set(found) == {2, 4, 5}
    observed = [found[step] for step in (2, 4, 5)]
    assert stats.chisquare(observed).pvalue > 0.01
    assert stats.chisquare(observed, [4000 * n / 6 for n in (4, 1, 1)]).pvalue < 1e-6


def test_an_islands_elites_are_its_own() -> None:
    watching = Watching()
    cells = dict.fromkeys(range(7), "a")
    Islands(grid(watching, cells), 3, 100).select(grown([0.1, 0.2, 0.9, 0.9, 0.3, 0.9, 0.9]).candidates(), Random(1))
    assert watching.steps == [4]


class Shelf:
    """As much of an archive as features read."""

    def __init__(self, tree: dict[str, bytes], tokens: Sequence[int]) -> None:
        self.tree, self.tokens = tree, tokens

    def read_tree(self, commit: str) -> dict[str, bytes]:
        return self.tree

    def evaluations(self, variant: str) -> list[Evaluation]:
        info = SandboxInfo("stage", "none")

        def image(self, packages: object = ()) -> str:
            return ""

        return [
            Evaluation(number, variant, "b", split, ("t",), 0, "", "finished", info)  # type: ignore[arg-type]
            for number, split in enumerate(("train", "validation"))
        ]

    def outcomes(self, evaluation: int) -> list[Outcome]:
        spent = self.tokens if evaluation else [10**6]
        return [Outcome(f"t{n}", "scored", 1.0, spend=Spend(prompt_tokens=tokens)) for n, tokens in enumerate(spent)]


def cell(names: str, *, code: bytes = b"", tokens: Sequence[int] = (), score: float = 0.5) -> tuple[object, ...]:
    archive = cast(Archive, Shelf({"task_agent.py": code}, tokens))
    return Features(archive, names.split(","))(Variant("v", "c", 1, 1, None, "evaluated", commit="c"), score)


def test_features_tell_apart_what_differs_and_not_what_hardly_does() -> None:
    assert cell("tokens", tokens=[100, 300]) == cell("tokens", tokens=[200, 204])
    assert cell("tokens", tokens=[100, 300]) != cell("tokens", tokens=[300, 300])
    assert cell("size", code=b"x" * 5000) == cell("size", code=b"x" * 5010)
    assert cell("size", code=b"x" * 5000) != cell("size", code=b"x" * 6000)
    assert [cell("score", score=score) for score in (0.0, 0.19, 0.2, 1.0)] == [(0,), (1,), (2,), (9,)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"import x\nSTRATEGY = 'vote'\n", "'vote'"),
        (b"STRATEGY: str = 'ask'", "'ask'"),
        (b"OTHER_STRATEGY = 1\n    STRATEGY = 2", None),
        (b"\xff\xfe", None),
    ],
)
def test_a_constant_is_read_from_the_text(code: bytes, expected: str | None) -> None:
    assert cell("STRATEGY", code=code) == (expected,)
    assert cell("STRATEGY,score", code=code) == (expected, 5)

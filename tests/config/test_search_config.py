"""Keys of the search that make no sense together are refused, with what to do."""

from __future__ import annotations

import pytest

from hyperagent.config import load_config
from hyperagent.errors import ConfigError

SECOND = "benchmarks.1.name=coding"


@pytest.mark.parametrize(
    ("settings", "problem", "hint"),
    [
        (["search.aggregate=pareto", SECOND], "search.aggregate = 'pareto' leaves the choice", "search.selection"),
        (["search.aggregate=pareto", "search.selection=pareto"], "search.aggregate = 'pareto'", "[[benchmarks]]"),
        (["search.selection=pareto", "search.front=benchmarks"], "search.front = 'benchmarks' needs", "tasks"),
        (["search.aggregate=weighted", "benchmarks.0.weight=0"], "search.aggregate = 'weighted', and every", "above 0"),
        (["benchmarks.0.weight=2"], "search.aggregate = 'mean' reads no weights", "weighted"),
        (["benchmarks.0.weight=-1"], "benchmarks.0.weight must be at least 0", "Share"),
        (["search.grid=tokens,colour"], "search.grid knows no feature 'colour'", "CONSTANT"),
        (["search.islands=3", "search.selection=latest"], "search.islands need a choice", "another rule"),
        (["search.islands=0"], "search.islands must be between 1 and 64", ""),
        (["search.fallback=program"], "search.fallback must be one of", ""),
        (["search.front=all"], "search.front must be one of tasks, benchmarks", ""),
    ],
)  # fmt: skip
def test_nonsense_is_refused(settings: list[str], problem: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, settings=settings)
    assert problem in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "settings",
    [
        ["search.selection=pareto"],
        ["search.selection=pareto", "search.aggregate=pareto", SECOND],
        ["search.selection=pareto", "search.front=benchmarks", SECOND],
        ["search.aggregate=weighted", SECOND, "benchmarks.1.weight=0"],
        ["search.islands=4", "search.grid= tokens, size,STRATEGY", "search.selection=random"],
        ["search.selection=program", "search.fallback=clade"],
    ],
)
def test_sense_is_accepted(settings: list[str]) -> None:
    assert load_config(None, settings=settings)


def test_only_clade_evaluates_in_portions() -> None:
    def decoupled(*settings: str) -> bool:
        return load_config(None, settings=settings).search.decoupled

    assert decoupled("search.selection=clade")
    assert not decoupled("search.selection=clade", "search.portion=0")
    assert not decoupled("search.portion=4")

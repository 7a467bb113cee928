"""Parent selection: which archived variant the next step branches from.

One class a rule, each with its formula and source. :func:`make_selector` reads the configuration: a rule, within the
elites of a grid where one is asked for, within an island where there are several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from hyperagent.engine.parts import Parts
from hyperagent.engine.selection.clade import Clade, Decoupled
from hyperagent.engine.selection.grid import Features, Grid
from hyperagent.engine.selection.islands import Islands
from hyperagent.engine.selection.pareto import Over, Pareto
from hyperagent.engine.selection.program import ProgramSelector
from hyperagent.engine.selection.proportional import (
    ScoreChildProportional,
    ScoreChildProportionalCode,
    ScoreProportional,
)
from hyperagent.engine.selection.simple import Best, Latest, Seed, Uniform
from hyperagent.protocols import ParentSelector

__all__ = ["SELECTORS", "Clade", "Decoupled", "Grid", "Islands", "Pareto", "ProgramSelector", "make_selector"]

SELECTORS: Mapping[str, Callable[[], ParentSelector]] = {
    "score_child_prop": ScoreChildProportional,
    "score_child_prop_code": ScoreChildProportionalCode,
    "score_prop": ScoreProportional,
    "best": Best,
    "random": Uniform,
    "latest": Latest,
    "seed": Seed,
    "clade": Clade,
    "pareto": Pareto,
}
"""Every rule that needs nothing but the population, by its name in the config."""


def make_selector(parts: Parts, campaign: str) -> ParentSelector:
    """The rule that the configuration asks for.

    Args:
        campaign: Id of the campaign whose journal a choice by a program goes into.
    """
    search = parts.config.search

    def named(name: str) -> ParentSelector:
        return Pareto(cast(Over, search.front)) if name == "pareto" else SELECTORS[name]()

    if search.selection == "program":
        selector: ParentSelector = ProgramSelector(parts, campaign, named(search.fallback))
    else:
        selector = named(search.selection)
    if search.grid_features:
        selector = Grid(selector, Features(parts.archive, search.grid_features))
    if search.islands > 1:
        selector = Islands(selector, search.islands, search.migration)
    return selector

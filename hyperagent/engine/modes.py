"""What searches: the whole algorithm, or the same loop with one part of it taken away.

The loop knows no mode by name. It asks one object three things: what generation 0 is, which program rewrites a variant,
and what of an edit is kept; the rest of a mode is settings that it puts into the config before a campaign begins. A
step's journal entry names the mode, and a replay of a step asks the same object again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from hyperagent.config import Config
from hyperagent.engine.ownership import described, entry, ownership
from hyperagent.errors import ConfigError
from hyperagent.types import ProgramTree

FIXED = "diagnose_then_edit.py"
"""File of the fixed mechanism, in ``hyperagent/mechanisms`` and, in mode ``dgm``, in generation 0."""


class Mode:
    """``dgm-h``: a variant is rewritten by its own meta agent, which is part of what is rewritten.

    Attributes:
        selection: How parents are chosen; empty = as configured.
        mutation: The model that rewrites; empty = as configured.
    """

    selection = ""
    mutation = ""

    def applied(self, config: Config) -> Config:
        """The config with this mode's settings; applying it twice changes nothing more."""
        search = config.search
        if self.selection:  # alone: islands or a grid would be another archive
            search = replace(search, selection=self.selection, islands=1, grid="")
        models = config.models
        if self.mutation:  # what has no words can only fill in a form
            models = replace(models, mutation=self.mutation, mutations="", editing="constrained")
        return replace(config, search=search, models=models)

    def generation0(self, program: ProgramTree) -> ProgramTree:
        """What the campaign starts from, given the program that was configured."""
        return program

    def rewriter(self, parent: ProgramTree, seed: Callable[[], ProgramTree]) -> ProgramTree:
        """The program whose meta agent runs. ``seed`` gives generation 0 of the campaign."""
        return parent

    def kept(self, parent: ProgramTree, edited: ProgramTree, seed: Callable[[], ProgramTree]) -> ProgramTree:
        """What becomes the child's program."""
        return edited


class FrozenMeta(Mode):
    """``no-self-improve``: generation 0 rewrites every variant; edits of the meta agent's files are dropped.

    Generation 0 runs from files of its own, so nothing in a variant, a new file included, can reach it. Whose file is
    whose is what generation 0's ``program.toml`` says; files of both parts may change, and serve the task agent only.
    """

    def rewriter(self, parent: ProgramTree, seed: Callable[[], ProgramTree]) -> ProgramTree:
        return seed()

    def kept(self, parent: ProgramTree, edited: ProgramTree, seed: Callable[[], ProgramTree]) -> ProgramTree:
        owner = ownership(seed()).of
        changed = {path: data for path, data in edited.items() if owner(path) != "meta"}
        return {**changed, **{path: data for path, data in parent.items() if owner(path) == "meta"}}


class FixedMechanism(FrozenMeta):
    """``dgm``: as above, and generation 0 rewrites by a shipped mechanism: first a diagnosis, then one edit."""

    def generation0(self, program: ProgramTree) -> ProgramTree:
        """Raises ConfigError where the program has no ``llm.py``, the client that the mechanism asks with."""
        if FIXED in program:
            return program
        if "llm.py" not in program:
            raise ConfigError(
                "mode dgm: the program has no llm.py, which the fixed mechanism asks the model with",
                hint="start from the shipped seed, or add an llm.py with chat(model, messages, history, **parameters)",
            )
        source = Path(__file__).parent.parent.joinpath("mechanisms", FIXED).read_text(encoding="utf-8")
        fixed = source.replace("@META_ENTRY@", entry(program, "meta"))
        owned = ownership(program)
        entries = {"task": entry(program, "task"), "meta": f"{FIXED.removesuffix('.py')}:MetaAgent"}
        return described(
            {**program, FIXED: fixed.encode()}, entries, {"task": owned.task, "meta": (*owned.meta, FIXED)}
        )


class NoArchive(Mode):
    """``no-archive``: a chain. Only the newest variant with a score is branched from, so a failed child is retried."""

    selection = "latest"


class RandomEdits(Mode):
    """``random-edits``: the control. Edits are drawn uniformly from what a model could have said, without one."""

    mutation = "random/uniform"


class BestOfN(Mode):
    """``best-of-n``: independent tries. Every step starts from generation 0, so no step builds on another."""

    selection = "seed"


MODES: Mapping[str, Callable[[], Mode]] = {
    "dgm-h": Mode,
    "no-self-improve": FrozenMeta,
    "no-archive": NoArchive,
    "dgm": FixedMechanism,
    "random-edits": RandomEdits,
    "best-of-n": BestOfN,
}
"""Every mode by its name in the config."""


def mode_of(config: Config) -> Mode:
    """The mode that a config names."""
    return MODES[config.search.mode]()

"""Programs that choose parents: the newest capable variant's own ``parent_selection.py``, in a sandbox."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from random import Random

import numpy as np

from hyperagent.engine.parts import Parts, limits_of
from hyperagent.errors import SandboxLost
from hyperagent.protocols import Candidates, ParentSelector, Reads
from hyperagent.types import JobSpec, Json, ProgramTree, RunRequest, RunResult, Variant

CHOOSER_FAILED = "chooser_failed"
CHOOSER_CHOSE = "chooser_chose"
SECONDS = 10.0
SHOWN = 100
"""Best variants, and newest ones, that a chooser is shown: what it costs must not grow with the archive."""
_REASON_CHARACTERS = 500


class ProgramSelector:
    """Asks the newest capable variant which variant to branch from (self-referential selection).

    Capable is a scored variant whose program has a chooser: the file of ``[entry] select`` in its ``program.toml``, or
    ``parent_selection.py``. It runs in a sandbox of its own, without a model, on numbers alone: ids, steps,
    generations, parents, scores and children of the ``SHOWN`` best and the ``SHOWN`` newest variants, and one draw from
    [0, 1). A chooser that crashes, takes longer than ``SECONDS``, or names no variant that it was shown is journalled
    with its reason and never asked again; that step's parent is chosen by ``fallback``.
    """

    def __init__(self, parts: Parts, campaign: str, fallback: ParentSelector) -> None:
        self.reads: Reads = fallback.reads
        self._parts, self._campaign, self._fallback = parts, campaign, fallback
        self._disabled = {
            str(event.payload["variant"]) for event in parts.archive.events(campaign) if event.kind == CHOOSER_FAILED
        }
        self._incapable: set[int] = set()
        self._named: dict[str | None, str] = {None: ""}

    def select(self, candidates: Candidates, random: Random) -> Variant:
        found = self._chooser(candidates)
        if found is None:
            return self._fallback.select(candidates, random)
        chooser, program = found
        for step in candidates.arrivals[len(self._named) - 1 :]:
            self._named[candidates.at(step).id] = shown_id(step)
        shown = summary(candidates, self._named)
        try:
            answer, problem = self._ask(program, candidates.next_step, shown, random.random())
        except SandboxLost:  # our side's failure says nothing about the chooser: it is asked again next time
            return self._fallback.select(candidates, random)
        steps = {row["id"]: row["step"] for row in shown}
        if not problem and not (isinstance(answer, str) and answer in steps):
            problem = f"it named no variant that it was shown: {str(answer)[:100]!r}"
        if problem:
            self._disabled.add(chooser.id)
            self._journal(CHOOSER_FAILED, chooser, candidates.next_step, reason=problem[:_REASON_CHARACTERS])
            return self._fallback.select(candidates, random)
        parent = candidates.at(steps[answer])
        self._journal(CHOOSER_CHOSE, chooser, candidates.next_step, parent=parent.id)
        return parent

    def _chooser(self, candidates: Candidates) -> tuple[Variant, ProgramTree] | None:
        for step in reversed(candidates.steps().tolist()):
            variant = candidates.at(step)
            if step in self._incapable or variant.id in self._disabled:
                continue
            program = self._parts.archive.read_tree(variant.commit)
            if capable(program):
                return variant, program
            self._incapable.add(step)
        return None

    def _ask(self, program: ProgramTree, step: int, shown: list[dict[str, Json]], draw: float) -> tuple[Json, str]:
        """The answer, and why it does not count."""
        spec = JobSpec(f"{self._campaign}/{step}/select", program, limits=limits_of(self._parts.config))
        with self._parts.sandbox.session(spec) as session:
            result: RunResult = session.run(RunRequest("select", {"variants": shown, "random": draw}, SECONDS))
        if result.status == "ok":
            return result.value, ""
        return None, f"it ended with {result.status}: {result.error}"

    def _journal(self, kind: str, chooser: Variant, step: int, **more: Json) -> None:
        payload = {"variant": chooser.id, "step": step, **more}
        self._parts.archive.append_event(self._campaign, kind, payload)


def capable(program: ProgramTree) -> bool:
    """Whether a program has a chooser; whatever its ``program.toml`` says, it is never run here."""
    entry = "parent_selection:ParentSelector"
    try:
        table = tomllib.loads(program.get("program.toml", b"").decode("utf-8")).get("entry", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return False
    if isinstance(table, dict):
        entry = str(table.get("select", entry))
    return entry.partition(":")[0].replace(".", "/") + ".py" in program


def shown_id(step: int) -> str:
    """A variant's name for a chooser: the same when a campaign is run again, as the archive's ids are not."""
    return f"step-{step}"


def summary(candidates: Candidates, named: Mapping[str | None, str]) -> list[dict[str, Json]]:
    """What a chooser is shown, in step order; ``named`` holds the names of all scored variants by their ids."""
    scores, children = candidates.scores(), candidates.children()
    newest = np.arange(max(0, len(scores) - SHOWN), len(scores))
    best = np.argsort(-scores, kind="stable")[:SHOWN]
    rows = np.union1d(newest, best).tolist()
    steps = candidates.steps()[rows].tolist()
    return [
        _shown(candidates.at(step), named, float(scores[row]), int(children[row]))
        for row, step in zip(rows, steps, strict=True)
    ]


def _shown(variant: Variant, named: Mapping[str | None, str], score: float, children: int) -> dict[str, Json]:
    return {
        "id": shown_id(variant.step),
        "step": variant.step,
        "generation": variant.generation,
        "parent": named.get(variant.parent) or None,
        "score": score,
        "children": children,
    }

"""A whole campaign made again from its journal and its recorded model calls, into a fresh archive.

The journal is walked in its own order, which is the order in which the workers of the recorded campaign finished what
they did. Every mutation and evaluation goes through the campaign's own loop; what depended on who was ready first
(the parent chosen among those known, what a mutation was shown, how far an evaluation went) is taken from the journal,
and parents are chosen again from what was known. What comes out is compared step by step.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hyperagent.engine.bandit import MODEL_CHOSEN
from hyperagent.engine.budget import CampaignMeter
from hyperagent.engine.campaign import EVALUATION_CHOSEN, CampaignRunner
from hyperagent.engine.choices import Choices
from hyperagent.engine.inspirations import INSPIRED
from hyperagent.engine.journal import MUTATION_STARTED, SESSION_STARTED
from hyperagent.engine.parts import Parts
from hyperagent.engine.plateau import PLATEAU
from hyperagent.engine.population import SCORED
from hyperagent.engine.portions import PortionEvaluator
from hyperagent.engine.racing import RACE_STARTED, recorded_terms
from hyperagent.engine.replay import described, first_difference
from hyperagent.engine.selection import SELECTORS
from hyperagent.errors import NotFoundError, ReplayDiverged
from hyperagent.protocols import Archive
from hyperagent.types import (
    Campaign,
    CampaignReplay,
    Caps,
    Evaluation,
    Event,
    Json,
    ProgramTree,
    Progress,
    Split,
    StepReplay,
    Variant,
)
from hyperagent.types.replaying import ChoiceMade

CHOICES = (
    SESSION_STARTED, PLATEAU, INSPIRED, MODEL_CHOSEN, MUTATION_STARTED, RACE_STARTED, EVALUATION_CHOSEN, "transferred",
)  # fmt: skip
"""Kinds of event that say what was chosen, not what came of it: the replay's journal takes them over."""
CLOSED = "evaluated on "
COMPARED: tuple[Split, ...] = ("train", "validation")
_DIGEST = re.compile("[0-9a-f]{64}")


class Silent:
    """An observer of the loop: the replay tells its own progress."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.message = report

    def progress(self, progress: Progress) -> None:
        return None


class Reenactment(CampaignRunner):
    """Replays one campaign; :meth:`replay` once.

    Args:
        recorded: The archive that holds the campaign; only read.
        made: The campaign of the same id in the fresh archive of ``parts``, whose broker serves recorded calls only.
        report: Told a line per step.
        served: How many recorded calls were served so far.
    """

    def __init__(
        self,
        recorded: Archive,
        made: Campaign,
        parts: Parts,
        seed_program: ProgramTree,
        report: Callable[[str], None],
        served: Callable[[], int],
    ) -> None:
        search = parts.config.search
        other = SELECTORS[search.plateau_selection]()
        super().__init__(made, parts, seed_program, other, CampaignMeter(Caps()), Silent(report))
        self._portioned = PortionEvaluator(parts, self._meter, self._cancelled)
        self._recorded, self._say, self._served = recorded, report, served
        self._choices = Choices(recorded, made, parts)
        self._wanted = {variant.step: variant for variant in recorded.variants(made.id)}
        self._step_of = {variant.id: variant.step for variant in self._wanted.values()}
        self._chosen: dict[int, ChoiceMade] = {}
        self._differences: dict[int, str] = {}
        self._unreached: set[int] = set()
        self._compared: dict[int, int] = {}
        self._notes: dict[str, None] = {}

    def replay(self) -> CampaignReplay:
        """Make the campaign again and compare.

        Raises:
            EvaluationsLost: Infrastructure failed here, now: the replay says nothing.
        """
        started = time.monotonic()
        for event in self._recorded.events(self._campaign.id):
            self._follow(event)
        for step in self._wanted:
            if not self._lost_track(step):
                self._guard(step, self._leftovers)
        was = self._recorded.campaign(self._campaign.id)
        self._archive.set_campaign_state(was.id, was.state, was.reason)
        steps = tuple(self._result(step) for step in sorted(self._wanted))
        first = next((one.step for one in steps if one.result != "identical"), None)
        tasks = sum(self._compared.values())
        seconds = time.monotonic() - started
        notes = tuple(self._notes)
        return CampaignReplay(was, first is None, first, steps, self._served(), tasks, seconds, notes=notes)

    # -- the walk --------------------------------------------------------------------------------

    def _follow(self, event: Event) -> None:
        if event.kind in CHOICES:
            self._take_over(event)
        if event.kind == SESSION_STARTED:
            self._choices.begin_session()
        elif event.kind == PLATEAU:
            self._choices.plateau(event)
        step = self._step_of.get(str(event.payload.get("variant", "")))
        if step is None:
            return
        if event.kind == "step_started" and step not in self._chosen:
            self._begin(step, event.payload)
        elif not self._lost_track(step):
            if event.kind == MUTATION_STARTED:
                self._guard(step, self._evidence_again)
            elif event.kind in ("program_committed", "variant_finished"):
                self._guard(step, self._go_on)

    def _take_over(self, event: Event) -> None:
        for value in event.payload.values():
            if isinstance(value, str) and _DIGEST.fullmatch(value):
                self._archive.put_blob(self._recorded.get_blob(value))
        self._archive.append_event(self._campaign.id, event.kind, event.payload)

    def _lost_track(self, step: int) -> bool:
        return step in self._unreached or step in self._differences

    def _guard(self, step: int, action: Callable[[Variant], None]) -> None:
        """Run one action of a step; a call that was not recorded is a difference of that step."""
        try:
            action(self._archive.variant(self._wanted[step].id))
        except ReplayDiverged as diverged:
            self._differences[step] = diverged.message
        if step in self._differences:
            self._say(f"step {step}: diverged: {self._differences[step]}")

    # -- one step --------------------------------------------------------------------------------

    def _begin(self, step: int, facts: Mapping[str, Json]) -> None:
        wanted = self._wanted[step]
        parent = self._wanted[self._step_of[wanted.parent]] if wanted.parent else None
        self._chosen[step] = "none"
        if parent is not None:
            if parent.step in self._unreached or parent.step in self._differences:
                self._unreached.add(step)
                return
            self._choose(step, parent, facts)
        detail = {name: value for name, value in facts.items() if name not in ("variant", "step", "parent")}
        self._remember(self._archive.start_step(self._campaign.id, step, wanted.parent, detail))
        self._choices.started(wanted)

    def _choose(self, step: int, parent: Variant, facts: Mapping[str, Json]) -> None:
        if self._differences:
            return  # what is known is no longer what was known; parents are taken as recorded
        if "known" not in facts:
            self._chosen[step] = "unknown"
            return
        self._chosen[step] = "again"
        chosen = self._choices.parent(step, facts["known"])
        if chosen.id != parent.id:
            self._differences[step] = f"parent: recorded step {parent.step}, chosen again step {chosen.step}"

    def _evidence_again(self, variant: Variant) -> None:
        """The train tasks that the evidence of a mutation was made of."""
        parent = self._archive.variant(variant.parent or "")
        if self._lost_track(parent.step):
            return
        self._portions(parent, "train")

    def _go_on(self, variant: Variant) -> None:
        wanted = self._wanted[variant.step]
        if variant.status == "mutating":
            variant = self._committed_seed() if variant.step == 0 else self._mutate(variant)
            difference = self._program_difference(wanted, variant)
            if difference:
                self._differences[variant.step] = difference
            elif not wanted.commit:
                self._say(f"step {variant.step} of {max(self._wanted)}: {wanted.status}, identical")
        elif wanted.status in SCORED:
            self._score_again(variant, wanted)

    def _score_again(self, variant: Variant, wanted: Variant) -> None:
        closed = wanted.status == "screened_out" and wanted.reason.startswith(CLOSED)
        if closed or self._config.search.decoupled:
            self._portions(variant, "validation")
        elif recorded_terms(self._archive, variant) is not None:
            self._portions(variant, "validation", most=1)  # begins the race, so that it goes on by the recorded terms
        if closed:
            score, reason = self._evaluator.close(variant, lambda text: None)
            self._finish(variant, "screened_out", score, reason)
        else:
            # Without recorded terms there was no race: fewer than it takes had been scored.
            search = self._config.search
            unraced = search.racing and not search.decoupled and recorded_terms(self._archive, variant) is None
            self._evaluate(variant, screen=variant.step > 0 and not unraced)
        found = self._archive.variant(variant.id)
        self._compare(variant.step, found)
        if variant.step not in self._differences:
            self._say(f"step {variant.step} of {max(self._wanted)}: {wanted.status} {wanted.score:.3f}, identical")

    def _portions(self, variant: Variant, split: Split, most: int = 0) -> None:
        """Run as much of an evaluation as was recorded."""
        were = [one for one in self._evaluations(variant) if one.split == split]
        portions = {one.benchmark: (one.screen, len(self._recorded.outcomes(one.id))) for one in were}
        if most:
            portions = {name: (screen, most) for name, (screen, ran) in portions.items() if ran}
            portions = dict(list(portions.items())[:1])
        self._portioned.part(variant, split, portions, lambda text: None)
        if split == "train" and were and all(one.state == "finished" for one in were):
            self._evaluator.split(variant, split, lambda text: None)

    def _evaluations(self, variant: Variant) -> Sequence[Evaluation]:
        """The recorded ones that count: of those on the same tasks under other conditions the last."""
        found = self._recorded.evaluations(variant.id)
        return list({(one.benchmark, one.split): one for one in found if one.split in COMPARED}.values())

    def _leftovers(self, variant: Variant) -> None:
        """What the campaign began and never ended; then everything is compared."""
        wanted = self._wanted[variant.step]
        if variant.status == "pending" and wanted.status == "pending":
            self._portions(variant, "validation")
        if variant.commit:
            self._portions(variant, "train")
        self._compare(variant.step, self._archive.variant(variant.id))

    def _tell(self, variant: Variant, text: str) -> None:
        """The loop's own progress; the replay says a line per step instead."""

    # -- comparing -------------------------------------------------------------------------------

    def _program_difference(self, wanted: Variant, found: Variant) -> str:
        if found.commit == wanted.commit and (wanted.commit or _how(found) == _how(wanted)):
            return ""
        if not found.commit or not wanted.commit:
            recorded, replayed = (_words(one) for one in (wanted, found))
            return f"mutation: recorded {recorded}, replayed {replayed}"
        if found.tree == wanted.tree:
            return f"commit: recorded {wanted.commit[:12]}, replayed {found.commit[:12]}, with the same files"
        before, after = self._recorded.read_tree(wanted.commit), self._archive.read_tree(found.commit)
        changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        return f"program: {', '.join(changed)} differs"

    def _compare(self, step: int, found: Variant) -> None:
        wanted = self._wanted[step]
        difference = self._outcome_difference(found)
        if not difference and (found.status, found.score) != (wanted.status, wanted.score):
            recorded, replayed = (f"{one.status} {one.score}" for one in (wanted, found))
            difference = f"result: recorded {recorded}, replayed {replayed}"
        if not difference and (_how(found)[1], found.summary) != (_how(wanted)[1], wanted.summary):
            recorded, replayed = (f"{one.reason or one.summary}"[:200] for one in (wanted, found))
            difference = f"words: recorded {recorded!r}, replayed {replayed!r}"
        if difference:
            self._differences[step] = difference

    def _outcome_difference(self, found: Variant) -> str:
        made = {(one.benchmark, one.split): one for one in self._archive.evaluations(found.id)}
        count = 0
        for old in self._evaluations(found):
            new = made.get((old.benchmark, old.split))
            if new is None:
                continue  # not begun yet: compared at the end
            if replace(new.sandbox, warnings=()) != replace(old.sandbox, warnings=()):
                sandboxes = (f"{one.sandbox.backend} {one.sandbox.image}".strip() for one in (old, new))
                self._notes["recorded in {}, replayed in {}".format(*sandboxes)] = None
            ran = {outcome.task: outcome for outcome in self._archive.outcomes(new.id)}
            before = self._recorded.outcomes(old.id)
            for outcome in before:
                if outcome.task in ran and (first := first_difference(outcome, ran[outcome.task])) is not None:
                    return described(first)
            if {outcome.task for outcome in before} != set(ran) or old.tasks != new.tasks:
                return f"{old.split} tasks of {old.benchmark}: recorded {len(before)}, replayed {len(ran)}"
            count += len(before)
        self._compared[found.step] = count
        return ""

    def _result(self, step: int) -> StepReplay:
        wanted = self._wanted[step]
        try:
            replayed = self._archive.variant(wanted.id).commit
        except NotFoundError:
            replayed = ""
        difference = self._differences.get(step, "")
        return StepReplay(
            step=step,
            parent=self._step_of[wanted.parent] if wanted.parent else None,
            status=wanted.status,
            result="not_reached" if step in self._unreached else "diverged" if difference else "identical",
            choice=self._chosen.get(step, "none"),
            commit=wanted.commit,
            replayed=replayed,
            tasks=self._compared.get(step, 0),
            difference=difference,
        )


def _how(variant: Variant) -> tuple[str, str]:
    """Status and reason; of a traceback the last line, for the others hold paths and lines of this release's files."""
    lines = variant.reason.strip().splitlines()
    return variant.status, (lines[-1] if variant.status == "invalid" and lines else variant.reason)


def _words(variant: Variant) -> str:
    return f"{variant.status} ({variant.reason[:200]})" if variant.reason else variant.status

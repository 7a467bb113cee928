"""A running campaign seen from outside: snapshots made from its archive, which is only read.

What has been read is kept, and only what the journal says has changed is read again, so a look at a campaign of
thousands of variants costs no more than one at ten. Nothing here writes or locks, so the session never notices.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hyperagent.archive import lock_holder
from hyperagent.assembly.reports import interval, scores
from hyperagent.assembly.wiring import stored_config
from hyperagent.protocols import Archive
from hyperagent.report.table import best_variant
from hyperagent.types import (
    Activity,
    Caps,
    Closeup,
    EvaluationProgress,
    Event,
    Interval,
    Progress,
    Snapshot,
    Spend,
    Variant,
)

MOST_EVENTS = 400
"""Events kept for the eye."""
REREAD_ALL = 200
"""Changed variants from which on reading all of them is cheaper than each by itself."""
SPEND_SHARE = 100
"""Adding up all calls takes the longer the more there are: it is done again after so many times what it took."""
PHASES = ("step_started", "mutation_started", "mutation_described", "program_committed", "evaluation_chosen")
"""Kinds of events after which a worker does something else."""


class CampaignWatch:
    """Looks at one campaign again and again.

    Args:
        campaign: Its id.
        clock: Unix seconds.
        holder: Who writes to the archive; as :func:`hyperagent.archive.lock_holder`.

    Attributes:
        snapshot: The latest.
    """

    def __init__(
        self,
        archive: Archive,
        campaign: str,
        *,
        clock: Callable[[], float] = time.time,
        holder: Callable[[], Mapping[str, Any] | None] | None = None,
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._holder = holder or (lambda: lock_holder(archive.path))
        self._campaign = archive.campaign(campaign)
        self._config = stored_config(self._campaign)
        # The pulse comes before what it stands for: what is written meanwhile is read again, never missed.
        self._pulse = archive.pulse()
        self._seen = self._pulse[0]
        self._events = deque(archive.newest_events(self._campaign.id, MOST_EVENTS), MOST_EVENTS)
        self._variants = {variant.id: variant for variant in archive.variants(self._campaign.id)}
        self._evaluating: dict[int, str] = {}
        self._phases: dict[str, Event] = {}
        self._active: dict[str, int] = {}
        self._intervals: dict[str, Interval | None] = {}
        self._spend, self._spend_due = Spend(), 0.0
        self._progress: dict[str, Sequence[EvaluationProgress]] = {}
        for event in self._events:
            self._note(event)
        self._read_sessions()
        self._read_progress()
        self._count()
        self.snapshot = self._made(self._holder())

    def refresh(self) -> bool:
        """Look again; False where nothing but the time has changed."""
        pulse, holder = self._archive.pulse(), self._holder()
        changed = pulse != self._pulse
        if changed:
            self._pulse = pulse
            self._read_events()
            self._read_progress()
            self._count()
        before = self.snapshot
        self.snapshot = self._made(holder)
        return changed or (before.session, before.pid, before.progress.spend) != (
            self.snapshot.session,
            self.snapshot.pid,
            self.snapshot.progress.spend,
        )

    def closeup(self, variant: str) -> Closeup:
        """One variant of the latest snapshot (its id), read anew; raises NotFoundError where it is none."""
        found = self._archive.variant(variant)
        family = self.snapshot.variants
        parent = next((one for one in family if one.id == found.parent), None)
        won, lost, shared = self._flips(parent, found) if parent else ([], [], 0)
        both = parent is not None and parent.commit and found.commit
        return Closeup(
            found,
            parent,
            tuple(one.step for one in family if one.parent == found.id),
            interval(self._archive, found) if found.score is not None else None,
            self._archive.variant_spend(found.id)[0],
            tuple(one for one in self._archive.evaluation_progress(found.id) if one.split != "test"),
            tuple(won),
            tuple(lost),
            shared,
            self._archive.diff(parent.commit, found.commit) if both and parent else "",
        )

    def _flips(self, parent: Variant, child: Variant) -> tuple[list[str], list[str], int]:
        before = scores(self._archive, parent, "validation")
        won, lost, shared = [], [], 0
        for name, (tasks, values) in scores(self._archive, child, "validation").items():
            known = dict(zip(*before.get(name, ([], [])), strict=True))
            for task, value in zip(tasks, values, strict=True):
                if task in known:
                    shared += 1
                    won += [task] if value > known[task] else []
                    lost += [task] if value < known[task] else []
        return won, lost, shared

    # -- reading ---------------------------------------------------------------------------------

    def _read_events(self) -> None:
        events = self._archive.events(self._campaign.id, self._seen)
        changed = {variant for event in events if (variant := self._note(event))}
        self._events.extend(event for event in events if event.payload.get("status") != "scored")
        self._seen = events[-1].sequence if events else self._seen
        if len(changed) > REREAD_ALL:
            self._variants = {variant.id: variant for variant in self._archive.variants(self._campaign.id)}
        else:
            self._variants.update((identity, self._archive.variant(identity)) for identity in changed)
        kinds = {event.kind for event in events}
        if "campaign_state" in kinds:
            self._campaign = self._archive.campaign(self._campaign.id)
        if "session_started" in kinds:
            self._read_sessions()
        elif events:
            self._last = events[-1].created

    def _note(self, event: Event) -> str:
        """Keep what an event says about what is under way; returns the variant whose row it changed, if any."""
        variant = str(event.payload.get("variant", ""))
        if event.kind == "evaluation_started" and event.payload["split"] != "test":
            self._evaluating[event.payload["evaluation"]] = variant
        if event.kind == "outcome_added":
            variant = self._evaluating.get(event.payload["evaluation"], "")
            if variant:
                self._active[variant] = event.sequence
            return ""
        if variant:
            self._active[variant] = event.sequence
            if event.kind in PHASES:
                self._phases[variant] = event
        return variant

    def _read_sessions(self) -> None:
        sessions = self._archive.sessions(self._campaign.id, "session_started")
        self._before = sum(last - start.created for start, last in sessions[:-1])
        self._start: Event | None = sessions[-1][0] if sessions else None
        self._last = sessions[-1][1] if sessions else self._campaign.created

    def _read_progress(self) -> None:
        """How far the evaluations of what is under way are; a parent's, too: its train tasks are the evidence."""
        wanted = {variant.id for variant in self._open()}
        wanted |= {variant.parent for variant in self._open() if variant.parent and variant.status == "mutating"}
        self._progress = {identity: self._archive.evaluation_progress(identity) for identity in sorted(wanted)}
        every = (found for progress in self._progress.values() for found in progress)
        self._evaluating.update((found.id, found.variant) for found in every if found.split != "test")

    def _shown(self, event: Event) -> bool:
        """Whether it may be seen: what the hidden test gave is for those who ask for it by name."""
        if event.kind == "outcome_added":
            return event.payload["evaluation"] in self._evaluating
        return event.payload.get("split") != "test"

    def _open(self) -> list[Variant]:
        """Steps under way. One evaluated in portions waits between them: the last ones heard of are at work."""
        found = [variant for variant in self._variants.values() if variant.status in ("mutating", "pending")]
        recent = sorted(found, key=lambda variant: (-self._active.get(variant.id, 0), variant.step))
        return sorted(recent[: self._workers() or None], key=lambda variant: variant.step)

    def _workers(self) -> int:
        return int(self._start.payload.get("workers", 0)) if self._start else 0

    def _count(self) -> None:
        """What takes a pass over all variants; not done where only the time has changed."""
        self._ordered = tuple(sorted(self._variants.values(), key=lambda variant: variant.step))
        self._best = best_variant(self._ordered)
        done = [variant for variant in self._ordered if variant.status == "evaluated" and variant.step > 0]
        began = self._start.created if self._start else self._campaign.created
        self._done, self._done_now = len(done), sum(variant.created >= began for variant in done)
        self._told_events = tuple(event for event in self._events if self._shown(event))
        self._at_work = self._open()

    # -- telling ---------------------------------------------------------------------------------

    def _made(self, holder: Mapping[str, Any] | None) -> Snapshot:
        own = self._is_own(holder)
        running = self._campaign.state == "running"
        live = running and own
        began = self._start.created if self._start else self._campaign.created
        seconds = max(0.0, (self._clock() if live else self._last) - began)
        return Snapshot(
            self._told(seconds),
            self._ordered,
            self._workers(),
            tuple(self._activity(variant) for variant in self._at_work) if live else (),
            self._told_events,
            "running" if live else "interrupted" if running else "ended",
            int(holder.get("pid", 0)) if holder and own else 0,
        )

    def _is_own(self, holder: Mapping[str, Any] | None) -> bool:
        """Whether the writer is this campaign's session: it took the lock before it said that it begins.

        A campaign that is killed still says that it runs; whoever writes to the archive after that is another.
        """
        if holder is None:
            return False
        return self._start is None or float(holder.get("started", 0.0)) <= self._start.created

    def _told(self, seconds: float) -> Progress:
        """Args: seconds: Of the session."""
        caps = self._caps()
        left = max(0, caps.variants - self._done)
        running = self._campaign.state == "running"
        return Progress(
            campaign=self._campaign,
            done=self._done,
            target=caps.variants,
            attempts=max(0, len(self._ordered) - 1),
            in_flight=tuple((variant.step, self._doing(variant)) for variant in self._at_work) if running else (),
            best=self._best,
            best_interval=self._interval(self._best),
            seed_interval=self._interval(self._ordered[0] if self._ordered else None),
            spend=self._spent(),
            caps=caps,
            seconds=self._before + seconds,
            eta=seconds / self._done_now * left if self._done_now and running else None,
        )

    def _caps(self) -> Caps:
        """The session's, which `resume --set` may have raised; else the campaign's own."""
        budget = self._config.budget
        own = Caps(budget.variants, budget.seconds, budget.tokens, budget.cost)
        told = self._start.payload.get("caps") if self._start else None
        return Caps(**told) if isinstance(told, dict) else own

    def _spent(self) -> Spend:
        now = time.monotonic()
        if now >= self._spend_due:
            self._spend = self._archive.spend(self._campaign.id)
            took = time.monotonic() - now
            self._spend_due = now + SPEND_SHARE * took
        return self._spend

    def _interval(self, variant: Variant | None) -> Interval | None:
        if variant is None or variant.status not in ("evaluated", "screened_out"):
            return None
        if variant.id not in self._intervals:
            self._intervals[variant.id] = interval(self._archive, variant)
        return self._intervals[variant.id]

    def _activity(self, variant: Variant) -> Activity:
        phase = self._phases.get(variant.id)
        return Activity(variant.step, variant.id, self._doing(variant), phase.created if phase else variant.created)

    def _doing(self, variant: Variant) -> str:
        """In the words of the engine's own reports, e.g. ``mutating 3`` or ``full 14/80 math_grading``."""
        if variant.status == "pending":
            return self._evaluation(variant.id) or "checked"
        phase = self._phases.get(variant.id)
        kind = phase.kind if phase else ""
        parent = self._variants.get(variant.parent or "")
        if parent is None:
            return "checking the seed program"
        if kind == "mutation_described":
            return "checking the program"
        if kind == "step_started":
            train = self._evaluation(parent.id)
            return f"evidence of {parent.step}" + (f", {train}" if train else "")
        return f"mutating {parent.step}"

    def _evaluation(self, variant: str) -> str:
        for found in self._progress.get(variant, ()):
            if found.state == "running" and found.split != "test":
                if found.split == "train":
                    return f"train {found.done}/{found.tasks}"
                # The seed program is not screened: every other score is measured against its full one.
                screening = found.done < found.screen and self._variants[variant].parent is not None
                stage, of = ("screen", found.screen) if screening else ("full", found.tasks)
                return f"{stage} {found.done}/{of} {found.benchmark}"
        return ""


def watch(archive: Archive, campaign: str) -> CampaignWatch:
    """A watch over the campaign with that id."""
    return CampaignWatch(archive, campaign)

"""Plateaus: the running best has not improved beyond its interval for some steps, and what is then done about it.

Whether there is one is a pure function of the variants; that one was met, and when, stands in the journal
(``plateau``), from which a resume and a replay take the same answers again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from hyperagent.config import SearchConfig
from hyperagent.protocols import Archive
from hyperagent.types import Event, Interval, Variant

PLATEAU = "plateau"
HIGHEST_TEMPERATURE = 2.0


def last_improvement(variants: Iterable[Variant], interval: Callable[[Variant], Interval | None]) -> int:
    """Step of the last variant that scored above the 95% interval of the best before it.

    Small gains do not move the bar, so they can add up to an improvement; noise of the size of the interval is none.

    Args:
        variants: Of one campaign, in step order; those that were not scored in full are passed over.
        interval: The validation interval of a variant; asked of those only that are the best when their turn comes.
    """
    best: Interval | None = None
    step = 0
    for variant in variants:
        if variant.status != "evaluated" or variant.score is None:
            continue
        if (best is None or variant.score > best.high) and (found := interval(variant)) is not None:
            best, step = found, variant.step
    return step


class Plateau:
    """Watches one campaign. Not thread-safe: asked with the campaign's lock held.

    Args:
        events: The campaign's journal so far.
    """

    def __init__(self, config: SearchConfig, events: Sequence[Event]) -> None:
        self._config = config
        self._met = [int(event.payload["step"]) for event in events if event.kind == PLATEAU]

    @property
    def switched(self) -> bool:
        """Whether the other selection is in force: every plateau switches."""
        return self._config.plateau_action == "selection" and len(self._met) % 2 == 1

    def before(
        self,
        archive: Archive,
        campaign: str,
        step: int,
        variants: Iterable[Variant],
        interval: Callable[[Variant], Interval | None],
    ) -> str:
        """What is to be done before a new step is taken: the configured action, or an empty string.

        Steps count from the last improvement, or from the last plateau's answer, whichever is later.
        """
        if not self._config.plateau_steps:
            return ""
        since = max([last_improvement(variants, interval), *(met - 1 for met in self._met)])
        if step - since <= self._config.plateau_steps:
            return ""
        action = self._config.plateau_action
        archive.append_event(campaign, PLATEAU, {"step": step, "since": since, "action": action})
        self._met.append(step)
        return action


def mutation_temperature(archive: Archive, variant: Variant, base: float, config: SearchConfig) -> float:
    """Sampling temperature of a variant's mutation: ``base``, raised by every plateau met up to its step.

    An improvement after a plateau does not lower it again: what found it is kept.
    """
    if not config.plateau_steps or config.plateau_action != "temperature":
        return base
    events = archive.events_of(variant.campaign, PLATEAU)
    met = sum(int(event.payload["step"]) <= variant.step for event in events)
    return min(HIGHEST_TEMPERATURE, base + met * config.plateau_temperature)

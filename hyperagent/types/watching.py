"""What is seen of a campaign from outside while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hyperagent.types.archive import Event, Variant
from hyperagent.types.basic import Split
from hyperagent.types.calls import Spend
from hyperagent.types.running import Progress
from hyperagent.types.tasks import Interval


@dataclass(frozen=True)
class EvaluationProgress:
    """How far one evaluation is: ``done`` of ``tasks`` tasks have an outcome; the screen is the first ``screen``.

    ``score`` is in [0, 1]; None while it runs.
    """

    id: int
    variant: str
    benchmark: str
    split: Split
    state: Literal["running", "finished", "screened_out"]
    screen: int
    tasks: int
    done: int
    score: float | None


@dataclass(frozen=True)
class Activity:
    """What a worker does: the step it works on, in words, and since when (Unix seconds)."""

    step: int
    variant: str
    doing: str
    since: float


@dataclass(frozen=True)
class Closeup:
    """One variant, as near as a watcher looks.

    Attributes:
        children: Steps.
        spend: Of everything made for it.
        evaluations: The hidden test's left out.
        won, lost: Validation tasks on which it scores more, and less, than its parent.
        shared: How many both ran.
        diff: Unified diff against its parent; empty where either has no program. Hostile text.
    """

    variant: Variant
    parent: Variant | None
    children: tuple[int, ...]
    interval: Interval | None
    spend: Spend
    evaluations: tuple[EvaluationProgress, ...]
    won: tuple[str, ...]
    lost: tuple[str, ...]
    shared: int
    diff: str


@dataclass(frozen=True)
class Snapshot:
    """A campaign at one instant, as its archive tells it.

    Attributes:
        progress: What the running session itself would say.
        variants: In step order.
        workers: How many the session runs; 0 where none has begun.
        activities: What they do now, by step; at most ``workers``. Empty unless a session runs.
        events: The newest of the journal, oldest first; nothing of the hidden test's results.
        session: ``running``: a live process writes to the campaign. ``interrupted``: the campaign says that it runs and
            nobody writes to it. ``ended``: the rest.
        pid: The writing process; 0 where there is none.
    """

    progress: Progress
    variants: tuple[Variant, ...]
    workers: int
    activities: tuple[Activity, ...]
    events: tuple[Event, ...]
    session: Literal["running", "interrupted", "ended"]
    pid: int

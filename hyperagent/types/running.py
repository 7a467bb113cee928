"""What a running campaign says of itself, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hyperagent.types.archive import Campaign, Variant
from hyperagent.types.calls import Spend
from hyperagent.types.tasks import Interval


@dataclass(frozen=True)
class Caps:
    """A campaign's caps; 0 = none."""

    variants: int = 0
    seconds: float = 0.0
    tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True)
class Progress:
    """A snapshot of a running campaign.

    Attributes:
        done: Evaluated variants beyond the seed; ``target`` is the number wanted.
        attempts: Mutation attempts so far, failed ones included.
        in_flight: ``(step, what it does now)`` for every busy worker, e.g. ``(7, "screen 4/10")``.
        best: The variant with the highest validation score so far, with its interval.
        eta: Seconds to go at the present rate; None while unknown.
    """

    campaign: Campaign
    done: int
    target: int
    attempts: int
    in_flight: tuple[tuple[int, str], ...]
    best: Variant | None
    best_interval: Interval | None
    seed_interval: Interval | None
    spend: Spend
    caps: Caps
    seconds: float
    eta: float | None


@dataclass(frozen=True)
class CampaignResult:
    """How a run of the loop ended. ``lost`` counts tasks without an outcome because infrastructure failed."""

    campaign: Campaign
    done: int
    lost: int = 0


@dataclass(frozen=True)
class Divergence:
    """The first thing that a replayed task did otherwise.

    Attributes:
        what: ``prediction``, ``status``, ``score`` or ``calls`` (a call that was not recorded).
        at: Index of the first byte of the prediction that differs; None for anything else.
        recorded, replayed: What was and what is: of a prediction the bytes around ``at``, the same stretch of both.
        offset: Where in these two the first difference stands.
    """

    task: str
    what: Literal["prediction", "status", "score", "calls"]
    at: int | None
    recorded: str
    replayed: str
    offset: int = 0


@dataclass(frozen=True)
class ReplayReport:
    """What a replay found.

    Attributes:
        what: ``evaluation``, ``mutation`` or ``live``.
        identical: True where every byte compared was equal (always False for ``live``).
        compared: Number of tasks (or programs) compared.
        divergence: The first difference in one line; empty where identical.
        recorded, replayed: Scores with intervals, where there are any.
        first: The first difference of an evaluation, taken apart.
    """

    variant: Variant
    what: Literal["evaluation", "mutation", "live"]
    identical: bool
    compared: int
    divergence: str = ""
    recorded: Interval | None = None
    replayed: Interval | None = None
    first: Divergence | None = None


@dataclass(frozen=True)
class Plan:
    """What a campaign would do, before it does it (``run --dry-run``); worst cases."""

    variants: int
    steps: int
    tasks_per_variant: int
    train_tasks: int
    model_calls: int
    tokens: int
    cost: float
    notes: tuple[str, ...] = ()

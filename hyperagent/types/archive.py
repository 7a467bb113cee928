"""What the archive keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hyperagent.types.basic import CampaignState, Json, OutcomeStatus, Split, VariantStatus
from hyperagent.types.calls import Spend
from hyperagent.types.sandboxes import SandboxInfo


@dataclass(frozen=True)
class Campaign:
    """One evolutionary run. ``config`` is the whole effective configuration as JSON."""

    id: str
    name: str
    state: CampaignState
    random_seed: int
    config: Mapping[str, Json]
    created: float
    """Unix seconds, UTC."""
    reason: str = ""


@dataclass(frozen=True)
class Variant:
    """One step of a campaign. Step 0 is the seed program; its parent is None.

    Attributes:
        id: 12 hex digits, unique in the archive.
        generation: Distance from the seed.
        commit: Git commit of the program; empty where there is none (mutating, invalid without a tree).
        tree: Git tree id; equal trees are equal programs.
        score: Mean validation score over benchmarks, in [0, 1]; None until evaluated. A variant that failed the
            screen is scored on what ran, times the fraction that ran (the published rule).
        reason: Why it is ``invalid`` or ``no_effect``, or of which variant it is a ``duplicate`` (its id).
        summary: The program's own words about the edit (hostile text: escape before printing).
        seconds: Wall-clock seconds of the mutation.
    """

    id: str
    campaign: str
    step: int
    generation: int
    parent: str | None
    status: VariantStatus
    commit: str = ""
    tree: str = ""
    score: float | None = None
    reason: str = ""
    summary: str = ""
    seconds: float = 0.0
    created: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """The result of one task. ``prediction`` is canonical JSON text (what replay compares byte for byte)."""

    task: str
    status: OutcomeStatus
    score: float
    prediction: str = "null"
    error: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    spend: Spend = field(default_factory=Spend)
    transcript_blob: str = ""


class TaskResult(NamedTuple):
    """The short form of an outcome: a page reads hundreds of thousands. ``evaluation`` is an id; ``error`` is cut."""

    evaluation: int
    task: str
    status: OutcomeStatus
    score: float
    error: str


@dataclass(frozen=True)
class Evaluation:
    """One variant on one split of one benchmark.

    Attributes:
        tasks: Ids of the tasks planned, in order. The screen is the first ``screen`` of them.
        context: Hash over everything a score depends on but the program: task set, model, limits, sandbox image.
        state: ``running`` until every planned task has an outcome (``finished``) or the screen failed
            (``screened_out``), or a race was called off (``raced``).
    """

    id: int
    variant: str
    benchmark: str
    split: Split
    tasks: tuple[str, ...]
    screen: int
    context: str
    state: Literal["running", "finished", "screened_out", "raced"]
    sandbox: SandboxInfo
    score: float | None = None


@dataclass(frozen=True)
class Event:
    """One entry of the append-only journal; ``digest`` chains over the entry before."""

    sequence: int
    campaign: str
    kind: str
    payload: Mapping[str, Json]
    created: float
    digest: str


@dataclass(frozen=True)
class Problem:
    """Something ``verify`` found: where, what, and whether recovery can mend it."""

    where: str
    what: str
    mendable: bool = False

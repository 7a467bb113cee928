"""Frozen records that travel between rooms. Terms as in ``docs/design.md``.

Nothing here does work beyond simple derived properties; nothing here imports another room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict with str keys."""

ProgramTree = Mapping[str, bytes]
"""A program's files: POSIX path relative to the program's root -> content. Regular files only."""

Split = Literal["train", "validation", "test"]
OutcomeStatus = Literal["scored", "agent_error", "lost"]
VariantStatus = Literal[
    "mutating",  # the step has begun; no program yet
    "pending",  # committed, evaluation not finished
    "evaluated",  # passed the screen and was scored in full
    "screened_out",  # failed the screen; scored on what ran
    "no_effect",  # the edit cannot change behaviour (documentation only); not evaluated
    "duplicate",  # same tree as an archived variant; linked, not paid again
    "invalid",  # the mutation failed or its result does not load
]
CampaignState = Literal["running", "stopped", "budget_reached", "finished", "failed"]
Purpose = Literal["mutate", "evaluate", "test"]


# -- benchmarks ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One benchmark task. ``input`` may cross into a sandbox; ``hidden`` never does."""

    id: str
    benchmark: str
    split: Split
    group: str
    input: Mapping[str, Json]
    hidden: Mapping[str, Json] = field(repr=False)


@dataclass(frozen=True)
class Grade:
    """What a grader says of one prediction.

    ``score`` is in [0, 1]; ``valid`` is False where the prediction is not an answer at all (scored 0).
    """

    score: float
    valid: bool = True
    detail: str = ""


# -- sandboxes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """Hard limits of one job's sandbox; the per-run wall clock is in ``RunRequest``."""

    memory_mb: int = 512
    processes: int = 64
    cpus: float = 1.0
    tmpfs_mb: int = 128
    output_bytes: int = 4_000_000
    """Most bytes accepted back from the sandbox, per frame and per copied-out tree."""


@dataclass(frozen=True)
class JobSpec:
    """Everything one sandbox session needs. A job belongs to exactly one variant.

    Attributes:
        job: Unique id, ``[a-z0-9-/]+``; also the identity under which model calls are recorded.
        program: The code that runs.
        evidence: Read-only files for the meta agent (train results only).
        model_directory: Host directory holding ``model.sock``; None = no model in this job.
        environment: Extra variables for the program's processes (never a key).
    """

    job: str
    program: ProgramTree
    evidence: ProgramTree = field(default_factory=dict)
    model_directory: Path | None = None
    limits: Limits = field(default_factory=Limits)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRequest:
    """One run inside a session: a fresh process.

    Attributes:
        kind: ``task`` calls ``TaskAgent.forward(arguments["inputs"])``; ``meta`` calls
            ``MetaAgent.forward(repo, evidence, arguments["iterations_left"])`` on a working copy of the program;
            ``check`` imports the program and its entry points.
        arguments: ``{"model": str, ...}``, see ``kind``.
        seconds: Wall-clock limit; the whole process tree is killed when it is over.
    """

    kind: Literal["task", "meta", "check"]
    arguments: Mapping[str, Json]
    seconds: float


@dataclass(frozen=True)
class RunResult:
    """How one run ended. Anything but ``ok`` is the program's own doing.

    An infrastructure failure is no result: it raises :class:`~hyperagent.errors.SandboxLost`.

    Attributes:
        value: For ``task``: the prediction (JSON). For ``check``: ``{"modules": [...]}``. Else None.
        tree: For ``meta`` with status ``ok``: the edited program. Else None.
        transcript: The chat history the program wrote, at most 1 MB.
        error: Last lines of a traceback or a one-line reason; empty for ``ok``.
    """

    status: Literal["ok", "error", "timeout", "memory", "killed", "output"]
    value: Json = None
    tree: ProgramTree | None = None
    error: str = ""
    transcript: str = ""
    stdout: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0


@dataclass(frozen=True)
class SandboxInfo:
    """Which sandbox ran a job; stored with every evaluation."""

    backend: str
    isolation: str
    image: str = ""
    warnings: tuple[str, ...] = ()


# -- models --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChatRequest:
    """One OpenAI-style chat completion, already reduced to allowed parameters.

    Attributes:
        model: Full model string (``local/smollm2-135m``, ``openai/gpt-...``).
        messages: OpenAI message objects.
        parameters: Any of temperature, top_p, max_tokens, seed, stop, response_format, tools, tool_choice.
    """

    model: str
    messages: tuple[Mapping[str, Json], ...]
    parameters: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class ChatReply:
    """One completion. ``cost`` in US dollars; 0 for local models."""

    message: Mapping[str, Json]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cost: float = 0.0
    cached: bool = False


@dataclass(frozen=True)
class CallKey:
    """Identity of a model call: the n-th call (from 0) made under one task of one job."""

    job: str
    task: str
    sequence: int


@dataclass(frozen=True)
class ModelCall:
    """A recorded call.

    Attributes:
        state: ``reserved`` before the call, ``settled`` with a reply, ``failed`` without one. A call that is still
            ``reserved`` when a campaign is resumed was cut off; it counts at its reserved size, so spend never shrinks.
        prompt_tokens: Settled: as billed. Reserved: the worst case. Same for the next two.
    """

    key: CallKey
    campaign: str
    variant: str
    purpose: Purpose
    model: str
    request_hash: str
    state: Literal["reserved", "settled", "failed"]
    prompt_tokens: int
    completion_tokens: int
    cost: float
    seconds: float = 0.0
    cached: bool = False
    request_blob: str = ""
    reply_blob: str = ""
    error: str = ""


@dataclass(frozen=True)
class Spend:
    """What a campaign (or one task) has used up. ``cached`` calls cost nothing and are counted apart."""

    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spend) -> Spend:
        return Spend(
            self.calls + other.calls,
            self.cached_calls + other.cached_calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )


# -- archive -------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Evaluation:
    """One variant on one split of one benchmark.

    Attributes:
        tasks: Ids of the tasks planned, in order. The screen is the first ``screen`` of them.
        context: Hash over everything a score depends on but the program: task set, model, limits, sandbox image.
        state: ``running`` until every planned task has an outcome (``finished``) or the screen failed
            (``screened_out``).
    """

    id: int
    variant: str
    benchmark: str
    split: Split
    tasks: tuple[str, ...]
    screen: int
    context: str
    state: Literal["running", "finished", "screened_out"]
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


# -- statistics ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided 95% interval, all on the same scale."""

    estimate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class PairedTest:
    """Exact McNemar on paired 0/1 outcomes: ``wins`` tasks only B solved, ``losses`` only A solved."""

    wins: int
    losses: int
    n: int
    p_value: float


# -- running -------------------------------------------------------------------------------------


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
class ReplayReport:
    """What a replay found.

    Attributes:
        what: ``evaluation``, ``mutation`` or ``live``.
        identical: True where every byte compared was equal (always False for ``live``).
        compared: Number of tasks (or programs) compared.
        divergence: The first difference in one line; empty where identical.
        recorded, replayed: Scores with intervals, where there are any.
    """

    variant: Variant
    what: Literal["evaluation", "mutation", "live"]
    identical: bool
    compared: int
    divergence: str = ""
    recorded: Interval | None = None
    replayed: Interval | None = None


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

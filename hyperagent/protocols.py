"""Every seam of the engine on one page. ``assembly`` hands the engine real parts, a test hands it shipped doubles.

Threads: the engine runs one thread per worker. Every implementation here must allow calls from several threads
at once, except a :class:`Session` and a :class:`ModelChannel`, which belong to the thread that opened them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

from hyperagent.types import (
    CallKey,
    Campaign,
    CampaignState,
    ChatReply,
    ChatRequest,
    Evaluation,
    EvaluationProgress,
    Event,
    Examiner,
    Grade,
    JobSpec,
    Json,
    ModelCall,
    Needs,
    Outcome,
    Problem,
    ProgramTree,
    Progress,
    Purpose,
    RunRequest,
    RunResult,
    SandboxInfo,
    Scorecard,
    Spend,
    Split,
    Task,
    TaskResult,
    Variant,
    VariantStatus,
)  # fmt: skip

if TYPE_CHECKING:  # numpy takes longer to import than `--help` may take
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


class Session(Protocol):
    """One fresh sandbox for one job of one variant."""

    def run(self, request: RunRequest) -> RunResult:
        """Run the program once, in a fresh process with its own temporary directory.

        Raises:
            SandboxLost: The daemon or the machine failed; the program is not to blame.
        """


class Sandbox(Protocol):
    """A backend that opens sessions."""

    @property
    def info(self) -> SandboxInfo: ...

    def prepare(self, packages: Iterable[tuple[str, ...]] = ()) -> None:
        """Make ready (find or build the image, remove leftovers of crashed runs of the same owner).

        Args:
            packages: Every set of Python packages that a later ``JobSpec.packages`` will ask for; made available once.

        Raises:
            SandboxUnavailable: With a hint that says what to do.
        """

    def image(self, packages: tuple[str, ...] = ()) -> str:
        """What sandboxes with these packages are made of, with its digest where there is one; after ``prepare``."""

    def session(self, spec: JobSpec) -> AbstractContextManager[Session]:
        """Open a fresh sandbox. Leaving the context destroys it, whatever happened inside.

        Raises:
            SandboxLost: It could not be started.
        """

    def abort(self) -> None:
        """End every session that is open now, from another thread: their runs raise ``SandboxLost``."""

    def reap(self) -> int:
        """Destroy every leftover sandbox of this owner; returns how many there were."""


class Benchmark(Protocol):
    """A pack with its data at hand: tasks and what is needed to grade them, on the host only."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> Needs:
        """What a program that solves its tasks may use."""

    @property
    def examiner(self) -> Examiner | None:
        """The program that examines predictions in a sandbox of its own; None = the host grades alone."""

    def tasks(self, split: Split, limit: int = 0) -> Sequence[Task]:
        """Tasks of a split in a fixed order; the first ``limit`` of them, all where 0.

        Raises:
            DataUnavailable: The data has not been fetched.
        """

    def examine(self, task: Task, prediction: Json) -> Mapping[str, Json] | Grade:
        """What the examiner is asked about one prediction, or the grade at once where that is no answer at all.

        Only for benchmarks with an examiner. Never raises on garbage.
        """

    def grade(self, task: Task, prediction: Json, verdict: Json = None) -> Grade:
        """Score one prediction. Never raises on garbage: that is a grade with ``valid=False``.

        Args:
            verdict: What the examiner answered, for benchmarks that have one; None = it gave no answer.
        """

    def feedback(self, task: Task) -> Json:
        """What the meta agent may learn about a train task: its target (the label, never a reference solution).

        Raises:
            ValueError: The task is not of the train split.
        """

    def scorecard(self, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> Scorecard:
        """Every metric of the pack over paired tasks and outcomes, and what cannot solve tasks scores on the same.

        Raises:
            ValueError: Tasks and outcomes are not of the same tasks in the same order.
        """


class ModelClient(Protocol):
    """Something that answers chat requests. No retries, no recording, no metering: the broker does those."""

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """Answer one request.

        Raises:
            ModelUnavailable: Nothing will help but a change (missing weights, 401, unknown model).
            ModelRequestInvalid: The request itself is refused (HTTP 400, context too long).
            ModelLost: A failure that may pass (429, 5xx, timeout, broken reply); ``retry_after`` may be set on it.
        """

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        """Cost in US dollars of a call of that size; 0.0 for local models."""


class Meter(Protocol):
    """Budgets. A cap is never exceeded: reserve the worst case first, settle the real size after."""

    def reserve(self, tokens: int, cost: float) -> int:
        """Set aside; returns a ticket for :meth:`settle`.

        Raises:
            BudgetReached: The cap would be exceeded.
        """

    def settle(self, ticket: int, spend: Spend) -> None: ...


class CallRecorder(Protocol):
    """Durable record of model calls; the archive implements it."""

    def reserve_call(self, call: ModelCall) -> None:
        """Store a call in state ``reserved`` before it is made (durable when this returns).

        A row under the same key left by a cut-off attempt is kept and counted; the new one supersedes it for replay.
        """

    def settle_call(self, call: ModelCall, request: bytes, reply: bytes) -> None:
        """Store the final state of a reserved call with its canonical request and reply (durable when this returns)."""

    def recorded_call(self, key: CallKey) -> ModelCall | None:
        """The latest settled call under that key."""

    def cached_call(self, request_hash: str) -> ModelCall | None:
        """Any settled, uncached call with that request hash, from whatever campaign of the archive."""

    def get_blob(self, digest: str) -> bytes: ...


class ModelChannel(Protocol):
    """A job's door to its model: a Unix socket in ``directory``, reached by nobody else."""

    @property
    def directory(self) -> Path: ...

    def begin(self, task: str) -> None:
        """Calls from now on belong to ``task``; sequence numbers restart at 0."""

    def end(self) -> Spend:
        """What the calls since :meth:`begin` used. Waits for a call in flight.

        Raises:
            BudgetReached: A call was refused for a cap: the task did not get its fair run.
            ModelLost: A call failed through no fault of the program.
            ModelUnavailable: The model refuses for good (401, missing weights).
            ReplayDiverged: In replay mode, a call was not the recorded one.
        """


class Broker(Protocol):
    """The only door from a sandbox to a model."""

    def channel(
        self,
        job: str,
        *,
        campaign: str,
        variant: str,
        purpose: Purpose,
        model: str,
        meter: Meter,
        defaults: Mapping[str, Json],
    ) -> AbstractContextManager[ModelChannel]:
        """Open the job's door.

        ``model`` is the only model it serves; ``defaults`` are parameters a request may leave out.
        """


class Candidates(Protocol):
    """What a selector may know of a campaign: its scored variants in step order, as columns of n rows; never empty.

    Every call copies its column, so ask once per selection.
    """

    def __len__(self) -> int: ...

    @property
    def next_step(self) -> int:
        """The step that the parent is wanted for."""

    @property
    def arrivals(self) -> Sequence[int]:
        """Steps of all the campaign's scored variants in the order in which they came; it only ever grows."""

    def at(self, step: int) -> Variant:
        """The variant of a step."""

    def steps(self) -> Ints: ...

    def scores(self) -> Floats:
        """In [0, 1]."""

    def children(self) -> Ints:
        """Number of children, running steps included."""

    def own(self) -> Floats:
        """Shape (n, 2): the sum of scores of a variant's outcomes, and of what they lack to 1. Reads results."""

    def clades(self) -> Floats:
        """Shape (n, 2): :meth:`own` summed over a variant and all its descendants. Reads results."""

    def vectors(self) -> Floats:
        """Shape (n, benchmarks), in [0, 1]. Reads results."""

    def tasks(self) -> Floats:
        """Shape (n, tasks), in [0, 1]; 0 where a task did not run. Reads tasks."""

    def only(self, rows: Ints) -> Candidates:
        """These rows of it, ascending; at least one."""


Reads = Literal["scores", "results", "tasks"]
"""How much of its variants' evaluations a selector reads; each word includes those before it."""


class ParentSelector(Protocol):
    """Chooses which variant to branch from."""

    @property
    def reads(self) -> Reads: ...

    def select(self, candidates: Candidates, random: Random) -> Variant:
        """Choose a parent.

        Args:
            random: Seeded from the campaign's seed and the step: the only source of chance.
        """


class Observer(Protocol):
    """Watches a running campaign; called from worker threads, one call at a time."""

    def progress(self, progress: Progress) -> None: ...

    def message(self, text: str) -> None:
        """Something a person should read once (a fallback taken, a retry, a warning)."""


class Archive(CallRecorder, Protocol):
    """All campaigns of one home.

    One writer (``open_archive(..., write=True)``); readers never block and are never blocked.

    Order of effects for a variant: journal row -> git commit -> one transaction. All methods that write are durable
    when they return. References accept a unique id prefix, a campaign's name, or ``campaign/step``.
    """

    @property
    def path(self) -> Path: ...

    # campaigns
    def create_campaign(self, name: str, random_seed: int, config: Mapping[str, Json], id: str = "") -> Campaign:
        """``name`` gets ``-2``, ``-3`` ... appended where it is taken; ``id`` is drawn where none is given."""

    def set_campaign_state(self, campaign: str, state: CampaignState, reason: str = "") -> Campaign: ...

    def campaigns(self) -> Sequence[Campaign]: ...

    def campaign(self, reference: str) -> Campaign:
        """Raises NotFoundError (with near names) where nothing or more than one matches."""

    # variants
    def start_step(self, campaign: str, step: int, parent: str | None, detail: Mapping[str, Json]) -> Variant:
        """Add a variant in status ``mutating`` and journal ``step_started`` with ``detail``."""

    def commit_program(self, variant: str, tree: ProgramTree, message: str) -> Variant:
        """Commit the program and store commit and tree ids.

        Git parent = the parent variant's commit; a ref of its own; trailers.

        The commit is a pure function of tree, parent commit, campaign name and step. Status becomes ``pending``.
        """

    def finish_variant(
        self,
        variant: str,
        status: VariantStatus,
        *,
        score: float | None = None,
        reason: str = "",
        summary: str = "",
        seconds: float = 0.0,
    ) -> Variant:
        """Store the final state and journal ``variant_finished`` in one transaction; a finished row never changes."""

    def describe_mutation(self, variant: str, *, summary: str, seconds: float, transcript_blob: str) -> Variant: ...

    def variants(self, campaign: str) -> Sequence[Variant]:
        """In step order."""

    def variant(self, reference: str) -> Variant: ...

    def children(self, variant: str, *, before: int | None = None, most: int = 0) -> Sequence[Variant]:
        """By step; the last ``most`` (0 = all) of those of steps below ``before``."""

    def variants_with_tree(self, tree: str) -> Sequence[Variant]: ...

    def read_tree(self, commit: str) -> ProgramTree: ...

    def tree_id(self, tree: ProgramTree) -> str:
        """The git tree id the files would have, without storing anything."""

    def diff(self, commit_a: str, commit_b: str) -> str:
        """Unified diff."""

    # evaluations
    def start_evaluation(
        self,
        variant: str,
        benchmark: str,
        split: Split,
        tasks: Sequence[str],
        screen: int,
        context: str,
        sandbox: SandboxInfo,
    ) -> Evaluation:
        """The evaluation of that (variant, benchmark, split, context), running or ended, else a new one."""

    def add_outcome(self, evaluation: int, outcome: Outcome) -> None:
        """One transaction: outcome and event. A second outcome for the same task is refused (ValueError)."""

    def finish_evaluation(self, evaluation: int, state: str, score: float) -> Evaluation: ...

    def evaluations(self, variant: str) -> Sequence[Evaluation]: ...

    def outcomes(self, evaluation: int) -> Sequence[Outcome]:
        """In the order of ``Evaluation.tasks``."""

    def score_counts(
        self, campaign: str, split: Split, variants: Sequence[str] | None = None
    ) -> Mapping[str, Mapping[float, int]]:
        """Variant id -> score -> number of tasks with it (lost ones left out), in one statement."""

    def find_evaluation(self, tree: str, benchmark: str, split: Split, context: str) -> Evaluation | None:
        """A finished evaluation of an equal program under equal conditions, from whatever campaign."""

    # a whole campaign in one statement each: what a page about thousands of variants is made from
    def campaign_evaluations(self, campaign: str) -> Sequence[Evaluation]:
        """Of all its variants, in the order of their start. ``campaign`` is an id, here and below."""

    def campaign_results(self, campaign: str, *, hidden: bool = False, longest: int = 200) -> Iterable[TaskResult]:
        """Every outcome in short, by evaluation; of the test split only where ``hidden``; errors cut to ``longest``."""

    def campaign_answers(self, campaign: str) -> Mapping[int, tuple[int, int]]:
        """Evaluation id -> how many answers were given, and how many different ones; without the test split."""

    def event_counts(self, campaign: str) -> Mapping[str, int]:
        """Kind of event -> how many there are."""

    def newest_event(self, campaign: str) -> int:
        """Sequence number of its newest event; 0 where there is none. What has not grown has not changed."""

    def diffs(self, trees: Sequence[tuple[str, str]]) -> Iterable[str]:
        """Unified diffs of pairs of tree ids, in their order, read as they are asked for, many per git process."""

    # journal, calls, blobs
    def append_event(self, campaign: str, kind: str, payload: Mapping[str, Json], *, durable: bool = True) -> Event:
        """``durable=False``: not before the next durable write."""

    def events(self, campaign: str, after: int = 0) -> Sequence[Event]: ...

    def events_of(self, campaign: str, kind: str) -> Sequence[Event]:
        """Events of one kind."""

    def calls(self, *, campaign: str = "", variant: str = "", job: str = "") -> Sequence[ModelCall]: ...

    def spend(self, campaign: str) -> Spend:
        """Settled calls plus reserved calls that were cut off (see :class:`ModelCall`)."""

    def variant_spend(self, variant: str) -> tuple[Spend, float]:
        """The same of one variant, and the seconds of model time."""

    def task_spend(self, job: str, task: str) -> tuple[Spend, float]:
        """What the recorded calls used that the next attempt of a task is served again, and their model seconds."""

    def call_totals(self, campaign: str, by: str = "") -> Sequence[Mapping[str, Json]]:
        """Sums over a campaign's calls by ``model``, ``purpose``, ``variant`` or ``day``; empty = one row.

        ``unsettled`` = one row of the calls in flight or cut off. Rows have ``name``, ``calls``, ``cached_calls``,
        ``failed``, ``unsettled``, ``prompt_tokens``, ``completion_tokens``, ``cost`` and ``seconds``.
        """

    def put_blob(self, data: bytes) -> str:
        """Store compressed under its SHA-256; returns the hex digest. Storing the same bytes twice stores them once."""

    # bundles
    def export_bundle(
        self, file: BinaryIO, campaign: str, *, lineage: str = "", calls: bool = True
    ) -> Mapping[str, Json]:
        """Write a campaign (only the variant ``lineage`` and its ancestors, if named); returns the manifest."""

    def import_bundle(self, file: Path, name: str = "") -> Campaign:
        """Check a bundle, then take all of it in or nothing. Writer only. A taken name gets ``-2`` ... appended."""

    # what a watcher polls; ``campaign`` and ``variant`` are ids here
    def pulse(self) -> tuple[int, int]:
        """Numbers of the newest event and the newest model call of the whole archive."""

    def newest_events(self, campaign: str, most: int) -> Sequence[Event]:
        """The last ``most`` events, oldest first; those of single tasks are left out."""

    def sessions(self, campaign: str, kind: str) -> Sequence[tuple[Event, float]]:
        """Of each session the event of that kind with which it began, and when it ended."""

    def evaluation_progress(self, variant: str) -> Sequence[EvaluationProgress]:
        """How far the variant's evaluations are, in the order of their start."""

    # health
    def recover(self) -> Sequence[str]:
        """Reconcile git and rows after a crash, in both directions; one line per thing mended. Writer only."""

    def verify(self) -> Sequence[Problem]: ...

    def close(self) -> None: ...

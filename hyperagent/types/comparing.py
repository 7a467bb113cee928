"""What is said about one variant, about two, and about the campaigns they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hyperagent.types.archive import Campaign, Variant
from hyperagent.types.basic import Json, Split
from hyperagent.types.calls import Spend
from hyperagent.types.tasks import Interval, PairedTest

Verdict = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True)
class Paired:
    """Two variants on the tasks that both ran.

    Attributes:
        benchmark: Empty = all benchmarks together.
        a, b: Mean score of each on these tasks.
        difference: Mean of B's score minus A's, in [-1, 1].
        test: Exact McNemar where every score is 0 or 1; else None, and the interval decides.
        won, lost: Tasks that B scored higher, and lower, on.
        verdict: Of B against A, two-sided at 5%.
        more_tasks: Where inconclusive: how many more tasks would decide with probability 80% if the rates seen here
            are the true ones; None where nothing differs, so that no number would.
    """

    benchmark: str
    a: Interval
    b: Interval
    difference: Interval
    test: PairedTest | None
    won: tuple[str, ...]
    lost: tuple[str, ...]
    verdict: Verdict
    more_tasks: int | None


@dataclass(frozen=True)
class Comparison:
    """Two variants: all shared tasks together, then by benchmark where there are several.

    Attributes:
        cost: Of A and of B, what their outcomes on the shared tasks used; cached calls included at their number.
        seconds: Of A and of B, wall clock on the shared tasks.
    """

    a: Variant
    b: Variant
    split: Split
    overall: Paired
    benchmarks: tuple[Paired, ...]
    cost: tuple[Spend, Spend]
    seconds: tuple[float, float]


@dataclass(frozen=True)
class FileChange:
    """One file that differs between two programs.

    Attributes:
        added, removed: Lines.
        functions: ``+name``, ``-name`` and ``~name`` of functions, methods and classes that came, went or changed by
            their syntax tree; empty for what is no Python.
        note: Why there are none, where there should be.
    """

    path: str
    kind: Literal["added", "removed", "changed"]
    added: int
    removed: int
    functions: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Scores:
    """One evaluation of a variant. ``spend`` and ``seconds`` are sums over its outcomes."""

    benchmark: str
    split: Split
    state: str
    tasks: int
    ran: int
    interval: Interval
    statuses: Mapping[str, int]
    spend: Spend
    seconds: float


@dataclass(frozen=True)
class Details:
    """Everything about one variant but its hidden-test results.

    Attributes:
        models: That were asked during its mutation.
        mutation, evaluation: What its mutation and its evaluations used.
        changes: Against its parent.
        against_parent: On validation; None for a seed, or where they share no task.
        signals: Lines that a person should read before believing the score.
        checkout: A shell command that writes its program into the folder ``DIR``.
    """

    variant: Variant
    campaign: Campaign
    interval: Interval | None
    parent: Variant | None
    children: tuple[Variant, ...]
    models: tuple[str, ...]
    mutation: Spend
    evaluation: Spend
    files: tuple[str, ...]
    changes: tuple[FileChange, ...]
    scores: tuple[Scores, ...]
    against_parent: Comparison | None
    signals: tuple[str, ...]
    checkout: str


@dataclass(frozen=True)
class Turn:
    """One recorded model call of a conversation.

    Attributes:
        asked: The messages that were not part of the call before.
        reply: The assistant's message; None where there was none, and then ``error`` says why.
    """

    model: str
    asked: tuple[Mapping[str, Json], ...]
    reply: Mapping[str, Json] | None
    tokens: int
    seconds: float
    cached: bool
    error: str = ""


@dataclass(frozen=True)
class Repeat:
    """One campaign of several that differ in name and random seed only."""

    campaign: Campaign
    best: Variant | None
    best_score: float | None
    seed_score: float | None
    attempts: int
    spend: Spend


@dataclass(frozen=True)
class CampaignComparison:
    """Two campaigns, each with its repeats.

    Attributes:
        a, b: The repeats of each.
        best: Median over repeats of the best validation score, of A and of B.
        gain: The same of best minus seed.
        p_value: Exact two-sided rank-sum test of B's best scores against A's; None where one side has a single repeat.
        verdict: Of B against A at 5%.
        least_repeats: Repeats of each side below which no result whatever could be decided.
    """

    a: tuple[Repeat, ...]
    b: tuple[Repeat, ...]
    best: tuple[float | None, float | None]
    gain: tuple[float | None, float | None]
    p_value: float | None
    verdict: Verdict
    least_repeats: int

"""Benchmark tasks, how they are graded, and what can be said about a set of outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hyperagent.types.basic import Json, Split


@dataclass(frozen=True)
class Task:
    """One benchmark task. ``input`` and ``files`` may cross into the program's sandbox; ``hidden`` never does.

    Attributes:
        files: Text files that stand in the program's workspace when it starts; None = the task has no workspace.
    """

    id: str
    benchmark: str
    split: Split
    group: str
    input: Mapping[str, Json]
    hidden: Mapping[str, Json] = field(repr=False)
    files: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Grade:
    """What a grader says of one prediction.

    ``score`` is in [0, 1]; ``valid`` is False where the prediction is not an answer at all (scored 0).
    """

    score: float
    valid: bool = True
    detail: str = ""


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


@dataclass(frozen=True)
class Measure:
    """One figure about a set of outcomes, with what is needed to believe it.

    Attributes:
        interval: Estimate and its 95% interval; ``low == high == estimate`` where none is defined.
        kind: ``score`` = the pack's main metric; ``metric`` = another view of the answers; ``control`` = what something
            that cannot solve tasks scores on the same ones.
        direction: Which way is better.
    """

    interval: Interval
    kind: Literal["score", "metric", "control"]
    direction: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True)
class Scorecard:
    """All that can be said about a set of outcomes without running anything.

    Attributes:
        measures: Name -> figure, in the order in which they are printed: score, metrics, controls.
        confusion: True label -> answered label (``""`` = no valid answer) -> count; empty for open answers.
        risk_coverage: ``(coverage, risk)`` in [0, 1] each, most confident answers first; empty without confidences.
        warnings: Lines a person must read beside the score, e.g. that the answers do not depend on the input.
    """

    measures: Mapping[str, Measure]
    confusion: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    risk_coverage: tuple[tuple[float, float], ...] = ()
    warnings: tuple[str, ...] = ()

"""One score out of a score per benchmark."""

from __future__ import annotations

from collections.abc import Sequence


def aggregate(scores: Sequence[float], method: str, weights: Sequence[float]) -> float:
    """The score that a variant is stored with, in [0, 1].

    ``mean`` is the published rule (the mean over domains). ``min`` rewards a variant for its weakest benchmark.
    ``weighted`` is ``sum(w s) / sum(w)``. Under ``pareto`` no number decides who is a parent; the mean is stored for
    the tables that people read.

    Args:
        scores: One in [0, 1] per benchmark, at least one.
        weights: As many, at least 0 and not all 0; only ``weighted`` reads them.
    """
    if method == "min":
        return min(scores)
    if method == "weighted":
        return sum(w * s for w, s in zip(weights, scores, strict=True)) / sum(weights)
    return sum(scores) / len(scores)

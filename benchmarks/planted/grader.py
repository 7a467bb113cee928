"""Right dials to a score. Three right ones are worth less than two: who never goes down never gets past them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RUNGS = (0.05, 0.25, 0.45, 0.35, 0.7, 1.0)
"""Score by the number of right dials, 0 to 5."""


def grade(input: Mapping[str, Any], hidden: Mapping[str, Any], prediction: Any) -> tuple[float, bool, str]:
    """Score, whether the answer is a list of as many whole numbers as there are dials, and how many are right."""
    dials = prediction.get("response") if isinstance(prediction, dict) else prediction
    wanted = hidden["combination"]
    if not isinstance(dials, list) or len(dials) != len(wanted) or not all(type(one) is int for one in dials):
        return 0.0, False, f"not a list of {len(wanted)} whole numbers"
    right = sum(one == target for one, target in zip(dials, wanted, strict=True))
    return RUNGS[right], True, f"{right} of {len(wanted)} dials right"


def reference(input: Mapping[str, Any], hidden: Mapping[str, Any]) -> Any:
    return hidden["combination"]

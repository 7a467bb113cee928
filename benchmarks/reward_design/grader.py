"""From a program's answer to the examiner's question, and from its verdict to a score."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

MOST_CHARACTERS = 20_000
"""Longer sources are no answer: a reward is a page of code, not a table of results."""
GOOD = 0.8
"""The score of a policy that is as good as the one a good hand-written reward trains."""

_FENCED = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)


def examine(input: Mapping[str, Any], hidden: Mapping[str, Any], prediction: Any) -> dict[str, Any]:
    """What the examiner is asked: the program's source with the task's training and evaluation.

    Raises:
        ValueError: The prediction is no source text at all.
    """
    asked = ("training", "evaluation", "reward_seconds")
    return {"source": source_of(prediction), **{name: hidden[name] for name in asked}}


def grade(
    input: Mapping[str, Any], hidden: Mapping[str, Any], prediction: Any, verdict: Mapping[str, Any]
) -> tuple[float, bool, str]:
    """The fixed metric of the trained policy between its anchors."""
    if "invalid" in verdict:
        return 0.0, False, str(verdict["invalid"])
    value, anchors = float(verdict["metric"]), hidden["anchors"]
    score = score_of(value, anchors["null"], anchors["good"])
    return score, True, f"{hidden['evaluation']['metric']} {value:.4f} {anchors['unit']}"


def score_of(value: float, null: float, good: float) -> float:
    """0 for what an untrained policy does, :data:`GOOD` for a good reward's policy, on a line between, cut to [0, 1].

    Raises:
        ValueError: The metric is not a finite number.
    """
    if not math.isfinite(value):
        raise ValueError(f"the metric is {value}")
    return min(1.0, max(0.0, GOOD * (value - null) / (good - null)))


def source_of(prediction: Any) -> str:
    """The Python source in a prediction: its text, or what stands in its only fenced block.

    Raises:
        ValueError: There is none, or it is too long.
    """
    response = prediction.get("response") if isinstance(prediction, Mapping) else prediction
    if not isinstance(response, str) or not response.strip():
        raise ValueError("no source text")
    blocks = _FENCED.findall(response)
    if len(blocks) > 1:
        raise ValueError(f"{len(blocks)} fenced blocks: which one is the answer?")
    source: str = blocks[0] if blocks else response
    if len(source) > MOST_CHARACTERS:
        raise ValueError(f"{len(source)} characters of source; at most {MOST_CHARACTERS} are read")
    return source

"""Chooses whose program is rewritten next, where a campaign lets programs choose: high score, few children."""

from __future__ import annotations

import math
from typing import Any

STEEPNESS = 10.0
TOP = 3


class ParentSelector:
    def forward(self, variants: list[dict[str, Any]], random: float) -> str:
        """Return the id of one of the variants.

        Each has ``id``, ``step``, ``generation``, ``parent``, ``score`` (0 to 1) and ``children``; ``random`` is a draw
        from [0, 1), the only source of chance.
        """
        weights = weigh(variants)
        target = random * sum(weights)
        for variant, weight in zip(variants, weights, strict=True):
            target -= weight
            if target < 0:
                return str(variant["id"])
        return str(variants[-1]["id"])


def weigh(variants: list[dict[str, Any]]) -> list[float]:
    """How much each variant deserves to be a parent."""
    top = sorted((variant["score"] for variant in variants), reverse=True)[:TOP]
    middle = sum(top) / len(top)
    return [
        1 / (1 + math.exp(-STEEPNESS * (variant["score"] - middle))) / (1 + variant["children"]) for variant in variants
    ]

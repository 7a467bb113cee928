"""Several runs of one task as one outcome, for packs whose equal programs may score differently (``repeats``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from hyperagent.types import Outcome, Spend

_ERROR_CHARACTERS = 2000


def merged(runs: Sequence[tuple[Outcome, str]]) -> tuple[Outcome, str]:
    """One outcome and transcript of the runs of one task, at least one; a single run stays what it is.

    The score is the mean. Prediction and status are those of the first run that gave an answer: it is what votes,
    confusion tables and replays read. The transcript is a JSON list with the score, status, prediction, error and
    transcript of every run; ``error`` says their scores.
    """
    if len(runs) == 1:
        return runs[0]
    outcomes = [outcome for outcome, _ in runs]
    shown = next((outcome for outcome in outcomes if outcome.status == "scored"), outcomes[0])
    scores = ", ".join(f"{outcome.score:g}" for outcome in outcomes)
    members = ("score", "status", "prediction", "error")
    rows = [{**{name: getattr(one, name) for name in members}, "transcript": text} for one, text in runs]
    whole = replace(
        shown,
        score=sum(outcome.score for outcome in outcomes) / len(outcomes),
        error=f"mean of {len(runs)} runs ({scores}) {shown.error}".strip()[:_ERROR_CHARACTERS],
        seconds=sum(outcome.seconds for outcome in outcomes),
        peak_mb=max(outcome.peak_mb for outcome in outcomes),
        spend=sum((outcome.spend for outcome in outcomes), Spend()),
    )
    return whole, json.dumps(rows, indent=1)

"""Words that every record uses."""

from __future__ import annotations

from collections.abc import Mapping
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
    "raced_out",  # its race was called off: it will not exceed the best; scored on what ran
    "no_effect",  # the edit cannot change behaviour (documentation only); not evaluated
    "duplicate",  # same tree as an archived variant; linked, not paid again
    "invalid",  # the mutation failed or its result does not load
]
CampaignState = Literal["running", "stopped", "budget_reached", "finished", "failed"]
Purpose = Literal["mutate", "evaluate", "test"]

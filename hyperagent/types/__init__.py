"""Frozen records that travel between rooms. Terms as in ``docs/design.md``.

Nothing here does work beyond simple derived properties; nothing here imports another room. Import from here.
"""

from __future__ import annotations

from hyperagent.types.archive import Campaign, Evaluation, Event, Outcome, Problem, TaskResult, Variant
from hyperagent.types.basic import CampaignState, Json, OutcomeStatus, ProgramTree, Purpose, Split, VariantStatus
from hyperagent.types.calls import CallKey, ChatReply, ChatRequest, ModelCall, Spend
from hyperagent.types.running import CampaignResult, Caps, Plan, Progress, ReplayReport
from hyperagent.types.sandboxes import Examiner, JobSpec, Limits, Needs, RunRequest, RunResult, SandboxInfo
from hyperagent.types.tasks import Grade, Interval, Measure, PairedTest, Scorecard, Task

__all__ = [
    "CallKey",
    "Campaign",
    "CampaignResult",
    "CampaignState",
    "Caps",
    "ChatReply",
    "ChatRequest",
    "Evaluation",
    "Event",
    "Examiner",
    "Grade",
    "Interval",
    "JobSpec",
    "Json",
    "Limits",
    "Measure",
    "ModelCall",
    "Needs",
    "Outcome",
    "OutcomeStatus",
    "PairedTest",
    "Plan",
    "Problem",
    "ProgramTree",
    "Progress",
    "Purpose",
    "ReplayReport",
    "RunRequest",
    "RunResult",
    "SandboxInfo",
    "Scorecard",
    "Spend",
    "Split",
    "Task",
    "TaskResult",
    "Variant",
    "VariantStatus",
]

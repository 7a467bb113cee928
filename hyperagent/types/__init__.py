"""Frozen records that travel between rooms. Terms as in ``docs/design.md``.

Nothing here does work beyond simple derived properties; nothing here imports another room. Import from here.
"""

from __future__ import annotations

from hyperagent.types.archive import Campaign, Evaluation, Event, Outcome, Problem, Variant
from hyperagent.types.basic import CampaignState, Json, OutcomeStatus, ProgramTree, Purpose, Split, VariantStatus
from hyperagent.types.calls import CallKey, ChatReply, ChatRequest, ModelCall, Spend
from hyperagent.types.running import CampaignResult, Caps, Plan, Progress, ReplayReport
from hyperagent.types.sandboxes import Examiner, JobSpec, Limits, Needs, RunRequest, RunResult, SandboxInfo
from hyperagent.types.tasks import Grade, Interval, Measure, PairedTest, Scorecard, Task
from hyperagent.types.watching import Activity, Closeup, EvaluationProgress, Snapshot

__all__ = [
    "Activity",
    "CallKey",
    "Campaign",
    "CampaignResult",
    "CampaignState",
    "Caps",
    "ChatReply",
    "ChatRequest",
    "Closeup",
    "Evaluation",
    "EvaluationProgress",
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
    "Snapshot",
    "Spend",
    "Split",
    "Task",
    "Variant",
    "VariantStatus",
]

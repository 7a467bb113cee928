"""Frozen records that travel between rooms. Terms as in ``docs/design.md``.

Nothing here does work beyond simple derived properties; nothing here imports another room. Import from here.
"""

from __future__ import annotations

from hyperagent.types.archive import Campaign, Evaluation, Event, Outcome, Problem, TaskResult, Variant
from hyperagent.types.basic import CampaignState, Json, OutcomeStatus, ProgramTree, Purpose, Split, VariantStatus
from hyperagent.types.calls import CallKey, ChatReply, ChatRequest, ModelCall, Spend
from hyperagent.types.comparing import (
    CampaignComparison,
    Comparison,
    Details,
    FileChange,
    Paired,
    Repeat,
    Scores,
    Turn,
    Verdict,
)
from hyperagent.types.replaying import CampaignReplay, StepReplay
from hyperagent.types.running import CampaignResult, Caps, Divergence, Plan, Progress, ReplayReport
from hyperagent.types.sandboxes import Examiner, JobSpec, Limits, Needs, RunRequest, RunResult, SandboxInfo
from hyperagent.types.skills import Graft, Skill, SkillKind, SkillSource
from hyperagent.types.tasks import Grade, Interval, Measure, PairedTest, Scorecard, Task
from hyperagent.types.watching import Activity, Closeup, EvaluationProgress, Snapshot

__all__ = [
    "Activity",
    "CallKey",
    "Campaign",
    "CampaignComparison",
    "CampaignReplay",
    "CampaignResult",
    "CampaignState",
    "Caps",
    "ChatReply",
    "ChatRequest",
    "Closeup",
    "Comparison",
    "Details",
    "Divergence",
    "Evaluation",
    "EvaluationProgress",
    "Event",
    "Examiner",
    "FileChange",
    "Grade",
    "Graft",
    "Interval",
    "JobSpec",
    "Json",
    "Limits",
    "Measure",
    "ModelCall",
    "Needs",
    "Outcome",
    "OutcomeStatus",
    "Paired",
    "PairedTest",
    "Plan",
    "Problem",
    "ProgramTree",
    "Progress",
    "Purpose",
    "Repeat",
    "ReplayReport",
    "RunRequest",
    "RunResult",
    "SandboxInfo",
    "Scorecard",
    "Scores",
    "Skill",
    "SkillKind",
    "SkillSource",
    "Snapshot",
    "Spend",
    "Split",
    "StepReplay",
    "Task",
    "TaskResult",
    "Turn",
    "Variant",
    "VariantStatus",
    "Verdict",
]

"""What the replay of a whole campaign finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hyperagent.types.archive import Campaign
from hyperagent.types.basic import VariantStatus

ChoiceMade = Literal["again", "unknown", "none"]
"""Whether a choice was made again, from what the journal says was known; ``unknown``: the journal does not say, so the
recorded parent was taken; ``none``: there was nothing to choose (the seed, a step behind a difference)."""


@dataclass(frozen=True)
class StepReplay:
    """One step of a campaign that was replayed.

    Attributes:
        parent: Step of the recorded parent; None for the seed.
        status: As recorded.
        result: ``not_reached`` where an ancestor's program came out otherwise, so that there was nothing to start from.
        choice: How the parent was found.
        commit, replayed: Commits of the recorded and of the replayed program; empty where there is none.
        tasks: Outcomes compared, of train and validation.
        difference: The first difference; empty where identical.
    """

    step: int
    parent: int | None
    status: VariantStatus
    result: Literal["identical", "diverged", "not_reached"]
    choice: ChoiceMade
    commit: str = ""
    replayed: str = ""
    tasks: int = 0
    difference: str = ""


@dataclass(frozen=True)
class CampaignReplay:
    """A campaign made again from its journal and its recorded calls.

    Attributes:
        identical: Every step is.
        first: Step of the first difference; None where identical.
        calls: Recorded model calls that were served; no model was asked.
        tasks: Outcomes compared.
        seconds: Wall-clock seconds of the replay.
        archive: Folder of the archive that was made; empty where it was temporary.
        notes: What could not be done, or was otherwise than recorded without changing a result.
    """

    campaign: Campaign
    identical: bool
    first: int | None
    steps: tuple[StepReplay, ...]
    calls: int
    tasks: int
    seconds: float
    archive: str = ""
    notes: tuple[str, ...] = ()

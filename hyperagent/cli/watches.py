"""What ``watch`` asks of the assembly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hyperagent.types import Closeup, Snapshot


class CampaignWatch(Protocol):
    """See ``hyperagent.assembly.watching``. ``refresh`` is for one thread at a time, ``closeup`` for any."""

    @property
    def snapshot(self) -> Snapshot: ...
    def refresh(self) -> bool: ...
    def closeup(self, variant: str) -> Closeup: ...

"""Digests that show a changed byte, a changed row or a changed past.

Every row but an event or blob carries a ``seal``, because SQLite itself would not notice a changed byte in a value.
Events carry the seal of the row they changed, and chain over each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hyperagent.types import Json


def canonical(value: Json) -> str:
    """JSON text with sorted keys, no spaces, ASCII only.

    Raises:
        ValueError: NaN or infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def seal(table: str, row: Mapping[str, Any]) -> str:
    """SHA-256 over all of a row but its seal."""
    content = {name: value for name, value in row.items() if name != "seal"}
    return hashlib.sha256(canonical([table, content]).encode()).hexdigest()


def event_digest(previous: str, event: Mapping[str, Any]) -> str:
    """SHA-256 over the digest of the event before and all of this event but its digest."""
    content = {name: value for name, value in event.items() if name != "digest"}
    return hashlib.sha256((previous + canonical(content)).encode()).hexdigest()

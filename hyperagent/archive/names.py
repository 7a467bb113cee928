"""Names of campaigns: part of git refs, of ``campaign/step`` and of command lines."""

from __future__ import annotations

import re
from collections.abc import Collection

from hyperagent.errors import ConfigError


def check_name(name: str) -> None:
    """Raises ConfigError for a name that cannot be part of a git ref or of ``campaign/step``."""
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name)
    if not plain or ".." in name or name.endswith((".", ".lock")):
        raise ConfigError(
            f"the campaign name {name!r} cannot be used",
            hint="use up to 100 letters, digits, '-', '_' and single '.', beginning with a letter or digit",
        )


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with ``-2``, ``-3`` ... where it is taken."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
